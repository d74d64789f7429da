"""Writes what was taken in: document, version, task and job in one transaction, each content once."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.files import StoredFile
from rag_app.database.knowledge import Document, Version
from rag_app.database.work import Task
from rag_app.errors import Conflict, NotFound
from rag_app.services.context import Context
from rag_app.services.labels import LONGEST_TITLE
from rag_app.services.new_documents import Content, Owner, Written, write_new
from rag_app.services.permissions import Actor

INGEST = "ingest"
ARCHIVE = "archive"
_OTHER_KIND = "An archive and another document cannot have the same external id: give one of them another."
# One person's file goes before a large batch of texts, and both before crawled pages.
PRIORITY_FILE, PRIORITY_TEXTS, PRIORITY_PAGES = 20, 10, 5
_CROWDS = (20, 60, 200, 600)  # so many wait in one knowledge base: from each of these on one step further back
_WAITING = text(
    "SELECT count(*) FROM (SELECT FROM versions WHERE knowledge_base_id = :kb AND state = 'queued' LIMIT :most) AS few"
)

_KNOWN = (
    "SELECT d.id, d.kind, v.sha256, v.state, v.number, v.id AS version_id FROM documents d "
    "JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.latest_version_id "
    "WHERE d.knowledge_base_id = :kb AND d.deleted_at IS NULL AND d."
)
_BY_EXTERNAL_ID = text(_KNOWN + "external_id = :external_id FOR UPDATE OF d")
_BY_ID = text(_KNOWN + "id = :id FOR UPDATE OF d")
_BY_CONTENT = text(
    "SELECT d.id, d.kind, v.sha256, v.state, v.number, v.id AS version_id FROM versions v "
    "JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id "
    "AND d.latest_version_id = v.id WHERE v.knowledge_base_id = :kb AND v.sha256 = :sha256 AND d.deleted_at IS NULL "
    "ORDER BY d.created_at LIMIT 1 FOR UPDATE OF d"
)
_ADOPTED = text(
    "UPDATE documents SET external_id = :external_id WHERE knowledge_base_id = :kb AND id = (SELECT d.id "
    "FROM versions v JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id "
    "AND d.latest_version_id = v.id WHERE v.knowledge_base_id = :kb AND v.sha256 = :sha256 AND v.filename = :filename "
    "AND d.deleted_at IS NULL AND d.kind = 'file' AND d.external_id IS NULL ORDER BY d.created_at LIMIT 1)"
)
_LOCK_IDENTITIES = text("SELECT pg_advisory_xact_lock(lock) FROM unnest(CAST(:locks AS bigint[])) AS lock")
_LOCK_KNOWN = text(
    "SELECT d.id FROM documents d WHERE d.knowledge_base_id = :kb AND d.deleted_at IS NULL "
    "AND (d.external_id = ANY(:external_ids) OR d.id = ANY(:ids) OR d.id IN (SELECT v.document_id FROM versions v "
    "WHERE v.knowledge_base_id = :kb AND v.sha256 = ANY(:hashes))) ORDER BY d.id FOR UPDATE"
)
_KNOWN_IDENTITIES = text(
    "SELECT d.external_id, NULL AS sha256 FROM documents d "
    "WHERE d.knowledge_base_id = :kb AND d.external_id = ANY(:external_ids) AND d.deleted_at IS NULL UNION ALL "
    "SELECT NULL, v.sha256 FROM versions v WHERE v.knowledge_base_id = :kb AND v.sha256 = ANY(:hashes)"
)
_TASK_AGAIN = text(
    "UPDATE tasks SET status = 'queued', phase = NULL, progress = 0, error_code = NULL, error_message = NULL, "
    "finished_at = NULL WHERE version_id = :version_id"
)
_RELABEL = text(
    "UPDATE documents SET metadata = CAST(:metadata AS jsonb), url = coalesce(:url, url), updated_at = now() "
    "WHERE id = :id"
)
_BROUGHT_BY = text("UPDATE versions SET source_id = :source WHERE knowledge_base_id = :kb AND id = ANY(:versions)")
_LATEST_TASK = text("SELECT id FROM tasks WHERE version_id = :version_id ORDER BY created_at DESC LIMIT 1")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one item was not taken."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of one item. A refused one has an error and no id."""

    id: UUID | None
    external_id: str | None
    title: str
    status: str | None = None
    task_id: UUID | None = None
    duplicate: bool = False
    error: Refusal | None = None


@dataclass(frozen=True, slots=True)
class FetchedContent:
    """What a source led to, durable in the file store. `url` is None for what has no address on the web."""

    external_id: str
    url: str | None
    filename: str
    media_type: str
    stored: StoredFile
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Bringer(Protocol):
    """The run of a source."""

    @property
    def actor(self) -> Actor:
        """On whose behalf it brings something."""

    @property
    def knowledge_base_id(self) -> UUID:
        """Where it brings it to."""

    @property
    def source_id(self) -> UUID:
        """The source that its versions name."""


