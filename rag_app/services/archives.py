"""Makes a document of each member of an archive; broken off at any moment, it goes on where it was."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.errors import Cancelled, DocumentFailed, EmptyFile, NotFound
from rag_app.ingestion.sandbox import ParserPool
from rag_app.ingestion.unpack import Contents, OpenArchive, Packed, open_archive
from rag_app.ingestion.versions import Claimed, note_phase
from rag_app.services.acceptance import (
    PRIORITY_TEXTS,
    accept_all,
    defer_reading,
    lock_identities,
)
from rag_app.services.context import Context
from rag_app.services.labels import LONGEST_EXTERNAL_ID, LONGEST_TITLE
from rag_app.services.new_documents import Content
from rag_app.telemetry import log

MEMBERS_PER_COMMIT = 100
BYTES_PER_COMMIT = 64_000_000
MOST_NAMED = 50  # of the files that were left out, or are gone
_DIGEST_CHARS = 16

_STILL_OURS = text(
    "SELECT d.latest_version_id = v.id AS is_newest, d.metadata FROM documents d "
    "JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.document_id = d.id "
    "WHERE d.knowledge_base_id = :kb AND d.id = :document AND d.deleted_at IS NULL "
    "AND v.id = :id AND v.attempt = :attempt AND v.state = 'working' FOR UPDATE OF d"
)
_BELONG = text("UPDATE documents SET parent_id = :document WHERE knowledge_base_id = :kb AND id = ANY(:members)")
_GONE = text(
    "SELECT title, metadata ->> 'path' AS path FROM documents WHERE knowledge_base_id = :kb AND parent_id = :document "
    "AND deleted_at IS NULL AND NOT (external_id = ANY(:seen)) ORDER BY external_id"
)
# What was unpacked has originals of its own: keeping the archive too would keep what is deleted of it.
_READY = text(
    "UPDATE versions SET state = 'ready', phase = NULL, progress = 1, failures = 0, claimed_by = NULL, text = '', "
    "error_code = NULL, error_message = NULL, warnings = CAST(:warnings AS jsonb), original_key = NULL, "
    "ready_at = now(), updated_at = now() "
    "WHERE knowledge_base_id = :kb AND id = :id AND attempt = :attempt AND state = 'working'"
)
_ACTIVATE = text(
    "UPDATE documents SET active_version_id = :id, updated_at = now() WHERE knowledge_base_id = :kb AND id = :document"
)
_TASK_DONE = text(
    "UPDATE tasks SET status = 'done', phase = NULL, progress = 1, finished_at = now(), "
    "result = CAST(:result AS jsonb) WHERE version_id = :id"
)


@dataclass(frozen=True, slots=True)
class _Owner:
    workspace_id: UUID
    user_id: UUID | None


@dataclass(slots=True)
class _Tally:
    """What has been made so far."""

    external_ids: list[str] = field(default_factory=list)
    unchanged: int = 0


async def expand(context: Context, pool: ParserPool, claimed: Claimed, password: str | None) -> None:
    """Bring an archive to its end: a document for each member, known by the archive's external id and its path.

    Members whose bytes are known are left as they are, so doing this again is harmless. Raises DocumentFailed.
    """
    try:
        path = await context.files.local_path(claimed.original_key or "")
    except NotFound as problem:
        raise DocumentFailed(problem.message) from problem
    limit = context.settings.max_upload_mb * 1_000_000
    packed = Packed(path, claimed.filename, claimed.media_type or None, password, limit)
    tally = _Tally()
    async with open_archive(pool, packed) as archive:
        if not archive.contents.members:
            raise EmptyFile(_nothing_in(archive.contents))
        async for batch in _batches(context, claimed, archive):
            if not await _take(context, claimed, batch, tally, len(archive.contents.members)):
                return
    await _finish(context, claimed, archive.contents, tally)


async def _batches(context: Context, claimed: Claimed, archive: OpenArchive) -> AsyncIterator[list[Content]]:
    """Members whose originals are durable, some at a time."""
    batch: list[Content] = []
    size = 0
    limit = context.settings.max_upload_mb * 1_000_000
    async for path, stream in archive.members():
        stored = await context.files.put(claimed.workspace_id, stream, limit=limit)
        name = path.rpartition("/")[2]
        batch.append(
            Content(
                kind="file",
                title=name[:LONGEST_TITLE],
                filename=name,
                media_type="",
                sha256=stored.sha256,
                byte_count=stored.byte_count,
                original_key=stored.key,
                external_id=member_id(claimed.external_id or claimed.filename, path),
                metadata={"archive": claimed.filename, "path": path},
            )
        )
        size += stored.byte_count
        if len(batch) == MEMBERS_PER_COMMIT or size > BYTES_PER_COMMIT:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def member_id(archive: str, path: str) -> str:
    """The external id of a member; a very long one keeps its beginning and a digest of the whole."""
    whole = f"{archive}/{path}"
    if len(whole) <= LONGEST_EXTERNAL_ID:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{whole[: LONGEST_EXTERNAL_ID - _DIGEST_CHARS - 1]}~{digest}"


async def _take(context: Context, claimed: Claimed, batch: Sequence[Content], tally: _Tally, total: int) -> bool:
    """Write some members with their tasks and jobs in one transaction; False when this attempt was overtaken."""
    keys = {**claimed.key, "document": claimed.document_id}
    async with context.transaction() as session:
        given = await _given_metadata(session, keys)
        if given is None:
            return False
        contents = [_labelled(each, given) for each in batch]
        await lock_identities(session, claimed.knowledge_base_id, contents)
        owner = _Owner(claimed.workspace_id, claimed.created_by)
        taken = await accept_all(session, owner, claimed.knowledge_base_id, contents)
        await session.execute(_BELONG, {**keys, "members": [each.id for each, _ in taken if each.id]})
        for _, version_id in taken:
            if version_id:
                await defer_reading(context, session, claimed.knowledge_base_id, [version_id], PRIORITY_TEXTS)
        tally.external_ids += [each.external_id or "" for each in contents]
        tally.unchanged += sum(version_id is None for _, version_id in taken)
        await note_phase(session, claimed, "unpacking", 0.05 + 0.9 * len(tally.external_ids) / total)
    return True


def _labelled(content: Content, given: dict[str, Any]) -> Content:
    return replace(content, metadata={**given, **content.metadata})


async def _given_metadata(session: AsyncSession, keys: dict[str, Any]) -> dict[str, Any] | None:
    """What was given with the archive; None when this attempt was overtaken. Raises Cancelled for an older upload."""
    row = (await session.execute(_STILL_OURS, keys)).one_or_none()
    if row is None:
        return None
    if not row.is_newest:
        raise Cancelled("A newer version of this archive was uploaded.")
    return dict(row.metadata)


async def _finish(context: Context, claimed: Claimed, contents: Contents, tally: _Tally) -> None:
    keys = {**claimed.key, "document": claimed.document_id}
    async with context.transaction() as session:
        if await _given_metadata(session, keys) is None:
            return
        rows = await session.execute(_GONE, {**keys, "seen": tally.external_ids})
        gone = [row.path or row.title for row in rows]
        warnings = _sentences(contents, tally, gone)
        await session.execute(_READY, {**keys, "warnings": json.dumps(warnings)})
        await session.execute(_ACTIVATE, keys)
        result = {
            "documents": len(tally.external_ids),
            "unchanged": tally.unchanged,
            "refused": [{"path": path, "reason": reason} for path, reason in contents.left_out[:MOST_NAMED]],
            "refused_count": contents.left_out_count,
            "hidden": contents.litter,
            "gone": gone[:MOST_NAMED],
            "gone_count": len(gone),
        }
        await session.execute(_TASK_DONE, {**keys, "result": json.dumps(result)})
    log.info("archive_unpacked", version=claimed.id, documents=len(tally.external_ids), refused=contents.left_out_count)


def _sentences(contents: Contents, tally: _Tally, gone: Sequence[str]) -> list[str]:
    """What a person should know of the outcome."""
    count = len(tally.external_ids)
    as_before = f", {tally.unchanged:,} of them as before" if tally.unchanged else ""
    found = [f"Unpacked into {count:,} {'document' if count == 1 else 'documents'}{as_before}."]
    found += [f"“{path}” was left out: {reason}" for path, reason in contents.left_out[:MOST_NAMED]]
    if contents.left_out_count > MOST_NAMED:
        found.append(f"{contents.left_out_count - MOST_NAMED:,} more were left out for such reasons.")
    if contents.litter:
        found.append(f"Hidden files are not read: {contents.litter:,} were left out.")
    found += [
        f"“{path}” is no longer in the archive; its document stays until you delete it." for path in gone[:MOST_NAMED]
    ]
    if len(gone) > MOST_NAMED:
        found.append(f"{len(gone) - MOST_NAMED:,} more are no longer in the archive.")
    return found


def _nothing_in(contents: Contents) -> str:
    reasons = "; ".join(f"“{path}”: {reason}" for path, reason in contents.left_out[:3])
    return f"The archive holds no file that can be read. {reasons}".strip()
