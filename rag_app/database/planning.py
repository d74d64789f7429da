"""Keeps what the planner believes about the tables that grow fast in step with what they hold."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import transaction

_LOCK = 0x414E_414C  # one at a time
_FEWEST_ROWS = 500
_GROWTH = 1.5
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_OUTGROWN = text(
    "SELECT s.relname FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid "
    "WHERE s.schemaname = current_schema() AND s.relname = ANY(:tables) AND s.n_live_tup > :fewest "
    "AND s.n_live_tup > :growth * c.reltuples"
)
# Only what rows are looked up by: figures about long texts cost a hundred times as much, and nobody asks for them.
_ANALYSE = {
    "documents": text("ANALYZE documents (knowledge_base_id, id, active_version_id, latest_version_id, deleted_at)"),
    "versions": text("ANALYZE versions (knowledge_base_id, id, document_id, state)"),
    "tasks": text("ANALYZE tasks (workspace_id, version_id, status)"),
    "passages": text("ANALYZE passages (knowledge_base_id, id, document_id, version_id, cutting_id)"),
}


async def refresh_planning(engine: AsyncEngine) -> int:
    """Analyse the tables that have grown by half; how many there were.

    The database does so by itself once a minute: until then it takes a table that was empty for one with a few rows,
    and a look-up of 250 documents by their keys for a walk through all that have been added since.
    """
    async with transaction(engine) as session:
        if not (await session.execute(_TRY_LOCK, {"lock": _LOCK})).scalar_one():
            return 0
        wanted = {"tables": list(_ANALYSE), "fewest": _FEWEST_ROWS, "growth": _GROWTH}
        found = list((await session.execute(_OUTGROWN, wanted)).scalars())
        for name in found:
            await session.execute(_ANALYSE[name])
    return len(found)
