"""The frontier of a run, in the database: which pages wait, what became of those that were visited.

Every write names the attempt it belongs to, so that a run can be killed at any point and goes on where it was.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import new_id
from rag_app.ingestion.web_address import Scope, loose
from rag_app.jobs.claims import ALIVE
from rag_app.services.acceptance import FetchedContent
from rag_app.services.permissions import Actor
from rag_app.services.source_settings import SourceSettings

VisitStatus = Literal["added", "changed", "unchanged", "gone", "failed", "skipped", "alias", "outage", "later"]
MOST_TRIES = 2  # of a page while its site has trouble

_CLAIM = text(
    """
UPDATE source_runs r SET status = 'running', attempt = r.attempt + 1, claimed_by = :worker, outages = r.outages + 1,
       started_at = coalesce(r.started_at, now())
FROM sources s WHERE r.id = :run AND s.id = r.source_id AND r.status IN ('queued', 'running')
  AND (r.claimed_by IS NULL OR NOT """
    + ALIVE.format(column="r.claimed_by")
    + """)
RETURNING r.id, r.source_id, r.knowledge_base_id, r.workspace_id, r.task_id, r.attempt, r.phase, r.outages, r.scope,
          r.robots AS memory, r.may_retire_many, r.found, s.kind, s.address, s.settings, s.secret AS sealed,
          s.created_by
"""
)
_HOLD = text("SELECT id FROM source_runs WHERE id = :run AND attempt = :attempt AND status = 'running' FOR UPDATE")
_IS_OURS = text("SELECT id FROM source_runs WHERE id = :run AND attempt = :attempt AND status = 'running'")
_RELEASE = text(
    "UPDATE source_runs SET claimed_by = NULL WHERE id = :run AND attempt = :attempt AND status = 'running' "
    "RETURNING id"
)
_BEGIN = text(
    "UPDATE source_runs SET phase = 'crawling', scope = CAST(:scope AS jsonb), robots = CAST(:memory AS jsonb), "
    "is_truncated = :truncated WHERE id = :run"
)
_KEEP_MEMORY = text("UPDATE source_runs SET robots = CAST(:memory AS jsonb) WHERE id = :run")
_ENQUEUE = text(
    """
INSERT INTO source_pages (id, workspace_id, knowledge_base_id, source_id, url, loose, depth, run_id, is_visited, tries,
                          status, etag, last_modified, links, mark)
SELECT each.id, :workspace, :kb, :source, each.url, each.loose, :depth, :run, false, 0, 'waiting', '', '', '[]',
       each.mark
FROM unnest(CAST(:ids AS uuid[]), CAST(:urls AS text[]), CAST(:looses AS text[]), CAST(:marks AS text[]))
  AS each (id, url, loose, mark)
ON CONFLICT (source_id, url) DO UPDATE SET run_id = :run, is_visited = false, tries = 0, depth = excluded.depth,
  mark = excluded.mark
WHERE source_pages.run_id IS DISTINCT FROM :run
RETURNING id
"""
)
_KNOWN = text("SELECT url FROM source_pages WHERE source_id = :source AND run_id = :run AND url = ANY(:urls)")
_NEXT = text(
    """
SELECT p.id, p.url, p.depth, p.tries, p.mark, p.etag, p.last_modified, p.content_hash, p.links, p.document_id,
       d.id IS NOT NULL AS is_live
FROM source_pages p LEFT JOIN documents d
  ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id AND d.deleted_at IS NULL
WHERE p.source_id = :source AND p.run_id = :run AND NOT p.is_visited ORDER BY p.tries, p.depth, p.id LIMIT :limit
"""
)
_TWINS = text(
    """
SELECT DISTINCT p.loose, p.content_hash, p.url FROM source_pages p JOIN documents d
  ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id AND d.deleted_at IS NULL
WHERE p.source_id = :source AND p.loose = ANY(:looses) AND p.status IN ('added', 'changed', 'unchanged')
  AND p.run_id IS NOT NULL -- those of a former address are about to go
