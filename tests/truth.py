"""What must be true of the tables and of every search at every moment, whatever was killed."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self

import httpx
import psycopg
from psycopg import sql

from rag_app.jobs.claims import ALIVE
from tests.killing import PATIENCE_S, Product, wait_until
from tests.pile import Paper

# One statement, so one snapshot: documents whose searchable rows are not exactly those of their active version.
HALF = """
SELECT d.title, v.passage_count, p.passages, l.lexical, e.embeddings, p.foreign_rows
FROM documents d JOIN knowledge_bases k ON k.id = d.knowledge_base_id JOIN indexes i ON i.id = k.active_index_id
LEFT JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.active_version_id
CROSS JOIN LATERAL (
    SELECT count(*) AS passages, count(DISTINCT ordinal) AS ordinals,
           count(*) FILTER (WHERE version_id IS DISTINCT FROM d.active_version_id) AS foreign_rows
    FROM passages p WHERE p.knowledge_base_id = d.knowledge_base_id AND p.document_id = d.id
    AND p.cutting_id = i.cutting_id) p
CROSS JOIN LATERAL (
    SELECT count(*) AS lexical FROM lexical l JOIN passages p USING (knowledge_base_id, cutting_id)
    WHERE l.knowledge_base_id = d.knowledge_base_id AND l.passage_id = p.id AND p.document_id = d.id
    AND l.cutting_id = i.cutting_id) l
CROSS JOIN LATERAL (
    SELECT count(*) AS embeddings FROM embeddings e JOIN passages p USING (knowledge_base_id)
    WHERE e.knowledge_base_id = d.knowledge_base_id AND e.passage_id = p.id AND p.document_id = d.id
    AND e.index_id = i.id AND p.cutting_id = i.cutting_id) e
WHERE d.knowledge_base_id = %(kb)s AND d.deleted_at IS NULL AND (
    p.foreign_rows > 0 OR p.passages <> coalesce(v.passage_count, 0) OR p.ordinals <> p.passages
    OR l.lexical <> p.passages OR e.embeddings <> p.passages OR (v.id IS NOT NULL AND v.state <> 'ready'))
"""
ORPHANS = """
SELECT (SELECT count(*) FROM lexical l WHERE l.knowledge_base_id = %(kb)s AND NOT EXISTS
        (SELECT FROM passages p WHERE p.knowledge_base_id = %(kb)s AND p.id = l.passage_id)),
       (SELECT count(*) FROM embeddings e WHERE e.knowledge_base_id = %(kb)s AND NOT EXISTS
        (SELECT FROM passages p WHERE p.knowledge_base_id = %(kb)s AND p.id = e.passage_id)),
       (SELECT count(*) FROM passages p WHERE p.knowledge_base_id = %(kb)s AND NOT EXISTS
        (SELECT FROM documents d WHERE d.knowledge_base_id = %(kb)s AND d.id = p.document_id))
"""
TOTALS = """
SELECT cutting_id, language, sum(passages)::bigint, sum(length)::bigint FROM (
    SELECT cutting_id, language, passages, length FROM lexical_totals WHERE knowledge_base_id = %(kb)s
    UNION ALL SELECT cutting_id, language, passages, length FROM lexical_deltas WHERE knowledge_base_id = %(kb)s
) AS every GROUP BY cutting_id, language HAVING sum(passages) <> 0 ORDER BY cutting_id, language
"""
RECOUNTED_TOTALS = """
SELECT cutting_id, language, count(*), sum(length)::bigint FROM lexical WHERE knowledge_base_id = %(kb)s
GROUP BY cutting_id, language ORDER BY cutting_id, language
"""
COUNTS = """
SELECT cutting_id, term, sum(passages)::bigint FROM (
    SELECT cutting_id, term, passages FROM lexical_counts WHERE knowledge_base_id = %(kb)s
    UNION ALL SELECT d.cutting_id, each.term, each.passages FROM lexical_deltas d
    CROSS JOIN LATERAL unnest(d.terms, d.counts) AS each (term, passages) WHERE d.knowledge_base_id = %(kb)s) AS every
