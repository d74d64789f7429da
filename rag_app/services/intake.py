"""Takes documents in. Accepted means: the original is durable and {document, version, task, job} are committed."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.files import StoredFile
from rag_app.database.knowledge import Document, Version
from rag_app.database.work import Task
from rag_app.egress import Rules, parse_url, refuse_private_literal
from rag_app.errors import EmptyFile, InvalidInput, RagError
from rag_app.ingestion.formats import sniff
from rag_app.services.context import Context
from rag_app.services.knowledge import require_visible
from rag_app.services.labels import LONGEST_EXTERNAL_ID, LONGEST_TITLE, base_name, check_labels, first_line
from rag_app.services.permissions import Actor, permit
from rag_app.telemetry import log

INGEST = "ingest"
MOST_TEXTS = 1000
MOST_ADDRESSES = 1000
TEXTS_PER_JOB = 100
# One person's file goes before a large batch of texts, and both before crawled pages.
PRIORITY_FILE, PRIORITY_TEXTS, PRIORITY_PAGES = 20, 10, 5

_BY_EXTERNAL_ID = text(
    "SELECT d.id, v.sha256, v.state, v.number, v.id AS version_id FROM documents d "
    "JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.latest_version_id "
    "WHERE d.knowledge_base_id = :kb AND d.external_id = :external_id AND d.deleted_at IS NULL FOR UPDATE OF d"
)
_BY_CONTENT = text(
    "SELECT d.id, v.sha256, v.state, v.number, v.id AS version_id FROM versions v "
    "JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.latest_version_id = v.id "
    "WHERE v.knowledge_base_id = :kb AND v.sha256 = :sha256 AND d.deleted_at IS NULL "
    "ORDER BY d.created_at LIMIT 1 FOR UPDATE OF d"
)
_LOCK_IDENTITIES = text("SELECT pg_advisory_xact_lock(lock) FROM unnest(CAST(:locks AS bigint[])) AS lock")
_LOCK_KNOWN = text(
    "SELECT d.id FROM documents d WHERE d.knowledge_base_id = :kb AND d.deleted_at IS NULL "
    "AND (d.external_id = ANY(:external_ids) OR d.id IN (SELECT v.document_id FROM versions v "
    "WHERE v.knowledge_base_id = :kb AND v.sha256 = ANY(:hashes))) ORDER BY d.id FOR UPDATE"
)
_TASK_AGAIN = text(
    "UPDATE tasks SET status = 'queued', phase = NULL, progress = 0, error_code = NULL, error_message = NULL, "
    "finished_at = NULL WHERE version_id = :version_id"
)
_RELABEL = text("UPDATE documents SET metadata = CAST(:metadata AS jsonb), updated_at = now() WHERE id = :id")
_LATEST_TASK = text("SELECT id FROM tasks WHERE version_id = :version_id ORDER BY created_at DESC LIMIT 1")


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file on its way in."""

    filename: str
    stream: AsyncIterator[bytes]
    media_type: str = ""
    external_id: str | None = None
    title: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncomingText:
    """A text on its way in."""

    text: str
    external_id: str | None = None
    title: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


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
class _Content:
    """What a new version is made of."""

    kind: str
    title: str
    filename: str
    media_type: str
    sha256: bytes | None
    byte_count: int
    original_key: str | None = None
    original_offset: int = 0
    external_id: str | None = None
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


async def add_file(context: Context, actor: Actor, knowledge_base_id: UUID, file: IncomingFile) -> Accepted:
    """Take one file. What is wrong with the file itself comes back as a refusal, so that it does not refuse others.

    Raises Forbidden, NotFound (knowledge base) and StorageFull.
    """
    permit(actor, "document.add")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
    name = base_name(file.filename)
    try:
        check_labels(file.external_id, file.title, file.metadata)
        limit = context.settings.max_upload_mb * 1_000_000
        stored = await context.files.put(actor.workspace_id, file.stream, limit=limit)
        if stored.byte_count == 0:
            raise EmptyFile
        sniff(name, file.media_type or None, stored.head)
    except RagError as problem:
        if problem.code == "storage_full":
            raise
        log.info("document_refused", code=problem.code)
        return Accepted(None, file.external_id, file.title or name, error=Refusal(problem.code, problem.message))
    content = _content_of_file(file, name, stored)
    async with context.transaction() as session:
        await _lock(session, knowledge_base_id, [content])
        accepted, version_id = await _add(session, actor, knowledge_base_id, content)
        if version_id:
            await _defer(context, session, knowledge_base_id, [version_id], PRIORITY_FILE)
    return accepted


