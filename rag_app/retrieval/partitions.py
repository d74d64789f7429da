"""A table of its own for the vectors of a large index, so that it can be indexed whole and dropped at once."""

import asyncio

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rag_app.errors import NotReady
from rag_app.telemetry import log

LOCK_TIMEOUT_MS = 100
"""Searches queue behind a statement that waits for its lock, so it waits briefly and comes again."""
TRIES = 100
PAUSE_S = 0.2
_LOCK_NOT_AVAILABLE = "55P03"

_ATTACHED = text("SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(:name))")
_EXISTS = text("SELECT to_regclass(:name) IS NOT NULL")
_ORPHANED = text("""
    SELECT CAST(substr(c.relname, length('embeddings_') + 1) AS bigint) AS id FROM pg_class c
    WHERE c.relkind = 'r' AND c.relname ~ '^embeddings_[0-9]+$'
    AND NOT EXISTS (SELECT FROM indexes i WHERE 'embeddings_' || i.id = c.relname)
""")


async def has_own_table(connection: AsyncConnection, index_id: int) -> bool:
    """Whether the vectors of an index lie in a table of their own, `embeddings_N`."""
    return bool((await connection.execute(_ATTACHED, {"name": f"embeddings_{int(index_id)}"})).scalar_one())


async def own_partition(engine: AsyncEngine, *, index_id: int) -> None:
    """Give an index, of which nothing is written yet, a table of its own. May be called again after a crash.

    No search waits longer than LOCK_TIMEOUT_MS: that the default partition holds nothing of this index is checked
    beforehand, under a lock that lets searches and writers pass. Raises NotReady when no moment was found.
    """
    name, without = f"embeddings_{int(index_id)}", f"embeddings_without_{int(index_id)}"
    async with engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        drop_check = f"ALTER TABLE embeddings_default DROP CONSTRAINT IF EXISTS {without}"
        await _patiently(outside, drop_check)
        if (await outside.execute(_ATTACHED, {"name": name})).scalar_one():
            return
        await outside.execute(text(f"DROP TABLE IF EXISTS embeddings_{int(index_id)}"))
        create = f"CREATE TABLE embeddings_{int(index_id)} (LIKE embeddings) WITH (toast_tuple_target = 8160)"
        await outside.execute(text(create))
        check = f"CHECK (index_id <> {int(index_id)}) NOT VALID"
        await _patiently(outside, f"ALTER TABLE embeddings_default ADD CONSTRAINT {without} {check}")
        try:
            await outside.execute(text(f"ALTER TABLE embeddings_default VALIDATE CONSTRAINT {without}"))
            attach = f"ALTER TABLE embeddings ATTACH PARTITION {name} FOR VALUES IN ({int(index_id)})"
            await _patiently(outside, attach)
        finally:
            await _patiently(outside, drop_check)


async def drop_partition(engine: AsyncEngine, *, index_id: int) -> bool:
    """Remove an index's own table with all in it; False when it has none. Raises NotReady as `own_partition`."""
    name = f"embeddings_{int(index_id)}"
    async with engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        if (await outside.execute(_ATTACHED, {"name": name})).scalar_one():
            await _patiently(outside, f"ALTER TABLE embeddings DETACH PARTITION {name}")
        elif not (await outside.execute(_EXISTS, {"name": name})).scalar_one():
            return False
        await _patiently(outside, f"DROP TABLE {name}")
    return True


async def orphaned_partitions(connection: AsyncConnection) -> list[int]:
    """Ids of indexes that are gone although their table is left."""
    return [int(row.id) for row in await connection.execute(_ORPHANED)]


async def _patiently(outside: AsyncConnection, statement: str) -> None:
    """Run a statement that needs a moment without readers; nobody queues behind it for long."""
    await outside.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_MS}ms'"))
    try:
        for _ in range(TRIES):
            try:
                await outside.execute(text(statement))
                return
            except OperationalError as problem:
                if getattr(problem.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                    raise
            await asyncio.sleep(PAUSE_S)
    finally:
        await outside.execute(text("RESET lock_timeout"))
    log.warning("no_quiet_moment", tries=TRIES)
    raise NotReady("The database is too busy to change a table; it will be tried again.")
