"""What follows from a change to the edits of a document: gone from search at once, brought up to date by a job."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.ingestion.edits import Placement, apply_edits
from rag_app.ingestion.parsed import Cut
from rag_app.ingestion.store import keep_only
from rag_app.services.acceptance import PRIORITY_FILE, defer_reading
from rag_app.services.context import Context

_ACTIVE = text(
    "SELECT v.id, v.text, i.cutting_id FROM documents d "
    "JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.active_version_id "
    "JOIN knowledge_bases k ON k.id = d.knowledge_base_id JOIN indexes i ON i.id = k.active_index_id "
    "WHERE d.knowledge_base_id = :kb AND d.id = :document AND d.deleted_at IS NULL"
)
_PLACED = text(
    "SELECT id, char_from, char_to, replacement FROM edits WHERE knowledge_base_id = :kb AND document_id = :document "
    "AND placed_in = :version AND char_from IS NOT NULL"
)
_PASSAGES = text(
    "SELECT id, char_from, char_to, heading, context FROM passages "
    "WHERE knowledge_base_id = :kb AND version_id = :version AND cutting_id = :cutting ORDER BY ordinal"
)
# Another attempt, so that whoever is at it now is fenced off.
_AGAIN = text(
    """
UPDATE versions v SET state = 'queued', attempt = v.attempt + 1, failures = 0, claimed_by = NULL, phase = NULL,
       error_code = NULL, error_message = NULL, updated_at = now()
FROM documents d WHERE d.knowledge_base_id = :kb AND d.id = ANY(:documents) AND d.deleted_at IS NULL
  AND v.knowledge_base_id = :kb AND v.id = d.active_version_id
RETURNING v.id
"""
)
_TOUCH = text("UPDATE documents SET updated_at = now() WHERE knowledge_base_id = :kb AND id = ANY(:documents)")
_COUNT = text("UPDATE versions SET passage_count = :count WHERE knowledge_base_id = :kb AND id = :version")
_FORGET = text("DELETE FROM edits WHERE knowledge_base_id = :kb AND document_id = ANY(:documents) RETURNING note_id")
_FORGET_NOTES = text(
    "DELETE FROM edits WHERE knowledge_base_id = :kb AND note_id = ANY(:documents) RETURNING document_id"
)


async def take_out(session: AsyncSession, knowledge_base_id: UUID, document_id: UUID) -> None:
    """Delete the passages that hold something hidden or corrected, in the transaction that marks it.

    The document must be locked. What stood around it in those passages comes back when the document is published
    again; other ways of cutting lose the version and catch up.
    """
    keys = {"kb": knowledge_base_id, "document": document_id}
    active = (await session.execute(_ACTIVE, keys)).one_or_none()
    if active is None:
        return
    placed = await session.execute(_PLACED, {**keys, "version": active.id})
    placements = [Placement(row.id, (row.char_from, row.char_to), None, row.replacement) for row in placed]
    wanted = {"kb": knowledge_base_id, "version": active.id}
    rows = (await session.execute(_PASSAGES, {**wanted, "cutting": active.cutting_id})).all()
    cuts = [
        Cut(number, row.char_from, row.char_to, row.heading, row.context, None, None) for number, row in enumerate(rows)
    ]
    left = await asyncio.to_thread(apply_edits, active.text or "", cuts, placements)
    whole = {(cut.char_from, cut.char_to, cut.heading, cut.context) for cut in left}
    kept = [row.id for row in rows if tuple(row[1:]) in whole]
    await keep_only(await session.connection(), knowledge_base_id, active.id, kept=kept)
    await session.execute(_COUNT, {**wanted, "count": len(kept)})


async def publish_again(
    context: Context, session: AsyncSession, knowledge_base_id: UUID, documents: Sequence[UUID]
) -> None:
    """Have the active versions of these documents published anew, with the edits they have by now."""
    keys: dict[str, Any] = {"kb": knowledge_base_id, "documents": list(documents)}
    await session.execute(_TOUCH, keys)
    versions = list((await session.execute(_AGAIN, keys)).scalars())
    if versions:
        await defer_reading(context, session, knowledge_base_id, versions, PRIORITY_FILE)


async def forget_edits(
    context: Context, session: AsyncSession, knowledge_base_id: UUID, documents: Sequence[UUID]
) -> list[UUID]:
    """Delete the edits of documents that go, with the words they quote; the notes that go with them.

    A correction whose note goes is undone: what it stood for is published again.
    """
    keys = {"kb": knowledge_base_id, "documents": list(documents)}
    notes = [each for each in (await session.execute(_FORGET, keys)).scalars() if each is not None]
    originals = list((await session.execute(_FORGET_NOTES, keys)).scalars())
    if originals:
        await publish_again(context, session, knowledge_base_id, originals)
    return notes
