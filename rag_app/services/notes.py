"""Notes: what people add to a knowledge base themselves, as answers to questions or instead of what a document says."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text

from rag_app.errors import InvalidInput, NotFound
from rag_app.services.acceptance import PRIORITY_FILE, Accepted, accept, defer_reading, lock_identities
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.documents import DocumentCard, get_document
from rag_app.services.edit_effects import publish_again
from rag_app.services.edits import LONGEST_CORRECTION, NOTE_PREFIX
from rag_app.services.knowledge import VISIBLE, require_visible, visibility
from rag_app.services.labels import LONGEST_TITLE, first_line
from rag_app.services.new_documents import Content
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit

_NOTES = text(
    f"""
SELECT d.id, d.knowledge_base_id, d.title, coalesce(d.metadata->>'question', '') AS question, d.external_id,
       coalesce(l.text, '') AS text, CASE WHEN d.active_version_id IS NULL THEN l.state ELSE 'ready' END AS status,
       e.document_id AS corrects, o.title AS corrects_title, e.conflict AS conflict, d.created_at, d.updated_at,
       coalesce(nullif(u.name, ''), u.email, '') AS created_by
FROM documents d
JOIN knowledge_bases k ON k.id = d.knowledge_base_id
JOIN versions l ON l.knowledge_base_id = d.knowledge_base_id AND l.id = d.latest_version_id
LEFT JOIN edits e ON e.knowledge_base_id = d.knowledge_base_id AND e.note_id = d.id
LEFT JOIN documents o ON o.knowledge_base_id = e.knowledge_base_id AND o.id = e.document_id
LEFT JOIN users u ON u.id = d.created_by AND u.workspace_id = d.workspace_id
WHERE d.kind = 'note' AND d.deleted_at IS NULL AND d.knowledge_base_id = :kb AND {VISIBLE}
AND (CAST(:id AS uuid) IS NULL OR d.id = :id)
AND (CAST(:moment AS timestamptz) IS NULL OR (d.created_at, d.id) < (:moment, :identity))
ORDER BY d.created_at DESC, d.id DESC LIMIT :limit
"""  # noqa: S608 - made of constants
)
_CORRECTED = text(
    "UPDATE edits SET replacement = :text, revision = revision + 1, updated_at = now() "
    "WHERE knowledge_base_id = :kb AND note_id = :note RETURNING document_id"
)
_VERSION_TITLE = text(
    "SELECT v.title FROM documents d JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id "
    "AND v.id = d.latest_version_id WHERE d.knowledge_base_id = :kb AND d.id = :id"
)
_TITLE = text("UPDATE documents SET title = :title WHERE knowledge_base_id = :kb AND id = :id")


@dataclass(frozen=True, slots=True)
class NewNote:
    """What is to be said. With a question it is a question-and-answer pair, and found by that question."""

    text: str
    question: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class NoteCard:
    """What people see of a note. `corrects` is the document that a correction belongs to."""

    id: UUID
    knowledge_base_id: UUID
    title: str
    question: str
    text: str
    status: str
    corrects: UUID | None
    corrects_title: str | None
    conflict: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime


async def add_note(context: Context, actor: Actor, knowledge_base_id: UUID, new: NewNote) -> Accepted:
    """Take a note; the worker makes it searchable. Raises NotFound, InvalidInput."""
    permit(actor, "document.add")
    content = await _content(context, actor, new, external_id=f"{NOTE_PREFIX}{uuid4()}")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        await lock_identities(session, knowledge_base_id, [content])
        accepted, version_id = await accept(session, actor, knowledge_base_id, content)
        if version_id is not None:
            await defer_reading(context, session, knowledge_base_id, [version_id], PRIORITY_FILE)
        record(session, actor, "note_added", accepted.id)
    return accepted


async def _content(context: Context, actor: Actor, new: NewNote, *, external_id: str) -> Content:
    body, question = new.text.strip(), " ".join(new.question.split())
    if not body or len(body) > LONGEST_CORRECTION:
        raise InvalidInput(f"text: between 1 and {LONGEST_CORRECTION} characters are expected", field="text")
    if len(question) > LONGEST_TITLE:
        raise InvalidInput(f"question: at most {LONGEST_TITLE} characters are expected", field="question")
    title = question or " ".join(new.title.split()) or first_line(body)
    words = body.encode()
    stored = await context.files.put_bytes(actor.workspace_id, words, limit=len(words))
    return Content(
        kind="note",
        title=title[:LONGEST_TITLE],
        filename="",
        media_type="text/plain",
        sha256=hashlib.sha256(words + b"\0" + title.encode()).digest(),
        byte_count=len(words),
        original_key=stored.key,
        external_id=external_id,
        metadata={"question": question} if question else {},
    )


async def list_notes(context: Context, actor: Actor, knowledge_base_id: UUID, page: PageRequest) -> Page[NoteCard]:
    """The notes of a knowledge base, newest first. Raises NotFound."""
    permit(actor, "document.read")
    moment, identity = page.place()
    wanted = {"kb": knowledge_base_id, "id": None, "moment": moment, "identity": identity, "limit": page.limit + 1}
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        found = await session.execute(_NOTES, {**visibility(actor), **wanted})
        cards = [_card(dict(row)) for row in found.mappings()]
    return page_of(cards, page.limit, lambda card: (card.created_at, card.id))


def _card(row: dict[str, object]) -> NoteCard:
    del row["external_id"]
    return NoteCard(**row)  # type: ignore[arg-type]  # the columns of _NOTES are the fields


async def get_note(context: Context, actor: Actor, document_id: UUID) -> NoteCard:
    """One note. Raises NotFound."""
    permit(actor, "document.read")
    document = await _note(context, actor, document_id)
    wanted = {"kb": document.knowledge_base_id, "id": document_id, "moment": None, "identity": None, "limit": 1}
    async with context.transaction() as session:
        row = (await session.execute(_NOTES, {**visibility(actor), **wanted})).mappings().one()
    return _card(dict(row))


async def _note(context: Context, actor: Actor, document_id: UUID) -> DocumentCard:
    document = await get_document(context, actor, document_id)
    if document.kind != "note" or document.external_id is None:
        raise NotFound("There is no such note, or it is not yours.")
    return document


async def change_note(context: Context, actor: Actor, document_id: UUID, new: NewNote) -> NoteCard:
    """Let a note say something else, as a new version of it. Raises NotFound, InvalidInput."""
    permit(actor, "document.add")
    document = await _note(context, actor, document_id)
    kb = document.knowledge_base_id
    async with context.transaction() as session:
        found_by = (await session.execute(_VERSION_TITLE, {"kb": kb, "id": document_id})).scalar_one()
    is_correction = (await get_note(context, actor, document_id)).corrects is not None
    said = NewNote(new.text, "", found_by) if is_correction else NewNote(new.text, new.question, new.title)
    content = await _content(context, actor, said, external_id=document.external_id or "")
    async with context.transaction() as session:
        await lock_identities(session, kb, [content])
        _, version_id = await accept(session, actor, kb, content)
        if version_id is not None:
            await defer_reading(context, session, kb, [version_id], PRIORITY_FILE)
        if is_correction:
            await session.execute(_TITLE, {"kb": kb, "id": document_id, "title": document.title})
            values = {"kb": kb, "note": document_id, "text": new.text.strip()}
            await publish_again(context, session, kb, list((await session.execute(_CORRECTED, values)).scalars()))
        record(session, actor, "note_changed", document_id)
    return await get_note(context, actor, document_id)
