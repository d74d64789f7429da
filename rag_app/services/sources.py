"""Sources of a knowledge base: add, list, change, pause, delete."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.sources import Source
from rag_app.egress import Rules, refuse_private_literal
from rag_app.errors import Busy, Conflict, Forbidden, InvalidInput, NotFound
from rag_app.jobs.cadence import due_after
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.knowledge import VISIBLE, require_visible, visibility
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit
from rag_app.services.source_runs import RUN_COLUMNS, RunCard, run_card
from rag_app.services.source_secrets import clean_secret, refuse_strange_place, seal_secret
from rag_app.services.source_settings import (
    KINDS,
    LONGEST_NAME,
    SourceKind,
    SourceSettings,
    asked_address,
    clean_address,
    default_name,
    fitted,
    refitted,
)

_CARDS = f"""
SELECT s.id, s.knowledge_base_id, s.kind, s.name, s.address, s.settings, s.secret IS NOT NULL AS has_secret,
       s.schedule, s.state, s.next_run_at, s.created_at, {RUN_COLUMNS},
       (SELECT count(*) FROM source_pages p JOIN documents d ON d.knowledge_base_id = p.knowledge_base_id
        AND d.id = p.document_id AND d.deleted_at IS NULL WHERE p.source_id = s.id) AS pages
FROM sources s JOIN knowledge_bases k ON k.id = s.knowledge_base_id
LEFT JOIN LATERAL (SELECT * FROM source_runs r WHERE r.source_id = s.id ORDER BY r.created_at DESC, r.id DESC LIMIT 1) r
  ON true
WHERE {VISIBLE}
"""  # noqa: S608 - made of constants
_LIST = text(
    _CARDS
    + """ AND s.knowledge_base_id = :kb
AND (CAST(:moment AS timestamptz) IS NULL OR (s.created_at, s.id) < (:moment, :identity))
ORDER BY s.created_at DESC, s.id DESC LIMIT :limit"""
)
_ONE = text(_CARDS + " AND s.id = :id")
_BEGINNING = text(
    f"SELECT s.id FROM sources s JOIN knowledge_bases k ON k.id = s.knowledge_base_id WHERE {VISIBLE} "  # noqa: S608 - made of constants
    "AND replace(CAST(s.id AS text), '-', '') LIKE :beginning ORDER BY s.id LIMIT 2"
)
# Adding looks first whether the place is read already: one at a time does, in one knowledge base.
_LOCK_ADDRESSES = text("SELECT pg_advisory_xact_lock(hashtextextended(:kb || ' sources', 0))")
_SAME_ADDRESS = text(
    "SELECT s.id, s.name, s.settings FROM sources s "
    "WHERE s.knowledge_base_id = :kb AND s.kind = :kind AND s.address = :address AND s.id <> :id ORDER BY s.created_at"
)
_IS_RUNNING = text(
    "SELECT EXISTS (SELECT 1 FROM source_runs WHERE source_id = :id AND status IN ('queued', 'running'))"
)
# A page that no run has met belongs to a former address: the next run meets it again, or retires it.
_LEAVE = text("UPDATE source_pages SET run_id = NULL, etag = '' WHERE source_id = :id")
_LOCK_RUNS = text("SELECT id FROM source_runs WHERE source_id = :id ORDER BY id FOR UPDATE")
_END_TASKS = text(
    "UPDATE tasks SET status = 'cancelled', finished_at = now() WHERE status IN ('queued', 'running') "
    "AND id IN (SELECT task_id FROM source_runs WHERE source_id = :id)"
)
_OWN_DOCUMENTS = text(
    """
SELECT d.id FROM documents d WHERE d.knowledge_base_id = :kb AND d.deleted_at IS NULL
  AND d.id IN (SELECT p.document_id FROM source_pages p WHERE p.source_id = :id AND p.document_id IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM source_pages o WHERE o.knowledge_base_id = d.knowledge_base_id
                  AND o.document_id = d.id AND o.source_id <> :id)
