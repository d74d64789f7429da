"""The sentence that joins the steps: claim, fetch, read, cut, embed, publish; and what happens when one fails."""

import asyncio
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from uuid import UUID

from rag_app.database.engine import transaction
from rag_app.errors import (
    DocumentFailed,
    NotFound,
    NotReady,
    ProviderError,
    RagError,
    StorageFull,
    UnsupportedType,
)
from rag_app.ingestion.analysis import analysed
from rag_app.ingestion.edit_rows import Edited, EditsChanged, edited, edits_of
from rag_app.ingestion.embed import UNCACHED, CachedEmbedder
from rag_app.ingestion.reading import Read, read, read_of
from rag_app.ingestion.readings import LARGE_CHARS, save_readings
from rag_app.ingestion.store import Prepared, publish, publish_bundle
from rag_app.ingestion.texts import read_texts
from rag_app.ingestion.versions import MOST_FAILURES, Claimed, claim, fail, give_back, let_go, note_phase
from rag_app.ingestion.workshop import Workshop
from rag_app.telemetry import log

TRANSIENT = (ProviderError, NotReady, StorageFull)
FIRST_WAIT_S = 10
LONGEST_WAIT_S = 300
MOST_WAITS = 290  # about a day; nobody waits for a provider for ever
_NOT_THE_DOCUMENT = (401, 402, 403, 404, 408, 429)  # refusals by a provider that are not about what was sent
MOST_EDITED = 20  # times that a document is prepared anew because somebody edits it meanwhile
COMPANY = 23  # small files that may come along with one
COMPANY_S = 5.0  # after so long those that have not been begun go back
READ_AT_ONCE = 2
GATHER_S = 0.2  # what has been read waits so long for more
ENOUGH_PASSAGES = 500
ENOUGH_TEXTS = 100  # that it is worth to have them made ready in a child
LET_GO_TRIES = 60
LET_GO_EVERY_S = 0.5


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    waits: int = 0  # how often it has been put off before
    ready: int = 0
    failed: int = 0
    waiting: list[UUID] = field(default_factory=list)  # to be attempted again
    wait_s: int = 0


async def ingest(workshop: Workshop, knowledge_base_id: UUID, versions: Sequence[UUID], *, waits: int = 0) -> Outcome:
    """Bring some versions of one knowledge base to their end: each becomes ready, failed with a reason, or waits.

    Whatever was achieved before (read, embedded) is not done again. Doing this twice at once is harmless. `waits` is
    how often they were put off before for reasons that lie outside of them; each time it takes longer.
    """
    worker = await workshop.worker()
    async with transaction(workshop.engine) as session:
        company = COMPANY if len(versions) == 1 and not waits else 0
        claimed = await claim(session, knowledge_base_id, versions, worker, company=company)
    done = False
    try:
        outcome = Outcome(waits)
        await _work(workshop, claimed, frozenset(versions), outcome)
        done = True
        return outcome
    except asyncio.CancelledError:  # an orderly stop is nothing that speaks against a document
        await _let_go(workshop, claimed, is_blameless=True, tries=1)
        done = True
        raise
    finally:
        if not done:
            await _let_go(workshop, claimed, is_blameless=False, tries=LET_GO_TRIES)


async def _work(workshop: Workshop, claimed: Sequence[Claimed], own: Set[UUID], outcome: Outcome) -> None:
    texts = [each for each in claimed if each.kind == "text" and each.text is None and each.failures <= MOST_FAILURES]
    if len(texts) > 1 and await _bring_out_together(workshop, texts, outcome):
        done = {each.id for each in texts}
        claimed = [each for each in claimed if each.id not in done]
    if claimed:
        await _read_and_bring_out(workshop, claimed, own, outcome)


async def _bring_out_together(workshop: Workshop, texts: Sequence[Claimed], outcome: Outcome) -> bool:
    """A batch of texts in one go; False when anything is amiss, so that they have to be taken one by one."""
    if await _analysed(workshop, texts):
        outcome.ready += len(texts)
        return True
    together = await _read_together(workshop, texts)
    if together is not None:
        await _bring_out(workshop, together, outcome)
    return together is not None


async def _analysed(workshop: Workshop, texts: Sequence[Claimed]) -> bool:
    """Many texts made ready in a child and published; False when they are few, or need what only a worker can do."""
    if len(texts) < ENOUGH_TEXTS or any(
        each.embedding_model != UNCACHED or each.byte_count > LARGE_CHARS for each in texts
    ):
        return False
    try:
        bundle = await analysed(workshop, texts)
        if not await publish_bundle(workshop.engine, texts, bundle):
            return False
    except (*TRANSIENT, DocumentFailed, NotFound, UnicodeDecodeError):
        return False
    log.info("texts_published", count=len(texts))
    return True


async def _read_together(workshop: Workshop, texts: Sequence[Claimed]) -> list[Read] | None:
    """A batch of texts in one go; None when anything is amiss, so that they have to be read one by one."""
    try:
        found = await read_texts(workshop.files, texts)
    except (*TRANSIENT, DocumentFailed, NotFound, UnicodeDecodeError):
        return None
    return [read_of(*each) for each in found]


