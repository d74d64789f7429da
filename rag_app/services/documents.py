"""Documents: list, read, retry, cancel, delete; their text, passages and originals."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.files import CHUNK
from rag_app.errors import Conflict, InvalidInput, NotFound, PasswordNeeded, PasswordWrong, VersionGone
from rag_app.retrieval.places import Place
from rag_app.services.acceptance import INGEST, PRIORITY_FILE
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.document_passwords import keep_password
from rag_app.services.edit_effects import forget_edits
from rag_app.services.knowledge import VISIBLE, require_visible, visibility
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit

_HEAD = 16
_CARDS = f"""
SELECT d.id, d.knowledge_base_id, d.external_id, d.title, d.url, d.kind, d.metadata, d.created_at, d.updated_at,
       d.active_version_id, d.latest_version_id, k.name AS knowledge_base_name,
       l.state, l.phase, l.progress, l.error_code, l.error_message,
       s.filename, s.media_type, s.byte_count, s.language, s.passage_count, s.page_count, s.original_key IS NOT NULL
       AS has_original, s.warnings, d.parent_id
FROM documents d
JOIN knowledge_bases k ON k.id = d.knowledge_base_id
JOIN versions l ON l.knowledge_base_id = d.knowledge_base_id AND l.id = d.latest_version_id
JOIN versions s ON s.knowledge_base_id = d.knowledge_base_id
    AND s.id = coalesce(d.active_version_id, d.latest_version_id)
WHERE d.deleted_at IS NULL AND {VISIBLE}
"""  # noqa: S608 - made of constants
_LIST = text(
    _CARDS
    + """ AND d.knowledge_base_id = :kb
AND (CAST(:q AS text) IS NULL OR d.title ILIKE :q ESCAPE '\\')
AND (CAST(:parent AS uuid) IS NULL OR d.parent_id = :parent)
AND (CAST(:status AS text) IS NULL OR CASE WHEN d.active_version_id IS NOT NULL THEN 'ready' ELSE l.state END = :status)
AND (CAST(:moment AS timestamptz) IS NULL OR (d.created_at, d.id) < (:moment, :identity))
ORDER BY d.created_at DESC, d.id DESC LIMIT :limit"""
)
_ONE = text(_CARDS + " AND d.id = :id")
_PASSAGES = text(
    "SELECT id, ordinal, char_from, char_to, page_from, page_to, heading, context, text, place FROM passages "
    "WHERE knowledge_base_id = :kb AND version_id = :version AND cutting_id = (SELECT coalesce(max(i.cutting_id), 0) "
    "FROM knowledge_bases k JOIN indexes i ON i.id = k.active_index_id WHERE k.id = :kb) ORDER BY ordinal"
)
_TEXT = text(
    "SELECT id, text, pages, places, blocks, cuts, state FROM versions "
    "WHERE knowledge_base_id = :kb AND document_id = :document AND id = :version"
)
_ORIGINAL = text(
    "SELECT original_key, original_offset, byte_count, filename, media_type FROM versions "
    "WHERE knowledge_base_id = :kb AND id = :version"
)
# With an archive go the documents that it was unpacked into.
_MARK_DELETED = text(
    "UPDATE documents SET deleted_at = now(), updated_at = now() "
    "WHERE knowledge_base_id = :kb AND (id = :id OR parent_id = :id) AND deleted_at IS NULL RETURNING id"
)
ASKING_FOR_A_PASSWORD = frozenset({PasswordNeeded.code, PasswordWrong.code})
_LOCKED = text(
    "SELECT id FROM documents WHERE knowledge_base_id = :kb AND (id = :id OR parent_id = :id) ORDER BY id FOR UPDATE"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a document could not be read."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Update:
    """A newer version on its way."""

    status: str
    phase: str | None
    progress: float
    error: Failure | None


@dataclass(frozen=True, slots=True)
class DocumentCard:
    """What people see of a document. `status` is that of the searchable content."""

    id: UUID
    knowledge_base_id: UUID
    knowledge_base_name: str
    external_id: str | None
    kind: str
    title: str
    url: str | None
    status: str
    phase: str | None
    progress: float
    error: Failure | None
    update: Update | None
    passages: int
    pages: int | None
    bytes: int
    language: str
    filename: str
    media_type: str
    has_original: bool
    metadata: Mapping[str, Any]
    version_id: UUID
    created_at: datetime
    updated_at: datetime
    warnings: tuple[str, ...]  # sentences: what was left out of the text, what became of an archive
    parent_id: UUID | None  # the archive that it was unpacked from


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """How a document was cut: one piece."""

    id: UUID
    ordinal: int
    char_from: int
    char_to: int
    page_from: int | None
    page_to: int | None
    heading: str
    context: str
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class PlaceRange:
    """Where a stretch of the text stands in the original."""

    char_from: int
    char_to: int
    place: Place


@dataclass(frozen=True, slots=True)
class PageRange:
    """Where a page lies in the text."""

    page: int
    char_from: int
    char_to: int


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Where a piece of structure lies in the text."""

    kind: str
    char_from: int
    char_to: int
    level: int


