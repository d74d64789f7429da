"""Builds an index beside the one that is searched: cut, embed, index, compare, catch up, flip; a slice at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.engine import clear_errors, transaction
from rag_app.errors import Busy, NotReady, ProviderError, RagError, StorageFull
from rag_app.ingestion.embed import BATCH, CachedEmbedder
from rag_app.ingestion.flip import MISSING_VECTORS, MISSING_VERSIONS, flip
from rag_app.ingestion.index_rows import (
    Building,
    Stand,
    claim_index,
    fail_index,
    is_mine,
    note_stand,
    pause_ingestion,
    put_off,
    release,
)
from rag_app.ingestion.recut import missing_versions, recut
from rag_app.ingestion.workshop import Workshop
from rag_app.retrieval import store as search_store
from rag_app.retrieval.dense import HNSW_FROM, WIDEST_HNSW, build_hnsw
from rag_app.retrieval.partitions import own_partition
from rag_app.telemetry import log

Compare = Callable[[Building], Awaitable[None]]
End = Callable[[AsyncSession, Building], Awaitable[None]]
Ending = Literal["over", "more"]  # nothing more to do for now, or another slice is due

SLICE_S = 10.0
"""After so long a slice ends, so that other work of this worker gets its turn."""
REST_SHARE = 0.25
"""Of the time a batch took: left to searches and ingestion."""
LEAST_SPAN_S = 1.0  # a pace measured over less says nothing
ROUNDS_BEFORE_PAUSE = 3
MOST_ROUNDS = 30
END_TRIES, END_EVERY_S = 60, 0.5
TRANSIENT = (ProviderError, NotReady, StorageFull, Busy)

_NEXT_PASSAGES = text(f"SELECT p.id, p.context, p.text {MISSING_VECTORS} AND p.id > :after ORDER BY p.id LIMIT :most")
_STILL_MISSING = text(f"SELECT p.id {MISSING_VECTORS} AND p.id = ANY(:ids) ORDER BY p.id FOR KEY SHARE OF p")
_VERSIONS = text(
    f"""
