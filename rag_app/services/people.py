"""The people of a workspace: list, change of role, disable, remove, and a way back in for the locked out."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, delete, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.people import Session, User, Workspace
from rag_app.errors import Conflict, Forbidden, NotFound, Unauthenticated
from rag_app.services import sessions, throttle
from rag_app.services.accounts import Caller, SignedIn, normal_email, role_of, set_password
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.links import DEAD, For, NewLink, check_link, drop_links, make_link, use_link
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.passwords import check_new_password, hash_slowly
from rag_app.services.permissions import Actor, Role, is_allowed, permit
from rag_app.telemetry import log

LAST_OWNER = "This is the last owner of the workspace: make somebody else an owner first."


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the workspace."""

    id: UUID
    email: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class PersonChange:
    """What to change about a person; None leaves it as it is."""

    role: str | None = None
    disabled: bool | None = None


def may_manage(actor: Actor, role: str) -> bool:
    """True when the actor's role reaches people of that role: only owners reach owners."""
    return is_allowed(actor, "people.manage") and (actor.role == "owner" or role != "owner")


async def list_people(context: Context, actor: Actor, request: PageRequest) -> Page[Person]:
    """The people of the workspace, newest first; also for those who may share a knowledge base with them."""
    if not is_allowed(actor, "knowledge.share"):
        permit(actor, "people.read")
    moment, identity = request.place()
    seen = select(func.max(col(Session.last_seen_at))).where(col(Session.user_id) == col(User.id)).scalar_subquery()
    wanted = select(User, seen).where(col(User.workspace_id) == actor.workspace_id)
    if moment is not None:
        wanted = wanted.where(tuple_(col(User.created_at), col(User.id)) < (moment, identity))
    wanted = wanted.order_by(col(User.created_at).desc(), col(User.id).desc()).limit(request.limit + 1)
    async with context.transaction() as session:
        rows = (await session.exec(wanted)).all()
    people = [_view(user, last_seen) for user, last_seen in rows]
    return page_of(people, request.limit, lambda each: (each.created_at, each.id))


async def read_person(context: Context, actor: Actor, user_id: UUID) -> Person:
    """One person of the workspace. Raises NotFound."""
    permit(actor, "people.read")
    async with context.transaction() as session:
        return _view(await _person(session, actor, user_id))


async def change_person(context: Context, actor: Actor, user_id: UUID, change: PersonChange) -> Person:
    """Give a person another role, lock them out or let them in again. Where something changes, their sessions end;
    locked out, their API keys and links stop working too.

    Raises Forbidden where an owner is concerned and the actor is none, Conflict for the last owner.
    """
    async with context.transaction() as session:
        user = await _managed(session, actor, user_id)
        if change.role is not None and change.role != user.role:
            await _set_role(session, actor, user, role_of(change.role))
        if change.disabled is not None and change.disabled != (user.disabled_at is not None):
            await _set_disabled(session, actor, user, change.disabled)
        await session.flush()
    return _view(user)


async def _set_role(session: AsyncSession, actor: Actor, user: User, role: Role) -> None:
    if not may_manage(actor, role):
        raise Forbidden("Only an owner can make somebody an owner.")
    await _keep_an_owner(session, user)
    record(session, actor, "role_changed", user.id, before=user.role, after=role)
    user.role = role
    session.add(user)
    await sessions.end_all(session, user.id)


async def _set_disabled(session: AsyncSession, actor: Actor, user: User, disabled: bool) -> None:
    if disabled:
        await _keep_an_owner(session, user)
        await _cut_off(session, user.id)
    record(session, actor, "disabled" if disabled else "enabled", user.id)
    user.disabled_at = now() if disabled else None
    session.add(user)


async def remove_person(context: Context, actor: Actor, user_id: UUID) -> None:
    """Delete a person with their sessions, API keys and conversations. What they added to the workspace stays."""
    async with context.transaction() as session:
        user = await _managed(session, actor, user_id)
        await _keep_an_owner(session, user)
        await _cut_off(session, user.id)
        record(session, actor, "person_removed", user.id)
        await session.execute(delete(User).where(col(User.id) == user.id))


