"""The flip: in one transaction the old passages of a document go and the new ones come."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rag_app.database.columns import new_id
from rag_app.database.engine import transaction
from rag_app.errors import Cancelled, ProviderError
from rag_app.ingestion.edit_rows import Edited, EditsChanged, note_placements, require_unchanged
from rag_app.ingestion.embed import Vectors
from rag_app.ingestion.parsed import Cut, ParsedDocument
from rag_app.ingestion.passage_rows import copy_passages, passage_records
from rag_app.ingestion.readings import ReadingRows, activate_readings, reading_rows
from rag_app.ingestion.versions import Claimed
from rag_app.jobs.spent import drop_jobs_of
from rag_app.retrieval import store as search_store
from rag_app.retrieval.store import PassageRow

# A statement of its own before the fence: what the fence compares must be read after the locks are held.
_LOCK_DOCUMENTS = text(
    """
SELECT d.id FROM documents d
WHERE d.knowledge_base_id = :kb
  AND d.id IN (SELECT v.document_id FROM versions v WHERE v.knowledge_base_id = :kb AND v.id = ANY(:ids))
ORDER BY d.id FOR UPDATE
"""
)
# Only the newest attempt may flip, only into the index it was embedded for, and never over a newer version.
_FENCE = text(
    """
SELECT v.id, d.active_version_id
FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS int[])) AS mine (id, attempt)
JOIN versions v ON v.knowledge_base_id = :kb AND v.id = mine.id AND v.attempt = mine.attempt AND v.state = 'working'
JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id AND d.deleted_at IS NULL
JOIN knowledge_bases k ON k.id = d.knowledge_base_id AND k.active_index_id = :index_id
LEFT JOIN versions a ON a.knowledge_base_id = d.knowledge_base_id AND a.id = d.active_version_id
WHERE a.id IS NULL OR a.number <= v.number
FOR UPDATE OF v FOR SHARE OF k
"""
)
_SUPERSEDED = text(
    """
UPDATE versions v SET state = 'failed', error_code = :code, error_message = :message, claimed_by = NULL,
       updated_at = now()
FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS int[])) AS mine (id, attempt), documents d, versions a
WHERE v.knowledge_base_id = :kb AND v.id = mine.id AND v.attempt = mine.attempt AND v.state = 'working'
  AND d.knowledge_base_id = :kb AND d.id = v.document_id
  AND a.knowledge_base_id = :kb AND a.id = d.active_version_id AND a.number > v.number
RETURNING v.id
"""
)
_TASK_SUPERSEDED = text(
    "UPDATE tasks SET status = 'cancelled', error_code = :code, error_message = :message, finished_at = now() "
    "WHERE version_id = ANY(:ids) AND status IN ('queued', 'running')"
)
_SUPERSEDED_REASON = {"code": Cancelled.code, "message": "A newer version of this document was ready first."}
# Prepared for an index that is no longer the active one: once more, for the one that is.
_OTHER_INDEX = text(
    """
UPDATE versions v SET state = 'queued', claimed_by = NULL, updated_at = now()
FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS int[])) AS mine (id, attempt), knowledge_bases k
WHERE v.knowledge_base_id = :kb AND v.id = mine.id AND v.attempt = mine.attempt AND v.state = 'working'
  AND k.id = :kb AND k.active_index_id <> :index_id
