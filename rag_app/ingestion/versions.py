"""The state of versions in the database: claimed, read, failed. Every write checks the attempt it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from json import dumps
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.ingestion.cutting import Cutting
from rag_app.ingestion.parsed import Block, Cut, ParsedDocument
from rag_app.jobs.claims import ALIVE

MOST_FAILURES = 5

_CLAIM = text(
    """
UPDATE versions v SET state = 'working', attempt = v.attempt + 1, failures = v.failures + 1, claimed_by = :worker,
       error_code = NULL, error_message = NULL, updated_at = now()
FROM documents d, knowledge_bases k, indexes i
WHERE v.knowledge_base_id = :kb AND v.id = ANY(:versions)
  AND d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id AND d.deleted_at IS NULL
  AND k.id = v.knowledge_base_id AND i.id = k.active_index_id
  AND NOT EXISTS (SELECT FROM indexes b WHERE b.knowledge_base_id = :kb AND b.pausing_until > now())
  AND (v.state = 'queued' OR (v.state = 'working' AND NOT """
    + ALIVE.format(column="v.claimed_by")
    + """))
RETURNING v.id, v.knowledge_base_id, v.document_id, v.workspace_id, v.attempt, v.failures, v.filename, v.media_type,
          v.byte_count, v.original_key, v.original_offset, v.title, v.language, v.text, v.pages, v.cuts, d.kind, d.url,
          v.sealed_password, d.external_id, d.created_by,
          k.language AS wanted_language, i.id AS index_id, i.model AS embedding_model,
          v.cutting_id AS cut_by, i.cutting_id, i.passage_tokens, i.overlap_tokens
"""
)
_TASKS_RUN = text(
    "UPDATE tasks SET status = 'running', started_at = coalesce(started_at, now()) "
    "WHERE version_id = ANY(:versions) AND status IN ('queued', 'running')"
)
_PHASE = text(
    "UPDATE versions SET phase = :phase, progress = :progress, updated_at = now() "
    "WHERE knowledge_base_id = :kb AND id = :id AND attempt = :attempt AND state = 'working'"
)
_TASK_PHASE = text(
    "UPDATE tasks SET phase = :phase, progress = :progress WHERE version_id = :id AND status = 'running'"
)
_READ = text(
    """
UPDATE versions SET text = :text, pages = :pages, blocks = :blocks, cuts = :cuts, cutting_id = :cutting,
       places = :places, title = :title, language = :language, page_count = :page_count,
       passage_count = :passage_count, warnings = :warnings, names = :names, failures = 0, updated_at = now()
WHERE knowledge_base_id = :kb AND id = :id AND attempt = :attempt AND state = 'working'
"""
)
# Texts have neither pages nor places, and keep the title that they came with.
_READ_TEXTS = text(
    """
UPDATE versions v SET text = r.text, blocks = CAST(r.blocks AS jsonb), cuts = CAST(r.cuts AS jsonb),
       cutting_id = :cutting, language = r.language, passage_count = r.passage_count,
       names = CAST(r.names AS jsonb), failures = 0, updated_at = now()
FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS int[]), CAST(:texts AS text[]), CAST(:blocks AS text[]),
            CAST(:cuts AS text[]), CAST(:languages AS text[]), CAST(:counts AS int[]),
            CAST(:names AS text[]))
     AS r (id, attempt, text, blocks, cuts, language, passage_count, names)
WHERE v.knowledge_base_id = :kb AND v.id = r.id AND v.attempt = r.attempt AND v.state = 'working'
RETURNING v.id
"""
)
_RECUT = text(
    """
UPDATE versions SET cuts = :cuts, cutting_id = :cutting, passage_count = :passage_count, updated_at = now()
WHERE knowledge_base_id = :kb AND id = :id AND attempt = :attempt AND state = 'working'
"""
)
_FETCHED = text(
    """
UPDATE versions SET original_key = :key, sha256 = :sha256, byte_count = :byte_count, media_type = :media_type,
       filename = :filename, updated_at = now()
WHERE knowledge_base_id = :kb AND id = :id AND attempt = :attempt AND state = 'working'
"""
)
_FAIL = text(
    """
UPDATE versions SET state = 'failed', error_code = :code, error_message = :message, claimed_by = NULL,
       updated_at = now()