"""
)
_NOTE = text(
    """
UPDATE source_pages SET is_visited = :visited, tries = :tries, status = CAST(:status AS text), etag = :etag,
       last_modified = :last_modified, content_hash = :content_hash, links = CAST(:links AS jsonb),
       document_id = :document, error_code = :code, error_message = :message, seen_at = now(),
       changed_at = CASE WHEN CAST(:status AS text) IN ('added', 'changed') THEN now() ELSE changed_at END
WHERE id = :id
"""
)
_COUNT = text(
    """
UPDATE source_runs SET found = found + :found, visited = visited + :visited, added = added + :added,
       changed = changed + :changed, unchanged = unchanged + :unchanged, failed = failed + :failed,
       skipped = skipped + :skipped, outages = CASE WHEN :worked THEN 0 ELSE outages + :outages END,
       is_truncated = is_truncated OR :truncated, has_gaps = has_gaps OR :gaps,
       progress = least(0.99, CAST(visited + :visited AS float) / greatest(1, found + :found))
WHERE id = :run RETURNING found, outages, progress, task_id
"""
)
_TASK = text(
    "UPDATE tasks SET status = 'running', phase = :phase, progress = :progress, "
    "started_at = coalesce(started_at, now()) WHERE id = :task AND status IN ('queued', 'running')"
)
_DEAD_ENDS = text(
    "SELECT url FROM source_pages WHERE source_id = :source AND url = ANY(:urls) "
    "AND status IN ('alias', 'gone', 'removed', 'failed', 'skipped')"
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that this worker is at."""

    id: UUID
    source_id: UUID
    knowledge_base_id: UUID
    workspace_id: UUID
    task_id: UUID | None
    attempt: int
    phase: str
    outages: int
    scope: Scope
    memory: Mapping[str, Any]
    may_retire_many: bool
    found: int
    kind: str
    address: str
    settings: SourceSettings
    sealed: bytes | None = field(repr=False)
    created_by: UUID | None

    @property
    def actor(self) -> Actor:
        """On whose behalf documents are added."""
        return Actor(self.created_by or self.source_id, self.workspace_id, "editor")


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """A page to be visited, with what is known of it from before."""

    id: UUID
    url: str
    depth: int
    tries: int
    mark: str
    etag: str
    last_modified: str
    content_hash: bytes | None
    links: list[str]
    document_id: UUID | None
    is_live: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """What became of one page. `links` lead on from it; `target` is where an alias leads."""

    page: WaitingPage
    status: VisitStatus
    links: Sequence[str] = ()
    content: FetchedContent | None = None
    content_hash: bytes | None = None
    etag: str = ""
    last_modified: str = ""
    target: str | None = None
    code: str | None = None
    message: str | None = None
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Seeds:
    """Where a run begins. `marks` are fingerprints that a listing gives: a page with the one it had is unchanged.

    `is_unchanged`: the source says itself that all is as it was when the run before ended.
    """

    addresses: Sequence[str]
    scope: Scope = field(default_factory=Scope)
    memory: Mapping[str, Any] = field(default_factory=dict)
    is_truncated: bool = False
    marks: Mapping[str, str] = field(default_factory=dict)
    is_unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run is."""

    found: int
    outages: int
    progress: float


async def claim(session: AsyncSession, run_id: UUID, worker: int) -> Run | None:
    """Take a run that nobody alive is at; None when there is nothing to do."""
    row = (await session.execute(_CLAIM, {"run": run_id, "worker": worker})).mappings().one_or_none()
    if row is None:
        return None
    values = dict(row)
    settings = SourceSettings.from_json(values.pop("settings"))
    scope = values.pop("scope")
    return Run(**values, settings=settings, scope=scope_of(scope))


def scope_of(kept: Mapping[str, Any]) -> Scope:
    """A scope from the row of a run."""
    if not kept:
        return Scope()
    return Scope(tuple(kept["hosts"]), kept["prefix"], tuple(kept["include"]), tuple(kept["exclude"]))


async def hold(session: AsyncSession, run: Run) -> bool:
    """Lock the run for this transaction; False when it was cancelled, deleted or taken over."""
    found = await session.execute(_HOLD, {"run": run.id, "attempt": run.attempt})
    return found.scalar_one_or_none() is not None


async def is_ours(session: AsyncSession, run: Run) -> bool:
    """Whether the run goes on with this worker: nobody has stopped, deleted or taken it over."""
    found = await session.execute(_IS_OURS, {"run": run.id, "attempt": run.attempt})
    return found.scalar_one_or_none() is not None


async def release(session: AsyncSession, run: Run) -> bool:
    """Let go of a run that goes on later; False when it does not."""
    done = await session.execute(_RELEASE, {"run": run.id, "attempt": run.attempt})
    return done.scalar_one_or_none() is not None


async def begin(session: AsyncSession, run: Run, seeds: Seeds) -> None:
    """Write down where the run begins."""
    scope = {
        "hosts": seeds.scope.hosts, "prefix": seeds.scope.prefix,
        "include": seeds.scope.include, "exclude": seeds.scope.exclude,
    }  # fmt: skip
    wanted = list(dict.fromkeys(seeds.addresses))
    truncated = seeds.is_truncated or len(wanted) > run.settings.max_pages
    values = {"run": run.id, "scope": json.dumps(scope), "memory": json.dumps(seeds.memory), "truncated": truncated}
    await session.execute(_BEGIN, values)
    found = await _enqueue(session, run, wanted[: run.settings.max_pages], depth=0, marks=seeds.marks)
    await session.execute(_COUNT, {**_NOTHING, "run": run.id, "found": found, "worked": True})


async def next_pages(session: AsyncSession, run: Run, limit: int) -> list[WaitingPage]:
    """Pages that wait, the nearest to the start first."""
    found = await session.execute(_NEXT, {"source": run.source_id, "run": run.id, "limit": limit})
    return [WaitingPage(**row) for row in found.mappings()]


async def find_twins(session: AsyncSession, run: Run, visits: Sequence[Visit]) -> dict[UUID, str]:
    """Pages whose content is there already under an address that differs only in spelling: id -> that address."""
    fresh = [each for each in visits if each.status == "added" and each.content_hash is not None]
    if not fresh:
        return {}
    found = await session.execute(
        _TWINS, {"source": run.source_id, "looses": sorted({loose(each.page.url) for each in fresh})}
    )
    known = {(row.loose, row.content_hash): row.url for row in found}
    twins: dict[UUID, str] = {}
    for each in fresh:
        key = (loose(each.page.url), each.content_hash)
        other = known.setdefault(key, each.page.url)
        if other != each.page.url:
            twins[each.page.id] = other
    return twins


async def dead_ends(session: AsyncSession, run: Run, visits: Sequence[Visit]) -> set[str]:
    """Addresses that pages name as their canonical one although nothing can be read there."""
    targets = [each.target for each in visits if each.target and each.content]
    if not targets:
        return set()
    found = await session.execute(_DEAD_ENDS, {"source": run.source_id, "urls": targets})
    return set(found.scalars())


async def note(session: AsyncSession, visit: Visit, document_id: UUID | None) -> None:
    """Write down what became of a page."""
    page = visit.page
    again = visit.status == "later" or (visit.status == "outage" and page.tries + 1 < MOST_TRIES)
    kept = visit.status in ("gone", "failed", "skipped", "alias", "outage", "later", "unchanged")
    await session.execute(
        _NOTE,
        {
            "id": page.id,
            "visited": not again,
            "tries": page.tries + (visit.status == "outage"),
            "status": "waiting" if again else "failed" if visit.status == "outage" else visit.status,
            "etag": visit.etag or (page.etag if kept else ""),
            "last_modified": visit.last_modified or (page.last_modified if kept else ""),
            "content_hash": visit.content_hash or (page.content_hash if kept else None),
            "links": json.dumps(list(visit.links)),
            "document": document_id,
            "code": visit.code,
            "message": visit.message,
        },
    )


_NOTHING: dict[str, Any] = {
    "found": 0, "visited": 0, "added": 0, "changed": 0, "unchanged": 0, "failed": 0, "skipped": 0,
    "worked": False, "outages": 0, "truncated": False, "gaps": False,
}  # fmt: skip


async def lead_on(session: AsyncSession, run: Run, visits: Sequence[Visit]) -> tuple[int, bool]:
    """Add what the visited pages lead to; how many are new to this run, and whether a limit left some out."""
    by_depth: dict[int, dict[str, None]] = {}
    follows = run.kind == "website" and run.settings.discover != "sitemap"
    for visit in visits:
        targets: Sequence[str] = [visit.target] if visit.target else visit.links if follows else ()
        depth = visit.page.depth + (0 if visit.target else 1)
        if depth <= run.settings.max_depth:
            by_depth.setdefault(depth, {}).update(dict.fromkeys(targets))
    added, truncated = 0, False
    for depth, wanted in sorted(by_depth.items()):
        known = await session.execute(_KNOWN, {"source": run.source_id, "run": run.id, "urls": list(wanted)})
        there = set(known.scalars())
        fresh = [each for each in wanted if each not in there and run.scope.holds(each)]
        room = max(0, run.settings.max_pages - run.found - added)
        truncated = truncated or len(fresh) > room
        added += await _enqueue(session, run, fresh[:room], depth=depth)
    return added, truncated


async def count(session: AsyncSession, run: Run, visits: Sequence[Visit], *, found: int, truncated: bool) -> Standing:
    """Add the visits to the figures of the run."""
    outages = [each for each in visits if each.status in ("outage", "later")]
    ended = [each for each in visits if each.status != "later"]
    ended = [each for each in ended if each.status != "outage" or each.page.tries + 1 >= MOST_TRIES]
    # A page that was read before keeps its links, so what it leads to is still known.
    gaps = any(each.status == "outage" and not each.page.links and not each.page.is_live for each in ended)
    values: dict[str, Any] = {
        **_NOTHING, "run": run.id, "found": found, "visited": len(ended), "truncated": truncated, "gaps": gaps,
        "worked": len(outages) < len(visits), "outages": len(outages),
    }  # fmt: skip
    for name in ("added", "changed", "unchanged", "skipped"):
        values[name] = sum(each.status == name for each in ended)
    values["failed"] = sum(each.status in ("failed", "outage") for each in ended)
    row = (await session.execute(_COUNT, values)).one()
    await session.execute(_TASK, {"task": row.task_id, "phase": "crawling", "progress": row.progress})
    return Standing(row.found, row.outages, row.progress)


async def keep_memory(session: AsyncSession, run: Run, memory: Mapping[str, Any]) -> None:
    """Remember what was learnt on the way, such as the rules of sites."""
    await session.execute(_KEEP_MEMORY, {"run": run.id, "memory": json.dumps(memory)})


async def _enqueue(
    session: AsyncSession, run: Run, addresses: Sequence[str], *, depth: int, marks: Mapping[str, str] | None = None
) -> int:
    if not addresses:
        return 0
    wanted = sorted(addresses)
    done = await session.execute(
        _ENQUEUE,
        {
            "ids": [new_id() for _ in wanted],
            "urls": wanted,
            "looses": [loose(each) for each in wanted],
            "marks": [(marks or {}).get(each, "") for each in wanted],
            "depth": depth,
            "workspace": run.workspace_id,
            "kb": run.knowledge_base_id,
            "source": run.source_id,
            "run": run.id,
        },
    )
    return len(done.all())
