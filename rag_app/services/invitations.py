"""Invitations: a link that lets one new person in, with the role somebody chose for them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.people import AuditEvent, OneTimeLink, User
from rag_app.errors import Conflict, Forbidden, NotFound
from rag_app.services import sessions
from rag_app.services.accounts import Caller, SignedIn, checked_email, checked_name, normal_email, role_of
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.links import DEAD, For, NewLink, check_link, drop_links, make_link, use_link
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.passwords import check_new_password, hash_slowly
from rag_app.services.people import may_manage
from rag_app.services.permissions import Actor, Role, permit
from rag_app.telemetry import log

TAKEN = "Somebody with this e-mail address has an account already."


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that waits."""

    id: UUID
    email: str
    role: Role
    created_at: datetime
    expires_at: datetime


async def invite(context: Context, actor: Actor, *, email: str, role: str) -> tuple[Invitation, NewLink]:
    """Invite a person by a link. An older invitation for the same address dies.

    Raises Forbidden for a role above the actor's own, Conflict when the address has an account.
    """
    permit(actor, "people.manage")
    wanted, address = role_of(role), checked_email(email)
    if not may_manage(actor, wanted):
        raise Forbidden("Only an owner can invite an owner.")
    async with context.transaction() as session:
        if await _has_account(session, address):
            raise Conflict(TAKEN)
        await drop_links(session, "invite", email=normal_email(address))
        whom = For(actor.workspace_id, email=normal_email(address), role=wanted, created_by=actor.user_id)
        link = await make_link(session, context.settings, "invite", whom)
        row = await session.get_one(OneTimeLink, link.id)
        record(session, actor, "invited", link.id, role=wanted)
    return _view(row), link


async def list_invitations(context: Context, actor: Actor, request: PageRequest) -> Page[Invitation]:
    """The invitations that wait, newest first."""
    permit(actor, "people.read")
    moment, identity = request.place()
    wanted = select(OneTimeLink).where(
        col(OneTimeLink.workspace_id) == actor.workspace_id,
        col(OneTimeLink.kind) == "invite",
        col(OneTimeLink.used_at).is_(None),
        col(OneTimeLink.expires_at) > now(),
    )
    if moment is not None:
        wanted = wanted.where(tuple_(col(OneTimeLink.created_at), col(OneTimeLink.id)) < (moment, identity))
    wanted = wanted.order_by(col(OneTimeLink.created_at).desc(), col(OneTimeLink.id).desc()).limit(request.limit + 1)
    async with context.transaction() as session:
        rows = (await session.exec(wanted)).all()
    return page_of([_view(row) for row in rows], request.limit, lambda each: (each.created_at, each.id))


async def revoke_invitation(context: Context, actor: Actor, invitation_id: UUID) -> None:
    """Kill an invitation that waits. Raises NotFound."""
    permit(actor, "people.manage")
    async with context.transaction() as session:
        row = await session.get(OneTimeLink, invitation_id)
        waits = row is not None and row.kind == "invite" and row.used_at is None
        if row is None or not waits or row.workspace_id != actor.workspace_id:
            raise NotFound
        if not may_manage(actor, row.role):
            raise Forbidden("Only an owner can withdraw the invitation of an owner.")
        record(session, actor, "invitation_revoked", row.id)
        await session.delete(row)


async def accept_invitation(context: Context, *, token: str, name: str, password: str, caller: Caller) -> SignedIn:
    """Create the invited account and begin its first session.

    Raises NotFound for a dead link, also when who invited may not give that role any more; InvalidInput for a bad
    name or password (the link then still works); Conflict when the address got an account meanwhile.
    """
    shown = checked_name(name)
    check_new_password(password, name=shown)
    async with context.transaction() as session:
        await check_link(session, "invite", token)
    password_hash = await hash_slowly(password)
    try:
        async with context.transaction() as session:
            link = await use_link(session, "invite", token)
            check_new_password(password, email=link.email, name=shown)
            inviter = await _inviter_of(session, link)
            user = User(
                workspace_id=inviter.workspace_id,
                email=link.email,
                name=shown,
                role=role_of(link.role),
                password_hash=password_hash,
            )
            session.add(user)
            await session.flush()
            session.add(AuditEvent(workspace_id=user.workspace_id, actor_id=user.id, action="joined", thing_id=user.id))
            session_id, session_token = await sessions.begin(session, user.id, user_agent=caller.user_agent)
    except IntegrityError as problem:
        raise Conflict(TAKEN) from problem
    log.info("joined", user_id=user.id)
    return SignedIn(session_token, session_id, user.id)


async def _inviter_of(session: AsyncSession, link: OneTimeLink) -> User:
    inviter = await session.get(User, link.created_by) if link.created_by else None
    if inviter is None or inviter.disabled_at is not None or inviter.workspace_id != link.workspace_id:
        raise NotFound(DEAD)
    if not may_manage(Actor(inviter.id, inviter.workspace_id, role_of(inviter.role)), link.role):
        raise NotFound(DEAD)
    return inviter


async def _has_account(session: AsyncSession, email: str) -> bool:
    wanted = select(col(User.id)).where(func.lower(col(User.email)) == normal_email(email))
    return (await session.exec(wanted)).first() is not None


def _view(row: OneTimeLink) -> Invitation:
    return Invitation(row.id, row.email, role_of(row.role), row.created_at, row.expires_at)
