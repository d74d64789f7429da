"""Answers kept for a repeated request: claimed before the work, kept for 24 hours after it, readable only by us."""

import base64
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, or_, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import and_, col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import new_id, now
from rag_app.database.people import IdempotencyRecord
from rag_app.jobs.claims import ALIVE
from rag_app.services.context import Context

KEPT_FOR = timedelta(hours=24)
HEARTBEAT_S = 5.0
# A claim without a sign of life for this long belongs to a process that died; the work may be done again.
STALE_AFTER = timedelta(seconds=20)
_PURGED_AT_ONCE = 100
_PROCESS = "idempotency_records.response->>'by'"
# Until there is an answer, its place holds the number of the process that is at it.
_LEFT_BEHIND = text(f"({_PROCESS} IS NOT NULL AND NOT {ALIVE.format(column=_PROCESS)})")


@dataclass(frozen=True, slots=True)
class Place:
    """What must be the same for a request to count as repeated: the caller, the address, the key."""

    scope: str
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer, byte for byte."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of the same request sent before; neither answer nor message means that it still runs."""

    id: UUID
    body_hash: bytes
    answer: Answer | None
    message_id: UUID | None


async def claim(context: Context, place: Place) -> UUID | Earlier:
    """Claim a place for the work about to begin: its id, or what came before at this place."""
    moment = now()
    by = context.claim.number_if_held
    fresh = {"id": new_id(), "body_hash": b"", "created_at": moment, "response": {"by": by} if by else None}
    record = IdempotencyRecord
    abandoned = and_(
        col(record.status).is_(None),
        col(record.message_id).is_(None),
        or_(col(record.created_at) < moment - STALE_AFTER, _LEFT_BEHIND),
    )
    statement = (
        insert(record)
        .values(scope=place.scope, route=place.route, key=place.key, **fresh)
        .on_conflict_do_update(
            index_elements=["scope", "route", "key"],
            set_={**fresh, "status": None, "message_id": None},
            where=or_(col(record.created_at) < moment - KEPT_FOR, abandoned),
        )
        .returning(col(record.id))
    )
    async with context.transaction() as session:
        claimed: UUID | None = (await session.execute(statement)).scalar_one_or_none()
        if claimed is not None:
            await _purge(session)
            return claimed
        row = (await session.exec(select(record).where(_at(place)))).first()
    if row is None:  # released between the two statements
        return await claim(context, place)
    return Earlier(row.id, row.body_hash, _opened(context, row), row.message_id)


async def bind(session: AsyncSession, claim_id: UUID, *, message_id: UUID, body_hash: bytes) -> None:
    """Say, inside the transaction that creates it, which message a streamed answer belongs to."""
    await _change(session, claim_id, message_id=message_id, body_hash=body_hash)


async def keep(context: Context, claim_id: UUID, *, answer: Answer, body_hash: bytes) -> None:
    """Keep the answer for a repetition. It may hold secrets shown once, so it is sealed."""
    content = {
        "headers": answer.headers,
        "body": base64.b64encode(answer.body).decode(),
    }
    sealed = context.keys.seal(json.dumps(content), bound_to=f"idempotency_records/{claim_id}")
    response = {"sealed": base64.b64encode(sealed).decode()}
    async with context.transaction() as session:
        await _change(session, claim_id, status=answer.status, response=response, body_hash=body_hash)


async def release(context: Context, claim_id: UUID) -> None:
    """Give the place back: nothing was done that a repetition could do twice."""
    async with context.transaction() as session:
        await session.execute(delete(IdempotencyRecord).where(col(IdempotencyRecord.id) == claim_id))


async def show_life(context: Context, claim_id: UUID) -> None:
    """The work of a claim is still under way."""
    async with context.transaction() as session:
        await _change(session, claim_id, created_at=now())


def _at(place: Place) -> Any:
    return and_(
        col(IdempotencyRecord.scope) == place.scope,
        col(IdempotencyRecord.route) == place.route,
        col(IdempotencyRecord.key) == place.key,
    )


async def _change(session: AsyncSession, claim_id: UUID, **values: Any) -> None:
    await session.execute(update(IdempotencyRecord).where(col(IdempotencyRecord.id) == claim_id).values(**values))


def _opened(context: Context, row: IdempotencyRecord) -> Answer | None:
    if row.status is None or row.response is None:
        return None
    sealed = base64.b64decode(row.response["sealed"])
    content = json.loads(context.keys.open(sealed, bound_to=f"idempotency_records/{row.id}"))
    headers = tuple((str(name), str(value)) for name, value in content["headers"])
    return Answer(row.status, headers, base64.b64decode(content["body"]))


async def _purge(session: AsyncSession) -> None:
    old = (
        select(col(IdempotencyRecord.id))
        .where(col(IdempotencyRecord.created_at) < now() - KEPT_FOR)
        .limit(_PURGED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    await session.execute(delete(IdempotencyRecord).where(col(IdempotencyRecord.id).in_(old)))
