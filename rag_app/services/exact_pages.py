"""Citations name the page, rows, slide or time of their quote, not all of those that the passage around it covers: a
quote that stands at no such place, as in the body of a mail whose attachment is in the same passage, names none."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from rag_app.chat.events import Citation, Cited, Done, Event
from rag_app.retrieval.places import Span, place_of, touched_spans
from rag_app.services.context import Context

_SPANS = text("SELECT pages, places FROM versions WHERE knowledge_base_id = :kb AND id = :version")
_SLICE = text(
    "SELECT substr(text, CAST(:start AS int) + 1, :length) FROM versions "
    "WHERE knowledge_base_id = :kb AND id = :version"
)
Spans = list[tuple[int, int, int]]  # page, char_from, char_to


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the pages and places of one version lie."""

    pages: Spans
    places: list[Span]


async def with_exact_pages(context: Context, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The same events; citations get the pages and the place of their quote instead of those of their passage."""
    known: dict[UUID, _Layout | None] = {}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Cited):
                yield replace(event, citation=await _exact(context, event.citation, known))
            elif isinstance(event, Done) and event.citations:
                yield replace(event, citations=tuple([await _exact(context, each, known) for each in event.citations]))
            else:
                yield event


async def _exact(context: Context, citation: Citation, known: dict[UUID, _Layout | None]) -> Citation:
    crosses_pages = citation.page_from is not None and citation.page_from != citation.page_to
    if not crosses_pages and not citation.place:
        return citation
    if citation.version_id not in known:
        known[citation.version_id] = await _layout(context, citation)
    layout = known[citation.version_id]
    if layout is None:  # the version went while the answer was made
        return citation
    if crosses_pages:
        pages = pages_of(layout.pages, citation.char_from, citation.char_to)
        citation = replace(citation, page_from=pages[0] if pages else None, page_to=pages[1] if pages else None)
    return replace(citation, place=await _exact_place(context, citation, layout.places)) if citation.place else citation


async def _layout(context: Context, citation: Citation) -> _Layout | None:
    keys = {"kb": citation.knowledge_base_id, "version": citation.version_id}
    async with context.transaction() as session:
        row = (await session.execute(_SPANS, keys)).one_or_none()
    return _Layout(row.pages, row.places) if row else None


async def _exact_place(context: Context, citation: Citation, spans: list[Span]) -> dict[str, Any]:
    touched = touched_spans(spans, char_from=citation.char_from, char_to=citation.char_to)
    if not touched:
        return {}
    start, end = touched[0][0], touched[-1][1]
    keys = {"kb": citation.knowledge_base_id, "version": citation.version_id, "start": start, "length": end - start}
    async with context.transaction() as session:
        around = (await session.execute(_SLICE, keys)).scalar_one_or_none()
    quote = {"char_from": citation.char_from, "char_to": citation.char_to}
    return place_of(touched, around or "", **quote, offset=start)


def pages_of(spans: Spans, char_from: int, char_to: int) -> tuple[int, int] | None:
    """First and last page that a span of characters touches; None when it touches none."""
    touched = [page for page, start, end in spans if start < char_to and char_from < end]
    return (min(touched), max(touched)) if touched else None
