"""API keys: made and shown once, listed, revoked. A key can never do more than its owner can at that moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select, tuple_

from rag_app.database.columns import now
from rag_app.database.people import ApiKey, User
from rag_app.errors import Conflict, Forbidden, InvalidInput, NotFound
from rag_app.security import hash_token, new_token
from rag_app.services.accounts import checked_name
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.people import may_manage
from rag_app.services.permissions import PERMISSIONS, SCOPES, Actor, is_allowed, permit

PREFIX = "rk_"
SHOWN = 8  # characters of a key that a list shows, so that a person can tell keys apart
MOST_KEYS = 100


@dataclass(frozen=True, slots=True)
class KeyView:
    """An API key as lists show it; the key itself is not kept anywhere."""

    id: UUID
    name: str
    prefix: str
    scopes: tuple[str, ...]
    owner_id: UUID
    owner_email: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


async def create_key(
    context: Context, actor: Actor, *, name: str, scopes: Sequence[str] = (), expires_in_days: int | None = None
) -> tuple[KeyView, str]:
    """Make a key for the actor; its view, and the key itself, which is shown once.

    No scopes: all that its owner may do. Raises InvalidInput for an unknown scope, Forbidden for one beyond the
    actor's role, Conflict when the actor has very many keys.
    """
    permit(actor, "key.manage")
    wanted = _checked_scopes(actor, scopes)
    if expires_in_days is not None and not 1 <= expires_in_days <= 3650:
        raise InvalidInput("A key lives 1 to 3650 days, or for ever.", field="expires_in_days")
    key = new_token(PREFIX)
    row = ApiKey(
        workspace_id=actor.workspace_id,
        user_id=actor.user_id,
        name=checked_name(name),
        prefix=key[: len(PREFIX) + SHOWN],
        key_hash=hash_token(key),
        scopes=wanted,
        expires_at=now() + timedelta(days=expires_in_days) if expires_in_days else None,
    )
    async with context.transaction() as session:
        live = select(func.count()).where(col(ApiKey.user_id) == actor.user_id, col(ApiKey.revoked_at).is_(None))
        if (await session.exec(live)).one() >= MOST_KEYS:
            raise Conflict(f"You have {MOST_KEYS} keys: revoke one that is not used any more.")
        session.add(row)
        record(session, actor, "key_created", row.id, scopes=wanted)
    return _view(row, actor.email), key


async def list_keys(context: Context, actor: Actor, request: PageRequest, *, everyone: bool = False) -> Page[KeyView]:
    """The live keys of the actor, newest first; with `everyone` those of all people (admins and owners)."""
    permit(actor, "key.manage")
    if everyone:
        permit(actor, "people.manage")
    moment, identity = request.place()
    wanted = (
        select(ApiKey, col(User.email))
        .join(User, col(User.id) == col(ApiKey.user_id))
        .where(col(ApiKey.workspace_id) == actor.workspace_id, col(ApiKey.revoked_at).is_(None))
    )
    if not everyone:
        wanted = wanted.where(col(ApiKey.user_id) == actor.user_id)
    if moment is not None:
        wanted = wanted.where(tuple_(col(ApiKey.created_at), col(ApiKey.id)) < (moment, identity))
    wanted = wanted.order_by(col(ApiKey.created_at).desc(), col(ApiKey.id).desc()).limit(request.limit + 1)
    async with context.transaction() as session:
        rows = (await session.exec(wanted)).all()
    views = [_view(row, email) for row, email in rows]
    return page_of(views, request.limit, lambda each: (each.created_at, each.id))


async def revoke_key(context: Context, actor: Actor, key_id: UUID) -> None:
    """Kill a key of one's own, or as admin one of somebody within reach. Raises NotFound for any other."""
    permit(actor, "key.manage")
    async with context.transaction() as session:
        row = await session.get(ApiKey, key_id)
        if row is None or row.workspace_id != actor.workspace_id or row.revoked_at is not None:
            raise NotFound
        if row.user_id != actor.user_id:
            owner = await session.get(User, row.user_id)
            if owner is None or not may_manage(actor, owner.role):
                raise NotFound
        row.revoked_at = now()
        session.add(row)
        record(session, actor, "key_revoked", row.id)


def _checked_scopes(actor: Actor, scopes: Sequence[str]) -> list[str]:
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise InvalidInput(f"There is no scope {', '.join(unknown)}; there are {', '.join(SCOPES)}.", field="scopes")
    for scope in scopes:
        if not SCOPES[scope] <= PERMISSIONS[actor.role] or not all(is_allowed(actor, a) for a in SCOPES[scope]):
            raise Forbidden(f"Your role ({actor.role}) does not reach as far as the scope {scope}.")
    return sorted(set(scopes))


def _view(row: ApiKey, owner_email: str) -> KeyView:
    return KeyView(
        row.id,
        row.name,
        row.prefix,
        tuple(row.scopes),
        row.user_id,
        owner_email,
        row.created_at,
        row.last_used_at,
        row.expires_at,
    )
