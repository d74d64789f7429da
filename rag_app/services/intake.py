"""Takes documents in. Accepted means: the original is durable and {document, version, task, job} are committed."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.files import StoredFile
from rag_app.egress import Rules, parse_url, refuse_private_literal
from rag_app.errors import EmptyFile, InvalidInput, RagError, SameName, StorageFull
from rag_app.ingestion.formats import ARCHIVES, sniff
from rag_app.services.acceptance import (
    ARCHIVE,
    PRIORITY_FILE,
    PRIORITY_PAGES,
    PRIORITY_TEXTS,
    Accepted,
    Refusal,
    accept,
    accept_all,
    defer_reading,
    lock_identities,
)
from rag_app.services.context import Context
from rag_app.services.document_passwords import keep_password
from rag_app.services.knowledge import require_visible
from rag_app.services.labels import LONGEST_EXTERNAL_ID, LONGEST_TITLE, base_name, check_labels, first_line
from rag_app.services.new_documents import Content
from rag_app.services.permissions import Actor, permit
from rag_app.telemetry import log

MOST_TEXTS = 1000
MOST_ADDRESSES = 1000
TEXTS_PER_JOB = 250
BYTES_PER_JOB = 2_000_000  # a job of long texts holds fewer
# What an archive was unpacked into, and what a source brings, get their versions from there.
_SAME_NAME = text(
    """
SELECT d.id, d.title FROM versions v
JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id AND d.latest_version_id = v.id
WHERE v.knowledge_base_id = :kb AND v.filename = :filename AND v.filename <> '' AND d.kind = 'file'
  AND d.deleted_at IS NULL AND d.parent_id IS NULL
  AND NOT EXISTS (SELECT FROM source_pages p WHERE p.knowledge_base_id = :kb AND p.document_id = d.id)
  AND NOT EXISTS (SELECT FROM versions s JOIN documents e ON
  e.knowledge_base_id = s.knowledge_base_id AND e.id = s.document_id AND e.latest_version_id = s.id
  WHERE s.knowledge_base_id = :kb AND s.sha256 = :sha256 AND e.deleted_at IS NULL)
ORDER BY d.created_at DESC LIMIT 1
"""
)


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file on its way in."""

    filename: str
    stream: AsyncIterator[bytes]
    media_type: str = ""
    external_id: str | None = None
    title: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    password: str | None = field(default=None, repr=False)  # used if the file asks for one
    path: str | None = None  # where it lay, in place of an external id; the same file without one is this document
    asks_same_name: bool = False  # refused if a file of this name is there with other bytes


@dataclass(frozen=True, slots=True)
class IncomingText:
    """A text on its way in."""

    text: str
    external_id: str | None = None
    title: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


async def add_file(context: Context, actor: Actor, knowledge_base_id: UUID, file: IncomingFile) -> Accepted:
    """Take one file. What is wrong with the file itself comes back as a refusal, so that it does not refuse others.

    Raises Forbidden, NotFound (knowledge base) and StorageFull.
    """
    permit(actor, "document.add")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
    try:
        content = await stored_content(context, actor, file)
    except RagError as problem:
        if isinstance(problem, StorageFull):
            raise
        log.info("document_refused", code=problem.code)
        title = file.title or base_name(file.filename)
        return Accepted(None, file.external_id or file.path, title, error=Refusal(problem.code, problem.message))
    if content.kind == ARCHIVE and not content.external_id:
        # Known by its name, so that uploading it again updates what was in it.
        content = replace(content, external_id=content.filename[:LONGEST_EXTERNAL_ID])
    async with context.transaction() as session:
        await lock_identities(session, knowledge_base_id, [content])
        if file.asks_same_name and (other := await _same_name(session, knowledge_base_id, content)):
            refusal = Refusal(SameName.code, f"“{content.filename}” is there already, with another content.")
            return Accepted(other["id"], content.external_id, other["title"], error=refusal)
        [(accepted, version_id)] = await accept_all(session, actor, knowledge_base_id, [content])
        if version_id:
            if file.password is not None:
                ids = {"knowledge_base_id": knowledge_base_id, "version_id": version_id}
                await keep_password(session, context.keys, file.password, **ids)
            await defer_reading(context, session, knowledge_base_id, [version_id], PRIORITY_FILE)
    return accepted


