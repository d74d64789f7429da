"""Pages whose markup changed but not what is read of them: a new menu makes no new version."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from rag_app.errors import DocumentFailed, NotFound, UnsupportedType
from rag_app.ingestion.cutting import reading_of
from rag_app.ingestion.page_links import is_html
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.workshop import Workshop
from rag_app.services.acceptance import FetchedContent
from rag_app.services.context import Context
from rag_app.services.frontier import Run, Visit
from rag_app.services.labels import LONGEST_TITLE

# As the source itself saw it last: what people have brought back or uploaded since is no reading of the page.
_LAST_READING = text(
    """
SELECT v.text, v.title, v.language, v.pages, v.blocks, v.places, v.names, v.state FROM versions v
WHERE v.knowledge_base_id = :kb AND v.document_id = :document
ORDER BY v.source_id IS NOT DISTINCT FROM CAST(:source AS uuid) DESC, v.number DESC LIMIT 1
"""
)


async def same_pages(context: Context, workshop: Workshop, run: Run, visits: Sequence[Visit]) -> set[UUID]:
    """The pages among these visits that read as they did before, whatever has changed around their text.

    Only pages of the web that were documents before and came back different are read for it, each in the parser's
    child process, so a run over a site that has not changed pays nothing.
    """
    wanted = [
        (each.page.id, each.page.document_id, each.content)
        for each in visits
        if each.content is not None and each.page.is_live and each.page.document_id is not None
    ]
    pages = [each for each in wanted if is_html(each[2].media_type, b"")]
    found = await asyncio.gather(*(_is_same(context, workshop, run, *each[1:]) for each in pages))
    return {page[0] for page, is_same in zip(pages, found, strict=True) if is_same}


async def _is_same(context: Context, workshop: Workshop, run: Run, document_id: UUID, content: FetchedContent) -> bool:
    values = {"kb": run.knowledge_base_id, "document": document_id, "source": run.source_id}
    async with context.transaction() as session:
        row = (await session.execute(_LAST_READING, values)).mappings().one_or_none()
    if row is None or row["state"] != "ready" or row["text"] is None:
        return False
    try:
        parsed = await workshop.pool.parse(
            await context.files.local_path(content.stored.key),
            filename=content.filename,
            media_type=content.media_type or None,
            timeout_s=workshop.parse_timeout_s,
        )
    except (DocumentFailed, UnsupportedType, NotFound):  # it is taken, and then says so itself
        return False
    title = (parsed.title or content.url or "")[:LONGEST_TITLE]
    return (title, parsed.names) == (row["title"], tuple(row["names"])) and _reads_as(parsed, reading_of(dict(row)))


def _reads_as(new: ParsedDocument, old: ParsedDocument) -> bool:
    return (new.text, new.blocks, new.pages, new.places) == (old.text, old.blocks, old.pages, old.places)
