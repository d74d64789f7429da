"""Links that work once: made for a set-up, an invitation or a reset; kept as hashes; dead when used or outdated."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.people import OneTimeLink
from rag_app.errors import NotFound
from rag_app.security import hash_token, new_token
from rag_app.services.context import Context
from rag_app.settings import Settings

Kind = Literal["setup", "invite", "reset"]
LIFETIME: dict[Kind, timedelta] = {
    "setup": timedelta(days=7),
    "invite": timedelta(days=7),
    "reset": timedelta(hours=24),
}
DEAD = "This link has been used, replaced or is too old. Ask for a new one."


@dataclass(frozen=True, slots=True)
class For:
    """Whom a link is for."""

    workspace_id: UUID | None = None
    user_id: UUID | None = None
    email: str = ""
    role: str = ""
    created_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link just made; its token is known only here and now. `path` is the page on this server, `url` all of it."""

    id: UUID
    token: str
    path: str
    url: str


async def make_link(session: AsyncSession, settings: Settings, kind: Kind, whom: For) -> NewLink:
    """Make a link inside a transaction."""
    token = new_token()
    row = OneTimeLink(
        kind=kind,
        token_hash=hash_token(token),
        workspace_id=whom.workspace_id,
        user_id=whom.user_id,
        email=whom.email,
        role=whom.role,
        created_by=whom.created_by,
        expires_at=now() + LIFETIME[kind],
    )
    session.add(row)
    await session.flush()
    # Behind # the token stays in the browser: no log of a server or proxy sees it.
    path = f"/{kind}#{token}"
    return NewLink(row.id, token, path, base_address(settings) + path)


async def check_link(session: AsyncSession, kind: Kind, token: str) -> None:
    """Raise NotFound for a dead link, before anything slow is done for whoever sent it; the link stays as it is."""
    wanted = select(col(OneTimeLink.id)).where(*_alive(kind, token))
    if (await session.exec(wanted)).first() is None:
        raise NotFound(DEAD)


async def is_alive(context: Context, kind: Kind, token: str) -> bool:
    """True when such a link would let its bearer in now; it stays as it is."""
    async with context.transaction() as session:
        return (await session.exec(select(col(OneTimeLink.id)).where(*_alive(kind, token)))).first() is not None


def _alive(kind: Kind, token: str) -> list[ColumnElement[bool]]:
    return [
        col(OneTimeLink.kind) == kind,
        col(OneTimeLink.token_hash) == hash_token(token),
        col(OneTimeLink.used_at).is_(None),
        col(OneTimeLink.expires_at) > now(),
    ]


async def use_link(session: AsyncSession, kind: Kind, token: str) -> OneTimeLink:
    """Use a link up inside a transaction; of two at the same time one wins. Raises NotFound for a dead one."""
    used = update(OneTimeLink).where(*_alive(kind, token)).values(used_at=now()).returning(OneTimeLink)
    row = (await session.scalars(used)).first()
    if row is None:
        raise NotFound(DEAD)
    return row


async def drop_links(
    session: AsyncSession, kind: Kind, *, user_id: UUID | None = None, email: str = "", created_by: UUID | None = None
) -> int:
    """Kill all unused links of a kind (for a person, an address, or made by somebody); the number of them."""
    dropped = delete(OneTimeLink).where(col(OneTimeLink.kind) == kind, col(OneTimeLink.used_at).is_(None))
    if user_id is not None:
        dropped = dropped.where(col(OneTimeLink.user_id) == user_id)
    if email:
        dropped = dropped.where(col(OneTimeLink.email) == email)
    if created_by is not None:
        dropped = dropped.where(col(OneTimeLink.created_by) == created_by)
    result = await session.execute(dropped)
    return result.rowcount if isinstance(result, CursorResult) else 0


def base_address(settings: Settings) -> str:
    """The address under which people reach this server, as far as the settings know it."""
    if settings.public_url:
        return settings.public_url
    host = settings.host
    if host in ("0.0.0.0", "::", "127.0.0.1"):
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
