"""Sources over REST: what fills a knowledge base by itself, its runs and its pages."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from rag_app.api.dependencies import ActorDep, ContextDep, PageDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import Listing, PlainText, Shape, View, listing
from rag_app.jobs.cadence import LEAST_MINUTES, MOST_MINUTES
from rag_app.services import source_pages, source_runs, sources
from rag_app.services.source_pages import PageFilter, PageStatus
from rag_app.services.source_secrets import LONGEST_SECRET
from rag_app.services.source_settings import (
    FASTEST_PER_S,
    LONGEST_NAME,
    MOST_DEPTH,
    MOST_PAGE_MB,
    MOST_PAGES,
    MOST_PATTERNS,
    MOST_TOTAL_MB,
    SLOWEST_PER_S,
    Discover,
    SourceKind,
)
from rag_app.services.sources import NewSource

router = APIRouter(tags=["sources"], route_class=IdempotentRoute)
Path = Annotated[PlainText, Field(max_length=300)]
Patterns = Annotated[list[Path], Field(max_length=MOST_PATTERNS, description="paths; `*` stands for anything")]


class SourceSettingsBody(Shape):
    """Limits of a source; what is left out keeps its default."""

    prefix: Annotated[Path | None, Field(description="only paths that begin so; empty = the folder of the address")] = (
        None
    )
    discover: Annotated[Discover | None, Field(description="how pages of a website are found")] = None
    sitemap: Annotated[Path | None, Field(description="empty = what robots.txt names, else /sitemap.xml")] = None
    max_depth: Annotated[int | None, Field(ge=0, le=MOST_DEPTH)] = None
    max_pages: Annotated[int | None, Field(ge=1, le=MOST_PAGES)] = None
    max_page_mb: Annotated[int | None, Field(ge=1, le=MOST_PAGE_MB)] = None
    pages_per_second: Annotated[float | None, Field(ge=SLOWEST_PER_S, le=FASTEST_PER_S)] = None
    include: Patterns | None = None
    exclude: Patterns | None = None
    max_total_mb: Annotated[
        int | None, Field(ge=1, le=MOST_TOTAL_MB, description="that one run may take; git and s3")
    ] = None
    branch: Annotated[PlainText | None, Field(max_length=200, description="or tag; git; empty = the main branch")] = (
        None
    )
    region: Annotated[PlainText | None, Field(max_length=40, description="s3; empty = us-east-1")] = None
    endpoint: Annotated[Path | None, Field(description="s3: a server other than AWS")] = None


class SourceSecretBody(Shape):
    """What opens a private repository (`token`, `user`) or bucket (`access_key`, `secret_key`). It is never shown."""

    token: Annotated[PlainText | None, Field(max_length=LONGEST_SECRET)] = None
    user: Annotated[PlainText | None, Field(max_length=LONGEST_NAME, description="where a token needs one")] = None
    access_key: Annotated[PlainText | None, Field(max_length=LONGEST_SECRET)] = None
    secret_key: Annotated[PlainText | None, Field(max_length=LONGEST_SECRET)] = None


class ScheduleBody(Shape):
    """When a source is read by itself: `every_minutes`, or `cron` with `time_zone`; empty = only by hand."""

    every_minutes: Annotated[int | None, Field(ge=LEAST_MINUTES, le=MOST_MINUTES)] = None
    cron: Annotated[PlainText | None, Field(max_length=100, description="minute hour day month weekday")] = None
    time_zone: Annotated[PlainText | None, Field(max_length=60, description="for example Europe/Berlin")] = None


class SourceCreate(Shape):
    """A new source."""

    kind: SourceKind
    address: Annotated[PlainText, Field(min_length=1, max_length=1000)]
    name: Annotated[PlainText, Field(max_length=LONGEST_NAME)] = ""
    settings: SourceSettingsBody = SourceSettingsBody()
    secret: Annotated[SourceSecretBody | None, Field(repr=False)] = None
    schedule: ScheduleBody | None = None
    run: Annotated[bool, Field(description="start the first run at once")] = True


class SourceUpdate(Shape):
    """What may be changed."""

    name: Annotated[PlainText | None, Field(min_length=1, max_length=LONGEST_NAME)] = None
    address: Annotated[
        PlainText | None,
        Field(min_length=1, max_length=1000, description="what only the one before gave is removed by the next run"),
    ] = None
    settings: SourceSettingsBody | None = None
    secret: Annotated[SourceSecretBody | None, Field(repr=False, description="another one; {} = none any more")] = None
    schedule: ScheduleBody | None = None
    state: Literal["active", "paused"] | None = None


class RunStart(Shape):
    """How a run is started."""

    confirm_removals: Annotated[bool, Field(description="remove also very many vanished pages")] = False


class SourceProblemView(View):
    """What went wrong."""

    code: str
    message: str


class RunView(View):
    """One pass over a source."""

    id: UUID
    source_id: UUID
    task_id: UUID | None
    status: str
    phase: str
    progress: float
    prefix: str
    is_complete: bool
    found: int
    visited: int
    added: int
    changed: int
    unchanged: int
    removed: int
    failed: int
    skipped: int
    held_back: int
    error: SourceProblemView | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class SourceSettingsView(View):
    """Limits of a source."""

    prefix: str
    discover: str
    sitemap: str
    max_depth: int
    max_pages: int
    max_page_mb: int
    pages_per_second: float
    include: list[str]
    exclude: list[str]
    max_total_mb: int
    branch: str
    region: str
    endpoint: str


class SourceView(View):
    """Where documents come from by themselves."""

    id: UUID
    knowledge_base_id: UUID
    kind: str
    name: str
    address: str
    settings: SourceSettingsView
    has_secret: bool
    schedule: dict[str, Any]
    state: str
    next_run_at: datetime | None
    created_at: datetime
    pages: int
    last_run: RunView | None


class SourcePageView(View):
    """A page of a source."""

    id: UUID
    source_id: UUID
    url: str
    title: str
    depth: int
    status: str
    run_id: UUID | None
    document_id: UUID | None
    error: SourceProblemView | None
    seen_at: datetime | None
    changed_at: datetime | None


class SourcePageWithLinks(SourcePageView):
    """A page of a source and where it leads."""

    links: list[str]


class DiffSegmentView(View):
    """A stretch of a change."""

    kind: str
    text: str


class DiffHunkView(View):
    """A change with what stands around it."""

    old_from: int
    new_from: int
    segments: list[DiffSegmentView]


class PageChangesView(View):
    """All changes in order."""

    hunks: list[DiffHunkView]
    added_words: int
    removed_words: int
    is_truncated: bool
    is_coarse: bool


class PageDiffView(View):
    """What changed in a page."""

    from_version_id: UUID
    to_version_id: UUID
    from_at: datetime
    to_at: datetime
    diff: PageChangesView


_AS_USUAL = RunStart()


def _plain(body: Shape | None) -> dict[str, Any]:
    return body.model_dump(exclude_none=True) if body else {}


@router.post("/knowledge-bases/{knowledge_base_id}/sources", status_code=201)
async def create(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, body: SourceCreate) -> SourceView:
    """Add a page, website, feed, repository, bucket or folder; unless told otherwise its first run begins at once."""
    new = NewSource(
        body.kind, body.address, body.name, _plain(body.settings), _plain(body.schedule), _plain(body.secret)
    )
    card = await sources.create_source(context, actor, knowledge_base_id, new)
    if body.run:
        await source_runs.start_run(context, actor, card.id)
        card = await sources.get_source(context, actor, card.id)
    return SourceView.model_validate(card)


@router.get("/knowledge-bases/{knowledge_base_id}/sources")
async def list_all(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, page: PageDep) -> Listing[SourceView]:
    """The sources of a knowledge base, newest first."""
    found = await sources.list_sources(context, actor, knowledge_base_id, page)
    return listing(found, SourceView.model_validate)


@router.get("/sources/{source_id}")
async def read(context: ContextDep, actor: ActorDep, source_id: UUID) -> SourceView:
    """One source with its last run."""
    return SourceView.model_validate(await sources.get_source(context, actor, source_id))


@router.patch("/sources/{source_id}")
async def update(context: ContextDep, actor: ActorDep, source_id: UUID, body: SourceUpdate) -> SourceView:
    """Change name, address, limits, schedule or state; a paused source is read only by hand."""
    plain = ("name", "address", "state")
    changes: dict[str, Any] = {name: getattr(body, name) for name in plain if getattr(body, name)}
    changes |= {
        name: _plain(getattr(body, name))
        for name in ("settings", "secret", "schedule")
        if name in body.model_fields_set
    }
    return SourceView.model_validate(await sources.update_source(context, actor, source_id, changes=changes))


@router.delete("/sources/{source_id}", status_code=204)
async def delete(
    context: ContextDep,
    actor: ActorDep,
    source_id: UUID,
    documents: Annotated[Literal["keep", "delete"], Query(description="what becomes of its documents")] = "keep",
) -> None:
    """Remove a source; its documents stay unless `documents=delete`."""
    await sources.delete_source(context, actor, source_id, with_documents=documents == "delete")


@router.post("/sources/{source_id}/run", status_code=202)
async def run(context: ContextDep, actor: ActorDep, source_id: UUID, body: RunStart = _AS_USUAL) -> RunView:
    """Read a source now."""
    started = await source_runs.start_run(context, actor, source_id, may_retire_many=body.confirm_removals)
    return RunView.model_validate(started)


@router.post("/sources/{source_id}/stop")
async def stop(context: ContextDep, actor: ActorDep, source_id: UUID) -> RunView:
    """Stop the run that is under way; what it has read stays."""
    return RunView.model_validate(await source_runs.stop_run(context, actor, source_id))


@router.get("/sources/{source_id}/runs")
async def runs(context: ContextDep, actor: ActorDep, source_id: UUID, page: PageDep) -> Listing[RunView]:
    """The runs of a source, newest first."""
    return listing(await source_runs.list_runs(context, actor, source_id, page), RunView.model_validate)


@router.get("/sources/{source_id}/pages")
async def pages(
    context: ContextDep,
    actor: ActorDep,
    source_id: UUID,
    page: PageDep,
    status: Annotated[PageStatus | None, Query()] = None,
    run_id: Annotated[UUID | None, Query(description="only pages that this run met")] = None,
    q: Annotated[PlainText | None, Query(max_length=200, description="part of the address or the title")] = None,
) -> Listing[SourcePageView]:
    """The pages of a source, those that changed last first."""
    wanted = PageFilter(status, run_id, q)
    found = await source_pages.list_pages(context, actor, source_id, wanted=wanted, page=page)
    return listing(found, SourcePageView.model_validate)


@router.get("/sources/{source_id}/pages/{page_id}")
async def read_page(context: ContextDep, actor: ActorDep, source_id: UUID, page_id: UUID) -> SourcePageWithLinks:
    """One page of a source and where it leads."""
    return SourcePageWithLinks.model_validate(await source_pages.get_page(context, actor, source_id, page_id))


@router.get("/sources/{source_id}/pages/{page_id}/diff")
async def diff(context: ContextDep, actor: ActorDep, source_id: UUID, page_id: UUID) -> PageDiffView:
    """What changed in a page since the version before."""
    return PageDiffView.model_validate(await source_pages.page_diff(context, actor, source_id, page_id))
