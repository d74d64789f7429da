"""A short-lived child: brings the schema up to date and says in one line of JSON how that went and whom to invite.

A process of its own, so that what it needs for a second does not stay in the memory of the supervisor.
"""

import asyncio
import json
import sys
from typing import Any

import psycopg

from rag_app.database.engine import resolve_url, without_driver
from rag_app.database.migration import upgrade
from rag_app.errors import RagError
from rag_app.settings import Settings, get_settings
from rag_app.telemetry import configure_logging


def bring_up_to_date(settings: Settings) -> dict[str, Any]:
    """Migrate; returns {"setup_link": the one-time link, null once there is a user}. Raises StartError with the fix."""
    url = settings.database_direct_url or resolve_url(settings)
    upgrade(url)
    return {"setup_link": None if _has_users(url) else asyncio.run(_setup_link(settings))}


def _has_users(url: str) -> bool:
    with psycopg.connect(without_driver(url), connect_timeout=5) as connection:
        row = connection.execute("SELECT EXISTS (SELECT FROM users)").fetchone()
    return bool(row and row[0])


async def _setup_link(settings: Settings) -> str | None:
    # Heavy, and needed only before the first user.
    from rag_app.services.context import open_context
    from rag_app.services.setup import setup_link

    async with open_context(settings, pool_size=2) as context:
        return await setup_link(context)


def main() -> int:
    """Print the answer as JSON. Returns the exit code."""
    try:
        settings = get_settings()
        configure_logging(settings.log_level, settings.log_format)
        answer = bring_up_to_date(settings)
    except RagError as problem:
        answer = {"error": problem.message}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