async def stored_content(context: Context, actor: Actor, file: IncomingFile) -> Content:
    """Store a file and say what it brings in. Raises what is wrong with its labels or with the file itself."""
    name = base_name(file.filename)
    if file.path is not None and file.external_id is not None:
        raise InvalidInput("A file has either a path or an external_id.")
    check_labels(file.path if file.external_id is None else file.external_id, file.title, file.metadata)
    limit = context.settings.max_upload_mb * 1_000_000
    stored = await context.files.put(actor.workspace_id, file.stream, limit=limit)
    if stored.byte_count == 0:
        raise EmptyFile
    is_archive = sniff(name, file.media_type or None, stored.head) in ARCHIVES
    content = _content_of_file(file, name, stored)
    return replace(content, kind=ARCHIVE, adopts=False) if is_archive else content


async def _same_name(session: AsyncSession, knowledge_base_id: UUID, content: Content) -> RowMapping | None:
    """The file of this name that is there with other bytes; None if these bytes are there too."""
    if content.kind == ARCHIVE or content.external_id:
        return None
    wanted = {"kb": knowledge_base_id, "filename": content.filename, "sha256": content.sha256}
    return (await session.execute(_SAME_NAME, wanted)).mappings().one_or_none()


def _content_of_file(file: IncomingFile, name: str, stored: StoredFile) -> Content:
    return Content(
        kind="file",
        title=(file.title or name)[:LONGEST_TITLE],
        filename=name,
        media_type=file.media_type,
        sha256=stored.sha256,
        byte_count=stored.byte_count,
        original_key=stored.key,
        external_id=file.external_id or file.path,
        metadata=file.metadata,
        adopts=file.path is not None,
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
    contents: list[Content | None] = []
    offset = 0
    for item, refused, words in zip(texts, refusals, encoded, strict=True):
        is_taken = refused is None and stored is not None
        contents.append(_content_of_text(item, words, stored.key, offset) if is_taken and stored else None)
        offset += len(words)
    results: list[Accepted] = []
    waiting: list[tuple[UUID, int]] = []
    async with context.transaction() as session:
        taken = [each for each in contents if each]
        await lock_identities(session, knowledge_base_id, taken)
        outcomes = iter(await accept_all(session, actor, knowledge_base_id, taken))
        for item, refused, content in zip(texts, refusals, contents, strict=True):
            if content is None:
                results.append(Accepted(None, item.external_id, _title_of_text(item), error=refused))
                continue
            accepted, version_id = next(outcomes)
            results.append(accepted)
            if version_id:
                waiting.append((version_id, content.byte_count))
        for batch in _jobs(waiting):
            await defer_reading(context, session, knowledge_base_id, batch, PRIORITY_TEXTS)
    return results


def _jobs(waiting: Sequence[tuple[UUID, int]]) -> list[list[UUID]]:
    """Versions and their sizes in bytes as the batches of single jobs."""
    batches: list[list[UUID]] = []
    held = 0
    for version_id, size in waiting:
        if not batches or len(batches[-1]) == TEXTS_PER_JOB or held + size > BYTES_PER_JOB:
            batches.append([])
            held = 0
        batches[-1].append(version_id)
        held += size
    return batches


def _title_of_text(item: IncomingText) -> str:
    return (item.title or first_line(item.text))[:LONGEST_TITLE]


def _content_of_text(item: IncomingText, content: bytes, key: str, offset: int) -> Content:
    # The title belongs to the identity of a text: the same words under another title are another document.
    digest = hashlib.sha256(content + b"\0" + (item.title or "").encode()).digest()
    return Content(
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
        await lock_identities(session, knowledge_base_id, [each for each in contents if isinstance(each, Content)])
        for content in contents:
            if isinstance(content, Accepted):
                results.append(content)
                continue
            accepted, version_id = await accept(session, actor, knowledge_base_id, content)
            if version_id:
                await defer_reading(context, session, knowledge_base_id, [version_id], PRIORITY_PAGES)
            results.append(accepted)
    return results


def _content_of_address(url: str, rules: Rules) -> Content | Accepted:
    """What an address brings in; one that cannot be is answered at once."""
    try:
        refuse_private_literal(url, rules)
        address = str(parse_url(url))
        if len(address) > LONGEST_EXTERNAL_ID:
            raise InvalidInput(f"The address is longer than {LONGEST_EXTERNAL_ID} characters.")
    except RagError as problem:
        refusal = Refusal(problem.code, problem.message)
        return Accepted(None, url[:LONGEST_EXTERNAL_ID], url[:LONGEST_TITLE], error=refusal)
    return Content("page", address[:LONGEST_TITLE], "", "", None, 0, external_id=address, url=address)
