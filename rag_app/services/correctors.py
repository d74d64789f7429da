"""Citations of a correction name who made it: the note that is cited stands instead of what the document says."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC
from uuid import UUID

from sqlalchemy import text

from rag_app.chat.events import Citation, Cited, Done, Event
from rag_app.services.context import Context
from rag_app.services.edits import NOTE_PREFIX

_CORRECTOR = text(
    "SELECT coalesce(u.name, '') AS name, e.created_at FROM edits e "
    "LEFT JOIN users u ON u.id = e.created_by AND u.workspace_id = e.workspace_id "
    "WHERE e.knowledge_base_id = :kb AND e.note_id = :note"
)


async def with_correctors(context: Context, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The same events; citations of corrections say by whom and when. An e-mail address never stands for a name."""
    known: dict[UUID, Citation] = {}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Cited):
                yield replace(event, citation=await _attributed(context, event.citation, known))
            elif isinstance(event, Done) and event.citations:
                named = [await _attributed(context, each, known) for each in event.citations]
                yield replace(event, citations=tuple(named))
            else:
                yield event


async def _attributed(context: Context, citation: Citation, known: dict[UUID, Citation]) -> Citation:
    if not (citation.external_id or "").startswith(NOTE_PREFIX):
        return citation
    note = citation.document_id
    if note not in known:
        async with context.transaction() as session:
            found = await session.execute(_CORRECTOR, {"kb": citation.knowledge_base_id, "note": note})
            row = found.one_or_none()
        if row is not None:
            moment = row.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
            citation = replace(citation, corrected_by=row.name, corrected_at=moment)
        known[note] = citation
    return replace(citation, corrected_by=known[note].corrected_by, corrected_at=known[note].corrected_at)