async def add_fetched(
    context: Context, session: AsyncSession, run: Bringer, *, fetched: Sequence[FetchedContent]
) -> list[UUID]:
    """Take what a source led to, in the transaction of `session`; the ids of the documents, in order."""
    kb = run.knowledge_base_id
    contents = [
        Content(
            "page" if each.url else "file", (each.url or each.filename)[:LONGEST_TITLE], each.filename, each.media_type,
            each.stored.sha256, each.stored.byte_count, each.stored.key, 0, each.external_id, each.url, each.metadata,
        )
        for each in fetched
    ]  # fmt: skip
    await lock_identities(session, kb, contents)
    taken = await accept_all(session, run.actor, kb, contents)
    if waiting := [version_id for _, version_id in taken if version_id]:
        await session.execute(_BROUGHT_BY, {"source": run.source_id, "kb": kb, "versions": waiting})
        await defer_reading(context, session, kb, waiting, PRIORITY_PAGES)
    return [accepted.id for accepted, _ in taken if accepted.id]


async def accept(
    session: AsyncSession, actor: Owner, knowledge_base_id: UUID, content: Content
) -> tuple[Accepted, UUID | None]:
    """Write document, version and task; the id of the version if there is something to do.

    Raises NotFound when the document whose version it was to be has been deleted meanwhile.
    """
    known = await _find_known(session, knowledge_base_id, content)
    if known is None and content.document_id is not None:
        raise NotFound("The document has been deleted meanwhile.")
    if known is not None and (known["kind"] == ARCHIVE) != (content.kind == ARCHIVE):
        refusal = Refusal(Conflict.code, _OTHER_KIND)
        return Accepted(None, content.external_id, content.title, error=refusal), None
    is_same = known is not None and known["sha256"] is not None and known["sha256"] == content.sha256
    # What was unpacked may have been deleted since: an archive that is through is unpacked anew.
    if is_same and not (content.kind == ARCHIVE and known["state"] == "ready"):
        return await _as_duplicate(session, known, content)
    if known is not None and known["state"] in ("queued", "working") and content.sha256 is None:
        return await _as_duplicate(session, known, content)
    number, document_id = (known["number"] + 1, known["id"]) if known is not None else (1, None)
    document = await _document(session, actor, knowledge_base_id, content, document_id)
    version = Version(
        knowledge_base_id=knowledge_base_id,
        document_id=document.id,
        workspace_id=actor.workspace_id,
        number=number,
        filename=content.filename,
        media_type=content.media_type,
        byte_count=content.byte_count,
        sha256=content.sha256,
        original_key=content.original_key,
        original_offset=content.original_offset,
        title=content.title,
        created_by=actor.user_id,
    )
    task = Task(
        workspace_id=actor.workspace_id,
        kind="ingest",
        knowledge_base_id=knowledge_base_id,
        document_id=document.id,
        version_id=version.id,
        created_by=actor.user_id,
    )
    session.add(version)
    await session.flush()  # the task of a version must not be written before its document
    session.add(task)
    document.latest_version_id = version.id
    document.updated_at = now()
    status = "ready" if document.active_version_id else "queued"
    return Accepted(document.id, content.external_id, content.title, status, task.id), version.id


async def accept_all(
    session: AsyncSession, actor: Owner, knowledge_base_id: UUID, contents: Sequence[Content]
) -> list[tuple[Accepted, UUID | None]]:
    """Like `accept` for many, in order; those of which nothing is known yet are written together."""
    seen = await _known_identities(session, knowledge_base_id, contents)
    places: list[int] = []
    for place, content in enumerate(contents):
        identities = _identities(content)
        if identities and seen.isdisjoint(identities):
            seen |= identities
            places.append(place)
    written = await write_new(session, actor, knowledge_base_id, [contents[place] for place in places])
    new = dict(zip(places, written, strict=True))
    return [
        _as_new(content, new[place]) if place in new else await accept(session, actor, knowledge_base_id, content)
        for place, content in enumerate(contents)
    ]


def _as_new(content: Content, written: Written) -> tuple[Accepted, UUID | None]:
    accepted = Accepted(written.document_id, content.external_id, content.title, "queued", written.task_id)
    return accepted, written.version_id


def _identities(content: Content) -> set[str | bytes]:
    """What a content is known by: its external id or else its bytes, or both."""
    by_bytes = content.sha256 if content.adopts or not content.external_id else None
    return {each for each in (content.external_id, by_bytes) if each}


