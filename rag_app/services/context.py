"""What every service works with: settings, database, queue, files, keys. Opened once per process."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.engine import open_engine, resolve_url, transaction
from rag_app.database.files import FileStore, open_files
from rag_app.jobs.claims import Claim
from rag_app.jobs.queue import Queue
from rag_app.security import KeyRing, secret_key_of
from rag_app.services.run_registry import RunRegistry
from rag_app.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of a use case."""

    settings: Settings
    engine: AsyncEngine
    queue: Queue
    files: FileStore
    keys: KeyRing
    url: str = field(repr=False)
    claim: Claim  # the sign of life of this process; held only where somebody keeps it
    runs: RunRegistry = field(default_factory=RunRegistry)

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """One transaction; never held while a model streams."""
        return transaction(self.engine)


@asynccontextmanager
async def open_context(
    settings: Settings, *, url: str | None = None, pool_size: int = 10, waits_for_disk: bool = True
) -> AsyncIterator[Context]:
    """Open everything, and close it at the end. `url` overrides the database of the settings.

    `waits_for_disk` False for work that is done again when the machine loses its last moments.
    """
    url = url or resolve_url(settings)
    keys = KeyRing(
        secret_key_of(settings.data_dir, settings.secret_key, may_create=settings.embedded), settings.secret_key_old
    )
    prepares = not settings.database_direct_url
    engine = open_engine(url, pool_size=pool_size, prepares=prepares, waits_for_disk=waits_for_disk)
    queue = Queue(settings.database_direct_url or url, waits_for_disk=waits_for_disk)
    try:
        await queue.open()
        context = Context(
            settings, engine, queue, open_files(settings), keys, url, Claim(settings.database_direct_url or url)
        )
        try:
            yield context
        finally:
            await context.runs.drain(settings.drain_s)
    finally:
        await queue.close()
        await engine.dispose()
