"""Hides a stretch of a document, corrects it, undoes either. An edit is tied to the words it was marked at."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import new_id
from rag_app.database.edits import EditRow
from rag_app.errors import Conflict, InvalidInput
from rag_app.ingestion.anchors import LONGEST_STRETCH, Words, make_anchor, whole_words
from rag_app.ingestion.chunk import SEPARATOR
from rag_app.ingestion.edits import Edit, Placement, hash_of, place_edits
from rag_app.ingestion.sentences import sentence_spans
from rag_app.services.acceptance import PRIORITY_FILE, accept, defer_reading
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.documents import DocumentCard, DocumentText, document_text, get_document, remove_document
from rag_app.services.edit_cards import EditCard, read_edit
from rag_app.services.edit_effects import publish_again, take_out
from rag_app.services.labels import LONGEST_TITLE
from rag_app.services.new_documents import Content
from rag_app.services.permissions import Actor, permit

MOST_EDITS = 500
LONGEST_CORRECTION = 20_000
NOTE_PREFIX = "note:"  # of the external id of a note, under which its next version finds it
_WIDEST = 3_000  # characters to which a correction is widened at most, to be made of whole sentences
_TRIES = 5

_LOCK = text(
    "SELECT active_version_id, (SELECT count(*) FROM edits e WHERE e.knowledge_base_id = :kb AND e.document_id = :id) "
    "AS edits FROM documents WHERE knowledge_base_id = :kb AND id = :id AND deleted_at IS NULL FOR UPDATE"
)
_OVERLAPPING = text(
    "SELECT count(*) FROM edits WHERE knowledge_base_id = :kb AND document_id = :id AND kind = 'correct' "
    "AND placed_in = :version AND char_from < :end AND char_to > :start AND id <> :edit"
)
_HEADING = text(
    "SELECT heading FROM passages WHERE knowledge_base_id = :kb AND version_id = :version AND char_from <= :start "
    "AND char_to > :start ORDER BY char_from DESC LIMIT 1"
)
_TITLE = text("UPDATE documents SET title = :title WHERE knowledge_base_id = :kb AND id = :id")
_DELETE = text("DELETE FROM edits WHERE knowledge_base_id = :kb AND id = :id")


@dataclass(frozen=True, slots=True)
class NewEdit:
    """What is to be done to `text[char_from:char_to]` of a version, the searchable one unless another is named."""

    kind: Literal["hide", "correct"]
    char_from: int
    char_to: int
    text: str = ""  # of a correction: what the stretch should say
    version_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """An edit with its place in the active version."""

    edit: Edit
    marked_in: UUID
    placed_in: UUID
    placement: Placement


async def add_edit(context: Context, actor: Actor, document_id: UUID, new: NewEdit) -> EditCard:
    """Hide or correct a stretch; what it said is gone from search when this returns.

    A hidden stretch is widened to whole words, a corrected one to whole sentences, so that the correction can be read
    by itself. Marked in an older version it is found again in the searchable one, or is a conflict.
    Raises NotFound, VersionGone, InvalidInput, Conflict.
    """
    permit(actor, "document.add")
    document = await get_document(context, actor, document_id)
    if new.kind == "correct":
        _check_correction(document, new)
    for _ in range(_TRIES):
        marked = await mark(context, actor, document, new, edit_id=new_id())
        if await _write(context, actor, document, marked):
            async with context.transaction() as session:
                return await read_edit(session, actor, marked.edit.id)
    raise Conflict("The document keeps changing; try again in a moment.")


def _check_correction(document: DocumentCard, new: NewEdit) -> None:
    if document.kind == "note":
        raise InvalidInput("kind: a note is not corrected; change what it says.", field="kind")
    if not new.text.strip() or len(new.text) > LONGEST_CORRECTION:
        raise InvalidInput(f"text: between 1 and {LONGEST_CORRECTION} characters are expected", field="text")


async def mark(context: Context, actor: Actor, document: DocumentCard, new: NewEdit, *, edit_id: UUID) -> Marked:
    """Tie an edit to the words of the version it was marked in, and find them in the active one."""
    if document.status != "ready":
        raise Conflict("The document has not been read yet.", status=document.status)
    shown = await document_text(context, actor, document.id, new.version_id)
    current = shown
    if shown.version_id != document.version_id:
        current = await document_text(context, actor, document.id, document.version_id)
    return await asyncio.to_thread(_mark, shown, current, new, edit_id)


def _mark(shown: DocumentText, current: DocumentText, new: NewEdit, edit_id: UUID) -> Marked:
    if not 0 <= new.char_from < new.char_to <= len(shown.text):
        raise InvalidInput(f"char_from, char_to: a stretch within 0 and {len(shown.text)} is expected", field="char_to")
    span = whole_words(shown.text, new.char_from, new.char_to)
    if span is None:
        raise InvalidInput("char_from, char_to: the stretch holds no word", field="char_from")
    replacement = ""
    if new.kind == "correct":
        whole = whole_sentences(shown.text, *span)
        replacement = f"{shown.text[whole[0] : span[0]]}{new.text.strip()}{shown.text[span[1] : whole[1]]}"
        span = whole
    if span[1] - span[0] > LONGEST_STRETCH:
        raise InvalidInput(f"char_to: a stretch of at most {LONGEST_STRETCH} characters is expected", field="char_to")
    anchor = make_anchor(Words(shown.text), *span)
    edit = Edit(edit_id, new.kind, anchor, hash_of(shown.text), replacement, 1)
    [placement] = place_edits(current.text, [edit])
    return Marked(edit, shown.version_id, current.version_id, placement)


def whole_sentences(body: str, start: int, end: int) -> tuple[int, int]:
    """The span widened to the sentences it touches, in a table to its rows; as it is where that would be far."""
    low, high = body.rfind("\n\n", 0, start) + 2, body.find("\n\n", end)
    low, high = (0 if low == 1 else low), (len(body) if high < 0 else high)
    line = body.rfind("\n", 0, start) + 1
    if body.startswith("|", line):
        stop = body.find("\n", end)
        low, high = line, len(body) if stop < 0 else stop
        return low, high
    if high - low > 20 * _WIDEST:
        return start, end
    touched = [span for span in sentence_spans(body, low, high) if span[0] < end and span[1] > start]
    if not touched or touched[-1][1] - touched[0][0] > max(_WIDEST, end - start):
        return start, end
    return min(start, touched[0][0]), max(end, touched[-1][1])


async def _write(context: Context, actor: Actor, document: DocumentCard, marked: Marked) -> bool:
    """Keep the edit and let it take effect; False when another version has become active meanwhile."""
    content = marked.edit.replacement.encode()
    key = (await context.files.put_bytes(actor.workspace_id, content, limit=len(content))).key if content else ""
    async with context.transaction() as session:
        if not await _lock(session, document, marked):
            return False
        note_id = None
        if key:
            note = await _note(session, document, marked, key)
            note_id = await _add_note(context, session, actor, document=document, note=note)
        session.add(_row(actor, document, marked, note_id))
        await session.flush()
        await take_out(session, document.knowledge_base_id, document.id)
        await publish_again(context, session, document.knowledge_base_id, [document.id])
        action = "passage_hidden" if marked.edit.kind == "hide" else "passage_corrected"
        record(session, actor, action, document.id, edit=str(marked.edit.id), note=str(note_id or ""))
    return True


async def _lock(session: AsyncSession, document: DocumentCard, marked: Marked) -> bool:
    keys = {"kb": document.knowledge_base_id, "id": document.id}
    found = (await session.execute(_LOCK, keys)).one_or_none()
    if found is None or found.active_version_id != marked.placed_in:
        return False
    if found.edits >= MOST_EDITS:
        raise Conflict(f"A document can have at most {MOST_EDITS} edits; delete or replace the document instead.")
    if marked.edit.kind == "correct" and marked.placement.span:
        start, end = marked.placement.span
        wanted = {**keys, "version": marked.placed_in, "start": start, "end": end, "edit": marked.edit.id}
        if (await session.execute(_OVERLAPPING, wanted)).scalar_one():
            raise Conflict("A part of this is corrected already: undo that correction, or change its note.")
    return True


def _row(actor: Actor, document: DocumentCard, marked: Marked, note_id: UUID | None) -> EditRow:
    edit, placement = marked.edit, marked.placement
    start, end = placement.span or (None, None)
    before, behind = edit.anchor.likes or (None, None)
    return EditRow(
        knowledge_base_id=document.knowledge_base_id,
        id=edit.id,
        workspace_id=actor.workspace_id,
        document_id=document.id,
        kind=edit.kind,
        quote=edit.anchor.quote,
        prefix=edit.anchor.prefix,
        suffix=edit.anchor.suffix,
        position=edit.anchor.position,
        likes_before=before,
        likes_behind=behind,
        text_hash=edit.text_hash,
        marked_in=marked.marked_in,
        replacement=edit.replacement,
        note_id=note_id,
        placed_in=marked.placed_in,
        char_from=start,
        char_to=end,
        conflict=placement.reason,
        created_by=actor.user_id,
    )


async def _add_note(
    context: Context, session: AsyncSession, actor: Actor, *, document: DocumentCard, note: Content
) -> UUID:
    """The document that answers instead of the stretch."""
    kb = document.knowledge_base_id
    accepted, version_id = await accept(session, actor, kb, note)
    if accepted.id is None or version_id is None:
        raise Conflict("The correction could not be kept.")
    title = f"{document.title[: LONGEST_TITLE - 12]} (corrected)"
    await session.execute(_TITLE, {"kb": kb, "id": accepted.id, "title": title})
    await defer_reading(context, session, kb, [version_id], PRIORITY_FILE)
    return accepted.id


async def _note(session: AsyncSession, document: DocumentCard, marked: Marked, key: str) -> Content:
    """What the note says. It is found by the title and the heading of the original."""
    content = marked.edit.replacement.encode()
    start = marked.placement.span[0] if marked.placement.span else -1
    wanted = {"kb": document.knowledge_base_id, "version": marked.placed_in, "start": start}
    heading = (await session.execute(_HEADING, wanted)).scalar_one_or_none() or ""
    return Content(
        kind="note",
        title=SEPARATOR.join(part for part in (document.title, heading) if part)[:LONGEST_TITLE],
        filename="",
        media_type="text/plain",
        sha256=hashlib.sha256(content).digest(),
        external_id=f"{NOTE_PREFIX}{marked.edit.id}",
        byte_count=len(content),
        original_key=key,
    )


async def undo_edit(context: Context, actor: Actor, edit_id: UUID) -> None:
    """Show a hidden stretch again, or take a correction back together with its note. Raises NotFound."""
    permit(actor, "document.add")
    async with context.transaction() as session:
        card = await read_edit(session, actor, edit_id)
        keys = {"kb": card.knowledge_base_id, "id": card.document_id}
        await session.execute(_LOCK, keys)
        await session.execute(_DELETE, {"kb": card.knowledge_base_id, "id": edit_id})
        if card.note_id is not None:
            await remove_document(context, session, card.knowledge_base_id, document_id=card.note_id)
        await publish_again(context, session, card.knowledge_base_id, [card.document_id])
        record(session, actor, "edit_undone", card.document_id, edit=str(edit_id), kind=card.kind)