"""
)
_DELETE_OTHERS = text(
    "DELETE FROM passages WHERE knowledge_base_id = :kb AND version_id = :version AND id <> ALL(CAST(:kept AS uuid[]))"
)
_DELETE_PASSAGES = text("DELETE FROM passages WHERE knowledge_base_id = :kb AND version_id = ANY(:versions)")
_ACTIVATE = text(
    "UPDATE documents d SET active_version_id = v.id, updated_at = now() FROM versions v "
    "WHERE v.knowledge_base_id = :kb AND v.id = ANY(:ids) AND d.knowledge_base_id = :kb AND d.id = v.document_id"
)
_READY = text(
    "UPDATE versions v SET state = 'ready', phase = NULL, progress = 1, failures = 0, claimed_by = NULL, "
    "error_code = NULL, error_message = NULL, ready_at = now(), updated_at = now(), passage_count = own.passages "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:counts AS int[])) AS own (id, passages) "
    "WHERE v.knowledge_base_id = :kb AND v.id = own.id"
)
_TASK_DONE = text(
    "UPDATE tasks t SET status = 'done', phase = NULL, progress = 1, finished_at = now(), "
    "result = jsonb_build_object('passages', v.passage_count, 'pages', v.page_count) "
    "FROM versions v WHERE v.knowledge_base_id = :kb AND v.id = ANY(:ids) AND t.version_id = v.id"
)
_WIDTH = text("SELECT dimensions FROM indexes WHERE id = :id")
_NOTE_WIDTH = text(
    "UPDATE indexes SET dimensions = CASE WHEN dimensions = 0 THEN :width ELSE dimensions END WHERE id = :id "
    "RETURNING dimensions"
)
SLICE = 2_000  # passages whose rows are made at once


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version with everything that becomes searchable with it."""

    claimed: Claimed
    body: str
    language: str
    edited: Edited
    vectors: Vectors  # one row per cut
    reading: tuple[ParsedDocument, tuple[Cut, ...]] | None = None  # what no table has yet

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """What becomes searchable."""
        return self.edited.cuts


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that becomes searchable with a batch of new texts, as the tables take it."""

    passages: bytes
    search: search_store.Prepared
    readings: ReadingRows
    width: int  # of the vectors; 0 without any


async def publish(engine: AsyncEngine, batch: Sequence[Prepared]) -> set[UUID]:
    """Make a batch of versions of one knowledge base searchable, all in one transaction; the ids that were.

    One that is missing from the answer was overtaken: deleted, cancelled, attempted anew by another worker, or older
    than what is searchable by now; the last ends as cancelled. Raises EditsChanged when somebody hid or corrected
    something in one of the documents since they were prepared.
    """
    ids = {each.claimed.id: [new_id() for _ in each.cuts] for each in batch}
    slices = _slices(batch, ids)
    rows = await asyncio.to_thread(_prepare_next, slices)  # mostly all there are
    first = batch[0].claimed
    async with transaction(engine) as session:
        connection = await session.connection()
        allowed = await _fence(connection, [each.claimed for each in batch])
        chosen = [each for each in batch if each.claimed.id in allowed]
        if len(chosen) < len(batch):
            await _close_overtaken(connection, [each.claimed for each in batch if each.claimed.id not in allowed])
        if not chosen:
            return set()
        if len(chosen) < len(batch):
            slices = _slices(chosen, ids)
            rows = await asyncio.to_thread(_prepare_next, slices)
        kb, documents = first.knowledge_base_id, {each.claimed.document_id: each.edited for each in chosen}
        await require_unchanged(connection, kb, documents)
        await _check_width(connection, first, _width(batch[0]))
        await _remove(connection, kb, [old for old in allowed.values() if old is not None])
        await copy_passages(connection, _records(chosen, ids))
        while rows is not None:
            await search_store.insert_prepared(connection, rows)
            rows = await asyncio.to_thread(_prepare_next, slices)
        for each in chosen:
            await note_placements(connection, kb, each.claimed.id, each.edited)
        await _activate(connection, chosen)
        if len(chosen) > 1:  # files that came along have jobs of their own
            await drop_jobs_of(connection, list(allowed))
    return set(allowed)


async def publish_bundle(engine: AsyncEngine, batch: Sequence[Claimed], bundle: Bundle) -> bool:
    """Make a batch of new texts searchable, all of them or none.

    None (False) when one was overtaken, or has a document that people have edited: then they need `publish`.
    """
    first = batch[0]
    async with transaction(engine) as session:
        connection = await session.connection()
        allowed = await _fence(connection, batch)
        if len(allowed) < len(batch):
            return False
        kb = first.knowledge_base_id
        try:
            await require_unchanged(connection, kb, {each.document_id: Edited(()) for each in batch})
        except EditsChanged:
            return False
        await _check_width(connection, first, bundle.width)
        await _remove(connection, kb, [old for old in allowed.values() if old is not None])
        await copy_passages(connection, [bundle.passages])
        if bundle.search.deltas:
            await search_store.insert_prepared(connection, bundle.search)
        await activate_readings(connection, first, bundle.readings)
        await connection.execute(_TASK_DONE, {"kb": kb, "ids": [each.id for each in batch]})
    return True


def bundle_of(batch: Sequence[Prepared]) -> Bundle:
    """The rows of texts that no table has yet. Pure and blocking."""
    ids = {each.claimed.id: [new_id() for _ in each.cuts] for each in batch}
    rows = [row for part in _slices(batch, ids) for row in part]
    readings = [(each.claimed, *each.reading) for each in batch if each.reading is not None]
    return Bundle(
        passages=b"".join(_records(batch, ids)),
        search=search_store.prepare(rows),
        readings=reading_rows(readings, [len(each.cuts) for each in batch]),
        width=max(map(_width, batch)),
    )


def _width(prepared: Prepared) -> int:
    return int(prepared.vectors.shape[1]) if len(prepared.vectors) else 0


async def _activate(connection: AsyncConnection, batch: Sequence[Prepared]) -> None:
    kb = batch[0].claimed.knowledge_base_id
    new = [(each, (each.claimed, *each.reading)) for each in batch if each.reading is not None]
    if new:
        rows = reading_rows([reading for _, reading in new], [len(each.cuts) for each, _ in new])
        await activate_readings(connection, batch[0].claimed, rows)
    if kept := [each for each in batch if each.reading is None]:
        keys = {"kb": kb, "ids": [each.claimed.id for each in kept], "counts": [len(each.cuts) for each in kept]}
        await connection.execute(_ACTIVATE, keys)
        await connection.execute(_READY, keys)
    await connection.execute(_TASK_DONE, {"kb": kb, "ids": [each.claimed.id for each in batch]})


async def _check_width(connection: AsyncConnection, claimed: Claimed, width: int) -> None:
    """The first vectors of an index say how wide all of its vectors are. Raises ProviderError for others.

    0 is the width of no vectors at all.
    """
    if not width:
        return
    known = (await connection.execute(_WIDTH, {"id": claimed.index_id})).scalar_one()
    if not known:
        known = (await connection.execute(_NOTE_WIDTH, {"id": claimed.index_id, "width": width})).scalar_one()
    if known != width:
        raise ProviderError(f"{claimed.embedding_model} gave vectors of {width} numbers, but here they have {known}.")


async def _fence(connection: AsyncConnection, batch: Sequence[Claimed]) -> dict[UUID, UUID | None]:
    values = _attempts(batch)
    await connection.execute(_LOCK_DOCUMENTS, {"kb": values["kb"], "ids": values["ids"]})
    return {row.id: row.active_version_id for row in await connection.execute(_FENCE, values)}


def _attempts(batch: Sequence[Claimed]) -> dict[str, Any]:
    return {
        "kb": batch[0].knowledge_base_id,
        "index_id": batch[0].index_id,
        "ids": [each.id for each in batch],
        "attempts": [each.attempt for each in batch],
    }


async def _close_overtaken(connection: AsyncConnection, batch: Sequence[Claimed]) -> None:
    """What is still ours but may not flip must not stay under way for ever."""
    values = _attempts(batch)
    index_id = values.pop("index_id")
    found = await connection.execute(_SUPERSEDED, {**values, **_SUPERSEDED_REASON})
    await connection.execute(_TASK_SUPERSEDED, {"ids": list(found.scalars()), **_SUPERSEDED_REASON})
    await connection.execute(_OTHER_INDEX, {**values, "index_id": index_id})


async def _remove(connection: AsyncConnection, knowledge_base_id: UUID, versions: list[UUID]) -> None:
    for version in versions:
        await search_store.delete(connection, knowledge_base_id, version)
    if versions:
        await connection.execute(_DELETE_PASSAGES, {"kb": knowledge_base_id, "versions": versions})


async def remove_versions(connection: AsyncConnection, knowledge_base_id: UUID, versions: list[UUID]) -> None:
    """Take versions out of the search and delete their passages."""
    await _remove(connection, knowledge_base_id, versions)


async def keep_only(
    connection: AsyncConnection, knowledge_base_id: UUID, version_id: UUID, *, kept: Sequence[UUID]
) -> None:
    """Delete all passages of a version but these, and take them out of the search."""
    await search_store.delete(connection, knowledge_base_id, version_id, kept=kept)
    await connection.execute(_DELETE_OTHERS, {"kb": knowledge_base_id, "version": version_id, "kept": list(kept)})


def _records(batch: Sequence[Prepared], ids: dict[UUID, list[UUID]]) -> Iterator[bytes]:
    """The rows of all passages of a batch."""
    for each in batch:
        owner = each.claimed
        keys = (owner.knowledge_base_id, owner.workspace_id, owner.document_id, owner.id, owner.cutting.id)
        yield from passage_records(keys, each.cuts, ids=ids[owner.id], body=each.body, language=each.language)


def _prepare_next(slices: Iterator[list[PassageRow]]) -> search_store.Prepared | None:
    rows = next(slices, None)
    return search_store.prepare(rows) if rows else None


def _slices(batch: Sequence[Prepared], ids: dict[UUID, list[UUID]]) -> Iterator[list[PassageRow]]:
    """The search rows of a batch, so many at a time that a large document needs little more memory than a small one."""
    rows = (
        PassageRow(
            knowledge_base_id=each.claimed.knowledge_base_id,
            workspace_id=each.claimed.workspace_id,
            index_id=each.claimed.index_id,
            passage_id=passage_id,
            text=each.body[cut.char_from : cut.char_to],
            context=cut.context,
            language=each.language,
            embedding=vector,
            cutting_id=each.claimed.cutting.id,
        )
        for each in batch
        for cut, passage_id, vector in zip(each.cuts, ids[each.claimed.id], each.vectors, strict=True)
    )
    while part := list(islice(rows, SLICE)):
        yield part
