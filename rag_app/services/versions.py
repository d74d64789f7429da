"""The history of a document: its versions, what changed between two of them, an older one brought back."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import new_id
from rag_app.database.work import Task
from rag_app.errors import Conflict, VersionGone
from rag_app.services.acceptance import PRIORITY_FILE, defer_reading
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.differences import TextDiff, diff_texts
from rag_app.services.documents import DocumentCard, document_text, get_document
from rag_app.services.permissions import Actor, permit

MOST_SHOWN = 200

_VERSIONS = text(
    """
SELECT v.id, v.number, v.state, v.id IS NOT DISTINCT FROM d.active_version_id AS is_active, v.filename,
       v.byte_count AS bytes, v.passage_count AS passages, v.page_count AS pages, v.language, v.error_code,
       v.error_message, v.created_at, v.ready_at,
       CASE WHEN v.source_id IS NULL THEN coalesce(nullif(u.name, ''), u.email, '') ELSE coalesce(o.name, '') END
       AS created_by, v.source_id, v.text IS NOT NULL AS has_text,
       r.number AS restored_from, v.restored_from IS NOT NULL AS is_restored
FROM versions v
JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id
LEFT JOIN versions r ON r.knowledge_base_id = v.knowledge_base_id AND r.id = v.restored_from
LEFT JOIN users u ON u.id = v.created_by AND u.workspace_id = v.workspace_id
LEFT JOIN sources o ON o.id = v.source_id AND o.knowledge_base_id = v.knowledge_base_id
WHERE v.knowledge_base_id = :kb AND v.document_id = :document ORDER BY v.number DESC LIMIT :most
"""
)
_LOCK = text(
    "SELECT d.active_version_id, l.number, EXISTS (SELECT FROM documents c WHERE c.knowledge_base_id = :kb "
    "AND c.parent_id = :id AND c.deleted_at IS NULL) AS has_members FROM documents d "
    "JOIN versions l ON l.knowledge_base_id = d.knowledge_base_id AND l.id = d.latest_version_id "
    "WHERE d.knowledge_base_id = :kb AND d.id = :id AND d.deleted_at IS NULL FOR UPDATE OF d"
)
_COPIED = (
    "workspace_id, document_id, filename, media_type, byte_count, sha256, original_key, original_offset, title, "
    "language, text, pages, blocks, places, cuts, cutting_id, warnings, names, passage_count, page_count"
)
_COPY = text(
    f"""
INSERT INTO versions (knowledge_base_id, id, number, state, progress, attempt, failures, created_by, restored_from,
                      created_at, updated_at, {_COPIED})
SELECT knowledge_base_id, :new, :number, 'queued', 0, 0, 0, :user, id, now(), now(), {_COPIED}
FROM versions WHERE knowledge_base_id = :kb AND document_id = :document AND id = :version AND text IS NOT NULL
RETURNING number
"""  # noqa: S608 - made of constants
)
_LATEST = text(
    """
UPDATE documents d SET latest_version_id = v.id, updated_at = now(),
       title = CASE WHEN d.kind = 'note' OR v.title = '' THEN d.title ELSE v.title END
FROM versions v WHERE d.knowledge_base_id = :kb AND d.id = :document AND v.knowledge_base_id = :kb AND v.id = :new
"""
)
_FORGET = text(
    """