@dataclass(frozen=True, slots=True)
class DocumentText:
    """How a document was read."""

    version_id: UUID
    text: str
    pages: tuple[PageRange, ...]
    blocks: tuple[BlockRange, ...]
    places: tuple[PlaceRange, ...] = ()


@dataclass(frozen=True, slots=True)
class Original:
    """A file as it came in, and where its bytes lie in the file store."""

    version_id: UUID
    filename: str
    media_type: str
    byte_count: int
    head: bytes  # its first bytes, for recognising its format
    key: str
    offset: int


def _failure(row: RowMapping) -> Failure | None:
    return Failure(row["error_code"], row["error_message"] or "") if row["error_code"] else None


def _card(row: RowMapping) -> DocumentCard:
    is_ready = row["active_version_id"] is not None
    # A newer version on its way, or this one being published again because somebody edited it.
    is_updating = is_ready and (row["active_version_id"] != row["latest_version_id"] or row["state"] != "ready")
    update = Update(row["state"], row["phase"], row["progress"], _failure(row)) if is_updating else None
    return DocumentCard(
        id=row["id"],
        knowledge_base_id=row["knowledge_base_id"],
        knowledge_base_name=row["knowledge_base_name"],
        external_id=row["external_id"],
        kind=row["kind"],
        title=row["title"],
        url=row["url"],
        status="ready" if is_ready else row["state"],
        phase=None if is_ready else row["phase"],
        progress=1.0 if is_ready else row["progress"],
        error=None if is_ready else _failure(row),
        update=update,
        passages=row["passage_count"],
        pages=row["page_count"],
        bytes=row["byte_count"],
        language=row["language"],
        filename=row["filename"],
        media_type=row["media_type"],
        has_original=row["has_original"],
        metadata=row["metadata"],
        version_id=row["active_version_id"] or row["latest_version_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        warnings=tuple(row["warnings"]),
        parent_id=row["parent_id"],
    )


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents of a knowledge base are wanted."""

    status: str | None = None
    q: str | None = None
    parent_id: UUID | None = None


async def list_documents(
    context: Context, actor: Actor, knowledge_base_id: UUID, *, wanted: DocumentFilter, page: PageRequest
) -> Page[DocumentCard]:
    """The documents of a knowledge base, newest first. Raises NotFound."""
    permit(actor, "document.read")
    moment, identity = page.place()
    like = f"%{_escaped(wanted.q.strip())}%" if wanted.q and wanted.q.strip() else None
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        chosen = {"q": like, "status": wanted.status, "parent": wanted.parent_id}
        parameters = {**visibility(actor), "kb": knowledge_base_id, **chosen}
        found = await session.execute(
            _LIST, {**parameters, "moment": moment, "identity": identity, "limit": page.limit + 1}
        )
        cards = [_card(row) for row in found.mappings()]
    return page_of(cards, page.limit, lambda card: (card.created_at, card.id))


def _escaped(q: str) -> str:
    return q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\0", "")


async def get_document(context: Context, actor: Actor, document_id: UUID) -> DocumentCard:
    """One document. Raises NotFound."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        return await _get(session, actor, document_id)


async def _get(session: AsyncSession, actor: Actor, document_id: UUID) -> DocumentCard:
    found = await session.execute(_ONE, {**visibility(actor), "id": document_id})
    row = found.mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such document, or it is not yours.")
    return _card(row)


async def document_passages(context: Context, actor: Actor, document_id: UUID) -> tuple[StoredPassage, ...]:
    """How the active version was cut. Raises NotFound."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        card = await _get(session, actor, document_id)
        found = await session.execute(_PASSAGES, {"kb": card.knowledge_base_id, "version": card.version_id})
        return tuple(StoredPassage(**row) for row in found.mappings())


async def document_text(
    context: Context, actor: Actor, document_id: UUID, version_id: UUID | None = None
) -> DocumentText:
    """How a version was read; the active one unless another is named. Raises NotFound, VersionGone, Conflict."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        card = await _get(session, actor, document_id)
        wanted = {"kb": card.knowledge_base_id, "document": document_id, "version": version_id or card.version_id}
        row = (await session.execute(_TEXT, wanted)).mappings().one_or_none()
    if row is None:
        raise VersionGone
    if row["text"] is None:
        raise Conflict("The document has not been read yet.", status=row["state"])
    return DocumentText(
        row["id"],
        row["text"],
        tuple(PageRange(*each) for each in row["pages"]),
        tuple(BlockRange(*each[:4]) for each in row["blocks"]),
        tuple(PlaceRange(*each) for each in row["places"]),
    )


async def document_original(context: Context, actor: Actor, document_id: UUID) -> Original:
    """The original of a document, to be read with `original_bytes`. Raises NotFound."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        card = await _get(session, actor, document_id)
        wanted = {"kb": card.knowledge_base_id, "version": card.version_id}
        row = (await session.execute(_ORIGINAL, wanted)).mappings().one()
    if row["original_key"] is None:
        raise NotFound("The original of this document has not been fetched yet.")
    key, offset, count = row["original_key"], row["original_offset"], row["byte_count"]
    head = await context.files.read(key, offset, min(count, _HEAD))
    name = row["filename"] or _text_name(card.title)
    return Original(card.version_id, name, row["media_type"], count, head, key, offset)


async def original_bytes(context: Context, original: Original, *, first: int, count: int) -> AsyncIterator[bytes]:
    """Some bytes of an original in pieces, so that a large one never lies in memory as a whole."""
    end = original.offset + first + count
    for place in range(original.offset + first, end, CHUNK):
        yield await context.files.read(original.key, place, min(CHUNK, end - place))


def _text_name(title: str) -> str:
    safe = "".join(char if char.isalnum() or char in " -_" else "_" for char in title).strip()
    return f"{safe[:80] or 'document'}.txt"


async def retry_document(
    context: Context, actor: Actor, document_id: UUID, *, password: str | None = None
) -> DocumentCard:
    """Read a failed document again, with the password that it asked for if one is given.

    Raises NotFound, Conflict when it has not failed, and InvalidInput for a password that it did not ask for.
    """
    permit(actor, "document.add")
    async with context.transaction() as session:
        card = await _get(session, actor, document_id)
        await session.execute(_LOCKED, {"kb": card.knowledge_base_id, "id": document_id})
        card = await _get(session, actor, document_id)
        error = card.update.error if card.update else card.error
        if password is not None and (error is None or error.code not in ASKING_FOR_A_PASSWORD):
            raise InvalidInput("password: this document does not ask for one.", field="password")
        found = await session.execute(
            text(
                "UPDATE versions v SET state = 'queued', phase = NULL, progress = 0, failures = 0, error_code = NULL, "
                "error_message = NULL, updated_at = now() FROM documents d WHERE d.knowledge_base_id = :kb "
                "AND d.id = :id AND v.knowledge_base_id = :kb AND v.id = d.latest_version_id AND v.state = 'failed' "
                "RETURNING v.id"
            ),
            {"kb": card.knowledge_base_id, "id": document_id},
        )
        version_id = found.scalar_one_or_none()
        if version_id is None:
            raise Conflict("Only a document that failed can be tried again.")
        await session.execute(
            text(
                "UPDATE tasks SET status = 'queued', phase = NULL, progress = 0, error_code = NULL, "
                "error_message = NULL, finished_at = NULL WHERE version_id = :version"
            ),
            {"version": version_id},
        )
        if password is not None:
            wanted = {"knowledge_base_id": card.knowledge_base_id, "version_id": version_id}
            await keep_password(session, context.keys, password, **wanted)
        arguments = {"knowledge_base_id": str(card.knowledge_base_id), "versions": [str(version_id)]}
        await context.queue.defer(INGEST, arguments, session=session, priority=PRIORITY_FILE)
        return await _get(session, actor, document_id)


async def delete_document(context: Context, actor: Actor, document_id: UUID) -> None:
    """Remove a document in whatever state it is; it is gone from search when this returns. Raises NotFound."""
    permit(actor, "document.delete")
    async with context.transaction() as session:
        card = await _get(session, actor, document_id)
        await remove_document(context, session, card.knowledge_base_id, document_id=document_id)
        record(session, actor, "document_deleted", document_id)


async def remove_document(
    context: Context, session: AsyncSession, knowledge_base_id: UUID, *, document_id: UUID
) -> None:
    """Take a document out of search, in the transaction of `session`; a job erases what it leaves behind."""
    keys = {"kb": knowledge_base_id, "id": document_id}
    await session.execute(_LOCKED, keys)  # a flip that is under way comes first, and is removed with the rest
    gone = list((await session.execute(_MARK_DELETED, keys)).scalars())
    await session.execute(
        text(
            "UPDATE tasks SET status = 'cancelled', finished_at = now() "
            "WHERE document_id = ANY(:ids) AND status IN ('queued', 'running')"
        ),
        {"ids": gone},
    )
    for note in await forget_edits(context, session, knowledge_base_id, gone):
        await remove_document(context, session, knowledge_base_id, document_id=note)
    arguments = {"knowledge_base_id": str(knowledge_base_id), "document_id": str(document_id)}
    await context.queue.defer("erase", arguments, session=session)
