"""Sessions of signed-in people: begun at sign-in, found again by their token, ended everywhere at once."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.people import Session
from rag_app.errors import NotFound
from rag_app.security import hash_token, new_token
from rag_app.services.context import Context
from rag_app.services.permissions import Actor, permit_own_account

COOKIE = "rag_session"
SECURE_COOKIE = "__Host-rag_session"
SLIDING = timedelta(days=14)
LONGEST = timedelta(days=90)  # however active a session is, it ends here
_SEEN_EVERY = timedelta(minutes=5)  # a request renews the expiry at most this often, so that reads stay reads
CHANNEL = "rag_sessions"
LONGEST_USER_AGENT = 300


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as its owner sees it."""

    id: UUID
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool


def cookie_name(*, encrypted: bool) -> str:
    """The name of the session cookie: browsers keep a `__Host-` one only from the encrypted host itself."""
    return SECURE_COOKIE if encrypted else COOKIE


def token_in_cookies(header: str, *, encrypted: bool) -> str | None:
    """The session token in a Cookie header. Over https the plain name is ignored: a neighbour could have set it."""
    found = {name.strip(): value for name, _, value in (part.partition("=") for part in header.split(";"))}
    names = (SECURE_COOKIE,) if encrypted else (SECURE_COOKIE, COOKIE)
    for name in names:
        if found.get(name):
            return _unquoted(found[name])
    return None


def _unquoted(value: str) -> str:
    try:
        parsed = SimpleCookie(f"v={value.strip()}")
    except CookieError:
        return value
    return parsed["v"].value if "v" in parsed else value


async def begin(
    session: AsyncSession, user_id: UUID, *, user_agent: str = "", lifetime: timedelta = SLIDING
) -> tuple[UUID, str]:
    """Begin a session inside a transaction; its id, and the token that only the browser keeps."""
    token = new_token("rs_")
    moment = now()
    row = Session(
        user_id=user_id,
        token_hash=hash_token(token),
        user_agent=user_agent[:LONGEST_USER_AGENT].replace("\x00", ""),
        expires_at=moment + lifetime,
        last_seen_at=moment,
        created_at=moment,
    )
    session.add(row)
    await session.flush()
    return row.id, token


async def end_all(session: AsyncSession, user_id: UUID, *, but: UUID | None = None) -> None:
    """End all sessions of a person (but one) inside a transaction, and tell the web processes when it commits."""
    ended = update(Session).where(col(Session.user_id) == user_id, col(Session.revoked_at).is_(None))
    if but is not None:
        ended = ended.where(col(Session.id) != but)
    await session.execute(ended.values(revoked_at=now()))
    await tell(session, user_id=user_id, but=but)


async def end(session: AsyncSession, session_id: UUID) -> bool:
    """End one session inside a transaction; False when it had ended before."""
    ended = (
        update(Session)
        .where(col(Session.id) == session_id, col(Session.revoked_at).is_(None))
        .values(revoked_at=now())
        .returning(col(Session.id))
    )
    found = (await session.execute(ended)).first() is not None
    if found:
        await tell(session, session_id=session_id)
    return found


async def tell(
    session: AsyncSession, *, user_id: UUID | None = None, session_id: UUID | None = None, but: UUID | None = None
) -> None:
    """Notify all web processes at commit, so that they close the sockets of what has ended."""
    names = {"user_id": user_id, "session_id": session_id, "but": but}
    payload = json.dumps({name: str(value) for name, value in names.items() if value is not None})
    await session.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload})


def renewal(row: Session) -> datetime | None:
    """The new expiry of a session in use, or None when it was renewed a moment ago."""
    moment = now()
    if moment - row.last_seen_at < _SEEN_EVERY:
        return None
    return min(moment + SLIDING, row.created_at + LONGEST)


async def list_sessions(context: Context, actor: Actor) -> list[SessionView]:
    """The actor's own live sessions, newest first. Raises Forbidden for a limited key."""
    permit_own_account(actor)
    wanted = (
        select(Session)
        .where(
            col(Session.user_id) == actor.user_id, col(Session.revoked_at).is_(None), col(Session.expires_at) > now()
        )
        .order_by(col(Session.id).desc())
        .limit(200)
    )
    async with context.transaction() as session:
        rows = (await session.exec(wanted)).all()
    return [
        SessionView(
            row.id, row.user_agent, row.created_at, row.last_seen_at, row.expires_at, row.id == actor.session_id
        )
        for row in rows
    ]


async def revoke_session(context: Context, actor: Actor, session_id: UUID) -> None:
    """End one of the actor's own sessions. Raises NotFound for any other, Forbidden for a limited key."""
    permit_own_account(actor)
    async with context.transaction() as session:
        row = await session.get(Session, session_id)
        if row is None or row.user_id != actor.user_id or not await end(session, session_id):
            raise NotFound