ORDER BY d.id FOR UPDATE OF d"""
)
_MARK_DELETED = text(
    "UPDATE documents SET deleted_at = now(), updated_at = now() WHERE knowledge_base_id = :kb AND id = ANY(:ids)"
)
_END_READING = text(
    "UPDATE tasks SET status = 'cancelled', finished_at = now() "
    "WHERE document_id = ANY(:ids) AND status IN ('queued', 'running')"
)
_DELETE = text("DELETE FROM sources WHERE id = :id")
LEAST_DIGITS = 4


@dataclass(frozen=True, slots=True)
class NewSource:
    """What is asked for."""

    kind: SourceKind
    address: str
    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class SourceCard:
    """What people see of a source. `pages` are those that are documents now; a secret is never shown again."""

    id: UUID
    knowledge_base_id: UUID
    kind: str
    name: str
    address: str
    settings: SourceSettings
    has_secret: bool
    schedule: Mapping[str, Any]
    state: str
    next_run_at: datetime | None
    created_at: datetime
    pages: int
    last_run: RunCard | None


def _card(row: RowMapping) -> SourceCard:
    return SourceCard(
        id=row["id"],
        knowledge_base_id=row["knowledge_base_id"],
        kind=row["kind"],
        name=row["name"],
        address=row["address"],
        settings=SourceSettings.from_json(row["settings"]),
        has_secret=row["has_secret"],
        schedule=row["schedule"],
        state=row["state"],
        next_run_at=row["next_run_at"],
        created_at=row["created_at"],
        pages=row["pages"],
        last_run=run_card(row) if row["run_id"] else None,
    )


async def create_source(context: Context, actor: Actor, knowledge_base_id: UUID, new: NewSource) -> SourceCard:
    """Add a source; its first run is started by whoever asks for it, or by its schedule.

    Raises NotFound, InvalidInput, BlockedAddress; Conflict when the place is read by another source of the knowledge
    base already; Forbidden for a folder unless the actor manages the workspace.
    """
    permit(actor, "document.add")
    if new.kind not in KINDS:
        raise InvalidInput(f"kind: expected one of {', '.join(KINDS)}", field="kind")
    if new.kind == "folder" and not actor.sees_all:
        raise Forbidden("Folders of the server can be added by owners and admins only.")
    address = clean_address(new.kind, new.address, context.settings)
    address, settings = fitted(new.kind, address, new.settings)
    secret = clean_secret(new.kind, new.secret)
    _check_place(context, new.kind, asked_address(new.kind, address, settings), has_token="token" in secret)
    schedule = dict(new.schedule)
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        source = Source(
            workspace_id=actor.workspace_id,
            knowledge_base_id=knowledge_base_id,
            kind=new.kind,
            name=_name(new.name) or default_name(new.kind, address),
            address=address,
            settings=settings.as_json(),
            schedule=schedule,
            next_run_at=due_after(schedule, now()),
            created_by=actor.user_id,
        )
        source.secret = seal_secret(context.keys, source.id, secret)
        await _refuse_twin(session, source)
        session.add(source)
        record(session, actor, "source_added", source.id, kind=new.kind)
    return await get_source(context, actor, source.id)


async def _refuse_twin(session: AsyncSession, source: Source) -> None:
    kb = source.knowledge_base_id
    await session.execute(_LOCK_ADDRESSES, {"kb": str(kb)})
    wanted = {"kb": kb, "kind": source.kind, "address": source.address, "id": source.id}
    place = SourceSettings.from_json(source.settings).place
    for row in (await session.execute(_SAME_ADDRESS, wanted)).all():
        if SourceSettings.from_json(row.settings).place == place:
            raise Conflict(
                f"The source “{row.name}” reads this address already: change it, or read it again.",
                source_id=str(row.id),
            )


def _check_place(context: Context, kind: SourceKind, place: str, *, has_token: bool) -> None:
    """Refuse at once what would be refused when it is opened. Raises BlockedAddress, InvalidInput."""
    if not place:
        return
    rules = Rules(context.settings.private_hosts)
    refuse_private_literal(place, rules)
    parts = urlsplit(place)
    is_plain = parts.scheme == "http" and not rules.names(parts.hostname or "", parts.port or 80)
    if kind == "git" and has_token and is_plain:
        raise InvalidInput("address: a token is sent over https only", field="address")


def _name(given: str) -> str:
    cleaned = " ".join(given.split())
    if len(cleaned) > LONGEST_NAME:
        raise InvalidInput(f"name: at most {LONGEST_NAME} characters are expected", field="name")
    return cleaned


async def list_sources(context: Context, actor: Actor, knowledge_base_id: UUID, page: PageRequest) -> Page[SourceCard]:
    """The sources of a knowledge base, newest first. Raises NotFound."""
    permit(actor, "document.read")
    moment, identity = page.place()
    values = {**visibility(actor), "kb": knowledge_base_id, "moment": moment, "identity": identity}
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        found = await session.execute(_LIST, {**values, "limit": page.limit + 1})
        cards = [_card(row) for row in found.mappings()]
    return page_of(cards, page.limit, lambda card: (card.created_at, card.id))


async def get_source(context: Context, actor: Actor, source_id: UUID) -> SourceCard:
    """One source. Raises NotFound."""
    permit(actor, "document.read")
    async with context.transaction() as session:
        return await find_source(session, actor, source_id)


async def find_source_id(context: Context, actor: Actor, beginning: str) -> UUID:
    """The id of the one source whose id begins so; hyphens do not count. Raises NotFound, and InvalidInput for several.

    At least four characters are expected.
    """
    permit(actor, "document.read")
    digits = beginning.strip().lower().replace("-", "")
    if not LEAST_DIGITS <= len(digits) <= 32 or not set(digits) <= set("0123456789abcdef"):
        raise NotFound("There is no such source; `source list` shows their ids.")
    async with context.transaction() as session:
        wanted = {**visibility(actor), "beginning": f"{digits}%"}
        found: Sequence[UUID] = (await session.execute(_BEGINNING, wanted)).scalars().all()
    if not found:
        raise NotFound("There is no such source; `source list` shows their ids.")
    if len(found) > 1:
        raise InvalidInput(f"The ids of several sources begin with {beginning}: give more of it.", field="id")
    return found[0]


async def find_source(session: AsyncSession, actor: Actor, source_id: UUID) -> SourceCard:
    """One source that the actor may see. Raises NotFound."""
    row = (await session.execute(_ONE, {**visibility(actor), "id": source_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such source, or it is not yours.")
    return _card(row)


async def update_source(context: Context, actor: Actor, source_id: UUID, *, changes: Mapping[str, Any]) -> SourceCard:
    """Change name, address, settings, secret, schedule or state (active, paused).

    What only the address before gave is removed by the next run. Raises NotFound, InvalidInput, and for another address
    what `create_source` raises; Busy for one while the source is being read.
    """
    permit(actor, "document.add")
    async with context.transaction() as session:
        await find_source(session, actor, source_id)
        source = await session.get_one(Source, source_id, with_for_update=True)
        if changes.get("name") is not None:
            source.name = _name(str(changes["name"])) or source.name
        if any(changes.get(each) is not None for each in ("address", "settings", "secret")):
            await _change_place(context, session, actor, source, changes=changes)
        if changes.get("schedule") is not None:
            source.schedule = dict(changes["schedule"])
            source.next_run_at = due_after(source.schedule, now())
        if changes.get("state") is not None:
            if changes["state"] not in ("active", "paused"):
                raise InvalidInput("state: expected active or paused", field="state")
            source.state = changes["state"]
            source.next_run_at = due_after(source.schedule, now()) if source.state == "active" else None
        source.updated_at = now()
        record(session, actor, "source_changed", source_id, fields=sorted(changes))
    return await get_source(context, actor, source_id)


async def _change_place(
    context: Context, session: AsyncSession, actor: Actor, source: Source, *, changes: Mapping[str, Any]
) -> None:
    """Another address, other settings, and a new secret, {} = none."""
    kind: SourceKind = source.kind  # type: ignore[assignment]  # checked when it was made
    before, kept = source.address, SourceSettings.from_json(source.settings)
    asked = str(changes.get("address") or "").strip() or before
    if asked != before:
        if kind == "folder" and not actor.sees_all:
            raise Forbidden("Folders of the server can be named by owners and admins only.")
        asked = clean_address(kind, asked, context.settings)
    address, settings = refitted(kind, asked, kept=kept, given=changes.get("settings") or {})
    has_new = changes.get("secret") is not None
    if source.secret is not None and not has_new:
        refuse_strange_place(kind, (before, kept), (address, settings))
    secret = clean_secret(kind, changes["secret"]) if has_new else {}
    _check_place(context, kind, asked_address(kind, address, settings), has_token="token" in secret)
    source.address, source.settings = address, settings.as_json()
    if has_new:
        source.secret = seal_secret(context.keys, source.id, secret)
    if (address, settings.place) != (before, kept.place):
        await _refuse_twin(session, source)
    if address != before:
        await _move(session, source, before)


async def _move(session: AsyncSession, source: Source, before: str) -> None:
    """What the source has read so far came from another address."""
    if (await session.execute(_IS_RUNNING, {"id": source.id})).scalar_one():
        raise Busy("This source is being read: stop it, or wait for its end, then change its address.")
    kind: SourceKind = source.kind  # type: ignore[assignment]  # checked when it was made
    if source.name == default_name(kind, before):
        source.name = default_name(kind, source.address)
    await session.execute(_LEAVE, {"id": source.id})


async def delete_source(context: Context, actor: Actor, source_id: UUID, *, with_documents: bool) -> int:
    """Remove a source, with or without the documents that came only from it; how many were removed. Raises NotFound."""
    permit(actor, "document.delete")
    async with context.transaction() as session:
        card = await find_source(session, actor, source_id)
        await session.execute(_LOCK_RUNS, {"id": source_id})  # a run that writes right now comes first
        await session.execute(_END_TASKS, {"id": source_id})
        keys = {"kb": card.knowledge_base_id, "id": source_id}
        ids = list((await session.execute(_OWN_DOCUMENTS, keys)).scalars()) if with_documents else []
        if ids:
            await session.execute(_MARK_DELETED, {"kb": card.knowledge_base_id, "ids": ids})
            await session.execute(_END_READING, {"ids": ids})
            jobs = [{"knowledge_base_id": str(card.knowledge_base_id), "document_id": str(each)} for each in ids]
            await context.queue.defer_all("erase", jobs, session=session)
        await session.execute(_DELETE, {"id": source_id})
        record(session, actor, "source_deleted", source_id, documents=len(ids))
    return len(ids)
