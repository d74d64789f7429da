"""People and workshops for tests, made with the product's own tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from rag_app.database.people import User, Workspace
from rag_app.egress import Egress
from rag_app.ingestion.sandbox import ParserPool
from rag_app.ingestion.workshop import Workshop
from rag_app.services.archives import expand
from rag_app.services.context import Context
from rag_app.services.document_passwords import open_password
from rag_app.services.embedding import Vectors, embed_texts
from rag_app.services.permissions import Actor, Role
from rag_app.worker import jobs_of


async def make_actor(context: Context, role: Role = "owner", *, workspace_id: UUID | None = None) -> Actor:
    """A person of a new workspace, or of the one named."""
    async with context.transaction() as session:
        if workspace_id is None:
            workspace = Workspace(name="Test")
            session.add(workspace)
            await session.flush()
            workspace_id = workspace.id
        user = User(workspace_id=workspace_id, email="", role=role, password_hash="-")
        user.email = f"{user.id}@example.com"
        session.add(user)
    return Actor(user.id, workspace_id, role, user.email)


@asynccontextmanager
async def open_workshop(context: Context) -> AsyncIterator[Workshop]:
    """What ingestion works with, with the real parser pool."""

    async def embed(workspace_id: UUID, model: str, texts: list[str]) -> Vectors:
        return await embed_texts(context, workspace_id, model, texts, purpose="document")

    pool = ParserPool(size=1)
    try:
        unseal = partial(open_password, context.keys)
        unpack = partial(expand, context, pool)
        yield Workshop(context.engine, context.files, pool, Egress(), embed, _nobody, 10_000_000, unseal, unpack)
    finally:
        await pool.close()


async def _nobody() -> int:
    return 1


async def work_off(context: Context, workshop: Workshop) -> None:
    """Run the queue until nothing waits."""
    await context.queue.run(jobs_of(context, workshop), concurrency=1, name="test", wait=False)


__all__ = ["make_actor", "open_workshop", "work_off"]
