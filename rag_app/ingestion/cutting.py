"""The ways in which a knowledge base can be cut into passages; a version cut anew from what was kept of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.ingestion.chunk import cut
from rag_app.ingestion.parsed import Block, Cut, PageSpan, ParsedDocument, PlaceSpan

PASSAGE_TOKENS = 220
SMALLEST_PASSAGE, LARGEST_PASSAGE = 60, 800
MOST_OVERLAP = 0.25  # of the passage size
_LIMIT_SHARE = 300 / PASSAGE_TOKENS  # how far a passage may exceed the wanted size
_WHOLE_SHARE = 512 / PASSAGE_TOKENS  # up to this size a document about one thing stays whole
_RULE = frozenset("|-: \t")
_KEPT = text(
    "SELECT text, title, language, pages, blocks, places FROM versions WHERE knowledge_base_id = :kb AND id = :id"
)


@dataclass(frozen=True, slots=True)
class Cutting:
    """One way of cutting; each has passages of its own. Id 0 is the one a knowledge base begins with."""

    id: int = 0
    passage_tokens: int = PASSAGE_TOKENS
    overlap_tokens: int = 0


def cut_by(parsed: ParsedDocument, cutting: Cutting) -> tuple[Cut, ...]:
    """The passages of a document in this cutting. Pure and blocking."""
    size = cutting.passage_tokens
    return tuple(
        cut(
            parsed,
            target_tokens=size,
            max_tokens=round(size * _LIMIT_SHARE),
            whole_tokens=round(size * _WHOLE_SHARE),
            overlap_tokens=cutting.overlap_tokens,
        )
    )


def embedded_text(body: str, cut: Cut) -> str:
    """What of a passage is embedded."""
    return f"{cut.context}\n{body[cut.char_from : cut.char_to]}".strip()


async def kept_reading(session: AsyncSession, knowledge_base_id: UUID, version_id: UUID) -> ParsedDocument | None:
    """What was read of a version, as far as cutting needs it; None when the version is gone or was not read yet."""
    found = await session.execute(_KEPT, {"kb": knowledge_base_id, "id": version_id})
    row = found.mappings().one_or_none()
    return None if row is None or row["text"] is None else reading_of(dict(row))


def reading_of(row: dict[str, Any]) -> ParsedDocument:
    """The reading kept in the columns text, title, language, pages, blocks and places of a version."""
    body: str = row["text"]
    return ParsedDocument(
        text=body,
        blocks=tuple(_block(body, each) for each in row["blocks"]),
        pages=tuple(PageSpan(*each) for each in row["pages"]),
        title=row["title"],
        language=row["language"],
        places=tuple(PlaceSpan(*each) for each in row["places"]),
    )


def _block(body: str, row: Sequence[Any]) -> Block:
    kind, char_from, char_to, level = row[:4]
    header_to = row[4] if len(row) > 4 else 0
    if kind == "table" and len(row) == 4:  # read before headers were kept: they end with the line of dashes
        header_to = _end_of_header(body, char_from, char_to)
    return Block(kind, char_from, char_to, level, header_to)


def _end_of_header(body: str, char_from: int, char_to: int) -> int:
    first = body.find("\n", char_from, char_to)
    second = body.find("\n", first + 1, char_to) if first > 0 else -1
    rule = body[first + 1 : second] if second > 0 else ""
    return second if "-" in rule and set(rule) <= _RULE else 0