def _content_of_file(file: IncomingFile, name: str, stored: StoredFile) -> _Content:
    return _Content(
        kind="file",
        title=(file.title or name)[:LONGEST_TITLE],
        filename=name,
        media_type=file.media_type,
        sha256=stored.sha256,
        byte_count=stored.byte_count,
        original_key=stored.key,
        external_id=file.external_id,
        metadata=file.metadata,
    )


async def add_texts(
    context: Context, actor: Actor, knowledge_base_id: UUID, texts: Sequence[IncomingText]
) -> list[Accepted]:
    """Take up to 1,000 texts. They share one packed original and are committed together."""
    permit(actor, "document.add")
    if not 1 <= len(texts) <= MOST_TEXTS:
        raise InvalidInput(f"texts: between 1 and {MOST_TEXTS} are expected", field="texts")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
    refusals = [_refusal_of_text(each) for each in texts]
    encoded = [b"" if refused else each.text.encode() for each, refused in zip(texts, refusals, strict=True)]
    pack = b"".join(encoded)
    stored = (
        await context.files.put_bytes(actor.workspace_id, pack, limit=context.settings.max_upload_mb * 1_000_000)
        if pack
        else None
    )
    contents: list[_Content | None] = []
    offset = 0
    for item, refused, words in zip(texts, refusals, encoded, strict=True):
        is_taken = refused is None and stored is not None
        contents.append(_content_of_text(item, words, stored.key, offset) if is_taken and stored else None)
        offset += len(words)
    results: list[Accepted] = []
    waiting: list[UUID] = []
    async with context.transaction() as session:
        await _lock(session, knowledge_base_id, [each for each in contents if each])
        for item, refused, content in zip(texts, refusals, contents, strict=True):
            if content is None:
                results.append(Accepted(None, item.external_id, _title_of_text(item), error=refused))
                continue
            accepted, version_id = await _add(session, actor, knowledge_base_id, content)
            results.append(accepted)
            if version_id:
                waiting.append(version_id)
        for start in range(0, len(waiting), TEXTS_PER_JOB):
            batch = waiting[start : start + TEXTS_PER_JOB]
            await _defer(context, session, knowledge_base_id, batch, PRIORITY_TEXTS)
    return results


def _title_of_text(item: IncomingText) -> str:
    return (item.title or first_line(item.text))[:LONGEST_TITLE]


def _content_of_text(item: IncomingText, content: bytes, key: str, offset: int) -> _Content:
    # The title belongs to the identity of a text: the same words under another title are another document.
    digest = hashlib.sha256(content + b"\0" + (item.title or "").encode()).digest()
    return _Content(
        kind="text",
        title=_title_of_text(item),
        filename="",
        media_type="text/plain",
        sha256=digest,
        byte_count=len(content),
        original_key=key,
        original_offset=offset,
        external_id=item.external_id,
        metadata=item.metadata,
    )


def _refusal_of_text(item: IncomingText) -> Refusal | None:
    if not item.text.strip():
        return Refusal("empty_file", "The text is empty.")
    try:
        check_labels(item.external_id, item.title, item.metadata)
    except InvalidInput as problem:
        return Refusal(problem.code, problem.message)
    return None


