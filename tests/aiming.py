"""Named points at which a process can be killed: each is brought about, verified, and held until the kill.

Nothing in the product helps: a lock taken from outside holds a transaction exactly where it is wanted, or a process
is suspended and only then looked at.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from rag_app.database.files import HELD_BYTES
from tests.killing import V1, Product, Role, wait_until
from tests.pile import Paper

logging.getLogger("psycopg").setLevel(logging.ERROR)  # a rollback on a killed database is what we are here for
Connection = psycopg.Connection[tuple[Any, ...]]
_WAITING = """
SELECT pid FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query ILIKE %s AND datname = current_database() LIMIT 1
"""
_PHASE = "SELECT count(*) FROM versions WHERE knowledge_base_id = %s AND state = 'working' AND phase = %s"
_QUEUED = "SELECT count(*) FROM versions WHERE knowledge_base_id = %s AND state = 'queued'"
_COMMITTED = "SELECT count(*) FROM versions WHERE knowledge_base_id = %s AND sha256 = %s"


BACKLOG = 5


Reach = Callable[[Product, str, Callable[[], None]], AbstractContextManager[int]]


@dataclass(frozen=True)
class Point:
    """A point in the life of a document, and the process that dies there."""

    name: str
    victim: Role
    reach: Reach
    """Given the product, the knowledge base and what starts the uploads: brings the product to the point and holds it
    there; gives the number of the database process that stands there, or 0."""
    suspends: bool = False  # the process is not killed but stands still from then on


def held(table: str, query: str, *, mode: str = "EXCLUSIVE") -> Reach:
    """A statement like `query` waits for a lock on the table, which we took before the uploads began."""

    @contextmanager
    def reach(product: Product, _: str, deliver: Callable[[], None]) -> Iterator[int]:
        with product.connect() as ours, product.connect() as watch, ours.transaction(force_rollback=True):
            ours.execute(f"LOCK TABLE {table} IN {mode} MODE")
            deliver()
            yield _wait_for(watch, query)

    return reach


def _wait_for(watch: Connection, query: str) -> int:
    found: list[int] = []

    def waits() -> bool:
        found.extend(row[0] for row in watch.execute(_WAITING, [query]))
        return bool(found)

    wait_until(waits, f"{query} waits", patience_s=40, every_s=0.005)
    return found[0]


# What was read of a batch is about to be embedded.
BEFORE_EMBEDDING = held("edits", "SELECT id, document_id, kind, quote%", mode="ACCESS EXCLUSIVE")
# Passages, lexical rows and vectors of a version are written, not committed.
IN_FLIP = held("lexical_deltas", "%INSERT INTO lexical_deltas%")
# The original of an upload is stored, its document is not written.
IN_ACCEPTANCE = held("documents", "SELECT d.id FROM documents d WHERE%FOR UPDATE")


@contextmanager
def while_claiming(product: Product, base: str, deliver: Callable[[], None]) -> Iterator[int]:
    """A job was fetched and claims its versions, not committed."""
    with product.connect() as ours, product.connect() as watch, ours.transaction(force_rollback=True):
        with product.suspended("worker"):
            deliver()
            wait_until(lambda: _count(watch, _QUEUED, [base]) >= BACKLOG, "documents wait")
            ours.execute("LOCK TABLE tasks IN EXCLUSIVE MODE")
        yield _wait_for(watch, "UPDATE tasks SET status = 'running'%")


@contextmanager
def before_acknowledgement(product: Product, base: str, deliver: Callable[[], None]) -> Iterator[int]:
    """A job has done its work, the queue does not know it yet."""
    with product.connect() as ours, product.connect() as watch, ours.transaction(force_rollback=True):
        with in_phase("reading")(product, base, deliver):
            ours.execute("LOCK TABLE procrastinate_jobs IN EXCLUSIVE MODE")
        yield _wait_for(watch, "%procrastinate_finish_job%")


def in_phase(phase: str) -> Reach:
    """The worker is at a version in this phase; it is suspended there."""

    @contextmanager
    def reach(product: Product, base: str, deliver: Callable[[], None]) -> Iterator[int]:
        deliver()
        deadline = time.monotonic() + 40
        with product.connect() as watch:
            while time.monotonic() < deadline:
                if not _count(watch, _PHASE, [base, phase]):
                    time.sleep(0.001)
                    continue
                with product.suspended("worker"):
                    time.sleep(0.05)  # what it had sent before is done by now
                    if _count(watch, _PHASE, [base, phase]):
                        yield 0
                        return
        raise AssertionError(f"no version was caught in phase {phase}")

    return reach


def _count(watch: Connection, query: str, values: list[Any]) -> int:
    row = watch.execute(query, values).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def half_an_upload(product: Product, base: str, paper: Paper) -> Iterator[socket.socket]:
    """Half of a file was sent and lies in the folder of incoming files, for what has come is too much to be held."""
    before = set(product.originals("incoming"))
    head = (
        f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{paper.filename}"\r\n\r\n'.encode()
        + paper.content
        + b" " * HELD_BYTES
    )
    lines = [
        f"POST {V1}/knowledge-bases/{base}/documents HTTP/1.1",
        f"Host: 127.0.0.1:{product.port}",
        f"Authorization: Bearer {product.key}",
        "Content-Type: multipart/form-data; boundary=edge",
        f"Content-Length: {2 * len(head)}",
    ]
    with socket.create_connection(("127.0.0.1", product.port), timeout=40) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + head)
        wait_until(
            lambda: any(each.stat().st_size for each in set(product.originals("incoming")) - before),
            "half a file lies there",
        )
        yield connection


@contextmanager
def before_the_answer(product: Product, base: str, paper: Paper, send: Callable[[], None]) -> Iterator[None]:
    """An upload with an Idempotency-Key is committed; its answer is not kept and not sent yet."""
    with ExitStack() as locks:
        first = locks.enter_context(product.connect())
        second = locks.enter_context(product.connect())
        watch = locks.enter_context(product.connect())
        locks.enter_context(second.transaction(force_rollback=True))
        with first.transaction(force_rollback=True):
            first.execute("LOCK TABLE documents IN EXCLUSIVE MODE")
            send()
            _wait_for(watch, "SELECT d.id FROM documents d WHERE%FOR UPDATE")
            second.execute("LOCK TABLE idempotency_records IN EXCLUSIVE MODE")
        values = [base, bytes.fromhex(paper.sha256)]
        wait_until(lambda: _count(watch, _COMMITTED, values) == 1, "the document is committed")
        _wait_for(watch, "UPDATE idempotency_records%")
        yield


POINTS = (
    Point("worker while claiming", "worker", while_claiming),
    Point("worker while reading", "worker", in_phase("reading")),
    Point("worker before embedding", "worker", BEFORE_EMBEDDING),
    Point("worker inside the flip", "worker", IN_FLIP),
    Point("worker before acknowledging", "worker", before_acknowledgement),
    Point("worker suspended while reading", "worker", in_phase("reading"), suspends=True),
    Point("web before the commit of an upload", "web", IN_ACCEPTANCE),
    Point("web while documents are read", "web", in_phase("reading")),
    Point("database while reading", "database", in_phase("reading")),
    Point("database inside the flip", "database", IN_FLIP),
    Point("database before the commit of an upload", "database", IN_ACCEPTANCE),
    Point("supervisor while reading", "supervisor", in_phase("reading")),
    Point("supervisor inside the flip", "supervisor", IN_FLIP),
    Point("supervisor before the commit of an upload", "supervisor", IN_ACCEPTANCE),
)
