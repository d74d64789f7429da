"""What a document says now where an edit in conflict belonged, so that a person can decide without searching."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from rag_app.errors import Conflict, NotFound, VersionGone
from rag_app.ingestion.anchors import Place, Words, find
from rag_app.ingestion.edit_rows import edits_of
from rag_app.ingestion.edits import Edit
from rag_app.services.context import Context
from rag_app.services.documents import DocumentText, document_text
from rag_app.services.edit_cards import EditCard
from rag_app.services.knowledge import VISIBLE, visibility
from rag_app.services.permissions import Actor, permit

_COUNTS = text(
    "SELECT e.knowledge_base_id, count(*) AS conflicts FROM edits e "  # noqa: S608 - made of constants
    "JOIN knowledge_bases k ON k.id = e.knowledge_base_id "
    "JOIN documents d ON d.knowledge_base_id = e.knowledge_base_id AND d.id = e.document_id AND d.deleted_at IS NULL "
    f"WHERE {VISIBLE} AND e.conflict IS NOT NULL GROUP BY 1"
)


@dataclass(frozen=True, slots=True)
class NowThere:
    """A stretch of the version in use."""

    version_id: UUID
    char_from: int
    char_to: int
    text: str


async def places_now(context: Context, actor: Actor, cards: Sequence[EditCard]) -> dict[UUID, NowThere]:
    """What stands now where these edits belonged, by their ids; those whose place is not known are left out.

    It is known of those that wait because the figures are others than those that were corrected.
    """
    permit(actor, "document.read")
    wanted = {card.id for card in cards if card.reason == "changed"}
    found: dict[UUID, NowThere] = {}
    for document_id in dict.fromkeys(card.document_id for card in cards if card.id in wanted):
        kb = next(card.knowledge_base_id for card in cards if card.document_id == document_id)
        try:
            shown = await document_text(context, actor, document_id)
        except (NotFound, VersionGone, Conflict):  # deleted or read anew meanwhile
            continue
        async with context.transaction() as session:
            kept = (await edits_of(await session.connection(), kb, [document_id])).get(document_id, [])
        edits = [each for each in kept if each.id in wanted]
        found |= await asyncio.to_thread(_places, shown, edits)
    return found


def _places(shown: DocumentText, edits: Sequence[Edit]) -> dict[UUID, NowThere]:
    words, found = Words(shown.text), {}
    for edit in edits:
        place = find(edit.anchor, words)
        if isinstance(place, Place):
            span = shown.text[place.char_from : place.char_to]
            found[edit.id] = NowThere(shown.version_id, place.char_from, place.char_to, span)
    return found


async def conflict_counts(context: Context, actor: Actor) -> dict[UUID, int]:
    """How many edits wait for a person, by knowledge base; those without any are left out."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        rows = await session.execute(_COUNTS, visibility(actor))
        return {row.knowledge_base_id: row.conflicts for row in rows}