async def _known_identities(
    session: AsyncSession, knowledge_base_id: UUID, contents: Sequence[Content]
) -> set[str | bytes]:
    external_ids = [each.external_id for each in contents if each.external_id]
    hashes = [each.sha256 for each in contents if each.sha256 in _identities(each)]
    asked = {"kb": knowledge_base_id, "external_ids": external_ids, "hashes": hashes}
    found = await session.execute(_KNOWN_IDENTITIES, asked)
    return {row.external_id if row.sha256 is None else bytes(row.sha256) for row in found}


async def _document(
    session: AsyncSession, actor: Owner, knowledge_base_id: UUID, content: Content, document_id: UUID | None
) -> Document:
    if document_id is not None:
        document = await session.get_one(Document, (knowledge_base_id, document_id))
        document.url = content.url or document.url
        if content.title != document.url:  # the title of a page is found when it is read
            document.title = content.title
        if content.metadata:
            document.document_metadata = dict(content.metadata)
        return document
    document = Document(
        knowledge_base_id=knowledge_base_id,
        workspace_id=actor.workspace_id,
        kind=content.kind,
        external_id=content.external_id,
        title=content.title,
        url=content.url,
        document_metadata=dict(content.metadata),
        created_by=actor.user_id,
    )
    session.add(document)
    await session.flush()
    return document


async def lock_identities(session: AsyncSession, knowledge_base_id: UUID, contents: Sequence[Content]) -> None:
    """Keep two equal uploads from both being new. All locks in one order, so that no two requests wait in a ring."""
    locks = set()
    for content in contents:
        for identity in _identities(content) or {b""}:
            said = identity.encode() if isinstance(identity, str) else identity
            digest = hashlib.sha256(knowledge_base_id.bytes + said).digest()
            locks.add(int.from_bytes(digest[:8], signed=True))
    await session.execute(_LOCK_IDENTITIES, {"locks": sorted(locks)})
    external_ids = [each.external_id for each in contents if each.external_id]
    hashes = [each.sha256 for each in contents if each.sha256 in _identities(each)]
    ids = [each.document_id for each in contents if each.document_id]
    known = {"external_ids": external_ids, "hashes": hashes, "ids": ids}
    await session.execute(_LOCK_KNOWN, {"kb": knowledge_base_id, **known})


async def _find_known(session: AsyncSession, knowledge_base_id: UUID, content: Content) -> Any:
    """The document that this content belongs to."""
    if content.document_id:
        found = await session.execute(_BY_ID, {"kb": knowledge_base_id, "id": content.document_id})
    elif content.external_id:
        wanted = {"kb": knowledge_base_id, "external_id": content.external_id}
        found = await session.execute(_BY_EXTERNAL_ID, wanted)
        known = found.mappings().one_or_none()
        if known is not None or not content.adopts:
            return known
        await session.execute(_ADOPTED, {**wanted, "sha256": content.sha256, "filename": content.filename})
        found = await session.execute(_BY_EXTERNAL_ID, wanted)
    else:
        found = await session.execute(_BY_CONTENT, {"kb": knowledge_base_id, "sha256": content.sha256})
    return found.mappings().one_or_none()


async def _as_duplicate(session: AsyncSession, known: Any, content: Content) -> tuple[Accepted, UUID | None]:
    """The same bytes again: the same document, perhaps with new metadata. One that had failed is tried again."""
    task_id = (await session.execute(_LATEST_TASK, {"version_id": known["version_id"]})).scalar_one_or_none()
    again: UUID | None = None
    if known["state"] == "failed":
        version = await session.execute(
            text(
                "UPDATE versions SET state = 'queued', failures = 0, error_code = NULL, error_message = NULL, "
                "progress = 0, phase = NULL, updated_at = now() WHERE id = :id AND state = 'failed' RETURNING id"
            ),
            {"id": known["version_id"]},
        )
        again = version.scalar_one_or_none()
    if again:
        await session.execute(_TASK_AGAIN, {"version_id": again})
    if content.metadata:
        relabelled = {"id": known["id"], "url": content.url, "metadata": json.dumps(dict(content.metadata))}
        await session.execute(_RELABEL, relabelled)
    status = "queued" if again else known["state"]
    return Accepted(known["id"], content.external_id, content.title, status, task_id, duplicate=True), again


async def defer_reading(
    context: Context, session: AsyncSession, knowledge_base_id: UUID, versions: Sequence[UUID], priority: int
) -> None:
    """Queue the reading of some versions of one knowledge base, in the transaction of `session`.

    The more of a knowledge base waits already, the further back it goes: who brings one file need not wait for who
    brought a thousand.
    """
    found = await session.execute(_WAITING, {"kb": knowledge_base_id, "most": _CROWDS[-1]})
    priority -= bisect_right(_CROWDS, found.scalar_one())
    arguments = {"knowledge_base_id": str(knowledge_base_id), "versions": [str(each) for each in versions]}
    await context.queue.defer(INGEST, arguments, session=session, priority=priority)