async def _read_and_bring_out(workshop: Workshop, claimed: Sequence[Claimed], own: Set[UUID], outcome: Outcome) -> None:
    """Read some versions at the same time; what has been read does not wait long for those that take longer.

    Those that came along (not our `own`) go back if they have not been begun after a while.
    """
    places, late = asyncio.Semaphore(READ_AT_ONCE), time.monotonic() + COMPANY_S
    left: list[Claimed] = []

    async def attempt(each: Claimed) -> Read | None:
        async with places:
            if each.id not in own and time.monotonic() > late:
                left.append(each)
                return None
            return await _attempt(workshop, each, outcome)

    pending = {asyncio.create_task(attempt(each)) for each in claimed}
    ready: list[Read] = []
    try:
        while pending:
            done, pending = await asyncio.wait(
                pending, timeout=GATHER_S if ready else None, return_when=asyncio.FIRST_COMPLETED
            )
            ready += [found for task in done if (found := task.result()) is not None]
            is_enough = not done or not pending or sum(len(each.cuts) for each in ready) >= ENOUGH_PASSAGES
            if ready and is_enough:
                batch, ready = ready, []
                await _bring_out(workshop, batch, outcome)
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    if left:
        await _let_go(workshop, left, is_blameless=True, tries=LET_GO_TRIES)


async def _attempt(workshop: Workshop, claimed: Claimed, outcome: Outcome) -> Read | None:
    """One version read; None when it failed, waits, or was overtaken."""
    try:
        if claimed.failures > MOST_FAILURES:
            raise DocumentFailed(f"Reading this document was broken off {MOST_FAILURES} times, so it was given up.")
        return await read(workshop, claimed)
    except TRANSIENT as problem:
        await _put_off(workshop, claimed, problem, outcome)
    except (DocumentFailed, UnsupportedType) as problem:
        await _fail(workshop, claimed, problem, outcome)
    return None


async def _bring_out(workshop: Workshop, found: Sequence[Read], outcome: Outcome) -> None:
    """Publish a batch. When its texts are refused, each document goes by itself: only the refused one fails."""
    try:
        if saved := await _saved(workshop, found):
            outcome.ready += await _publish(workshop, saved)
    except TRANSIENT as problem:
        refused = _is_refusal(problem)
        if refused and len(found) > 1:
            for each in found:
                await _bring_out(workshop, [each], outcome)
            return
        for each in found:
            await (_fail if refused else _put_off)(workshop, each.claimed, problem, outcome)


def _is_refusal(problem: RagError) -> bool:
    """Whether the provider is well, but does not take what it was sent."""
    status = problem.details.get("status") if isinstance(problem, ProviderError) else None
    return isinstance(status, int) and 400 <= status < 500 and status not in _NOT_THE_DOCUMENT


async def _saved(workshop: Workshop, read: Sequence[Read]) -> Sequence[Read]:
    """Those that were not overtaken, their text kept before a provider is asked or a long work begins.

    Small ones that the bundled model embeds are through in a moment: their text is kept as they are published.
    """
    is_quick = read[0].claimed.embedding_model == UNCACHED
    wanted = [
        (each.claimed, each.unsaved, each.cuts)
        for each in read
        if each.unsaved is not None and (not is_quick or len(each.body) > LARGE_CHARS)
    ]
    if not wanted:
        return read
    async with transaction(workshop.engine) as session:
        kept = await save_readings(await session.connection(), wanted)
    lost = {claimed.id for claimed, _, _ in wanted} - kept
    return [
        replace(each, unsaved=None) if each.claimed.id in kept else each for each in read if each.claimed.id not in lost
    ]


async def _publish(workshop: Workshop, read: Sequence[Read]) -> int:
    """Embed a batch and make it searchable; how many of it were."""
    for _ in range(MOST_EDITED):
        try:
            return await _publish_edited(workshop, read, await _edited(workshop, read))
        except EditsChanged:
            continue
    raise NotReady("This document is being edited; it is brought up to date in a moment.")


async def _edited(workshop: Workshop, read: Sequence[Read]) -> list[Edited]:
    """The passages of each with what people have hidden or corrected taken out."""
    kb = read[0].claimed.knowledge_base_id
    async with transaction(workshop.engine) as session:
        edits = await edits_of(await session.connection(), kb, [each.claimed.document_id for each in read])
    if not edits:
        return [Edited(each.cuts) for each in read]
    wanted = [(each.body, each.cuts, edits.get(each.claimed.document_id, [])) for each in read]
    return await asyncio.to_thread(lambda: [edited(*each) for each in wanted])


async def _publish_edited(workshop: Workshop, read: Sequence[Read], made: Sequence[Edited]) -> int:
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
        reading = None if each.unsaved is None else (each.unsaved, each.cuts)
        prepared.append(Prepared(each.claimed, each.body, each.language, own, rows, reading))
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
