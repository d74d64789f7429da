"""What the pages show of sources, as plain values ready for the browser."""

from dataclasses import dataclass, field

from rag_app.services.differences import TextDiff
from rag_app.services.source_pages import SourcePageCard
from rag_app.services.source_runs import RunCard
from rag_app.services.sources import SourceCard
from rag_app.state.schedule_words import in_words
from rag_app.state.wording import count, counted, milliseconds, percent

KINDS = {
    "page": "Page",
    "website": "Website",
    "feed": "Feed",
    "git": "Git repository",
    "s3": "S3 bucket",
    "folder": "Folder",
}
WEB = ("page", "website", "feed")
# What a run has kept although it seems to be gone, and whose mistake that may be.
_GONE = {
    "feed": ("entries", "of their site"),
    "git": ("files", "in the repository"),
    "s3": ("files", "in the bucket"),
    "folder": ("files", "in the folder"),
}
RUN_WORDS = {"queued": "waiting", "running": "reading", "done": "done", "failed": "failed", "cancelled": "stopped"}
RUN_TONES = {"queued": "working", "running": "working", "done": "ready", "failed": "failed", "cancelled": "flat"}
PHASES = {"starting": "finding out where to begin", "crawling": "reading", "retiring": "removing what has vanished"}
PAGE_TONES = {"added": "good", "changed": "warn", "removed": "bad", "failed": "failed", "waiting": "working"}
PAGE_WORDS = {"alias": "other spelling", "skipped": "left out"}
MOST_DIFF_CHARS = 60_000


@dataclass
class RunRow:
    """One run."""

    id: str
    status: str
    tone: str
    busy: bool
    percent: int
    phase: str
    changes: str
    figures: str
    took: str  # "" while it runs
    error: str
    held_back: str  # what was kept although it seems to be gone
    started_at: str


@dataclass
class SourceRow:
    """A source in the list of its knowledge base."""

    id: str
    name: str
    sort: str  # the kind as programs call it
    kind: str
    address: str
    has_secret: bool
    is_web: bool
    paused: bool
    schedule: str
    next_at: str
    pages: str
    extent: str
    contents: str  # what it consists of: Pages, Files
    has_run: bool
    run: RunRow


@dataclass
class SourcePageRow:
    """A page of a source."""

    id: str
    url: str
    title: str
    status: str
    tone: str
    document_id: str
    error: str
    changed_at: str
    is_web: bool
    has_diff: bool


@dataclass
class DiffPart:
    """A stretch of a change."""

    kind: str
    text: str


@dataclass
class DiffRow:
    """A change with what stands around it."""

    parts: list[DiffPart] = field(default_factory=list)


NO_RUN = RunRow("", "", "flat", False, 0, "", "", "", "", "", "", "")
NO_SOURCE = SourceRow("", "", "", "", "", False, False, False, "", "", "", "", "Pages", False, NO_RUN)


def run_row(run: RunCard, kind: str = "website") -> RunRow:
    """A run of a source of this kind as the pages show it."""
    busy = run.status in ("queued", "running")
    changes = [("+", run.added), ("~", run.changed), ("−", run.removed)]
    named = [
        counted(run.added, "added", "added"),
        counted(run.changed, "changed", "changed"),
        counted(run.removed, "removed", "removed"),
        counted(run.unchanged, "unchanged", "unchanged"),
        *([counted(run.failed, "failed", "failed")] if run.failed else []),
        *([counted(run.skipped, "left out", "left out")] if run.skipped else []),
    ]
    return RunRow(
        id=str(run.id),
        status=RUN_WORDS.get(run.status, run.status),
        tone=RUN_TONES.get(run.status, "flat"),
        busy=busy,
        percent=percent(run.progress),
        phase=f"{PHASES.get(run.phase, run.phase)}, {run.visited:,} of {run.found:,}" if busy else "",
        changes=" ".join(f"{sign}{figure:,}" for sign, figure in changes if figure) or _no_changes(run),
        figures=" · ".join(named),
        took=_took(run),
        error=run.error.message if run.error else "",
        held_back=_kept(run.held_back, kind),
        started_at=(run.finished_at or run.started_at or run.created_at).isoformat(),
    )


def _took(run: RunCard) -> str:
    if run.started_at is None or run.finished_at is None:
        return ""
    return milliseconds((run.finished_at - run.started_at).total_seconds() * 1000)


def _kept(gone: int, kind: str) -> str:
    many, where = _GONE.get(kind, ("pages", "of the site"))
    if not gone:
        return ""
    return f"{gone:,} {many} seem to be gone. So many may be a mistake {where}, so their documents were kept."


def _no_changes(run: RunCard) -> str:
    """Why a run shows no changes: there are none, nothing could be read, or it did not get that far."""
    if run.status != "done":
        return "–"
    return counted(run.failed, "failed", "failed") if run.failed else "no change"


def source_row(card: SourceCard) -> SourceRow:
    """A source as the list shows it."""
    return SourceRow(
        id=str(card.id),
        name=card.name,
        sort=card.kind,
        kind=KINDS.get(card.kind, card.kind),
        address=card.address,
        has_secret=card.has_secret,
        is_web=card.address.startswith(("http://", "https://")),
        paused=card.state == "paused",
        schedule=in_words(card.schedule),
        next_at=card.next_run_at.isoformat() if card.next_run_at else "",
        pages=count(card.pages),
        extent=counted(card.pages, "page" if card.kind in WEB else "file"),
        contents="Pages" if card.kind in WEB else "Files",
        has_run=card.last_run is not None,
        run=run_row(card.last_run, card.kind) if card.last_run else NO_RUN,
    )


def page_row(card: SourcePageCard) -> SourcePageRow:
    """A page of a source as the list shows it."""
    return SourcePageRow(
        id=str(card.id),
        url=card.url,
        title=card.title or card.url,
        status=PAGE_WORDS.get(card.status, card.status),
        tone=PAGE_TONES.get(card.status, "flat"),
        document_id=str(card.document_id or ""),
        error=card.error.message if card.error else "",
        changed_at=card.changed_at.isoformat() if card.changed_at else "",
        is_web=card.url.startswith(("http://", "https://")),
        has_diff=card.has_changed,
    )


def diff_rows(diff: TextDiff) -> tuple[list[DiffRow], bool]:
    """The changes as the dialog shows them, and whether some were left out."""
    rows: list[DiffRow] = []
    room = MOST_DIFF_CHARS
    for hunk in diff.hunks:
        room -= sum(len(each.text) for each in hunk.segments)
        if room < 0:
            return rows, True
        rows.append(DiffRow([DiffPart(each.kind, each.text) for each in hunk.segments]))
    return rows, diff.is_truncated
