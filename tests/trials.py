"""The life of one knowledge base under fire: documents come, are replaced and deleted, and processes die all along.

A life has three rounds. In each, requests are sent by processes that die at tripwires and are sent again with the same
Idempotency-Key; then workers die at tripwires; then one is left alone to bring everything to its end.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from rag_app.database.engine import without_driver
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from tests.crashing import LOOK_EVERY_S, PATIENCE_S, Born, Site
from tests.pile import Paper, pile
from tests.tripwires import Wire
from tests.truth import residues, wrong_content
from tests.watching import Watcher

Victim = Literal["web", "worker", "parser", "migration", "database", "one of the database's processes"]
Load = Literal["texts", "files", "provider"]
PER_REQUEST = 4
_UNFINISHED = "SELECT count(*) FROM versions WHERE knowledge_base_id = %s AND state IN ('queued', 'working')"
SCHEMA = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'public' UNION ALL SELECT tablename, indexname, indexdef, '', '' FROM pg_indexes
WHERE schemaname = 'public' AND tablename NOT LIKE 'embeddings\\_%'
UNION ALL SELECT 'revision', version_num, '', '', '' FROM alembic_version
UNION ALL SELECT 'function', p.proname, pg_get_function_identity_arguments(p.oid), '', '' FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public' ORDER BY 1, 2, 3
"""
_DELETED = "SELECT count(*) FROM documents WHERE knowledge_base_id = %s AND deleted_at IS NOT NULL"


@dataclass(frozen=True)
class Case:
    """A named point, and what dies there."""

    name: str
    victim: Victim
    wire: Callable[[random.Random], Wire]
    rounds: tuple[int, ...] = (0, 1)
    loads: tuple[Load, ...] = ("texts", "files", "provider")


def _at(kind: Any, what: str = "", when: Any = "before", nth: int = 1) -> Callable[[random.Random], Wire]:
    return lambda dice: Wire(kind, what, when, nth if nth > 0 else dice.randint(1, -nth))


def _held(kind: Any, what: str, when: Any = "before") -> Callable[[random.Random], Wire]:
    return lambda _: Wire(kind, what, when, act="hold")


def _reading(act: Any) -> Callable[[random.Random], Wire]:
    return lambda dice: Wire("call", "-", "during", act=act, delay_s=dice.uniform(0, 0.9))


