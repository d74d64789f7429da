"""The edits of documents in the database: read before a text is cut around them, checked and noted in the flip."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.ingestion.anchors import Anchor
from rag_app.ingestion.edits import Edit, Placement, apply_edits, place_edits
from rag_app.ingestion.parsed import Cut

_EDITS = text(
    "SELECT id, document_id, kind, quote, prefix, suffix, position, likes_before, likes_behind, text_hash, "
    "replacement, revision FROM edits WHERE knowledge_base_id = :kb AND document_id = ANY(:documents) ORDER BY id"
)
_REVISIONS = text(
    "SELECT document_id, id, revision FROM edits WHERE knowledge_base_id = :kb AND document_id = ANY(:documents)"
)
_PLACED = text(
    """
UPDATE edits e SET placed_in = :version, char_from = p.char_from, char_to = p.char_to, conflict = p.conflict,
       updated_at = now()
FROM unnest(CAST(:ids AS uuid[]), CAST(:starts AS int[]), CAST(:ends AS int[]), CAST(:conflicts AS text[]))
     AS p (id, char_from, char_to, conflict)
WHERE e.knowledge_base_id = :kb AND e.id = p.id
"""
)


class EditsChanged(Exception):
    """Somebody hid or corrected something after the passages were prepared: prepare them anew."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The passages of a version with the edits of its document applied."""

    cuts: tuple[Cut, ...]
    placements: tuple[Placement, ...] = ()
    revisions: frozenset[tuple[UUID, int]] = frozenset()  # of which edits, as they were


async def edits_of(
    connection: AsyncConnection, knowledge_base_id: UUID, documents: Sequence[UUID]
) -> dict[UUID, list[Edit]]:
    """The edits of some documents; those without any are left out."""
    found: dict[UUID, list[Edit]] = defaultdict(list)
    for row in await connection.execute(_EDITS, {"kb": knowledge_base_id, "documents": list(documents)}):
        likes = None if row.likes_before is None else (row.likes_before, row.likes_behind)
        anchor = Anchor(row.quote, row.prefix, row.suffix, row.position, likes)
        found[row.document_id].append(
            Edit(row.id, row.kind, anchor, bytes(row.text_hash), row.replacement, row.revision)
        )
    return found


def edited(text: str, cuts: Sequence[Cut], edits: Sequence[Edit]) -> Edited:
    """The cuts of a text with the edits of its document found again and applied. Pure and blocking."""
    placements = place_edits(text, edits)
    revisions = frozenset((each.id, each.revision) for each in edits)
    return Edited(apply_edits(text, cuts, placements), placements, revisions)


async def require_unchanged(
    connection: AsyncConnection, knowledge_base_id: UUID, prepared: Mapping[UUID, Edited]
) -> None:
    """Raise EditsChanged unless the edits of these documents are those that were applied.

    To be called in the transaction that makes the passages searchable, once the documents are locked.
    """
    now: dict[UUID, set[tuple[UUID, int]]] = defaultdict(set)
    for row in await connection.execute(_REVISIONS, {"kb": knowledge_base_id, "documents": list(prepared)}):
        now[row.document_id].add((row.id, row.revision))
    if any(now[document] != each.revisions for document, each in prepared.items()):
        raise EditsChanged


async def note_placements(
    connection: AsyncConnection, knowledge_base_id: UUID, version_id: UUID, edited: Edited
) -> None:
    """Keep where the edits of a document stand in the version that becomes active."""
    if not edited.revisions:
        return
    places: Sequence[tuple[Any, Any]] = [each.span or (None, None) for each in edited.placements]
    values = {
        "ids": [each.edit_id for each in edited.placements],
        "starts": [start for start, _ in places],
        "ends": [end for _, end in places],
        "conflicts": [each.reason for each in edited.placements],
    }
    await connection.execute(_PLACED, {"kb": knowledge_base_id, "version": version_id, **values})
