"""Takes jobs out of the queue that have nothing left to do."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_NEXT = 300  # jobs that are looked through
# Only those that are dropped are locked: whoever fetches a job passes over what is locked.
_DROP = text(
    """
DELETE FROM procrastinate_jobs WHERE id IN (
    SELECT j.id FROM procrastinate_jobs j WHERE j.status = 'todo' AND j.id IN (
        SELECT n.id FROM (
            SELECT id, task_name, args FROM procrastinate_jobs WHERE status = 'todo'
            ORDER BY priority DESC, id LIMIT :most
        ) AS n
        WHERE n.task_name = 'ingest' AND jsonb_array_length(n.args->'versions') = 1
          AND n.args->'versions'->>0 = ANY(:versions)
    ) FOR UPDATE SKIP LOCKED
)
"""
)


async def drop_jobs_of(connection: AsyncConnection, versions: Sequence[UUID]) -> None:
    """Drop the jobs of single versions that become ready in this transaction, as far as they are next in the queue.

    To fetch a job and to end it takes nearly as long as to read a small file.
    """
    await connection.execute(_DROP, {"versions": [str(each) for each in versions], "most": _NEXT})
