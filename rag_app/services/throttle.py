"""Slows down guessing: failed attempts are counted in Postgres per account and per address of the caller."""

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import new_id, now
from rag_app.database.people import SignInAttempt
from rag_app.errors import RateLimited
from rag_app.services.context import Context
from rag_app.telemetry import log

WINDOW = timedelta(minutes=15)
# An account is blocked sooner for one address than for all, so that a stranger can hardly lock its owner out.
PER_ACCOUNT_AND_ADDRESS = 10
PER_ACCOUNT = 30
PER_ADDRESS = 60


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt under way: counted as failed until it is forgiven."""

    ids: tuple[UUID, ...]
    account_keys: tuple[bytes, ...]


def network_of(ip: str) -> str:
    """The part of an address that stands for one customer: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(ip.split("%")[0])
    except ValueError:
        return ip[:100]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


async def attempt(context: Context, *, account: str, ip: str) -> Attempt:
    """Count an attempt before it is judged, so that attempts at the same time are all counted.

    Raises RateLimited, without counting, when there were too many failures in the last 15 minutes.
    """
    account, network = account.strip().lower(), network_of(ip)
    both = _key("account and address", account, network)
    alone = _key("account", account)
    limits = [(both, PER_ACCOUNT_AND_ADDRESS), (alone, PER_ACCOUNT), (_key("address", network), PER_ADDRESS)]
    ids = []
    async with context.transaction() as session:
        for key, limit in sorted(limits):  # the same order everywhere, so that two attempts cannot lock each other out
            await _refuse_if_too_many(session, key, limit)
            row = SignInAttempt(id=new_id(), key=key)
            session.add(row)
            ids.append(row.id)
    return Attempt(tuple(ids), (both, alone))


async def _refuse_if_too_many(session: AsyncSession, key: bytes, limit: int) -> None:
    lock = int.from_bytes(key[:8], signed=True)
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
    since = now() - WINDOW
    await session.execute(delete(SignInAttempt).where(col(SignInAttempt.key) == key, col(SignInAttempt.at) <= since))
    counted = select(func.count(), func.min(col(SignInAttempt.at))).where(
        col(SignInAttempt.key) == key, col(SignInAttempt.at) > since
    )
    failures, first = (await session.execute(counted)).one()
    if failures >= limit:
        wait = max(1, int((first + WINDOW - now()).total_seconds()) + 1)
        log.warning("sign_in_throttled", retry_after_s=wait)
        raise RateLimited("Too many failed attempts. Wait a few minutes and try again.", retry_after_s=wait)


async def forgive(context: Context, made: Attempt) -> None:
    """The attempt succeeded: forget it, and all failures of the account."""
    async with context.transaction() as session:
        await session.execute(
            delete(SignInAttempt).where(
                col(SignInAttempt.id).in_(made.ids) | col(SignInAttempt.key).in_(made.account_keys)
            )
        )


async def forget_account(context: Context, account: str) -> None:
    """Forget the failures of an account from everywhere, after its owner proved themselves in another way."""
    key = _key("account", account.strip().lower())
    async with context.transaction() as session:
        await session.execute(delete(SignInAttempt).where(col(SignInAttempt.key) == key))


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).digest()
