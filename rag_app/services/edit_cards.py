"""What people see of an edit: what was hidden or corrected, where it stands now, who did it; and of its conflicts."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.errors import NotFound
from rag_app.ingestion.edit_rows import edits_of
from rag_app.ingestion.edits import Span, place_edits
from rag_app.services.context import Context
from rag_app.services.documents import DocumentCard, DocumentText, get_document
from rag_app.services.knowledge import VISIBLE, require_visible, visibility
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit

CONFLICTS = {
    "not_found": "The words are not in the document any more.",
    "ambiguous": "The words stand in several places that cannot be told apart.",
    "changed": "The words stand there, but with other figures than those that were corrected.",
}
_CARDS = f"""
SELECT e.id, e.knowledge_base_id, e.document_id, d.title AS document_title, e.kind, e.quote, e.prefix, e.suffix,
       e.replacement, e.note_id, e.placed_in, e.char_from, e.char_to, e.conflict, e.created_at,
       coalesce(nullif(u.name, ''), u.email, '') AS created_by
FROM edits e
JOIN knowledge_bases k ON k.id = e.knowledge_base_id
JOIN documents d ON d.knowledge_base_id = e.knowledge_base_id AND d.id = e.document_id AND d.deleted_at IS NULL
LEFT JOIN users u ON u.id = e.created_by AND u.workspace_id = e.workspace_id
WHERE {VISIBLE}
"""  # noqa: S608 - made of constants
_OF_DOCUMENT = text(_CARDS + " AND e.knowledge_base_id = :kb AND e.document_id = :document ORDER BY e.char_from, e.id")
_ONE = text(_CARDS + " AND e.id = :id")
_OF_NOTE = text(_CARDS + " AND e.knowledge_base_id = :kb AND e.note_id = :note")
_CONFLICTS = text(
    _CARDS
    + """ AND e.knowledge_base_id = :kb AND e.conflict IS NOT NULL
AND (CAST(:moment AS timestamptz) IS NULL OR (e.created_at, e.id) < (:moment, :identity))
ORDER BY e.created_at DESC, e.id DESC LIMIT :limit"""
)


@dataclass(frozen=True, slots=True)
class EditCard:
    """An edit. `version_id`, `char_from` and `char_to` say where it applies; they are None for a conflict."""

    id: UUID
    knowledge_base_id: UUID
    document_id: UUID
    document_title: str
    kind: str  # hide | correct
    state: str  # applied | conflict
    reason: str | None  # of a conflict: not_found | ambiguous | changed
    message: str | None  # the same in words
    quote: str  # the words that were marked
    prefix: str  # what stood before them
    suffix: str  # and behind
    text: str  # what a correction says instead
    note_id: UUID | None
    version_id: UUID | None
    char_from: int | None
    char_to: int | None
    created_by: str
    created_at: datetime


def _card(row: RowMapping) -> EditCard:
    values = dict(row)
    reason, placed_in = values.pop("conflict"), values.pop("placed_in")
    return EditCard(
        **values | {"text": values.pop("replacement")},
        state="conflict" if reason else "applied",
        reason=reason,
        message=CONFLICTS.get(reason) if reason else None,
        version_id=None if reason else placed_in,
    )


async def document_edits(context: Context, actor: Actor, document_id: UUID) -> tuple[EditCard, ...]:
    """What was hidden or corrected in a document, in the order of its text. Raises NotFound."""
    permit(actor, "document.read")
    document = await get_document(context, actor, document_id)
    wanted = {**visibility(actor), "kb": document.knowledge_base_id, "document": document_id}
    async with context.transaction() as session:
        return tuple(_card(row) for row in (await session.execute(_OF_DOCUMENT, wanted)).mappings())


async def note_origin(context: Context, actor: Actor, document_id: UUID) -> EditCard | None:
    """The edit that a note belongs to; None for a question-and-answer pair. Raises NotFound."""
    permit(actor, "document.read")
    document = await get_document(context, actor, document_id)
    wanted = {**visibility(actor), "kb": document.knowledge_base_id, "note": document_id}
    async with context.transaction() as session:
        row = (await session.execute(_OF_NOTE, wanted)).mappings().one_or_none()
    return _card(row) if row else None


async def list_conflicts(context: Context, actor: Actor, knowledge_base_id: UUID, page: PageRequest) -> Page[EditCard]:
    """Edits of a knowledge base whose words were not found again for certain, newest first. Raises NotFound."""
    permit(actor, "document.read")
    moment, identity = page.place()
    wanted: dict[str, Any] = {"kb": knowledge_base_id, "moment": moment, "identity": identity, "limit": page.limit + 1}
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        found = await session.execute(_CONFLICTS, {**visibility(actor), **wanted})
        cards = [_card(row) for row in found.mappings()]
    return page_of(cards, page.limit, lambda card: (card.created_at, card.id))


async def taken_out(context: Context, actor: Actor, shown: DocumentText, document: DocumentCard) -> tuple[Span, ...]:
    """The stretches of a version, whichever it is, that are hidden or corrected by now."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        found = await edits_of(await session.connection(), document.knowledge_base_id, [document.id])
    placements = await asyncio.to_thread(place_edits, shown.text, found.get(document.id, []))
    return tuple(each.span for each in placements if each.span is not None)


async def read_edit(session: AsyncSession, actor: Actor, edit_id: UUID) -> EditCard:
    """One edit. Raises NotFound."""
    row = (await session.execute(_ONE, {**visibility(actor), "id": edit_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such edit, or it is not yours.")
    return _card(row)
