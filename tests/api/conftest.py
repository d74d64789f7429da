"""What tests of the API may ask for: the application on a database of its own, and people who use it."""

from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from rag_app import security
from rag_app.api.app import create_api
from rag_app.services.context import Context, open_context
from rag_app.settings import Settings
from tests.api.cast import Cast


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real hash with its smallest cost: here it is made hundreds of times."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(security, "_hasher", quick)
    monkeypatch.setattr(security, "_NO_SUCH_USER", quick.hash("nobody"))


@pytest.fixture
async def context(settings: Settings) -> AsyncIterator[Context]:
    """An open context on this test's database."""
    async with open_context(settings) as opened:
        yield opened


@pytest.fixture
def api(context: Context) -> FastAPI:
    """The API on this test's database."""
    return create_api(context)


@pytest.fixture
async def cast(api: FastAPI, context: Context) -> AsyncIterator[Cast]:
    """The people of this test, each with a browser; the owner is there already."""
    async with Cast(api, context) as people:
        await people.owner()
        yield people