WITH outdated AS (
    SELECT v.knowledge_base_id, v.id FROM versions l
    JOIN documents d ON d.knowledge_base_id = l.knowledge_base_id AND d.latest_version_id = l.id
    JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.document_id = d.id
        AND v.number <= l.number - :kept
    WHERE l.number > :kept AND v.id IS DISTINCT FROM d.active_version_id AND v.state IN ('ready', 'failed')
    ORDER BY v.id LIMIT :most FOR UPDATE OF v SKIP LOCKED
)
DELETE FROM versions v USING outdated o WHERE v.knowledge_base_id = o.knowledge_base_id AND v.id = o.id
"""
)


@dataclass(frozen=True, slots=True)
class VersionCard:
    """What people see of a version. `restored_from` is the number of the version whose content it brought back."""

    id: UUID
    number: int
    state: str
    is_active: bool
    filename: str
    bytes: int
    passages: int
    pages: int | None
    language: str
    error_code: str | None
    error_message: str | None
    created_at: datetime
    ready_at: datetime | None
    created_by: str  # the person or the source that brought it; "" = nobody is known
    source_id: UUID | None  # the source that brought it, even one that has been deleted since
    has_text: bool
    restored_from: int | None
    is_restored: bool


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What changed between two versions of a document."""

    from_version: UUID
    to_version: UUID
    diff: TextDiff


async def document_versions(context: Context, actor: Actor, document_id: UUID) -> tuple[VersionCard, ...]:
    """The versions that are kept of a document, newest first. Raises NotFound."""
    permit(actor, "document.read")
    document = await get_document(context, actor, document_id)
    wanted = {"kb": document.knowledge_base_id, "document": document_id, "most": MOST_SHOWN}
    async with context.transaction() as session:
        return tuple(VersionCard(**row) for row in (await session.execute(_VERSIONS, wanted)).mappings())


async def version_diff(
    context: Context, actor: Actor, document_id: UUID, *, from_version: UUID, to_version: UUID
) -> VersionDiff:
    """What changed in the text of a document from one version to another, in a bounded time.

    Raises NotFound, VersionGone, Conflict (not read yet).
    """
    permit(actor, "document.read")
    old = await document_text(context, actor, document_id, from_version)
    new = await document_text(context, actor, document_id, to_version)
    return VersionDiff(from_version, to_version, await asyncio.to_thread(diff_texts, old.text, new.text))


async def restore_version(context: Context, actor: Actor, document_id: UUID, version_id: UUID) -> DocumentCard:
    """Bring back the content of an older version as a new version on top; whatever comes later wins over it.

    Nothing is read again, and nothing is embedded again that the cache of embeddings still holds. Raises NotFound,
    VersionGone, and Conflict when it is the one in use or was never read.
    """
    permit(actor, "document.add")
    document = await get_document(context, actor, document_id)
    keys = {"kb": document.knowledge_base_id, "id": document_id}
    async with context.transaction() as session:
        found = (await session.execute(_LOCK, keys)).one_or_none()
        if found is None:
            raise VersionGone
        if found.active_version_id == version_id:
            raise Conflict("This version is the one in use.")
        if found.has_members:
            raise Conflict("An archive is brought back by uploading it again.")
        await _copy(context, session, actor, document=document, source=(version_id, found.number + 1))
        record(session, actor, "version_restored", document_id, version=str(version_id))
    return await get_document(context, actor, document_id)


async def _copy(
    context: Context, session: AsyncSession, actor: Actor, *, document: DocumentCard, source: tuple[UUID, int]
) -> None:
    kb, new = document.knowledge_base_id, new_id()
    values = {"kb": kb, "document": document.id, "version": source[0], "new": new}
    copied = await session.execute(_COPY, {**values, "number": source[1], "user": actor.user_id})
    if copied.scalar_one_or_none() is None:
        raise VersionGone
    await session.execute(_LATEST, {"kb": kb, "document": document.id, "new": new})
    session.add(
        Task(
            workspace_id=actor.workspace_id,
            kind="ingest",
            knowledge_base_id=kb,
            document_id=document.id,
            version_id=new,
            created_by=actor.user_id,
        )
    )
    await session.flush()
    await defer_reading(context, session, kb, [new], PRIORITY_FILE)


async def forget_old_versions(context: Context, *, most: int = 1000) -> int:
    """Delete versions beyond the newest that are to be kept of each document; how many.

    The one that is searched is kept in any case. Originals are collected later.
    """
    async with context.transaction() as session:
        done = await session.execute(_FORGET, {"kept": context.settings.kept_versions, "most": most})
        return int(getattr(done, "rowcount", 0))
