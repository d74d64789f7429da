"""Who is calling: sign-in, sign-out, own password, and the actor behind a session, a JWT or an API key."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import Select

from rag_app.database.columns import now
from rag_app.database.people import ApiKey, Session, User, Workspace
from rag_app.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from rag_app.retrieval.reader import reading
from rag_app.security import JWT_LIFETIME_S, hash_token
from rag_app.services import sessions, throttle
from rag_app.services.context import Context
from rag_app.services.passwords import check_new_password, hash_slowly, verify_slowly
from rag_app.services.permissions import ROLES, Actor, Role, permit_own_account
from rag_app.telemetry import log

# Asked with every request of a program, so it goes the short way.
_OWNER_OF_KEY = b"""
SELECT k.id, k.scopes, coalesce(k.last_used_at > now() - interval '5 minutes', false), u.id, u.workspace_id, u.role,
       u.email, u.name
FROM api_keys k JOIN users u ON u.id = k.user_id
WHERE k.key_hash = %(key_hash)s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
  AND u.disabled_at IS NULL
"""
WRONG = "The e-mail address or the password is wrong."


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from: the address, as far as trusted, and what the browser calls itself."""

    ip: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that has just begun; the token goes into the cookie and nowhere else."""

    token: str
    session_id: UUID
    user_id: UUID


@dataclass(frozen=True, slots=True)
class Profile:
    """What a person sees of themselves."""

    id: UUID
    email: str
    name: str
    role: Role
    workspace_id: UUID
    workspace_name: str


# --- who is it --------------------------------------------------------------------------------------------------


async def actor_of_session(context: Context, token: str) -> Actor | None:
    """The person behind a session token as the database has them now; None when it has ended or they are disabled."""
    if not token:
        return None
    async with context.transaction() as session:
        found = (await session.exec(_live_sessions().where(col(Session.token_hash) == hash_token(token)))).first()
        if found is None:
            return None
        row, user = found
        expires_at = sessions.renewal(row)
        if expires_at is not None:
            await session.execute(
                update(Session)
                .where(col(Session.id) == row.id)
                .values(last_seen_at=now(), expires_at=func.greatest(col(Session.expires_at), expires_at))
            )
    return _actor_of(user, session_id=row.id)


async def actor_of_jwt(context: Context, token: str) -> Actor | None:
    """The person behind a JWT; the session it carries is read from the database."""
    carried = context.keys.read_session(token)
    try:
        session_id = UUID(carried or "")
    except ValueError:
        return None
    return await actor_of_session_id(context, session_id)


async def actor_of_session_id(context: Context, session_id: UUID) -> Actor | None:
    """The person behind a session that was already proved once, as the database has them now (for open streams)."""
    async with context.transaction() as session:
        found = (await session.exec(_live_sessions().where(col(Session.id) == session_id))).first()
    return _actor_of(found[1], session_id=found[0].id) if found else None


async def actor_of_api_key(context: Context, key: str) -> Actor | None:
    """The owner of an API key, limited to its scopes; None when the key or its owner is out of use."""
    async with reading(context.engine) as reader:
        rows = await reader.rows(_OWNER_OF_KEY, {"key_hash": hash_token(key)})
    if not rows:
        return None
    key_id, scopes, is_seen, user_id, workspace_id, role, email, name = rows[0]
    if not is_seen:
        async with context.transaction() as session:
            await session.execute(update(ApiKey).where(col(ApiKey.id) == key_id).values(last_used_at=now()))
    return Actor(user_id, workspace_id, role_of(role), email, name, api_key_id=key_id, scopes=tuple(scopes))


async def operator(context: Context) -> Actor:
    """The first owner, for whom commands on the server act. Raises NotFound before the set-up."""
    wanted = (
        select(User)
        .where(col(User.role) == "owner", col(User.disabled_at).is_(None))
        .order_by(col(User.created_at), col(User.id))
        .limit(1)
    )
    async with context.transaction() as session:
        user = (await session.exec(wanted)).first()
    if user is None:
        raise NotFound("There is no owner yet: run `python -m rag_app setup`, or open the printed setup link.")
    return _actor_of(user)


def _live_sessions() -> Select[Session, User]:
    return (
        select(Session, User)
        .join(User, col(User.id) == col(Session.user_id))
        .where(col(Session.revoked_at).is_(None), col(Session.expires_at) > now(), col(User.disabled_at).is_(None))
    )


def _actor_of(
    user: User, *, session_id: UUID | None = None, api_key_id: UUID | None = None, scopes: tuple[str, ...] = ()
) -> Actor:
    return Actor(
        user_id=user.id,
        workspace_id=user.workspace_id,
        role=role_of(user.role),
        email=user.email,
        name=user.name,
        session_id=session_id,
        api_key_id=api_key_id,
        scopes=scopes,
    )


def role_of(name: str) -> Role:
    """The role of that name. Raises InvalidInput for any other word."""
    for role in ROLES:
        if role == name:
            return role
    raise InvalidInput(f"There is no such role; choose one of {', '.join(ROLES)}.")


# --- in and out -------------------------------------------------------------------------------------------------


async def sign_in(context: Context, *, email: str, password: str, caller: Caller, old_token: str = "") -> SignedIn:
    """Begin a browser session; one that the browser still holds (`old_token`) ends.

    Raises Unauthenticated with the same words for an unknown address, a wrong password and a disabled person, and
    RateLimited after too many failures for the account or from the address.
    """
    user_id = await _prove(context, email=email, password=password, caller=caller)
    async with context.transaction() as session:
        await _end_token(session, old_token)
        session_id, token = await sessions.begin(session, user_id, user_agent=caller.user_agent)
    log.info("signed_in", user_id=user_id, session_id=session_id)
    return SignedIn(token, session_id, user_id)


async def issue_token(context: Context, *, email: str, password: str, caller: Caller) -> tuple[str, int]:
    """A JWT for programs that sign in with a password, and its lifetime in seconds. Errors as of sign_in."""
    user_id = await _prove(context, email=email, password=password, caller=caller)
    lifetime = timedelta(seconds=JWT_LIFETIME_S)
    async with context.transaction() as session:
        session_id, _ = await sessions.begin(session, user_id, user_agent=caller.user_agent, lifetime=lifetime)
    log.info("token_issued", user_id=user_id, session_id=session_id)
    return context.keys.sign_session(str(session_id))


async def _prove(context: Context, *, email: str, password: str, caller: Caller) -> UUID:
    attempt = await throttle.attempt(context, account=email, ip=caller.ip)
    async with context.transaction() as session:
        user = (await session.exec(select(User).where(func.lower(col(User.email)) == normal_email(email)))).first()
    fits = await verify_slowly(password, user.password_hash if user else None)
    if user is None or not fits or user.disabled_at is not None:
        log.info("sign_in_refused", ip=caller.ip)
        raise Unauthenticated(WRONG)
    await throttle.forgive(context, attempt)
    return user.id


async def begin_session(context: Context, user_id: UUID, caller: Caller) -> SignedIn:
    """Begin a session for a person who has proved themselves in another way (the set-up)."""
    async with context.transaction() as session:
        session_id, token = await sessions.begin(session, user_id, user_agent=caller.user_agent)
    return SignedIn(token, session_id, user_id)


async def sign_out(context: Context, token: str) -> None:
    """End the session of a token; one that has ended already is fine."""
    async with context.transaction() as session:
        await _end_token(session, token)


async def _end_token(session: AsyncSession, token: str) -> None:
    if token:
        row = (await session.exec(select(Session).where(col(Session.token_hash) == hash_token(token)))).first()
        if row is not None:
            await sessions.end(session, row.id)


async def change_password(
    context: Context, actor: Actor, *, current_password: str, new_password: str, caller: Caller
) -> SignedIn:
    """Change the actor's own password: every session ends, and a fresh one begins for this browser.

    Raises Forbidden through an API key, InvalidInput for a weak new password, Unauthenticated for a wrong current one.
    """
    if actor.session_id is None:
        raise Forbidden("A password is changed by a signed-in person, not through an API key.")
    attempt = await throttle.attempt(context, account=f"password:{actor.user_id}", ip=caller.ip)
    async with context.transaction() as session:
        user = await session.get(User, actor.user_id)
    if user is None or not await verify_slowly(current_password, user.password_hash):
        raise Unauthenticated("The current password is wrong.")
    check_new_password(new_password, email=user.email, name=user.name)
    password_hash = await hash_slowly(new_password)
    async with context.transaction() as session:
        await set_password(session, user.id, password_hash)
        session_id, token = await sessions.begin(session, user.id, user_agent=caller.user_agent)
    await throttle.forgive(context, attempt)
    log.info("password_changed", user_id=user.id)
    return SignedIn(token, session_id, user.id)


async def set_password(session: AsyncSession, user_id: UUID, password_hash: str) -> None:
    """Set a password inside a transaction and end every session of the person."""
    await session.execute(update(User).where(col(User.id) == user_id).values(password_hash=password_hash))
    await sessions.end_all(session, user_id)


# --- oneself ----------------------------------------------------------------------------------------------------


async def profile(context: Context, actor: Actor) -> Profile:
    """The actor as a person: name, role, workspace. Raises NotFound when they are gone."""
    async with context.transaction() as session:
        user = await session.get(User, actor.user_id)
        workspace = await session.get(Workspace, actor.workspace_id)
    if user is None or workspace is None:
        raise NotFound
    return Profile(user.id, user.email, user.name, role_of(user.role), workspace.id, workspace.name)


async def rename(context: Context, actor: Actor, *, name: str) -> Profile:
    """Change the actor's own name (1 to 100 characters). Raises InvalidInput, and Forbidden for a limited key."""
    permit_own_account(actor)
    async with context.transaction() as session:
        await session.execute(update(User).where(col(User.id) == actor.user_id).values(name=checked_name(name)))
    return await profile(context, actor)


def normal_email(email: str) -> str:
    """The address as it is compared: without surrounding space, in lower case."""
    return email.strip().lower()


def checked_email(email: str) -> str:
    """An address that could exist, without surrounding space. Raises InvalidInput."""
    address = email.strip()
    local, at, host = address.rpartition("@")
    odd = any(each.isspace() or not each.isprintable() or each in '<>",;:()[]\\' for each in address)
    if not (at and local and host) or odd or len(address) > 254 or "@" in local or host.startswith(".") or ".." in host:
        raise InvalidInput("This is not a valid e-mail address.", field="email")
    return address


def checked_name(name: str) -> str:
    """A name of 1 to 100 visible characters. Raises InvalidInput."""
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= 100 or not clean.isprintable():
        raise InvalidInput("A name has 1 to 100 visible characters.", field="name")
    return clean
