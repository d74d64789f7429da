"""Resolves edits whose words were not found again: tied to other words, kept as a note, or dropped."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import text

from rag_app.errors import Conflict, InvalidInput
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.documents import get_document
from rag_app.services.edit_cards import EditCard, read_edit
from rag_app.services.edit_effects import publish_again, take_out
from rag_app.services.edits import NewEdit, mark, undo_edit
from rag_app.services.knowledge import require_visible
from rag_app.services.permissions import Actor, permit

_LOCK = text("SELECT active_version_id FROM documents WHERE knowledge_base_id = :kb AND id = :id FOR UPDATE")
_REATTACH = text(
    """
UPDATE edits SET quote = :quote, prefix = :prefix, suffix = :suffix, position = :position, likes_before = :before,
       likes_behind = :behind, text_hash = :text_hash, marked_in = :marked_in, revision = revision + 1,
       placed_in = :placed_in, char_from = :start, char_to = :end, conflict = :conflict, updated_at = now()
WHERE knowledge_base_id = :kb AND id = :id
"""
)
_DETACH = text("DELETE FROM edits WHERE knowledge_base_id = :kb AND id = :id")
_COUNT = text("SELECT count(*) FROM edits WHERE knowledge_base_id = :kb AND conflict IS NOT NULL")


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of a conflict. `char_from` and `char_to` are needed to attach it again."""

    how: Literal["reattach", "keep", "drop"]
    char_from: int | None = None
    char_to: int | None = None
    version_id: UUID | None = None


async def resolve(context: Context, actor: Actor, edit_id: UUID, resolution: Resolution) -> EditCard | None:
    """End a conflict: the edit as it applies now, None when it is gone.

    `reattach` ties it to another stretch, `keep` lets the note of a correction stand by itself, `drop` undoes the edit
    with its note. Raises NotFound, InvalidInput, and Conflict when the edit is none.
    """
    permit(actor, "document.add")
    async with context.transaction() as session:
        card = await read_edit(session, actor, edit_id)
    if card.state != "conflict":
        raise Conflict("This edit applies; undo it instead.")
    if resolution.how == "drop":
        await undo_edit(context, actor, edit_id)
        return None
    if resolution.how == "keep":
        await _keep(context, actor, card)
        return None
    return await _reattach(context, actor, card, resolution)


async def _keep(context: Context, actor: Actor, card: EditCard) -> None:
    if card.note_id is None:
        raise InvalidInput(
            "how: there is no note to keep; what was hidden can be attached again or dropped", field="how"
        )
    async with context.transaction() as session:
        await session.execute(_LOCK, {"kb": card.knowledge_base_id, "id": card.document_id})
        await session.execute(_DETACH, {"kb": card.knowledge_base_id, "id": card.id})
        record(session, actor, "conflict_kept_as_note", card.note_id, edit=str(card.id))


async def _reattach(context: Context, actor: Actor, card: EditCard, resolution: Resolution) -> EditCard:
    if resolution.char_from is None or resolution.char_to is None:
        raise InvalidInput("char_from, char_to: the new stretch is expected", field="char_from")
    document = await get_document(context, actor, card.document_id)
    # To the letter, as a hidden stretch: what a correction says stays as it is.
    new = NewEdit("hide", resolution.char_from, resolution.char_to, version_id=resolution.version_id)
    marked = await mark(context, actor, document, new, edit_id=card.id)
    anchor, placement = marked.edit.anchor, marked.placement
    before, behind = anchor.likes or (None, None)
    start, end = placement.span or (None, None)
    values = {
        "quote": anchor.quote, "prefix": anchor.prefix, "suffix": anchor.suffix, "position": anchor.position,
        "before": before, "behind": behind, "text_hash": marked.edit.text_hash, "marked_in": marked.marked_in,
        "placed_in": marked.placed_in, "start": start, "end": end, "conflict": placement.reason,
    }  # fmt: skip
    kb = card.knowledge_base_id
    async with context.transaction() as session:
        active = (await session.execute(_LOCK, {"kb": kb, "id": card.document_id})).scalar_one_or_none()
        if active != marked.placed_in:
            raise Conflict("The document has changed meanwhile; look at it again.")
        await session.execute(_REATTACH, {**values, "kb": kb, "id": card.id})
        await take_out(session, kb, card.document_id)
        await publish_again(context, session, kb, [card.document_id])
        record(session, actor, "conflict_reattached", card.document_id, edit=str(card.id))
        return await read_edit(session, actor, card.id)


async def count_conflicts(context: Context, actor: Actor, knowledge_base_id: UUID) -> int:
    """How many edits of a knowledge base wait for a person."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        return int((await session.execute(_COUNT, {"kb": knowledge_base_id})).scalar_one())
