"""Citations name the page of their quote, not all pages of the passage around it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from uuid import UUID

from sqlalchemy import text

from rag_app.chat.events import Citation, Cited, Done, Event
from rag_app.services.context import Context

_PAGES = text("SELECT pages FROM versions WHERE knowledge_base_id = :kb AND id = :version")
Spans = list[tuple[int, int, int]]  # page, char_from, char_to


async def with_exact_pages(context: Context, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The same events; citations of passages that reach over a page break get the pages of their quote."""
    known: dict[UUID, Spans] = {}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Cited):
                yield replace(event, citation=await _exact(context, event.citation, known))
            elif isinstance(event, Done) and event.citations:
                yield replace(event, citations=tuple([await _exact(context, each, known) for each in event.citations]))
            else:
                yield event


async def _exact(context: Context, citation: Citation, known: dict[UUID, Spans]) -> Citation:
    if citation.page_from is None or citation.page_from == citation.page_to:
        return citation
    if citation.version_id not in known:
        keys = {"kb": citation.knowledge_base_id, "version": citation.version_id}
        async with context.transaction() as session:
            known[citation.version_id] = list((await session.execute(_PAGES, keys)).scalar_one_or_none() or [])
    pages = pages_of(known[citation.version_id], citation.char_from, citation.char_to)
    return replace(citation, page_from=pages[0], page_to=pages[1]) if pages else citation


def pages_of(spans: Spans, char_from: int, char_to: int) -> tuple[int, int] | None:
    """First and last page that a span of characters touches; None when it touches none."""
    touched = [page for page, start, end in spans if start < char_to and char_from < end]
    return (min(touched), max(touched)) if touched else None