SELECT count(*) AS total, (SELECT count(*) {MISSING_VERSIONS}) AS missing FROM documents d
JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.active_version_id
WHERE d.knowledge_base_id = :kb AND d.deleted_at IS NULL AND v.passage_count > 0
"""  # noqa: S608 -- constants
)
_VECTORS = text(
    f"SELECT count(*) AS total, (SELECT count(*) {MISSING_VECTORS}) AS missing FROM passages p "  # noqa: S608 -- constants
    "WHERE p.knowledge_base_id = :kb AND p.cutting_id = :cutting"
)
_HOLDS_NOTHING = text("SELECT NOT EXISTS (SELECT FROM embeddings WHERE knowledge_base_id = :kb AND index_id = :id)")
_EXPECTED = text(
    "SELECT coalesce(sum(v.passage_count), 0)::bigint FROM documents d JOIN versions v "
    "ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.active_version_id "
    "WHERE d.knowledge_base_id = :kb AND d.deleted_at IS NULL"
)
_FIRST = UUID(int=0)


@dataclass
class _Slice:
    """One turn at an index: until when, and how fast it goes."""

    workshop: Workshop
    building: Building
    embedder: CachedEmbedder
    ends_at: float
    empty: set[UUID] = field(default_factory=set)  # versions that hold nothing to search in the new cutting
    _steps: list[tuple[float, int]] = field(default_factory=list)

    @property
    def keys(self) -> dict[str, Any]:
        """The parameters of the statements above."""
        return {"kb": self.building.knowledge_base_id, "cutting": self.building.cutting.id, "id": self.building.id}

    @property
    def is_over(self) -> bool:
        """Whether somebody else is to get a turn."""
        return time.monotonic() >= self.ends_at

    async def note(self, stand: Stand) -> None:
        """Show how far it is, with the time left at the pace of this slice. Raises _Overtaken."""
        now = time.monotonic()
        self._steps.append((now, stand.done))
        since, before = self._steps[0]
        span = now - since
        if stand.done > before:
            left_s = (stand.total - stand.done) * span / (stand.done - before) if span > LEAST_SPAN_S else None
            stand = replace(stand, left_s=left_s, achieved=True)
        async with transaction(self.workshop.engine) as session:
            if not await note_stand(session, self.building, stand):
                raise _Overtaken

    def begin(self) -> None:
        """Measure the pace anew."""
        self._steps.clear()


class _Overtaken(Exception):
    """The index is no longer ours: cancelled, or another worker has it."""


class _TurnOver(Exception):
    """The slice is over, and there is more to do."""


async def build(workshop: Workshop, index_id: int, compare: Compare) -> Ending:
    """Do one slice of the work on an index. Doing it twice at once is harmless, and so is a kill at any point."""
    worker = await workshop.worker()
    async with transaction(workshop.engine) as session:
        building = await claim_index(session, index_id, worker)
    if building is None:
        return "over"
    end: End = partial(put_off, code=RagError.code, message="Something went wrong on the server; it is in its log.")
    ending: Ending = "over"
    try:
        ending, end = await _build(workshop, building, compare), release
    except _Overtaken:
        end = release
    except TRANSIENT as problem:
        log.warning("index_waits", index=index_id, code=problem.code)
        end = partial(put_off, code=problem.code, message=problem.message)
    except RagError as problem:
        log.warning("index_failed", index=index_id, code=problem.code)
        end = partial(fail_index, code=problem.code, message=problem.message)
    except asyncio.CancelledError:  # an orderly stop
        end = release
        raise
    finally:
        await _write_end(workshop, building, end)
    return ending


async def _write_end(workshop: Workshop, building: Building, end: End) -> None:
    """Note how the slice ended, as soon as the database takes it. A kill before that loses nothing."""
    for _ in range(END_TRIES):
        try:
            async with transaction(workshop.engine) as session:
                await end(session, building)
            return
        except (NotReady, StorageFull, Busy):
            await asyncio.sleep(END_EVERY_S)
    log.warning("index_not_released", index=building.id)


async def _build(workshop: Workshop, building: Building, compare: Compare) -> Ending:
    embedder = CachedEmbedder(
        workshop.engine,
        workshop.embed,
        workspace_id=building.workspace_id,
        model=building.model,
        dimensions=building.dimensions,
    )
    turn = _Slice(workshop, building, embedder, time.monotonic() + SLICE_S)
    await _make_room(turn)
    try:
        await _catch_up(turn)
    except _TurnOver:
        return "more"
    await _index(turn)
    await turn.note(Stand("comparing"))
    await compare(building)
    if not building.auto_flip:
        await turn.note(Stand("ready"))
        return "over"
    await _flip(turn)
    return "over"


async def _make_room(turn: _Slice) -> None:
    """A table of its own for what will be large, while nothing of it is written."""
    async with transaction(turn.workshop.engine) as session:
        expected = (await session.execute(_EXPECTED, turn.keys)).scalar_one()
        is_empty = (await session.execute(_HOLDS_NOTHING, turn.keys)).scalar_one()
    if is_empty and expected >= HNSW_FROM:
        with clear_errors():
            await own_partition(turn.workshop.engine, index_id=turn.building.id)


async def _catch_up(turn: _Slice) -> None:
    """Cut and embed whatever the index does not hold yet. Raises _TurnOver."""
    await _cut(turn)
    await _embed(turn)


async def _cut(turn: _Slice) -> None:
    total, missing = await _counted(turn, _VERSIONS)
    after, done = _FIRST, total - missing
    turn.begin()
    while missing:
        started = time.monotonic()
        await turn.note(Stand("cutting", min(done, total), total))
        async with transaction(turn.workshop.engine) as session:
            batch = await missing_versions(await session.connection(), turn.building, after)
        if not batch:
            return
        empty = await recut(turn.workshop.engine, turn.building, batch, embedder=turn.embedder)
        if empty is None:
            raise _Overtaken
        turn.empty |= empty
        after, done = batch[-1].document_id, done + len(batch)
        await _rest(turn, started)


async def _embed(turn: _Slice) -> None:
    total, missing = await _counted(turn, _VECTORS)
    after, done = _FIRST, total - missing
    turn.begin()
    while missing:
        started = time.monotonic()
        await turn.note(Stand("embedding", min(done, total), total))
        async with transaction(turn.workshop.engine) as session:
            wanted = {**turn.keys, "after": after, "most": BATCH}
            rows = (await session.execute(_NEXT_PASSAGES, wanted)).all()
        if not rows:
            return
        texts = [f"{row.context}\n{row.text}".strip() for row in rows]
        vectors = await turn.embedder.vectors(texts, _unwatched)
        await _keep(turn, {row.id: vector for row, vector in zip(rows, vectors, strict=True)})
        after, done = rows[-1].id, done + len(rows)
        await _rest(turn, started)


async def _keep(turn: _Slice, vectors: dict[UUID, Any]) -> None:
    """Store vectors of the passages that are still there."""
    building = turn.building
    async with transaction(turn.workshop.engine) as session:
        connection = await session.connection()
        if not await is_mine(connection, building):
            raise _Overtaken
        ids = list((await connection.execute(_STILL_MISSING, {**turn.keys, "ids": list(vectors)})).scalars())
        rows = [(building.knowledge_base_id, each, building.workspace_id) for each in ids]
        if rows:
            chosen = [vectors[each] for each in ids]
            await search_store.insert_embeddings(connection, rows, chosen, index_id=building.id)


async def _counted(turn: _Slice, statement: Any) -> tuple[int, int]:
    async with transaction(turn.workshop.engine) as session:
        row = (await session.execute(statement, turn.keys)).one()
    return row.total, row.missing


async def _unwatched(share: float) -> None:
    """The whole batch is one step of the progress that is shown."""


async def _rest(turn: _Slice, started: float) -> None:
    """Leave others some room, and end the turn when it is over. Raises _TurnOver."""
    await asyncio.sleep(REST_SHARE * (time.monotonic() - started))
    if turn.is_over:
        raise _TurnOver


async def _index(turn: _Slice) -> None:
    """An HNSW where it pays, before anybody searches there."""
    building = turn.building
    total, _ = await _counted(turn, _VECTORS)
    if building.has_hnsw or total < HNSW_FROM or building.dimensions > WIDEST_HNSW:
        return
    await turn.note(Stand("indexing"))
    with clear_errors():
        await build_hnsw(turn.workshop.engine, index_id=building.id, dimensions=building.dimensions)


async def _flip(turn: _Slice) -> None:
    """Catch up and flip, as often as it takes; documents that come in all the time are made to wait for a moment."""
    turn.ends_at = float("inf")
    for number in range(MOST_ROUNDS):
        await turn.note(Stand("flipping"))
        if await flip(turn.workshop.engine, turn.building, turn.empty):
            return
        if number >= ROUNDS_BEFORE_PAUSE:
            async with transaction(turn.workshop.engine) as session:
                await pause_ingestion(session, turn.building)
        await _catch_up(turn)
    raise Busy("Documents of this knowledge base keep changing; the switch is tried again in a moment.")
