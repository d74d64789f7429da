"""Takes documents in. Accepted means: the original is durable and {document, version, task, job} are committed."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.files import StoredFile
from rag_app.database.knowledge import Document, Version
from rag_app.database.work import Task
from rag_app.egress import parse_url
from rag_app.errors import EmptyFile, InvalidInput, RagError
from rag_app.ingestion.formats import sniff
from rag_app.services.context import Context
from rag_app.services.knowledge import require_visible
from rag_app.services.permissions import Actor, permit
from rag_app.telemetry import log

INGEST = "ingest"
MOST_TEXTS = 1000
MOST_ADDRESSES = 1000
LONGEST_TITLE = 300
LONGEST_EXTERNAL_ID = 500
TEXTS_PER_JOB = 100
MOST_METADATA_KEYS = 50
LONGEST_METADATA_CHARS = 10_000
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
    results: list[Accepted] = []
    waiting: list[UUID] = []
    offset = 0
    async with context.transaction() as session:
        for item, refused, content in zip(texts, refusals, encoded, strict=True):
            title = (item.title or _first_line(item.text))[:LONGEST_TITLE]
            if refused or stored is None:
                results.append(Accepted(None, item.external_id, title, error=refused))
                continue
            accepted, version_id = await _add(
                session, actor, knowledge_base_id, _content_of_text(item, title, content, stored.key, offset)
            )
            offset += len(content)
            results.append(accepted)
            if version_id:
                waiting.append(version_id)
        for start in range(0, len(waiting), TEXTS_PER_JOB):
            batch = waiting[start : start + TEXTS_PER_JOB]
            await _defer(context, session, knowledge_base_id, batch, PRIORITY_TEXTS)
    return results


def _content_of_text(item: IncomingText, title: str, content: bytes, key: str, offset: int) -> _Content:
    # The title belongs to the identity of a text: the same words under another title are another document.
    digest = hashlib.sha256(content + b"\0" + (item.title or "").encode()).digest()
    return _Content(
        kind="text",
        title=title,
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
    results: list[Accepted] = []
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        for url in urls:
            results.append(await _add_address(context, session, actor, knowledge_base_id, url.strip()))
    return results


async def _add_address(
    context: Context, session: AsyncSession, actor: Actor, knowledge_base_id: UUID, url: str
) -> Accepted:
    try:
        address = str(parse_url(url))
        if len(address) > LONGEST_EXTERNAL_ID:
            raise InvalidInput(f"The address is longer than {LONGEST_EXTERNAL_ID} characters.")
    except RagError as problem:
        refusal = Refusal(problem.code, problem.message)
        return Accepted(None, url[:LONGEST_EXTERNAL_ID], url[:LONGEST_TITLE], error=refusal)
    content = _Content("page", address[:LONGEST_TITLE], "", "", None, 0, external_id=address, url=address)
    accepted, version_id = await _add(session, actor, knowledge_base_id, content)
    if version_id:
        await _defer(context, session, knowledge_base_id, [version_id], PRIORITY_PAGES)
    return accepted


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


async def _find_known(session: AsyncSession, knowledge_base_id: UUID, content: _Content) -> Any:
    """The document that this content belongs to; a lock keeps two equal uploads from both being new."""
    identity = content.external_id.encode() if content.external_id else content.sha256 or b""
    lock = int.from_bytes(hashlib.sha256(knowledge_base_id.bytes + identity).digest()[:8], signed=True)
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
    if content.external_id:
        found = await session.execute(_BY_EXTERNAL_ID, {"kb": knowledge_base_id, "external_id": content.external_id})
    else:
        found = await session.execute(_BY_CONTENT, {"kb": knowledge_base_id, "sha256": content.sha256})
    return found.mappings().one_or_none()


async def _as_duplicate(session: AsyncSession, known: Any, content: _Content) -> tuple[Accepted, UUID | None]:
    """The same bytes again: the same document. One that had failed is tried again."""
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
    status = "queued" if again else known["state"]
    return Accepted(known["id"], content.external_id, content.title, status, task_id, duplicate=True), again


async def _defer(
    context: Context, session: AsyncSession, knowledge_base_id: UUID, versions: Sequence[UUID], priority: int
) -> None:
    arguments = {"knowledge_base_id": str(knowledge_base_id), "versions": [str(each) for each in versions]}
    await context.queue.defer(INGEST, arguments, session=session, priority=priority)


def check_labels(external_id: str | None, title: str | None, metadata: Mapping[str, Any]) -> None:
    """Raise InvalidInput when a label is too long or metadata is not a flat list of simple values."""
    if external_id is not None and not 1 <= len(external_id) <= LONGEST_EXTERNAL_ID:
        raise InvalidInput(f"external_id: between 1 and {LONGEST_EXTERNAL_ID} characters are expected")
    if title is not None and len(title) > LONGEST_TITLE:
        raise InvalidInput(f"title: at most {LONGEST_TITLE} characters are expected")
    if "\0" in f"{external_id}{title}{metadata}":
        raise InvalidInput("NUL characters are not allowed")
    if len(metadata) > MOST_METADATA_KEYS or len(str(metadata)) > LONGEST_METADATA_CHARS:
        raise InvalidInput(f"metadata: at most {MOST_METADATA_KEYS} keys and {LONGEST_METADATA_CHARS} characters")
    for key, value in metadata.items():
        simple = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str | int | float | bool) or each is None for each in simple):
            raise InvalidInput(f"metadata: “{key[:50]}” must be a text, a number, true, false, or a list of these")


def base_name(filename: str) -> str:
    """The last part of a file name as a browser may send it, without control characters; never a path."""
    name = PureWindowsPath(PurePosixPath(filename).name).name
    cleaned = "".join(char for char in name if char.isprintable()).strip(" .")
    return cleaned[-200:] or "document"


def _first_line(body: str) -> str:
    line = body.strip().split("\n", 1)[0].strip()
    return line if len(line) <= 80 else line[:79] + "…"
