"""Cuts versions that are searched in another way, and stores the passages beside those there are."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rag_app.database.columns import new_id
from rag_app.database.engine import transaction
from rag_app.ingestion.cutting import cut_by, embedded_text, kept_reading
from rag_app.ingestion.edit_rows import Edited, EditsChanged, edited, edits_of, require_unchanged
from rag_app.ingestion.embed import CachedEmbedder
from rag_app.ingestion.flip import MISSING_VERSIONS
from rag_app.ingestion.index_rows import Building, is_mine
from rag_app.ingestion.parsed import Cut, ParsedDocument
from rag_app.ingestion.passage_rows import copy_passages, passage_records
from rag_app.retrieval import store as search_store
from rag_app.retrieval.store import PassageRow

VERSIONS_AT_ONCE = 50
CHARACTERS_AT_ONCE = 400_000
"""Of text in one transaction, beyond its first version."""

_MISSING = text(
    f"SELECT d.id AS document_id, v.id AS version_id, d.updated_at, length(v.text) AS characters {MISSING_VERSIONS} "
    "AND d.id > :after ORDER BY d.id LIMIT :most"
)
_LOCK = text(
    "SELECT id, active_version_id, updated_at FROM documents WHERE knowledge_base_id = :kb AND id = ANY(:documents) "
    "AND deleted_at IS NULL ORDER BY id FOR UPDATE"
)
_THERE = text(
    "SELECT DISTINCT version_id FROM passages WHERE knowledge_base_id = :kb AND version_id = ANY(:versions) "
    "AND cutting_id = :cutting"
)


@dataclass(frozen=True, slots=True)
class Missing:
    """A version without passages in the new cutting, as it was when it was looked for."""

    document_id: UUID
    version_id: UUID
    updated_at: datetime  # of its document: any publication and any edit changes it
    characters: int


@dataclass(frozen=True, slots=True)
class _Recut:
    missing: Missing
    reading: ParsedDocument
    edited: Edited
    ids: tuple[UUID, ...]

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """What becomes searchable."""
        return self.edited.cuts


async def missing_versions(connection: AsyncConnection, building: Building, after: UUID) -> list[Missing]:
    """The next versions to cut, by document; so many as are handled at once."""
    keys = {"kb": building.knowledge_base_id, "cutting": building.cutting.id}
    rows = await connection.execute(_MISSING, {**keys, "after": after, "most": VERSIONS_AT_ONCE})
    found: list[Missing] = []
    room = CHARACTERS_AT_ONCE
    for row in rows:
        room -= row.characters or 0
        if found and room < 0:
            break
        found.append(Missing(row.document_id, row.version_id, row.updated_at, row.characters or 0))
    return found


async def recut(
    engine: AsyncEngine, building: Building, batch: Sequence[Missing], *, embedder: CachedEmbedder
) -> set[UUID] | None:
    """Cut, embed and store a batch; the versions that hold nothing to search, or None when this attempt is over.

    A version whose document changed meanwhile is left out: it comes again.
    """
    made = [one for each in batch if (one := await _cut_anew(engine, building, each)) is not None]
    texts = [embedded_text(one.reading.text, c) for one in made for c in one.cuts]
    vectors = iter(await embedder.vectors(texts, _unwatched))
    embedded = {one.missing.version_id: [next(vectors) for _ in one.cuts] for one in made}
    rows = await asyncio.to_thread(_rows_by_version, building, made, embedded)
    async with transaction(engine) as session:
        connection = await session.connection()
        wanted = await _unchanged(connection, building, made)
        if not await is_mine(connection, building):
            return None
        found = {one.missing.document_id: one.edited for one in made if one.missing.version_id in wanted}
        try:
            await require_unchanged(connection, building.knowledge_base_id, found)
        except EditsChanged:
            return set()  # all of the batch comes again
        there = {"kb": building.knowledge_base_id, "versions": sorted(wanted), "cutting": building.cutting.id}
        wanted -= set((await connection.execute(_THERE, there)).scalars())
        chosen = [one for one in made if one.missing.version_id in wanted and one.cuts]
        if chosen:
            await _copy(connection, building, chosen)
            passages = [row for one in chosen for row in rows[one.missing.version_id]]
            await search_store.insert(connection, passages)
    return {one.missing.version_id for one in made if not one.cuts}


async def _cut_anew(engine: AsyncEngine, building: Building, missing: Missing) -> _Recut | None:
    """The passages to be of a version, without what people have hidden or corrected; None when it is gone."""
    base = building.knowledge_base_id
    async with transaction(engine) as session:
        reading = await kept_reading(session, base, missing.version_id)
        edits = await edits_of(await session.connection(), base, [missing.document_id])
    if reading is None:
        return None

    def cut_around() -> Edited:
        return edited(reading.text, cut_by(reading, building.cutting), edits.get(missing.document_id, ()))

    found = await asyncio.to_thread(cut_around)
    return _Recut(missing, reading, found, tuple(new_id() for _ in found.cuts))


async def _unwatched(share: float) -> None:
    """The whole batch is one step of the progress that is shown."""


async def _unchanged(connection: AsyncConnection, building: Building, made: Sequence[_Recut]) -> set[UUID]:
    """Lock the documents; the versions that are still as they were when they were read."""
    keys = {"kb": building.knowledge_base_id, "documents": [one.missing.document_id for one in made]}
    now = {row.id: (row.active_version_id, row.updated_at) for row in await connection.execute(_LOCK, keys)}
    return {
        one.missing.version_id
        for one in made
        if now.get(one.missing.document_id) == (one.missing.version_id, one.missing.updated_at)
    }


def _rows_by_version(
    building: Building, made: Sequence[_Recut], embedded: dict[UUID, list[Any]]
) -> dict[UUID, list[PassageRow]]:
    return {
        one.missing.version_id: [
            PassageRow(
                knowledge_base_id=building.knowledge_base_id,
                workspace_id=building.workspace_id,
                index_id=building.id,
                passage_id=passage_id,
                text=one.reading.text[c.char_from : c.char_to],
                context=c.context,
                language=_language(building, one),
                embedding=vector,
                cutting_id=building.cutting.id,
            )
            for c, passage_id, vector in zip(one.cuts, one.ids, embedded[one.missing.version_id], strict=True)
        ]
        for one in made
    }


def _language(building: Building, one: _Recut) -> str:
    return one.reading.language or building.wanted_language


async def _copy(connection: AsyncConnection, building: Building, chosen: Sequence[_Recut]) -> None:
    base, workspace, cutting = building.knowledge_base_id, building.workspace_id, building.cutting.id
    records: list[bytes] = []
    for one in chosen:
        owner = (base, workspace, one.missing.document_id, one.missing.version_id, cutting)
        language = _language(building, one)
        records.extend(passage_records(owner, one.cuts, ids=one.ids, body=one.reading.text, language=language))
    await copy_passages(connection, records)
