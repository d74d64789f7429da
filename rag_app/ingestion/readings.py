"""What was read, kept in the database for a batch of versions: by itself, or with what makes them searchable."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.ingestion.parsed import Cut, ParsedDocument
from rag_app.ingestion.versions import Claimed, block_row, cut_row

LARGE_CHARS = 1_000_000  # of a text that is kept by itself
Reading = tuple[Claimed, ParsedDocument, Sequence[Cut]]

_KEPT = """
text = coalesce(r.text, v.text), pages = r.pages, blocks = r.blocks, cuts = r.cuts, cutting_id = :cutting,
places = r.places, title = r.title, language = r.language, page_count = r.page_count, passage_count = r.passage_count,
warnings = r.warnings, names = r.names, failures = 0, updated_at = now()
"""
_ROWS = """
json_to_recordset(CAST(:rows AS json)) AS r (
    id uuid, attempt int, text text, pages jsonb, blocks jsonb, cuts jsonb, places jsonb, title text,
    language text, page_count int, passage_count int, warnings jsonb, names jsonb)
WHERE v.knowledge_base_id = :kb AND v.id = r.id AND v.attempt = r.attempt AND v.state = 'working'
"""
# What is known of a document beside its text; what was said when it was brought is worth more.
_KNOWN = """
title = CASE WHEN r.retitle THEN r.title ELSE d.title END, metadata = r.metadata || d.metadata
FROM json_to_recordset(CAST(:rows AS json)) AS r (id uuid, document uuid, title text, retitle boolean, metadata jsonb)
WHERE d.knowledge_base_id = :kb AND d.id = r.document
"""
_OF_DOCUMENT = ("id", "document", "title", "retitle", "metadata")
_SAVE = text(
    f"UPDATE versions v SET {_KEPT}, phase = 'embedding', progress = 0.45 FROM {_ROWS} RETURNING v.id"  # noqa: S608 - made of constants
)
_SAVE_TEXT = text(
    "UPDATE versions SET text = :text "
    "WHERE knowledge_base_id = :kb AND id = :id AND attempt = :attempt AND state = 'working'"
)
_TASKS_EMBED = text(
    "UPDATE tasks SET phase = 'embedding', progress = 0.45 WHERE version_id = ANY(:ids) AND status = 'running'"
)
_DESCRIBE = text(
    f"UPDATE documents d SET {_KNOWN} AND r.id = ANY(:ids) AND (r.retitle OR r.metadata <> '{{}}')"  # noqa: S608 - made of constants
)
_READY = text(
    f"UPDATE versions v SET {_KEPT}, state = 'ready', phase = NULL, progress = 1, claimed_by = NULL, "  # noqa: S608 - made of constants
    f"error_code = NULL, error_message = NULL, ready_at = now() FROM {_ROWS}"
)
_ACTIVATE = text(f"UPDATE documents d SET active_version_id = r.id, updated_at = now(), {_KNOWN}")  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class ReadingRows:
    """What was read of some versions as the statements take it, in JSON."""

    versions: str
    documents: str  # what their documents are to know of it, without the texts


async def save_readings(connection: AsyncConnection, readings: Sequence[Reading]) -> set[UUID]:
    """Keep what was read of versions of one knowledge base; the ids of those that were not overtaken.

    They are about to be embedded.
    """
    for claimed, parsed, _ in readings:
        if len(parsed.text) > LARGE_CHARS:  # by itself, not once more within the rest
            await connection.execute(_SAVE_TEXT, {**claimed.key, "text": parsed.text})
    rows = reading_rows(readings, [len(cuts) for _, _, cuts in readings])
    values, known = _values(readings[0][0], rows)
    kept = set((await connection.execute(_SAVE, values)).scalars())
    await connection.execute(_TASKS_EMBED, {"ids": list(kept)})
    await connection.execute(_DESCRIBE, {**known, "ids": list(kept)})
    return kept


async def activate_readings(connection: AsyncConnection, first: Claimed, rows: ReadingRows) -> None:
    """Keep what was read of versions that become searchable in this transaction; `first` is one of them."""
    values, known = _values(first, rows)
    await connection.execute(_READY, values)
    await connection.execute(_ACTIVATE, known)


def reading_rows(readings: Sequence[Reading], passages: Sequence[int]) -> ReadingRows:
    """What was read of versions of one knowledge base, with so many passages each."""
    rows = [_row(*reading, count) for reading, count in zip(readings, passages, strict=True)]
    return ReadingRows(_json(rows), _json([{name: row[name] for name in _OF_DOCUMENT} for row in rows]))


def _values(first: Claimed, rows: ReadingRows) -> tuple[dict[str, Any], dict[str, Any]]:
    keys = {"kb": first.knowledge_base_id}
    return {**keys, "cutting": first.cutting.id, "rows": rows.versions}, {**keys, "rows": rows.documents}


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return json.dumps(rows, default=str, ensure_ascii=False)


def _row(claimed: Claimed, parsed: ParsedDocument, cuts: Sequence[Cut], passages: int) -> dict[str, Any]:
    is_text = claimed.kind == "text"  # keeps the title that it came with
    title = (claimed.title if is_text or not parsed.title else parsed.title)[:300]
    return {
        "id": claimed.id,
        "attempt": claimed.attempt,
        "document": claimed.document_id,
        "text": parsed.text if len(parsed.text) <= LARGE_CHARS else None,
        "pages": [[page.page, page.char_from, page.char_to] for page in parsed.pages],
        "blocks": [block_row(each) for each in parsed.blocks],
        "cuts": [cut_row(each) for each in cuts],
        "places": [[span.char_from, span.char_to, span.place] for span in parsed.places],
        "title": title,
        "language": claimed.wanted_language or parsed.language,
        "page_count": len(parsed.pages) or None,
        "passage_count": passages,
        "warnings": list(parsed.warnings),
        "names": list(parsed.names),
        "retitle": not is_text and bool(parsed.title) and claimed.title in (claimed.filename, claimed.url or ""),
        "metadata": {} if is_text else parsed.metadata,
    }
