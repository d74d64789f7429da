"""Shows which processes live: each holds an advisory lock for as long as its connection to the database lasts."""

import asyncio
import secrets

import psycopg

from rag_app.database.engine import without_driver
from rag_app.telemetry import log

LOCK_CLASS = 0x7261  # "ra": the first of the two numbers of the lock
# The condition that the process `{column}` names is alive; for statements that look for abandoned work.
ALIVE = (
    "EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 29281 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND objid = CAST({column} AS oid))"
)
CHECK_EVERY_S = 2.0
RECONNECT_AFTER_S = 0.5
# A worker that is suspended, or whose machine is gone, says nothing: the database then ends its claim.
SILENT_S = 20


class Claim:
    """This process's sign of life. A claim that was lost never comes back: the next one has another number.

    What was claimed under the old number is therefore given to somebody, and the attempt under way is fenced off.
    """

    def __init__(self, url: str) -> None:
        self._url = without_driver(url)
        self._number = 0
        self._held = asyncio.Event()

    async def number(self) -> int:
        """The number of the claim; waits until the lock is held."""
        await self._held.wait()
        return self._number

    @property
    def number_if_held(self) -> int | None:
        """The number of the claim at this moment; None while it is not held."""
        return self._number if self._held.is_set() else None

    async def keep(self) -> None:
        """Hold the lock until cancelled; taken anew when the database was away."""
        while True:
            try:
                await self._hold_once()
            except psycopg.Error:
                log.warning("claim_lost")
            finally:
                self._held.clear()
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _hold_once(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5)
        async with connection:
            await connection.execute(f"SET idle_session_timeout = '{SILENT_S}s'")
            self._number = secrets.randbelow(2**31 - 1) + 1
            await connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, self._number))
            self._held.set()
            while True:
                await asyncio.sleep(CHECK_EVERY_S)
                await connection.execute("SELECT 1")