GROUP BY cutting_id, term HAVING sum(passages) <> 0 ORDER BY cutting_id, term
"""
RECOUNTED = """
SELECT cutting_id, term, count(*) FROM lexical CROSS JOIN unnest(terms) AS term WHERE knowledge_base_id = %(kb)s
GROUP BY cutting_id, term ORDER BY cutting_id, term
"""
_STATES = "SELECT state, count(*) FROM versions WHERE knowledge_base_id = %s GROUP BY state"
_DOCUMENTS = """
SELECT v.filename, v.sha256, v.original_key, v.state, d.id::text, t.status FROM documents d
JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.document_id = d.id
LEFT JOIN tasks t ON t.version_id = v.id
WHERE d.knowledge_base_id = %s AND d.deleted_at IS NULL ORDER BY v.filename
"""
_ACTIVE = """
SELECT d.external_id, v.original_key, v.original_offset, v.byte_count FROM documents d
LEFT JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.active_version_id
WHERE d.knowledge_base_id = %s AND d.deleted_at IS NULL
"""
_NOT_ENDED = """
SELECT v.filename, v.number, v.state, v.error_code, v.error_message, t.status
FROM versions v LEFT JOIN tasks t ON t.version_id = v.id
WHERE v.knowledge_base_id = %s AND (
    v.state NOT IN ('ready', 'failed') OR (v.state = 'failed' AND v.error_code <> 'cancelled')
    OR (v.state = 'ready' AND t.status IS DISTINCT FROM 'done'))
"""
# Documents that wait or are worked at, without a job that lives: nobody would ever come to them.
UNATTENDED = (
    """
SELECT v.knowledge_base_id::text, v.id::text, v.state, extract(epoch FROM now() - v.updated_at)::int FROM versions v
JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id AND d.deleted_at IS NULL
WHERE v.updated_at < now() - make_interval(secs => %(seconds)s) AND (
    (v.state = 'working' AND (v.claimed_by IS NULL OR NOT """
    + ALIVE.format(column="v.claimed_by")
    + """))
    OR (v.state = 'queued' AND NOT EXISTS (
        SELECT FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
        WHERE j.task_name = 'ingest' AND j.args->'versions' ? v.id::text AND (j.status = 'todo'
            OR (j.status = 'doing' AND w.last_heartbeat > now() - interval '30 seconds')))))
"""
)
_NAMING_DOCUMENTS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_name = 'document_id' ORDER BY table_name
"""
_MAY_REMEMBER = frozenset({"tasks", "citations"})  # that something was done, and what an old answer was based on
Connection = psycopg.Connection[tuple[Any, ...]]


def wrong_statistics(connection: Connection, base: str) -> list[str]:
    """Where the kept lexical statistics differ from a recount, and rows that belong to nothing."""
    values = {"kb": base}
    found = []
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for name, kept, counted in (("totals", TOTALS, RECOUNTED_TOTALS), ("counts", COUNTS, RECOUNTED)):
            if connection.execute(kept, values).fetchall() != connection.execute(counted, values).fetchall():
                found.append(f"lexical {name} differ from a recount")
        orphans = connection.execute(ORPHANS, values).fetchone()
    if orphans is not None and any(orphans):
        found.append(f"rows without an owner: {orphans}")
    return found


class Site(Protocol):
    """What can be looked at from outside: its tables and its store of originals."""

    data_dir: Path

    def connect(self) -> Connection:
        """A connection past the product."""


def wrong_content(site: Site, base: str, expected: Mapping[str, bytes]) -> list[str]:
    """What is lost, doubled, altered, half or left lying, where each external id must hold exactly these bytes."""
    found = []
    with site.connect() as connection:
        rows = connection.execute(_ACTIVE, [base]).fetchall()
        found += [f"half: {row}" for row in connection.execute(HALF, {"kb": base}).fetchall()]
        found += [f"not ended: {row}" for row in connection.execute(_NOT_ENDED, [base]).fetchall()]
        found += [f"left lying: {row}" for row in connection.execute(UNATTENDED, {"seconds": 60}).fetchall()]
        found += wrong_statistics(connection, base)
    times = Counter(str(row[0]) for row in rows)
    found += [f"lost: {name}" for name in expected if times[name] == 0]
    found += [f"doubled: {name}" for name, count in times.items() if count > 1]
    found += [f"back again: {name}" for name in times if name not in expected]
    for name, key, offset, size in rows:
        if key is None:
            found.append(f"never ready: {name}")
            continue
        content = (site.data_dir / "originals" / key).read_bytes()
        if name in expected and content[offset : offset + size] != expected[name]:
            found.append(f"altered: {name}")
    return found


