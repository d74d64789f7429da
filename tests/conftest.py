"""What every test may ask for: a database of its own, settings, a model provider, the application, a browser."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import open_engine
from rag_app.settings import Settings
from tests import chromium, database_server

if TYPE_CHECKING:
    from rag_app.services.context import Context
    from tests.provider_double import ProviderDouble

# The same examples in every run, so that a change is judged by what it changes; EXPLORE=1 looks for new ones.
hypothesis.settings.register_profile("suite", derandomize=os.environ.get("EXPLORE") != "1")
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("RAG_") and name != "RAG_BENCH_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture(scope="session")
def database_server_url() -> Iterator[str]:
    """One Postgres for the whole session, with one migrated template database in it."""
    with database_server.running_server() as url:
        database_server.make_template(url)
        yield url


@pytest.fixture
def database_url(database_server_url: str) -> Iterator[str]:
    """A database of this test's own with the whole schema and no rows."""
    url = database_server.clone(database_server_url)
    yield url
    database_server.drop(database_server_url, url)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An async engine on this test's database."""
    made = open_engine(database_url)
    yield made
    await made.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a server on this test's database and folder."""
    return Settings(
        database_url=database_url,
        data_dir=tmp_path / "data",
        secret_key="a secret key that only the tests use",
        public_url="http://testserver",
    )


@pytest.fixture
async def context(settings: Settings) -> AsyncIterator["Context"]:
    """What every service works with, on this test's database and folder."""
    from rag_app.services.context import open_context

    async with open_context(settings) as opened:
        yield opened


@pytest.fixture
def provider() -> Iterator["ProviderDouble"]:
    """A model provider on a real socket that speaks OpenAI's wire format and does what the test tells it."""
    from tests.provider_double import ProviderDouble

    double = ProviderDouble()
    double.start()
    yield double
    double.stop()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The path of a browser; installs one where that is possible, else fails with the line that does."""
    return chromium.find_or_install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On two processes a file stays together; so do all browser tests, which share one server and have an order."""
    for item in items:
        in_browser = "browser" in item.path.parts
        item.add_marker(pytest.mark.xdist_group("browser" if in_browser else item.path.stem))