async def add_addresses(context: Context, actor: Actor, knowledge_base_id: UUID, urls: Sequence[str]) -> list[Accepted]:
    """Take web addresses; the worker fetches them through the guarded client. The address is the external id."""
    permit(actor, "document.add")
    if not 1 <= len(urls) <= MOST_ADDRESSES:
        raise InvalidInput(f"urls: between 1 and {MOST_ADDRESSES} are expected", field="urls")
    contents = [_content_of_address(url.strip(), Rules(context.settings.private_hosts)) for url in urls]
    results: list[Accepted] = []
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        await _lock(session, knowledge_base_id, [each for each in contents if isinstance(each, _Content)])
        for content in contents:
            if isinstance(content, Accepted):
                results.append(content)
                continue
            accepted, version_id = await _add(session, actor, knowledge_base_id, content)
            if version_id:
                await _defer(context, session, knowledge_base_id, [version_id], PRIORITY_PAGES)
            results.append(accepted)
    return results


def _content_of_address(url: str, rules: Rules) -> _Content | Accepted:
    """What an address brings in; one that cannot be is answered at once."""
    try:
        refuse_private_literal(url, rules)
        address = str(parse_url(url))
        if len(address) > LONGEST_EXTERNAL_ID:
            raise InvalidInput(f"The address is longer than {LONGEST_EXTERNAL_ID} characters.")
    except RagError as problem:
        refusal = Refusal(problem.code, problem.message)
        return Accepted(None, url[:LONGEST_EXTERNAL_ID], url[:LONGEST_TITLE], error=refusal)
    return _Content("page", address[:LONGEST_TITLE], "", "", None, 0, external_id=address, url=address)


async def _add(
    session: AsyncSession, actor: Actor, knowledge_base_id: UUID, content: _Content
) -> tuple[Accepted, UUID | None]:
    """Write document, version and task; the id of the version if there is something to do."""
    known = await _find_known(session, knowledge_base_id, content)
    if known is not None and known["sha256"] is not None and known["sha256"] == content.sha256:
        return await _as_duplicate(session, known, content)
    if known is not None and known["state"] in ("queued", "working") and content.kind == "page":
        return await _as_duplicate(session, known, content)
    number = known["number"] + 1 if known is not None else 1
    document_id = known["id"] if known is not None else None
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


async def _document(
    session: AsyncSession, actor: Actor, knowledge_base_id: UUID, content: _Content, document_id: UUID | None
) -> Document:
    if document_id is not None:
        document = await session.get_one(Document, (knowledge_base_id, document_id))
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


async def _lock(session: AsyncSession, knowledge_base_id: UUID, contents: Sequence[_Content]) -> None:
    """Keep two equal uploads from both being new. All locks in one order, so that no two requests wait in a ring."""
    locks = set()
    for content in contents:
        identity = content.external_id.encode() if content.external_id else content.sha256 or b""
        digest = hashlib.sha256(knowledge_base_id.bytes + identity).digest()
        locks.add(int.from_bytes(digest[:8], signed=True))
    await session.execute(_LOCK_IDENTITIES, {"locks": sorted(locks)})
    external_ids = [each.external_id for each in contents if each.external_id]
    hashes = [each.sha256 for each in contents if each.sha256 and not each.external_id]
    await session.execute(_LOCK_KNOWN, {"kb": knowledge_base_id, "external_ids": external_ids, "hashes": hashes})


async def _find_known(session: AsyncSession, knowledge_base_id: UUID, content: _Content) -> Any:
    """The document that this content belongs to."""
    if content.external_id:
        found = await session.execute(_BY_EXTERNAL_ID, {"kb": knowledge_base_id, "external_id": content.external_id})
    else:
        found = await session.execute(_BY_CONTENT, {"kb": knowledge_base_id, "sha256": content.sha256})
    return found.mappings().one_or_none()


async def _as_duplicate(session: AsyncSession, known: Any, content: _Content) -> tuple[Accepted, UUID | None]:
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
        relabelled = {"id": known["id"], "metadata": json.dumps(dict(content.metadata))}
        await session.execute(_RELABEL, relabelled)
    status = "queued" if again else known["state"]
    return Accepted(known["id"], content.external_id, content.title, status, task_id, duplicate=True), again


async def _defer(
    context: Context, session: AsyncSession, knowledge_base_id: UUID, versions: Sequence[UUID], priority: int
) -> None:
    arguments = {"knowledge_base_id": str(knowledge_base_id), "versions": [str(each) for each in versions]}
    await context.queue.defer(INGEST, arguments, session=session, priority=priority)
