"""Remembers who did what to which thing, in the transaction that does it."""

from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.people import AuditEvent
from rag_app.services.permissions import Actor


def record(session: AsyncSession, actor: Actor, action: str, thing_id: UUID | None = None, **details: Any) -> None:
    """Add an audit event to the transaction of `session`. Details never hold text of documents or questions."""
    session.add(
        AuditEvent(
            workspace_id=actor.workspace_id, actor_id=actor.user_id, action=action, thing_id=thing_id, details=details
        )
    )
