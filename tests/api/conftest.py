"""What tests of the API may ask for: the application on a database of its own, and people who use it."""

from collections.abc import AsyncIterator
from typing import Any

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


@pytest.fixture(scope="session")
def description() -> dict[str, Any]:
    """The OpenAPI description, which is the same for every test: filled by the first that needs it."""
    return {}


@pytest.fixture
def api(context: Context, description: dict[str, Any]) -> FastAPI:
    """The API on this test's database."""
    made = create_api(context)
    if not description:
        description |= made.openapi()
    made.openapi_schema = description  # making it takes longer than most tests
    return made


@pytest.fixture
async def cast(api: FastAPI, context: Context) -> AsyncIterator[Cast]:
    """The people of this test, each with a browser; the owner is there already."""
    async with Cast(api, context) as people:
        await people.owner()
        yield people
