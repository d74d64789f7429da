"""The state of versions in the database: claimed, read, failed. Every write checks the attempt it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from json import dumps
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.ingestion.cutting import Cutting
from rag_app.ingestion.parsed import Block, Cut
from rag_app.jobs.claims import ALIVE

MOST_FAILURES = 5
SMALL_BYTES = 500_000  # a file that may be read along with others

# Small files that wait in the same knowledge base come along: reading and publishing twenty costs little more than one.
# Not those that failed before, or that wait for a provider: they go by themselves.
_CLAIM = text(
    """
WITH company AS MATERIALIZED (
    SELECT v.id FROM versions v JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id
    WHERE v.knowledge_base_id = :kb AND v.state = 'queued' AND v.failures = 0 AND v.error_code IS NULL
      AND v.original_key IS NOT NULL AND v.byte_count <= :small AND d.kind IN ('file', 'page')
      AND v.id <> ALL(:versions)
    ORDER BY v.created_at LIMIT :company FOR UPDATE OF v SKIP LOCKED
), wanted AS MATERIALIZED (
    SELECT id FROM unnest(CAST(:versions AS uuid[])) AS id UNION ALL SELECT id FROM company
)
UPDATE versions v SET state = 'working', attempt = v.attempt + 1, failures = v.failures + 1, claimed_by = :worker,
       error_code = NULL, error_message = NULL, updated_at = now(), phase = 'reading', progress = 0.1
FROM wanted w, documents d, knowledge_bases k, indexes i
WHERE v.knowledge_base_id = :kb AND v.id = w.id
  AND d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id AND d.deleted_at IS NULL
  AND k.id = v.knowledge_base_id AND i.id = k.active_index_id
  AND NOT EXISTS (SELECT FROM indexes b WHERE b.knowledge_base_id = :kb AND b.pausing_until > now())
  AND (v.state = 'queued' OR (v.state = 'working' AND NOT ALIVE))
RETURNING v.id, v.knowledge_base_id, v.document_id, v.workspace_id, v.attempt, v.failures, v.filename, v.media_type,
          v.byte_count, v.original_key, v.original_offset, v.title, v.language, v.text, v.pages, v.cuts, d.kind, d.url,
          v.sealed_password, d.external_id, d.created_by,
          k.language AS wanted_language, i.id AS index_id, i.model AS embedding_model,
          v.cutting_id AS cut_by, i.cutting_id, i.passage_tokens, i.overlap_tokens
""".replace("ALIVE", ALIVE.format(column="v.claimed_by"))
)
_TASKS_RUN = text(
    "UPDATE tasks SET status = 'running', phase = 'reading', progress = 0.1, started_at = coalesce(started_at, now()) "
    "WHERE version_id = ANY(:versions) AND status IN ('queued', 'running')"
)
_PHASE = text(
    "UPDATE versions SET phase = :phase, progress = :progress, updated_at = now() "
    "WHERE knowledge_base_id = :kb AND id = :id AND attempt = :attempt AND state = 'working'"
)
_TASK_PHASE = text(
    "UPDATE tasks SET phase = :phase, progress = :progress WHERE version_id = :id AND status = 'running'"
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


async def claim(
    session: AsyncSession, knowledge_base_id: UUID, versions: Sequence[UUID], worker: int, *, company: int = 0
) -> list[Claimed]:
    """Take those of the versions that wait, or whose worker has died, and then up to `company` small files besides."""
    wanted = {"kb": knowledge_base_id, "versions": list(versions), "worker": worker}
    found = await session.execute(_CLAIM, {**wanted, "company": company, "small": SMALL_BYTES})
    claimed = [_claimed(dict(row)) for row in found.mappings()]
    if claimed:
        await session.execute(_TASKS_RUN, {"versions": [each.id for each in claimed]})
    order = {each: place for place, each in enumerate(versions)}
    return sorted(claimed, key=lambda each: order.get(each.id, len(order)))


def _claimed(row: dict[str, Any]) -> Claimed:
    row.pop("pages")
    cutting = Cutting(row.pop("cutting_id"), row.pop("passage_tokens"), row.pop("overlap_tokens"))
    if row.pop("cut_by") != cutting.id:
        row["cuts"] = []  # made for another cutting than the one that is searched
    cuts = tuple(Cut(number, *each) for number, each in enumerate(row.pop("cuts")))
    return Claimed(**row, cuts=cuts, cutting=cutting)


def block_row(block: Block) -> list[Any]:
    """A block as JSON values."""
    row = [block.kind, block.char_from, block.char_to, block.level]
    return [*row, block.header_to] if block.kind == "table" else row


def cut_row(cut: Cut) -> list[Any]:
    """A cut as JSON values."""
    row = [cut.char_from, cut.char_to, cut.heading, cut.context, cut.page_from, cut.page_to]
    return [*row, cut.place] if cut.place else row


async def note_phase(session: AsyncSession, claimed: Claimed, phase: str, progress: float) -> None:
    """Show how far a version is; `progress` 0..1."""
    if _count(await session.execute(_PHASE, {**claimed.key, "phase": phase, "progress": progress})) == 1:
        await session.execute(_TASK_PHASE, {"id": claimed.id, "phase": phase, "progress": progress})


async def save_cuts(session: AsyncSession, claimed: Claimed, cuts: Sequence[Cut]) -> bool:
    """Keep how a version that was read before is cut now; False when this attempt has been overtaken."""
    values = {"cuts": dumps([cut_row(each) for each in cuts]), "cutting": claimed.cutting.id}
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