def residues(site: Site, documents: Sequence[str]) -> list[str]:
    """Where something of these erased documents is left, in any table that names a document."""
    found = []
    with site.connect() as connection:
        tables = connection.execute(_NAMING_DOCUMENTS).fetchall()
        for table, column in [*tables, ("documents", "id")]:
            query = sql.SQL("SELECT count(*) FROM {} WHERE {} = ANY(%s::uuid[])").format(
                sql.Identifier(table), sql.Identifier(column)
            )
            row = connection.execute(query, [list(documents)]).fetchone()
            if row and row[0] and table not in _MAY_REMEMBER:
                found.append(f"residue: {row[0]} rows of deleted documents in {table}")
    return found


def wait_until_ready(product: Product, base: str, count: int) -> None:
    """Wait until so many versions are ready; none may fail."""

    def are_ready() -> bool:
        with suppress(psycopg.OperationalError), product.connect() as connection:
            states = dict(connection.execute(_STATES, [base]).fetchall())
            assert not states.get("failed"), f"{states}: {_reasons(connection, base)}"
            return states == {"ready": count}
        return False

    try:
        wait_until(are_ready, f"{count} documents are ready", every_s=0.1)
    except AssertionError as problem:
        with product.connect() as connection:
            states = connection.execute(_STATES, [base]).fetchall()
        raise AssertionError(f"{problem}; {states}\n{product.said[-3000:]}") from problem


def _reasons(connection: Connection, base: str) -> list[Any]:
    query = "SELECT filename, error_code, error_message FROM versions WHERE knowledge_base_id = %s AND state = 'failed'"
    return connection.execute(query, [base]).fetchall()


def wrong_documents(product: Product, base: str, papers: Sequence[Paper]) -> list[str]:
    """What is lost, doubled or altered, in the tables and in the store of originals."""
    found = []
    with product.connect() as connection:
        rows = connection.execute(_DOCUMENTS, [base]).fetchall()
        found += [f"half: {row}" for row in connection.execute(HALF, {"kb": base}).fetchall()]
        found += wrong_statistics(connection, base)
    times = Counter(str(row[0]) for row in rows)
    for paper in papers:
        if times[paper.filename] == 0:
            found.append(f"lost: {paper.filename}")
        if times[paper.filename] > 1:
            found.append(f"doubled: {paper.filename}")
    by_name = {paper.filename: paper for paper in papers}
    for filename, digest, key, state, _, task in rows:
        if (state, task) != ("ready", "done"):
            found.append(f"not ended: {filename} {state} {task}")
        content = (product.data_dir / "originals" / key).read_bytes()
        if not bytes(digest).hex() == hashlib.sha256(content).hexdigest() == by_name[filename].sha256:
            found.append(f"altered: {filename}")
    return found


class Searcher:
    """Searches without a pause, over REST and in the tables, and notes every half document it meets."""

    def __init__(self, product: Product, base: str, papers: Sequence[Paper]) -> None:
        self._product, self._base, self._papers = product, base, papers
        self._done = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._ask, self._look)]
        self.halves: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.whole = 0  # searches that found a whole document
        self.looks = 0
        self.unanswered = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _ask(self) -> None:
        place = 0
        with self._product.client() as client:
            while not self._done.wait(0.03):
                paper = self._papers[place % len(self._papers)]
                place += 1
                try:
                    answer = client.post(
                        f"/knowledge-bases/{self._base}/search",
                        json={"query": paper.word, "limit": 100, "mode": "lexical"},
                    )
                except httpx.HTTPError:
                    self.unanswered += 1
                    continue
                self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    self._judge(paper, answer.json()["passages"])
                elif answer.status_code != 503 or answer.json()["error"]["code"] != "not_ready":
                    self.halves.append(f"{answer.status_code}: {answer.text[:300]}")

    def _judge(self, paper: Paper, passages: list[dict[str, Any]]) -> None:
        shown = " ".join(each["text"] for each in passages if paper.word in each["text"])
        if not shown:
            return
        missing = sorted(mark for mark in paper.marks if mark not in shown)
        if missing:
            self.halves.append(f"{paper.filename} without {missing}")
        self.whole += 1

    def _look(self) -> None:
        while not self._done.wait(0.05):
            with suppress(psycopg.OperationalError, AssertionError), self._product.connect() as connection:
                while not self._done.wait(0.05):
                    rows = connection.execute(HALF, {"kb": self._base}).fetchall()
                    self.halves += [f"half: {row}" for row in rows]
                    self.looks += 1
                    time.sleep(0.05)