# --- the way back in --------------------------------------------------------------------------------------------


async def reset_link(context: Context, actor: Actor, user_id: UUID) -> NewLink:
    """A one-time link with which a person sets a new password; links made before die."""
    async with context.transaction() as session:
        user = await _managed(session, actor, user_id)
        record(session, actor, "reset_link_made", user.id)
        return await _new_reset_link(session, context, user, created_by=actor.user_id)


async def reset_link_for(context: Context, email: str) -> NewLink:
    """The same for callers on the server itself (the command line). Raises NotFound for an unknown address."""
    async with context.transaction() as session:
        user = (await session.exec(select(User).where(func.lower(col(User.email)) == normal_email(email)))).first()
        if user is None:
            raise NotFound("Nobody has an account with this e-mail address.")
        return await _new_reset_link(session, context, user)


async def reset_password(context: Context, *, token: str, password: str, caller: Caller) -> SignedIn:
    """Set a new password with a reset link: every session ends, and a fresh one begins for this browser.

    Raises NotFound for a dead link and InvalidInput for a weak password (the link then still works).
    """
    check_new_password(password)
    async with context.transaction() as session:
        await check_link(session, "reset", token)
    password_hash = await hash_slowly(password)
    async with context.transaction() as session:
        link = await use_link(session, "reset", token)
        user = await session.get(User, link.user_id) if link.user_id else None
        if user is None:
            raise NotFound(DEAD)
        if user.disabled_at is not None:
            raise Unauthenticated("This account is disabled; an admin of the workspace can enable it.")
        check_new_password(password, email=user.email, name=user.name)
        await set_password(session, user.id, password_hash)
        session_id, new_token = await sessions.begin(session, user.id, user_agent=caller.user_agent)
    await throttle.forget_account(context, user.email)
    log.info("password_reset", user_id=user.id)
    return SignedIn(new_token, session_id, user.id)


async def _new_reset_link(
    session: AsyncSession, context: Context, user: User, *, created_by: UUID | None = None
) -> NewLink:
    await drop_links(session, "reset", user_id=user.id)
    whom = For(user.workspace_id, user.id, user.email, created_by=created_by)
    return await make_link(session, context.settings, "reset", whom)


# --- rules ------------------------------------------------------------------------------------------------------


async def _person(session: AsyncSession, actor: Actor, user_id: UUID) -> User:
    user = await session.get(User, user_id)
    if user is None or user.workspace_id != actor.workspace_id:
        raise NotFound
    return user


async def _managed(session: AsyncSession, actor: Actor, user_id: UUID) -> User:
    permit(actor, "people.manage")
    # One change of people at a time: two owners could otherwise remove each other.
    await session.execute(select(Workspace.id).where(col(Workspace.id) == actor.workspace_id).with_for_update())
    user = await _person(session, actor, user_id)
    if not may_manage(actor, user.role):
        raise Forbidden("Only an owner can change an owner.")
    return user


async def _keep_an_owner(session: AsyncSession, leaving: User) -> None:
    if leaving.role != "owner" or leaving.disabled_at is not None:
        return
    others = select(col(User.id)).where(
        col(User.workspace_id) == leaving.workspace_id,
        col(User.role) == "owner",
        col(User.disabled_at).is_(None),
        col(User.id) != leaving.id,
    )
    if (await session.exec(others.limit(1))).first() is None:
        raise Conflict(LAST_OWNER)


async def _cut_off(session: AsyncSession, user_id: UUID) -> None:
    await sessions.end_all(session, user_id)
    await drop_links(session, "reset", user_id=user_id)
    await drop_links(session, "invite", created_by=user_id)


def _view(user: User, last_seen_at: datetime | None = None) -> Person:
    return Person(user.id, user.email, user.name, role_of(user.role), user.created_at, user.disabled_at, last_seen_at)