_CLAIM, _FLIP, _LOCKS = "SET state = 'working', attempt", "INSERT INTO lexical_deltas", "ORDER BY d.id FOR UPDATE"
_CACHE = "INSERT INTO embedding_cache"
SENDING = (
    Case("body of an upload streaming", "web", _at("call", "body", nth=-2), loads=("files",)),
    Case("temporary file written", "web", _at("call", "fsync")),
    Case("temporary file synced", "web", _at("call", "fsync", "after")),
    Case("original renamed", "web", _at("call", "replace", "after")),
    Case("its folder synced", "web", _at("call", "fsync", "after", nth=2)),
    Case("before the commit of an upload", "web", _at("commit", "INSERT INTO versions")),
    Case("after the commit, before the answer", "web", _at("commit", "INSERT INTO versions", "after")),
    Case("any step of an upload", "web", _at("any", nth=-45), rounds=(0, 1, 2)),
    Case("before the commit of an upload", "database", _held("commit", "INSERT INTO versions")),
    Case("before the commit of an upload", "one of the database's processes", _held("commit", "INSERT INTO versions")),
)
WORKING = (
    Case("job fetched", "worker", _at("statement", _CLAIM)),
    Case("claimed", "worker", _at("commit", _CLAIM, "after")),
    Case("parser at work", "worker", _reading("die"), loads=("files",)),
    Case("parser at work", "parser", _reading("kill the parser"), loads=("files",)),
    Case("before cutting", "worker", _at("call", "cut", nth=-4)),
    Case("after cutting", "worker", _at("call", "cut", "after", nth=-4)),
    Case("text and cuts kept", "worker", _at("commit", "text = coalesce(r.text", "after", nth=-4)),
    Case("batch k of n embedded, not kept", "worker", _at("statement", _CACHE, nth=-4), loads=("provider",)),
    Case("batch k of n kept", "worker", _at("commit", _CACHE, "after", nth=-4), loads=("provider",)),
    Case("before the flip", "worker", _at("statement", _LOCKS)),
    Case("inside the flip", "worker", _at("statement", _FLIP)),
    Case("passages copied", "worker", _at("statement", "COPY passages", "after")),
    Case("old version taken out", "worker", _at("statement", "DELETE FROM passages", "after"), rounds=(1,)),
    Case("flip written, not committed", "worker", _at("commit", _FLIP)),
    Case("after the flip", "worker", _at("commit", _FLIP, "after")),
    Case("before acknowledging", "worker", _at("statement", "procrastinate_finish_job")),
    Case("erasing a document", "worker", _at("statement", "DELETE FROM documents", nth=-3), rounds=(2,)),
    Case("document erased, not committed", "worker", _at("commit", "DELETE FROM documents", nth=-3), rounds=(2,)),
    Case("any step of a worker", "worker", _at("any", nth=-160), rounds=(0, 1, 2)),
    Case("claimed", "database", _held("commit", _CLAIM, "after")),
    Case("inside the flip", "database", _held("statement", _FLIP)),
    Case("flip written, not committed", "database", _held("commit", _FLIP)),
    Case("inside the flip", "one of the database's processes", _held("statement", _FLIP)),
    Case("flip written, not committed", "one of the database's processes", _held("commit", _FLIP)),
    Case("text and cuts kept", "one of the database's processes", _held("commit", "text = coalesce(r.text")),
)  # fmt: skip
# After these nothing may be left for the next worker to die at, so they come last.
_DATABASE = ("database", "processes")
_LATE = ("after the flip", "before acknowledging")


@dataclass
class Tally:
    """What was found so far. Keys are (point, victim)."""

    reached: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    lives: int = 0
    documents: int = 0
    looks: int = 0
    searches: int = 0
    embedded: int = 0
    embedded_again: int = 0
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """How many processes died at the point that was meant."""
        return self.reached.total()


