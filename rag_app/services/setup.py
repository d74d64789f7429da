"""The first owner: a one-time link while nobody has an account, and the account made with it."""

from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.people import AuditEvent, User, Workspace
from rag_app.errors import Conflict
from rag_app.services.accounts import checked_email, checked_name
from rag_app.services.context import Context
from rag_app.services.links import For, check_link, drop_links, make_link, use_link
from rag_app.services.passwords import check_new_password, hash_slowly
from rag_app.telemetry import log

_LOCK = 0x7261675F73657475  # one set-up at a time, on all machines
DONE = "This server has been set up already: sign in, or run `python -m rag_app user reset-password E`."


async def is_set_up(context: Context) -> bool:
    """True once somebody has an account."""
    async with context.transaction() as session:
        return await _has_people(session)


async def setup_link(context: Context) -> str | None:
    """A fresh one-time address for the set-up, or None once somebody has an account. Older links die."""
    async with context.transaction() as session:
        await _alone(session)
        if await _has_people(session):
            return None
        await drop_links(session, "setup")
        link = await make_link(session, context.settings, "setup", For())
    return link.url


async def create_first_owner(
    context: Context, *, email: str, password: str, name: str = "", token: str | None = None
) -> UUID:
    """Create the workspace and its owner; the id of the owner.

    Without a token only for callers on the server itself (the command line). Raises Conflict when somebody has an
    account, NotFound for a dead link, InvalidInput for a bad address, name or password. Of two at once one wins.
    """
    address = checked_email(email)
    shown = checked_name(name or address.partition("@")[0])
    check_new_password(password, email=address, name=shown)
    async with context.transaction() as session:
        if await _has_people(session):
            raise Conflict(DONE)
        if token is not None:
            await check_link(session, "setup", token)
    password_hash = await hash_slowly(password)
    async with context.transaction() as session:
        await _alone(session)
        if await _has_people(session):
            raise Conflict(DONE)
        if token is not None:
            await use_link(session, "setup", token)
        await drop_links(session, "setup")
        workspace = Workspace(name="Workspace")
        session.add(workspace)
        await session.flush()
        owner = User(workspace_id=workspace.id, email=address, name=shown, role="owner", password_hash=password_hash)
        session.add(owner)
        session.add(AuditEvent(workspace_id=workspace.id, actor_id=owner.id, action="set_up", thing_id=owner.id))
    log.info("set_up", user_id=owner.id)
    return owner.id


async def _has_people(session: AsyncSession) -> bool:
    return (await session.exec(select(col(User.id)).limit(1))).first() is not None


async def _alone(session: AsyncSession) -> None:
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
