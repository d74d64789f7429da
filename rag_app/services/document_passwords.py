"""Passwords of encrypted originals: sealed to their version, and erased by the database once it was read or failed."""

from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.errors import InvalidInput
from rag_app.security import KeyRing

LONGEST_PASSWORD = 500
_KEEP = text(
    "UPDATE versions SET sealed_password = :sealed "
    "WHERE knowledge_base_id = :kb AND id = :version AND state IN ('queued', 'working')"
)


def check_password(password: str) -> None:
    """Raise InvalidInput unless it has 1 to 500 characters that can be stored."""
    if not 1 <= len(password) <= LONGEST_PASSWORD or "\0" in password:
        raise InvalidInput(f"password: between 1 and {LONGEST_PASSWORD} characters are expected", field="password")


async def keep_password(
    session: AsyncSession, keys: KeyRing, password: str, *, knowledge_base_id: UUID, version_id: UUID
) -> None:
    """Keep the password of a version that is still to be read, in the transaction of `session`."""
    check_password(password)
    sealed = keys.seal(password, bound_to=_bound_to(version_id))
    await session.execute(_KEEP, {"kb": knowledge_base_id, "version": version_id, "sealed": sealed})


def open_password(keys: KeyRing, sealed: bytes, version_id: UUID) -> str:
    """The password of a version. Raises SettingsError when no key of the ring fits."""
    return keys.open(sealed, bound_to=_bound_to(version_id))


def _bound_to(version_id: UUID) -> str:
    return f"versions/{version_id}"
