"""Opens the database: which one, with which driver and which session defaults."""

import select
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.asyncio import AsyncSession as SQLAlchemySession
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.errors import Busy, NotReady, StorageFull, StorageUnwritable
from rag_app.settings import Settings

DRIVER = "postgresql+psycopg://"
HNSW_EF_SEARCH = 100
SESSION_DEFAULTS = (
    f"-c plan_cache_mode=auto -c jit=off -c hnsw.iterative_scan=relaxed_order -c hnsw.ef_search={HNSW_EF_SEARCH}"
)
_NEVER_BY_ITSELF = 2**31
"""Executions until the driver prepares a statement that does not ask for it: a plan must not be kept for others."""
_MOST_PREPARED = 200


def session_options(*, waits_for_disk: bool) -> str:
    """The options of a connection for libpq.

    A worker need not wait for the disk: when the machine loses its power, the last moments of its work are undone as a
    whole and in order, and done again. What was promised to somebody (an upload, a setting) always waits.
    """
    return "" if waits_for_disk else "-c synchronous_commit=off"


def with_driver(url: str) -> str:
    """The URL as SQLAlchemy wants it."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return DRIVER + url.removeprefix(prefix)
    return url


def without_driver(url: str) -> str:
    """The URL as libpq wants it."""
    return url.replace(DRIVER, "postgresql://", 1)


def resolve_url(settings: Settings) -> str:
    """The URL of the database in use. Raises NotReady when the embedded one is not running."""
    if settings.database_url:
        return with_driver(settings.database_url)
    from rag_app.database.embedded import running_url  # the wheel is large: imported only where it is used

    url = running_url(settings.data_dir)
    if url is None:
        raise NotReady(f"The database in {settings.data_dir} is not running: start it with `python -m rag_app up`.")
    return with_driver(url)


def open_engine(url: str, *, pool_size: int = 10, prepares: bool = True, waits_for_disk: bool = True) -> AsyncEngine:
    """An engine with a bounded pool; connections that have ended are replaced, so a restart of Postgres is survived.

    `prepares` False where a transaction pooler hands each statement to another connection. `waits_for_disk` as in
    `session_options`.
    """
    engine = create_async_engine(
        with_driver(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        pool_use_lifo=True,  # the connection used last is the warm one
        connect_args={
            "options": f"{SESSION_DEFAULTS} {session_options(waits_for_disk=waits_for_disk)}",
            "connect_timeout": 5,
            "prepare_threshold": _NEVER_BY_ITSELF if prepares else None,
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_stale)
    event.listen(engine.sync_engine, "connect", _prepare_many)
    return engine


def _prepare_many(connection: Any, *_: object) -> None:
    """A large vector index has a statement of its own."""
    connection.driver_connection.prepared_max = _MOST_PREPARED


def _refuse_stale(connection: Any, *_: object) -> None:
    """A connection on which the server spoke while nobody asked has ended, or is about to: another one is opened.

    Looking at the socket takes microseconds; asking the server, as pools usually do, a round trip for each use.
    """
    driver = connection.driver_connection
    if driver.closed:
        raise DisconnectionError("the connection is closed")
    watch = select.poll()
    watch.register(driver.fileno(), select.POLLIN)
    if watch.poll(0):
        raise DisconnectionError("the server has ended the connection")


class Session(AsyncSession):
    """A session for both kinds of question: `exec` for tables, `execute` for SQL of our own.

    SQLModel warns of `execute` because it does not give back objects; for written-out SQL that is what is wanted.
    """

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run a statement; rows come back as SQLAlchemy gives them."""
        return await SQLAlchemySession.execute(self, *args, **kwargs)


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """One transaction: committed at the end, rolled back on an error.

    Raises NotReady when the database is away and StorageFull when its disk is full.
    """
    with clear_errors():
        async with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn a database that is away, busy or full into NotReady and StorageFull, a deadlock into Busy."""
    try:
        yield
    except (OperationalError, InterfaceError) as problem:
        raise _translated(problem, problem.orig) from problem
    except psycopg.OperationalError as problem:  # from COPY, which goes to the driver directly
        raise _translated(problem, problem) from problem
    except PoolTimeout as problem:
        raise NotReady("The database is busy; try again in a moment.") from problem


async def driver_connection(session: AsyncSession) -> Any:
    """The psycopg connection under a session, for libraries that take part in its transaction."""
    connection = await session.connection()
    return (await connection.get_raw_connection()).driver_connection


def _translated(problem: Exception, origin: object) -> Exception:
    state = getattr(origin, "sqlstate", None) or ""
    if state == "53100":
        return StorageFull()
    if state == "58030":
        return StorageUnwritable()
    if not state or state.startswith(("08", "57P", "53300")):
        return NotReady()
    if state in ("40001", "40P01"):  # two transactions were in each other's way; this one was given up
        return Busy()
    return problem
