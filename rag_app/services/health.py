"""Whether the server can do its work: database, migrations, queue."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rag_app.database.migration import newest_revision
from rag_app.errors import NotReady
from rag_app.jobs.queue import live_workers, waiting_jobs
from rag_app.services.context import Context


@dataclass(frozen=True, slots=True)
class Readiness:
    """The state of what the server depends on."""

    database: bool
    migrations: bool
    queue: bool
    workers: int = 0
    waiting_jobs: int = 0

    @property
    def is_ready(self) -> bool:
        """True when requests can be served; workers may come later."""
        return self.database and self.migrations and self.queue


async def readiness(context: Context) -> Readiness:
    """Look at the database, its schema and the queue."""
    try:
        async with context.transaction() as session:
            revision = (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
            return Readiness(
                database=True,
                migrations=revision == newest_revision(),
                queue=True,
                workers=await live_workers(session),
                waiting_jobs=await waiting_jobs(session),
            )
    except NotReady:
        return Readiness(database=False, migrations=False, queue=False)
    except DBAPIError:
        return Readiness(database=True, migrations=False, queue=False)
