"""What tests of indexes may ask for: a provider of embeddings, and building in small steps."""

from collections.abc import AsyncIterator

import pytest

from rag_app.ingestion import build, index_rows
from rag_app.providers.circuit import SWITCHBOARD
from rag_app.providers.library import close_clients
from rag_app.settings import get_settings
from tests.provider_double import ProviderDouble


@pytest.fixture
async def double(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderDouble]:
    """A provider of embeddings on this machine that the operator has allowed."""
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    with ProviderDouble(dimensions=64) as running:
        yield running
        await close_clients()
    get_settings.cache_clear()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few passages at a time, and no pauses."""
    monkeypatch.setattr(build, "BATCH", 8)
    monkeypatch.setattr(build, "REST_SHARE", 0.0)
    monkeypatch.setattr(index_rows, "FIRST_WAIT_S", 0)
