"""Lexical statistics per knowledge base: appended as deltas by writers, folded together by one merger at a time."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MERGE_AFTER_DELTAS = 40
MERGE_AFTER_TERMS = 60_000
"""A search reads pending deltas in full, so they are folded before they cost it more than a few milliseconds, and not
for every batch: folding took half of the database's time while 100,000 texts came in."""


async def merge_statistics(connection: AsyncConnection, knowledge_base_id: UUID) -> bool:
    """Fold the pending deltas of a knowledge base into its counts, in the caller's transaction.

    Returns False when another transaction is doing so at this moment.
    """
    values = {"kb": knowledge_base_id}
    if not (await connection.execute(_TRY_LOCK, {"name": f"lexical {knowledge_base_id}"})).scalar_one():
        return False
    shrinks = (await connection.execute(_SHRINKS, values)).scalar_one()
    await connection.execute(_MERGE, values)
    if shrinks:
        await connection.execute(_FORGET_EMPTY, values)
    return True


async def sort_in(connection: AsyncConnection) -> None:
    """Put the terms that came last where they belong."""
    await connection.execute(_SORT_IN)


async def merge_if_due(connection: AsyncConnection, knowledge_base_id: UUID) -> None:
    """Merge when the pending deltas begin to slow searches down."""
    pending = (await connection.execute(_PENDING, {"kb": knowledge_base_id})).one()
    if pending.deltas >= MERGE_AFTER_DELTAS or (pending.terms or 0) >= MERGE_AFTER_TERMS:
        await merge_statistics(connection, knowledge_base_id)


async def knowledge_bases_with_deltas(connection: AsyncConnection) -> list[UUID]:
    """Knowledge bases that have something to merge, for the periodic job."""
    return list((await connection.execute(_WITH_DELTAS)).scalars())


_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
_PENDING = text("""
    SELECT count(*) AS deltas, sum(term_count) AS terms FROM lexical_deltas WHERE knowledge_base_id = :kb
""")
_WITH_DELTAS = text("SELECT DISTINCT knowledge_base_id FROM lexical_deltas")
_MERGE = text("""
    WITH gone AS (
        DELETE FROM lexical_deltas WHERE knowledge_base_id = :kb
        RETURNING cutting_id, language, passages, length, terms, counts
    ), totals AS (
        INSERT INTO lexical_totals AS t (knowledge_base_id, cutting_id, language, passages, length)
        SELECT :kb, cutting_id, language, sum(passages), sum(length) FROM gone GROUP BY cutting_id, language
        ON CONFLICT (knowledge_base_id, cutting_id, language) DO UPDATE
        SET passages = t.passages + excluded.passages, length = t.length + excluded.length
    )
    INSERT INTO lexical_counts AS c (knowledge_base_id, term, cutting_id, passages)
    SELECT :kb, each.term, gone.cutting_id, sum(each.passages)
    FROM gone CROSS JOIN LATERAL unnest(gone.terms, gone.counts) AS each (term, passages)
    GROUP BY each.term, gone.cutting_id HAVING sum(each.passages) <> 0 ORDER BY each.term, gone.cutting_id
    ON CONFLICT (knowledge_base_id, term, cutting_id) DO UPDATE SET passages = c.passages + excluded.passages
""")
# The terms that came last wait in a list that every search reads through: at most 256 kB, and not for long.
_SORT_IN = text("SELECT gin_clean_pending_list('lexical_terms')")
_SHRINKS = text("SELECT EXISTS (SELECT FROM lexical_deltas WHERE knowledge_base_id = :kb AND passages < 0)")
_FORGET_EMPTY = text("DELETE FROM lexical_counts WHERE knowledge_base_id = :kb AND passages = 0")
