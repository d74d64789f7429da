"""Short lives under fire: every process that dies at a tripwire leaves nothing lost, doubled, half or left lying.

The long version is `scripts/bench fault_lives`.
"""

from collections.abc import AsyncIterator

import pytest

from tests.crashing import Site, open_site
from tests.trials import Life, Tally, migrate


@pytest.fixture
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """An installation whose processes are forked one by one."""
    async with open_site(tmp_path_factory.mktemp("lives")) as opened:
        yield opened


async def test_whatever_dies_the_documents_are_whole(site: Site) -> None:
    tally = Tally()
    await Life(site, 2, "texts", tally).run()
    await migrate(site, 2, tally)
    assert tally.problems == []
    assert tally.kills >= 12, tally.missed
    assert tally.looks > 0 and tally.searches > 0
