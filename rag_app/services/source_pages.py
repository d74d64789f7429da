"""The pages of a source: what became of each, where it leads, and what changed in it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import RowMapping, text

from rag_app.errors import Conflict, NotFound
from rag_app.services.context import Context
from rag_app.services.differences import TextDiff, diff_texts
from rag_app.services.documents import DocumentCard
from rag_app.services.knowledge import VISIBLE, visibility
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit

PageStatus = Literal["waiting", "added", "changed", "unchanged", "removed", "failed", "skipped", "alias"]
_CARDS = f"""
SELECT p.id, p.source_id, p.url, p.depth, p.status, p.run_id, d.id AS document_id,
       coalesce(d.title, p.last_title, '') AS title, p.error_code, p.error_message,
       p.links, p.seen_at, p.changed_at,
       EXISTS (SELECT 1 FROM versions v WHERE v.knowledge_base_id = d.knowledge_base_id
               AND v.document_id = d.id AND v.number > 1) AS has_changed
FROM source_pages p JOIN knowledge_bases k ON k.id = p.knowledge_base_id
LEFT JOIN documents d ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id AND d.deleted_at IS NULL
WHERE {VISIBLE}
"""  # noqa: S608 - made of constants
_SOURCE = f"""
SELECT s.id FROM sources s JOIN knowledge_bases k ON k.id = s.knowledge_base_id WHERE s.id = :source AND {VISIBLE}
"""  # noqa: S608 - made of constants
_EXISTS = text(_SOURCE)
_LIST = text(
    _CARDS
    + """ AND p.source_id = :source
AND (CAST(:status AS text) IS NULL OR p.status = :status)
AND (CAST(:run AS uuid) IS NULL OR p.run_id = :run)
AND (CAST(:q AS text) IS NULL OR p.url ILIKE :q ESCAPE '\\' OR coalesce(d.title, p.last_title) ILIKE :q ESCAPE '\\')
AND (CAST(:moment AS timestamptz) IS NULL OR (coalesce(p.changed_at, '-infinity'), p.id) < (:moment, :identity))
ORDER BY coalesce(p.changed_at, '-infinity') DESC, p.id DESC LIMIT :limit"""
)
_ONE = text(_CARDS + " AND p.source_id = :source AND p.id = :id")
_OF_DOCUMENT = text(
    f"""
SELECT s.id, s.name FROM source_pages p JOIN sources s ON s.id = p.source_id
JOIN knowledge_bases k ON k.id = p.knowledge_base_id
WHERE {VISIBLE} AND p.knowledge_base_id = :kb AND p.document_id = :document ORDER BY p.id LIMIT 1
"""  # noqa: S608 - made of constants
)
_TWO_TEXTS = text(
    """
SELECT v.id, v.number, v.text, v.created_at FROM versions v JOIN source_pages p
  ON p.knowledge_base_id = v.knowledge_base_id AND p.document_id = v.document_id
WHERE p.id = :id AND v.text IS NOT NULL ORDER BY v.number DESC LIMIT 2"""
)


@dataclass(frozen=True, slots=True)
class PageError:
    """Why a page was not read."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SourcePageCard:
    """What people see of a page. `document_id` is None when there is no document of it (any more).

    The title is then the last one that it had.
    """

    id: UUID
    source_id: UUID
    url: str
    title: str
    depth: int
    status: str
    run_id: UUID | None
    document_id: UUID | None
    error: PageError | None
    links: tuple[str, ...]
    seen_at: datetime | None
    changed_at: datetime | None
    has_changed: bool  # there is more than one version


@dataclass(frozen=True, slots=True)
class PageDiff:
    """What changed in a page from the version before to the newest."""

    from_version_id: UUID
    to_version_id: UUID
    from_at: datetime
    to_at: datetime
    diff: TextDiff


@dataclass(frozen=True, slots=True)
class PageFilter:
    """Which pages of a source are wanted."""

    status: PageStatus | None = None
    run_id: UUID | None = None
    q: str | None = None


def _card(row: RowMapping) -> SourcePageCard:
    values = dict(row)
    code, message = values.pop("error_code"), values.pop("error_message")
    if values["status"] == "gone":  # said by the site; removed when the run ends
        values["status"] = "failed"
    values["links"] = tuple(values["links"])
    error = PageError(code or values["status"], message) if message else None
    return SourcePageCard(**values, error=error)


async def list_pages(
    context: Context, actor: Actor, source_id: UUID, *, wanted: PageFilter, page: PageRequest
) -> Page[SourcePageCard]:
    """The pages of a source, those that changed last first. Raises NotFound."""
    permit(actor, "document.read")
    moment, identity = page.place()
    like = f"%{_escaped(wanted.q.strip())}%" if wanted.q and wanted.q.strip() else None
    values = {**visibility(actor), "source": source_id, "status": wanted.status, "run": wanted.run_id, "q": like}
    async with context.transaction() as session:
        if (await session.execute(_EXISTS, values)).scalar_one_or_none() is None:
            raise NotFound("There is no such source, or it is not yours.")
        found = await session.execute(
            _LIST, {**values, "moment": moment, "identity": identity, "limit": page.limit + 1}
        )
        cards = [_card(row) for row in found.mappings()]
    return page_of(cards, page.limit, lambda card: (card.changed_at or _NEVER, card.id))


_NEVER = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


def _escaped(q: str) -> str:
    return q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\0", "")


async def get_page(context: Context, actor: Actor, source_id: UUID, page_id: UUID) -> SourcePageCard:
    """One page with where it leads. Raises NotFound."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        values = {**visibility(actor), "source": source_id, "id": page_id}
        row = (await session.execute(_ONE, values)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such page, or it is not yours.")
    return _card(row)


async def source_of_document(context: Context, actor: Actor, document: DocumentCard) -> tuple[UUID, str] | None:
    """Id and name of the source that a document comes from; None when there is none (any more)."""
    permit(actor, "document.read")
    wanted = {**visibility(actor), "kb": document.knowledge_base_id, "document": document.id}
    async with context.transaction() as session:
        row = (await session.execute(_OF_DOCUMENT, wanted)).one_or_none()
    return (row.id, row.name) if row else None


async def page_diff(context: Context, actor: Actor, source_id: UUID, page_id: UUID) -> PageDiff:
    """What changed in a page since the version before. Raises NotFound; Conflict when there is only one version."""
    await get_page(context, actor, source_id, page_id)
    async with context.transaction() as session:
        found = (await session.execute(_TWO_TEXTS, {"id": page_id})).all()
    if len(found) < 2:
        raise Conflict("There is nothing to compare: only one version of this page has been read.")
    new, old = found
    diff = await asyncio.to_thread(diff_texts, old.text, new.text)
    return PageDiff(old.id, new.id, old.created_at, new.created_at, diff)
