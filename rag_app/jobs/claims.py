"""Shows which workers live: each holds an advisory lock for as long as its connection to the database lasts."""

import asyncio
import secrets

import psycopg

from rag_app.database.engine import without_driver
from rag_app.telemetry import log

LOCK_CLASS = 0x7261  # "ra": the first of the two numbers of the lock
# The condition that the worker `{column}` names is alive; for statements that look for abandoned work.
ALIVE = (
    "EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 29281 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND objid = CAST({column} AS oid))"
)
CHECK_EVERY_S = 2.0
RECONNECT_AFTER_S = 0.5


class Claim:
    """This worker's sign of life."""

    def __init__(self, url: str) -> None:
        self._url = without_driver(url)
        self.number = secrets.randbelow(2**31 - 1) + 1
        self._held = asyncio.Event()

    async def held(self) -> None:
        """Wait until the lock is held."""
        await self._held.wait()

    async def keep(self) -> None:
        """Hold the lock until cancelled; taken anew when the database was away."""
        while True:
            try:
                await self._hold_once()
            except psycopg.Error:
                self._held.clear()
                log.warning("claim_lost")
                await asyncio.sleep(RECONNECT_AFTER_S)

    async def _hold_once(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5)
        async with connection:
            await connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, self.number))
            self._held.set()
            while True:
                await asyncio.sleep(CHECK_EVERY_S)
                await connection.execute("SELECT 1")