class Life:
    """One knowledge base, from its first document to its last check."""

    def __init__(self, site: Site, seed: int, load: Load, tally: Tally) -> None:
        self._site, self._seed, self._load, self._tally = site, seed, load, tally
        self._dice = random.Random(seed)
        self._base = ""
        self._expected: dict[str, Paper | None] = {}  # external id -> what must be found; None = nothing any more
        self._ids: dict[str, str] = {}

    async def run(self) -> None:
        """All rounds, and the checks. Problems go into the tally."""
        model = "compatible/double-embedder" if self._load == "provider" else None
        wanted = NewKnowledgeBase(f"life {self._seed}", embedding_model=model)
        made = await create_knowledge_base(self._site.context, self._site.actor, wanted)
        self._base = str(made.id)
        began = time.monotonic()
        papers = [self._papers(number) for number in (0, 1)]
        async with Watcher(self._site, made.id, [each for pile in papers for each in pile]) as watcher:
            for number in (0, 1, 2):
                await self._send(number, self._requests(number, papers))
                await self._work(number)
                await self._check(number)
        self._tally.problems += [f"half: seed {self._seed}: {each}" for each in watcher.problems]
        self._tally.looks += watcher.looks
        self._tally.searches += watcher.searches
        self._tally.lives += 1
        self._tally.seconds += time.monotonic() - began

    def _papers(self, number: int) -> list[Paper]:
        count = 4 if self._load == "files" else 3 * PER_REQUEST
        return pile(count, seed=self._seed * 10 + number)

    def _requests(self, number: int, papers: Sequence[list[Paper]]) -> list[dict[str, Any]]:
        if number == 2:
            doomed = sorted(self._ids)[::2]
            self._expected |= dict.fromkeys(doomed)
            return [
                {"id": f"{self._seed}-2-{name}", "method": "DELETE", "path": f"/documents/{self._ids[name]}"}
                for name in doomed
            ]
        now = papers[number]
        names = [f"{place:02}.{each.filename.rpartition('.')[2]}" for place, each in enumerate(now)]
        self._expected |= dict(zip(names, now, strict=True))
        self._tally.documents += len(now)
        path = f"/knowledge-bases/{self._base}/documents"
        common = {"method": "POST", "path": path}
        if self._load == "files":
            return [{**common, "id": f"{self._seed}-{number}-{name}", "name": name, "file": self._file(name, paper)}
                    for name, paper in zip(names, now, strict=True)]  # fmt: skip
        texts = [{"external_id": name, "text": paper.text} for name, paper in zip(names, now, strict=True)]
        packs = [texts[start : start + PER_REQUEST] for start in range(0, len(texts), PER_REQUEST)]
        return [{**common, "id": f"{self._seed}-{number}-{place}", "json": {"texts": pack}}
                for place, pack in enumerate(packs)]  # fmt: skip

    def _file(self, name: str, paper: Paper) -> str:
        path = self._site.nursery.folder / f"paper-{name}"
        path.write_bytes(paper.content)
        return str(path)

    # --- sending

    async def _send(self, number: int, requests: list[dict[str, Any]]) -> None:
        """Send everything; on the way processes die. Ends when every request was answered with success."""
        pending = {each["id"]: each for each in requests}
        fitting = [each for each in SENDING if number in each.rounds and self._load in each.loads]
        for case in self._choose(fitting, 3 if number < 2 else 1):
            await self._send_once(pending, case)
        deadline = time.monotonic() + PATIENCE_S
        while pending and time.monotonic() < deadline:
            await self._send_once(pending, None)
        if pending:
            self._tally.problems.append(f"lost: seed {self._seed}: not accepted: {sorted(pending)}")

    async def _send_once(self, pending: dict[str, dict[str, Any]], case: Case | None) -> None:
        if not pending:
            return
        order = {"key": self._site.key, "requests": list(pending.values())}
        born = self._site.nursery.fork("send", case.wire(self._dice) if case else None, **order)
        await self._follow(born, case, is_over=lambda: False)
        if born.ended not in (0, -9):
            raise AssertionError(f"a process of the trial ended with {born.ended}; its log tells why")
        for line in born.said():
            if "answered" not in line:
                continue
            if line["status"] in (202, 204) or (line["status"] == 404 and "-2-" in line["answered"]):
                pending.pop(line["answered"], None)
                self._note_ids(line["body"])
            elif line["status"] not in (409, 503):
                self._tally.problems.append(f"refused: seed {self._seed}: {line}")
                pending.pop(line["answered"], None)

    def _note_ids(self, body: str) -> None:
        if not body.startswith("{"):
            return
        with self._site.connect() as connection:
            query = "SELECT external_id, id::text FROM documents WHERE knowledge_base_id = %s AND deleted_at IS NULL"
            self._ids = dict(connection.execute(query, [self._base]).fetchall())

    # --- working

    async def _work(self, number: int) -> None:
        fitting = [each for each in WORKING if number in each.rounds and self._load in each.loads]
        chosen = self._choose(fitting, 4 if number < 2 else 2)
        chosen.sort(key=lambda each: (each.name in _LATE, each.victim != "worker"))
        for case in chosen:
            if self._is_done():
                break
            if await self._follow(self._fork_worker(case), case, is_over=self._is_done) and case.victim == "worker":
                continue
        if not self._is_done():
            await self._follow(self._fork_worker(None), None, is_over=self._is_done)

    def _choose(self, fitting: Sequence[Case], count: int) -> list[Case]:
        """Some of the cases. The database dies in every third choice at most: it takes its time to come back."""
        costly = [each for each in fitting if each.victim.endswith(_DATABASE)]
        cheap = [each for each in fitting if not each.victim.endswith(_DATABASE)]
        chosen = self._dice.sample(costly, 1) if costly and self._dice.random() < 1 / 3 else []
        return self._dice.sample(cheap, min(len(cheap), count - len(chosen))) + chosen

    def _fork_worker(self, case: Case | None) -> Born:
        return self._site.nursery.fork("work", case.wire(self._dice) if case else None, embed_batch=8)

    def _is_done(self) -> bool:
        with contextlib.suppress(Exception):
            watch = self._site.watch()
            rows = [watch.execute(query, [self._base]).fetchone() for query in (_UNFINISHED, _DELETED)]
            return all(row is not None and row[0] == 0 for row in rows)
        return False

    async def _follow(self, born: Born, case: Case | None, *, is_over: Callable[[], bool]) -> bool:
        """Follow a process until it ends, or nothing is left to do; whether what was meant to die there did."""
        deadline = time.monotonic() + PATIENCE_S
        killed, looks = False, 0
        while born.poll() is None and time.monotonic() < deadline:
            if case is not None and not killed and case.victim not in ("web", "worker") and born.is_at_wire:
                killed = True
                if case.victim != "parser":
                    await self._site.kill_database(whole=case.victim == "database", dice=self._dice)
                born.go_on()
            if (looks := looks + 1) % 5 == 0 and is_over():
                break
            await asyncio.sleep(LOOK_EVERY_S)
        else:
            if born.poll() is None:
                self._tally.problems.append(f"stuck: seed {self._seed}: {case.name if case else 'nobody died'}")
        born.kill()
        self._site.forget_workers()
        if case is None:
            return False
        reached = born.is_at_wire and (killed or (case.victim in ("web", "worker") and born.ended == -9))
        (self._tally.reached if reached else self._tally.missed)[(case.name, case.victim)] += 1
        return reached

    # --- checking

    async def _check(self, number: int) -> None:
        expected = {name: paper for name, paper in self._expected.items() if paper is not None}
        contents = {name: self._content(paper) for name, paper in expected.items()}
        found = await asyncio.to_thread(wrong_content, self._site, self._base, contents)
        if number == 2:
            gone = [self._ids[name] for name, paper in self._expected.items() if paper is None and name in self._ids]
            found += await asyncio.to_thread(residues, self._site, gone)
        self._tally.problems += [f"{each} (seed {self._seed}, round {number})" for each in found]

    def _content(self, paper: Paper) -> bytes:
        return paper.content if self._load == "files" else paper.text.encode()


CASES = (*SENDING, *WORKING)


async def migrate(site: Site, seed: int, tally: Tally) -> None:
    """An empty database is brought up to date by processes that die on the way; the schema ends the same."""
    dice, name = random.Random(seed), f"migrated_{seed}"
    with site.connect() as connection:
        wanted = connection.execute(SCHEMA).fetchall()
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_url(site.server.url).set(database=name).render_as_string(hide_password=False)
    for _ in range(3):
        born = site.nursery.fork("migrate", Wire("any", nth=dice.randint(1, 60)), url=url)
        await _end(born)
        reached = born.is_at_wire and born.ended == -9
        (tally.reached if reached else tally.missed)["any step of a migration", "migration"] += 1
    last = site.nursery.fork("migrate", None, url=url)
    await _end(last)
    with psycopg.connect(without_driver(url), autocommit=True) as connection:
        if last.ended != 0 or connection.execute(SCHEMA).fetchall() != wanted:
            tally.problems.append(f"migration: seed {seed}: the schema is another one ({last.ended})")
    with site.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def _end(born: Born) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while born.poll() is None:  # noqa: ASYNC110  the end of a process that is not our child has no event
            await asyncio.sleep(LOOK_EVERY_S)