WHERE knowledge_base_id = :kb AND id = :id AND attempt = :attempt AND state = 'working'
"""
)
_TASK_FAIL = text(
    "UPDATE tasks SET status = 'failed', error_code = :code, error_message = :message, finished_at = now() "
    "WHERE version_id = :id AND status IN ('queued', 'running')"
)
_GIVE_BACK = text(
    """
UPDATE versions SET state = 'queued', error_code = :code, error_message = :message, claimed_by = NULL,
       failures = greatest(0, failures - 1), updated_at = now()
WHERE knowledge_base_id = :kb AND id = :id AND attempt = :attempt AND state = 'working'
"""
)
_LET_GO = text(
    """
UPDATE versions v SET state = 'queued', claimed_by = NULL, updated_at = now(),
       failures = greatest(0, v.failures - CAST(:forgiven AS int))
FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS int[])) AS mine (id, attempt)
WHERE v.knowledge_base_id = :kb AND v.id = mine.id AND v.attempt = mine.attempt AND v.state = 'working'
"""
)
_META = text(
    "UPDATE documents SET title = CASE WHEN :retitle THEN :title ELSE title END, "
    "metadata = CAST(:metadata AS jsonb) || metadata "
    "WHERE knowledge_base_id = :kb AND id = :document"
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A version that this worker is at, as it stands in the database."""

    id: UUID
    knowledge_base_id: UUID
    document_id: UUID
    workspace_id: UUID
    attempt: int
    failures: int
    kind: str
    url: str | None
    filename: str
    media_type: str
    byte_count: int
    original_key: str | None
    original_offset: int
    title: str
    language: str
    wanted_language: str
    index_id: int
    embedding_model: str
    text: str | None
    cuts: tuple[Cut, ...]
    external_id: str | None
    created_by: UUID | None
    sealed_password: bytes | None = field(repr=False)
    cutting: Cutting

    @property
    def key(self) -> dict[str, Any]:
        """The parameters that name this attempt at this version."""
        return {"kb": self.knowledge_base_id, "id": self.id, "attempt": self.attempt}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page that was fetched and stored."""

    key: str
    sha256: bytes
    byte_count: int
    media_type: str
    filename: str


async def claim(session: AsyncSession, knowledge_base_id: UUID, versions: Sequence[UUID], worker: int) -> list[Claimed]:
    """Take those of the versions that wait, or whose worker has died."""
    found = await session.execute(_CLAIM, {"kb": knowledge_base_id, "versions": list(versions), "worker": worker})
    claimed = [_claimed(dict(row)) for row in found.mappings()]
    if claimed:
        await session.execute(_TASKS_RUN, {"versions": [each.id for each in claimed]})
    order = {each: place for place, each in enumerate(versions)}
    return sorted(claimed, key=lambda each: order[each.id])


def _claimed(row: dict[str, Any]) -> Claimed:
    row.pop("pages")
    cutting = Cutting(row.pop("cutting_id"), row.pop("passage_tokens"), row.pop("overlap_tokens"))
    if row.pop("cut_by") != cutting.id:
        row["cuts"] = []  # made for another cutting than the one that is searched
    cuts = tuple(Cut(number, *each) for number, each in enumerate(row.pop("cuts")))
    return Claimed(**row, cuts=cuts, cutting=cutting)


def _block_row(block: Block) -> list[Any]:
    row = [block.kind, block.char_from, block.char_to, block.level]
    return [*row, block.header_to] if block.kind == "table" else row


def _cut_row(cut: Cut) -> list[Any]:
    row = [cut.char_from, cut.char_to, cut.heading, cut.context, cut.page_from, cut.page_to]
    return [*row, cut.place] if cut.place else row


async def note_phase(session: AsyncSession, claimed: Claimed, phase: str, progress: float) -> None:
    """Show how far a version is; `progress` 0..1."""
    if _count(await session.execute(_PHASE, {**claimed.key, "phase": phase, "progress": progress})) == 1:
        await session.execute(_TASK_PHASE, {"id": claimed.id, "phase": phase, "progress": progress})


async def save_reading(session: AsyncSession, claimed: Claimed, parsed: ParsedDocument, cuts: Sequence[Cut]) -> bool:
    """Keep what was read and how it is cut; False when this attempt has been overtaken."""
    title = claimed.title if claimed.kind == "text" or not parsed.title else parsed.title
    done = await session.execute(
        _READ,
        {
            **claimed.key,
            "text": parsed.text,
            "pages": dumps([[page.page, page.char_from, page.char_to] for page in parsed.pages]),
            "blocks": dumps([_block_row(each) for each in parsed.blocks]),
            "cuts": dumps([_cut_row(each) for each in cuts]),
            "cutting": claimed.cutting.id,
            "places": dumps([[span.char_from, span.char_to, span.place] for span in parsed.places]),
            "title": title[:300],
            "language": claimed.wanted_language or parsed.language,
            "page_count": len(parsed.pages) or None,
            "passage_count": len(cuts),
            "warnings": dumps(list(parsed.warnings)),
            "names": dumps(list(parsed.names)),
        },
    )
    if _count(done) != 1:
        return False
    if claimed.kind != "text":
        retitle = bool(parsed.title) and claimed.title in (claimed.filename, claimed.url or "")
        meta = {"kb": claimed.knowledge_base_id, "document": claimed.document_id, "metadata": dumps(parsed.metadata)}
        await session.execute(_META, {**meta, "retitle": retitle, "title": title[:300]})
    return True


async def save_texts(
    session: AsyncSession, read: Sequence[tuple[Claimed, ParsedDocument, tuple[Cut, ...]]]
) -> set[UUID]:
    """Like `save_reading` for a batch of texts of one knowledge base; the ids of those that were not overtaken."""
    if not read:
        return set()
    first = read[0][0]
    values = {
        "kb": first.knowledge_base_id,
        "cutting": first.cutting.id,
        "ids": [claimed.id for claimed, _, _ in read],
        "attempts": [claimed.attempt for claimed, _, _ in read],
        "texts": [parsed.text for _, parsed, _ in read],
        "blocks": [dumps([_block_row(each) for each in parsed.blocks]) for _, parsed, _ in read],
        "cuts": [dumps([_cut_row(each) for each in cuts]) for _, _, cuts in read],
        "languages": [parsed.language for _, parsed, _ in read],
        "counts": [len(cuts) for _, _, cuts in read],
        "names": [dumps(list(parsed.names)) for _, parsed, _ in read],
    }
    return set((await session.execute(_READ_TEXTS, values)).scalars())


async def save_cuts(session: AsyncSession, claimed: Claimed, cuts: Sequence[Cut]) -> bool:
    """Keep how a version that was read before is cut now; False when this attempt has been overtaken."""
    values = {"cuts": dumps([_cut_row(each) for each in cuts]), "cutting": claimed.cutting.id}
    done = await session.execute(_RECUT, {**claimed.key, **values, "passage_count": len(cuts)})
    return _count(done) == 1


async def save_fetched(session: AsyncSession, claimed: Claimed, fetched: Fetched) -> bool:
    """Keep where the fetched page lies; False when this attempt has been overtaken."""
    values = {
        "key": fetched.key,
        "sha256": fetched.sha256,
        "byte_count": fetched.byte_count,
        "media_type": fetched.media_type,
        "filename": fetched.filename,
    }
    return _count(await session.execute(_FETCHED, {**claimed.key, **values})) == 1


async def fail(session: AsyncSession, claimed: Claimed, *, code: str, message: str) -> None:
    """End as failed, with a reason a person understands."""
    if _count(await session.execute(_FAIL, {**claimed.key, "code": code, "message": message})) == 1:
        await session.execute(_TASK_FAIL, {"id": claimed.id, "code": code, "message": message})


async def give_back(session: AsyncSession, claimed: Claimed, *, code: str, message: str) -> None:
    """Let it wait for another attempt, which is not its fault; the reason is shown meanwhile."""
    await session.execute(_GIVE_BACK, {**claimed.key, "code": code, "message": message})


async def let_go(session: AsyncSession, claimed: Sequence[Claimed], *, is_blameless: bool) -> None:
    """Give up our attempts at versions that are not finished; a blameless end does not count as their failure."""
    if claimed:
        attempts = {"ids": [each.id for each in claimed], "attempts": [each.attempt for each in claimed]}
        kb = claimed[0].knowledge_base_id
        await session.execute(_LET_GO, {"kb": kb, **attempts, "forgiven": int(is_blameless)})


def _count(result: Any) -> int:
    return int(result.rowcount)
