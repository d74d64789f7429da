"""The sentence that joins the steps: claim, fetch, read, cut, embed, publish; and what happens when one fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import transaction
from rag_app.database.files import FileStore
from rag_app.egress import Egress
from rag_app.errors import (
    DocumentFailed,
    NotFound,
    NotReady,
    PasswordNeeded,
    ProviderError,
    RagError,
    SettingsError,
    StorageFull,
    UnsupportedType,
)
from rag_app.ingestion import scans
from rag_app.ingestion.cutting import cut_by, kept_reading
from rag_app.ingestion.edit_rows import Edited, EditsChanged, edited, edits_of
from rag_app.ingestion.embed import CachedEmbedder, EmbedTexts
from rag_app.ingestion.fetch import fetch_page
from rag_app.ingestion.parsed import Cut, ParsedDocument
from rag_app.ingestion.sandbox import ParserPool
from rag_app.ingestion.store import Prepared, publish
from rag_app.ingestion.texts import parse_text, read_texts
from rag_app.ingestion.title import title_of
from rag_app.ingestion.versions import (
    MOST_FAILURES,
    Claimed,
    claim,
    fail,
    give_back,
    let_go,
    note_phase,
    save_cuts,
    save_fetched,
    save_reading,
)
from rag_app.telemetry import log

TRANSIENT = (ProviderError, NotReady, StorageFull)
FIRST_WAIT_S = 10
LONGEST_WAIT_S = 300
MOST_WAITS = 290  # about a day; nobody waits for a provider for ever
_NOT_THE_DOCUMENT = (401, 402, 403, 404, 408, 429)  # refusals by a provider that are not about what was sent
MOST_EDITED = 20  # times that a document is prepared anew because somebody edits it meanwhile
PLAIN = ("text", "note")  # kinds of documents that are words and nothing else
LET_GO_TRIES = 60
LET_GO_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Workshop:
    """What ingestion works with."""

    engine: AsyncEngine
    files: FileStore
    pool: ParserPool
    egress: Egress
    embed: EmbedTexts
    worker: Callable[[], Awaitable[int]]  # the number of this worker's claim, once it is held
    max_bytes: int
    unseal: Callable[[bytes, UUID], str]  # the password of a version
    expand: Callable[[Claimed, str | None], Awaitable[None]]  # makes documents of an archive's members
    parse_timeout_s: float = 60.0


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    waits: int = 0  # how often it has been put off before
    ready: int = 0
    failed: int = 0
    waiting: list[UUID] = field(default_factory=list)  # to be attempted again
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    claimed: Claimed
    body: str
    language: str
    cuts: tuple[Cut, ...]


async def ingest(workshop: Workshop, knowledge_base_id: UUID, versions: Sequence[UUID], *, waits: int = 0) -> Outcome:
    """Bring some versions of one knowledge base to their end: each becomes ready, failed with a reason, or waits.

    Whatever was achieved before (read, embedded) is not done again. Doing this twice at once is harmless. `waits` is
    how often they were put off before for reasons that lie outside of them; each time it takes longer.
    """
    worker = await workshop.worker()
    async with transaction(workshop.engine) as session:
        claimed = await claim(session, knowledge_base_id, versions, worker)
    done = False
    try:
        outcome = await _work(workshop, claimed, waits)
        done = True
        return outcome
    except asyncio.CancelledError:  # an orderly stop is nothing that speaks against a document
        await _let_go(workshop, claimed, is_blameless=True, tries=1)
        done = True
        raise
    finally:
        if not done:
            await _let_go(workshop, claimed, is_blameless=False, tries=LET_GO_TRIES)


async def _work(workshop: Workshop, claimed: Sequence[Claimed], waits: int) -> Outcome:
    read: list[_Read] = []
    outcome = Outcome(waits)
    texts = [each for each in claimed if each.kind == "text" and each.text is None and each.failures <= MOST_FAILURES]
    if len(texts) > 1 and (together := await _read_together(workshop, texts)) is not None:
        read, done = together, {each.id for each in texts}
        claimed = [each for each in claimed if each.id not in done]
    for each in claimed:
        try:
            if each.failures > MOST_FAILURES:
                raise DocumentFailed(f"Reading this document was broken off {MOST_FAILURES} times, so it was given up.")
            one = await _read(workshop, each)
            if one is not None:
                read.append(one)
        except TRANSIENT as problem:
            await _put_off(workshop, each, problem, outcome)
        except (DocumentFailed, UnsupportedType) as problem:
            await _fail(workshop, each, problem, outcome)
    if read:
        await _bring_out(workshop, read, outcome)
    return outcome


async def _read_together(workshop: Workshop, texts: Sequence[Claimed]) -> list[_Read] | None:
    """A batch of texts in one go; None when anything is amiss, so that they have to be read one by one."""
    try:
        found = await read_texts(workshop.engine, workshop.files, texts)
    except (*TRANSIENT, DocumentFailed, NotFound, UnicodeDecodeError):
        return None
    return [_Read(claimed, parsed.text, parsed.language, cuts) for claimed, parsed, cuts in found]


async def _bring_out(workshop: Workshop, read: Sequence[_Read], outcome: Outcome) -> None:
    """Publish a batch. When its texts are refused, each document goes by itself: only the refused one fails."""
    try:
        outcome.ready += await _publish(workshop, read)
    except TRANSIENT as problem:
        refused = _is_refusal(problem)
        if refused and len(read) > 1:
            for each in read:
                await _bring_out(workshop, [each], outcome)
            return
        for each in read:
            await (_fail if refused else _put_off)(workshop, each.claimed, problem, outcome)


def _is_refusal(problem: RagError) -> bool:
    """Whether the provider is well, but does not take what it was sent."""
    status = problem.details.get("status") if isinstance(problem, ProviderError) else None
    return isinstance(status, int) and 400 <= status < 500 and status not in _NOT_THE_DOCUMENT


async def _read(workshop: Workshop, claimed: Claimed) -> _Read | None:
    """Text and cuts of a version: as kept from an earlier attempt, or made now and kept; None when overtaken."""
    if claimed.text is not None and claimed.cuts:
        return _Read(claimed, claimed.text, claimed.language, claimed.cuts)
    if claimed.kind == "archive":
        await _note(workshop, claimed, "unpacking", 0.02)
        await workshop.expand(claimed, password_of(workshop, claimed))
        return None
    if claimed.text is not None:
        return await _cut_anew(workshop, claimed)
    if claimed.kind == "page" and claimed.original_key is None:
        claimed = await _fetch(workshop, claimed)
    parsed = await _parse(workshop, claimed)
    cuts = tuple(await asyncio.to_thread(cut_by, parsed, claimed.cutting))
    async with transaction(workshop.engine) as session:
        if not await save_reading(session, claimed, parsed, cuts):
            return None
        if claimed.kind != "text":
            await note_phase(session, claimed, "embedding", 0.45)
    return _Read(claimed, parsed.text, claimed.wanted_language or parsed.language, cuts)


async def _cut_anew(workshop: Workshop, claimed: Claimed) -> _Read | None:
    """A version whose text is kept, but not as the knowledge base is cut now; None when overtaken."""
    async with transaction(workshop.engine) as session:
        parsed = await kept_reading(session, claimed.knowledge_base_id, claimed.id)
    if parsed is None:
        return None
    cuts = await asyncio.to_thread(cut_by, parsed, claimed.cutting)
    async with transaction(workshop.engine) as session:
        kept = await save_cuts(session, claimed, cuts)
    return _Read(claimed, parsed.text, claimed.language, cuts) if kept else None


async def _fetch(workshop: Workshop, claimed: Claimed) -> Claimed:
    await _note(workshop, claimed, "fetching", 0.05)
    fetched = await fetch_page(workshop.egress, workshop.files, claimed, max_bytes=workshop.max_bytes)
    async with transaction(workshop.engine) as session:
        await save_fetched(session, claimed, fetched)
    return replace(
        claimed,
        original_key=fetched.key,
        byte_count=fetched.byte_count,
        filename=fetched.filename,
        media_type=fetched.media_type,
    )


async def _parse(workshop: Workshop, claimed: Claimed) -> ParsedDocument:
    if claimed.original_key is None:
        raise DocumentFailed("The original of this document is missing.")
    if claimed.kind in PLAIN:
        content = await workshop.files.read(claimed.original_key, claimed.original_offset, claimed.byte_count)
        return await asyncio.to_thread(parse_text, claimed, content.decode())
    await _note(workshop, claimed, "reading", 0.1)
    try:
        path = await workshop.files.local_path(claimed.original_key)
    except NotFound as problem:
        raise DocumentFailed(problem.message) from problem

    async def progress(share: float) -> None:
        await _note(workshop, claimed, "recognising", 0.1 + 0.35 * share)

    password = password_of(workshop, claimed)
    timeout_s = workshop.parse_timeout_s
    parsed = await scans.read(
        workshop.pool, scans.Wanted(path, claimed.filename, claimed.media_type or None, password, timeout_s), progress
    )
    if claimed.kind == "page":
        return parsed if parsed.title else replace(parsed, title=claimed.title)
    title = title_of(given=claimed.title, filename=claimed.filename, found=parsed.title, is_paged=bool(parsed.pages))
    return replace(parsed, title=title)


def password_of(workshop: Workshop, claimed: Claimed) -> str | None:
    """The password that was given for a version, None when none was. Raises PasswordNeeded when it is unreadable."""
    if claimed.sealed_password is None:
        return None
    try:
        return workshop.unseal(claimed.sealed_password, claimed.id)
    except SettingsError as problem:
        raise PasswordNeeded("The password was kept under a key that has changed: enter it again.") from problem


async def _publish(workshop: Workshop, read: Sequence[_Read]) -> int:
    """Embed a batch and make it searchable; how many of it were."""
    for _ in range(MOST_EDITED):
        try:
            return await _publish_edited(workshop, read, await _edited(workshop, read))
        except EditsChanged:
            continue
    raise NotReady("This document is being edited; it is brought up to date in a moment.")


async def _edited(workshop: Workshop, read: Sequence[_Read]) -> list[Edited]:
    """The passages of each with what people have hidden or corrected taken out."""
    kb = read[0].claimed.knowledge_base_id
    async with transaction(workshop.engine) as session:
        edits = await edits_of(await session.connection(), kb, [each.claimed.document_id for each in read])
    if not edits:
        return [Edited(each.cuts) for each in read]
    wanted = [(each.body, each.cuts, edits.get(each.claimed.document_id, [])) for each in read]
    return await asyncio.to_thread(lambda: [edited(*each) for each in wanted])


async def _publish_edited(workshop: Workshop, read: Sequence[_Read], made: Sequence[Edited]) -> int:
    first = read[0].claimed
    pairs = list(zip(read, made, strict=True))
    texts = [f"{c.context}\n{each.body[c.char_from : c.char_to]}".strip() for each, own in pairs for c in own.cuts]
    embedder = CachedEmbedder(
        workshop.engine, workshop.embed, workspace_id=first.workspace_id, model=first.embedding_model
    )

    async def progress(share: float) -> None:
        if len(read) == 1:
            await _note(workshop, first, "embedding", 0.45 + 0.45 * share)

    vectors = await embedder.vectors(texts, progress)
    prepared, place = [], 0
    for each, own in pairs:
        rows = vectors[place : place + len(own.cuts)]
        place += len(own.cuts)
        prepared.append(Prepared(each.claimed, each.body, each.language, own, rows))
    done = await publish(workshop.engine, prepared)
    log.info("versions_published", count=len(done), passages=len(texts), overtaken=len(read) - len(done))
    return len(done)


async def _note(workshop: Workshop, claimed: Claimed, phase: str, progress: float) -> None:
    async with transaction(workshop.engine) as session:
        await note_phase(session, claimed, phase, progress)


async def _fail(workshop: Workshop, claimed: Claimed, problem: RagError, outcome: Outcome) -> None:
    outcome.failed += 1
    async with transaction(workshop.engine) as session:
        await fail(session, claimed, code=problem.code, message=problem.message)
    log.info("document_failed", version=claimed.id, code=problem.code)


async def _put_off(workshop: Workshop, claimed: Claimed, problem: RagError, outcome: Outcome) -> None:
    """Give a version back for another attempt, each time later; it is not to blame, so no attempt is used up."""
    if outcome.waits >= MOST_WAITS:
        await _fail(workshop, claimed, problem, outcome)
        return
    log.warning("document_waits", version=claimed.id, code=problem.code)
    outcome.waiting.append(claimed.id)
    if isinstance(problem, NotReady):
        await _let_go(workshop, [claimed], is_blameless=True, tries=LET_GO_TRIES)
        return
    outcome.wait_s = min(FIRST_WAIT_S * 2 ** min(outcome.waits, 10), LONGEST_WAIT_S)
    async with transaction(workshop.engine) as session:
        await give_back(session, claimed, code=problem.code, message=problem.message)


async def _let_go(workshop: Workshop, claimed: Sequence[Claimed], *, is_blameless: bool, tries: int) -> None:
    """Leave versions that are not finished to another attempt. When the database stays away, our claim is lost too."""
    for _ in range(tries):
        try:
            async with transaction(workshop.engine) as session:
                await let_go(session, claimed, is_blameless=is_blameless)
            return
        except (NotReady, StorageFull):
            await asyncio.sleep(LET_GO_EVERY_S)
