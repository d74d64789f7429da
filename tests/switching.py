"""Switches of a running product under searches: each answer must be the one of the old index or of the new one."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import psycopg

from tests.killing import PATIENCE_S, Product, wait_until
from tests.truth import HALF, wrong_statistics

Found = tuple[str, ...]
ASKERS = 4
LIMIT = 10
_STATE = "SELECT state, phase, problem_message FROM indexes WHERE id = %s"
_VECTORS = "SELECT count(*) FROM embeddings WHERE index_id = %s"


@dataclass(frozen=True)
class Asked:
    """One search over REST."""

    at: float
    took_ms: float
    status: int  # 0 = no answer
    question: str
    found: Found


def ask(client: httpx.Client, base: str, question: str) -> Asked:
    """Search once."""
    started = time.monotonic()
    status = 0
    found: Found = ()
    with suppress(httpx.HTTPError):
        answer = client.post(f"/knowledge-bases/{base}/search", json={"query": question, "limit": LIMIT})
        status = answer.status_code
        if status == 200:
            found = tuple(f"{each['id']} {each['char_from']}" for each in answer.json()["passages"])
    return Asked(started, (time.monotonic() - started) * 1000, status, question, found)


def answers(product: Product, base: str, questions: Sequence[str]) -> dict[str, Found]:
    """What is found at this moment, question by question."""
    with product.client() as client:
        asked = [ask(client, base, each) for each in questions]
    assert all(each.status == 200 for each in asked), [each.status for each in asked if each.status != 200]
    return {each.question: each.found for each in asked}


class Asker:
    """Searches at a steady rate from some threads, and notes every answer."""

    def __init__(self, product: Product, base: str, questions: Sequence[str], *, per_s: float = 5.0) -> None:
        self._product, self._base, self._questions = product, base, questions
        self._every_s = ASKERS / per_s
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(ASKERS)]
        self.asked: list[Asked] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _work(self, number: int) -> None:
        due = time.monotonic() + number * self._every_s / ASKERS
        place = number
        with self._product.client() as client:
            while not self._done.wait(max(0.0, due - time.monotonic())):
                due = max(due + self._every_s, time.monotonic())
                self.asked.append(ask(client, self._base, self._questions[place % len(self._questions)]))
                place += ASKERS


@dataclass
class Verdict:
    """What the searches of one switch met."""

    searches: int = 0
    errors: int = 0
    mixed: int = 0
    examples: list[str] = field(default_factory=list)


def judge(asked: Sequence[Asked], old: Mapping[str, Found], new: Mapping[str, Found]) -> Verdict:
    """Errors, and answers that are neither those of the old index nor those of the new one."""
    verdict = Verdict(len(asked))
    for each in asked:
        if each.status != 200:
            verdict.errors += 1
            verdict.examples.append(f"status {each.status}: {each.question[:60]}")
        elif each.found not in (old[each.question], new[each.question]):
            verdict.mixed += 1
            verdict.examples.append(f"neither old nor new: {each.question[:60]}")
    return verdict


class Switch:
    """The indexes of one knowledge base, over REST."""

    def __init__(self, product: Product, base: str) -> None:
        self.product, self.base = product, base

    def call(self, method: str, path: str = "", body: Mapping[str, Any] | None = None) -> Any:
        """A call under /indexes; its answer."""
        with self.product.client() as client:
            answer = client.request(method, f"/knowledge-bases/{self.base}/indexes{path}", json=body)
            assert answer.status_code < 300, answer.text
            return answer.json() if answer.content else None

    def active(self) -> int:
        """The index that is searched."""
        [found] = [each["id"] for each in self.call("GET")["items"] if each["state"] == "active"]
        return int(found)

    def begin(self, **wanted: Any) -> int:
        """Build another index."""
        return int(self.call("POST", body=wanted)["id"])

    def use(self, index_id: int) -> None:
        """Search it as soon as it is complete."""
        self.call("POST", f"/{index_id}/use", {})

    def stand(self, index_id: int) -> tuple[str, str | None, str | None]:
        """State, phase and problem of an index, from the tables."""
        while True:
            with suppress(psycopg.OperationalError), self.product.connect() as connection:
                row = connection.execute(_STATE, [index_id]).fetchone()
                return row if row is not None else ("gone", None, None)

    def vectors(self, index_id: int) -> int:
        """How many there are by now."""
        with self.product.connect() as connection:
            row = connection.execute(_VECTORS, [index_id]).fetchone()
        return int(row[0]) if row else 0

    def wait_until_active(self, index_id: int, *, patience_s: float = PATIENCE_S) -> None:
        """Wait until it is the one that is searched. Raises AssertionError when it failed."""
        self._wait(index_id, lambda stand: stand[0] == "active", "it is active", patience_s)

    def wait_until_ready(self, index_id: int, *, patience_s: float = PATIENCE_S) -> None:
        """Wait until it is complete and waits for a person."""
        self._wait(index_id, lambda stand: stand[1] == "ready", "it is ready", patience_s)

    def _wait(self, index_id: int, is_there: Any, what: str, patience_s: float) -> None:
        def look() -> bool:
            stand = self.stand(index_id)
            assert stand[0] in ("building", "active"), stand
            return bool(is_there(stand))

        wait_until(look, f"{what}; {self.stand(index_id)}", patience_s=patience_s, every_s=0.05)

    def wrong(self) -> list[str]:
        """What is not as it should be in the tables."""
        with self.product.connect() as connection:
            halves = [f"half: {row}" for row in connection.execute(HALF, {"kb": self.base}).fetchall()]
            return halves + wrong_statistics(connection, self.base)


@contextmanager
def watched(switch: Switch, questions: Sequence[str], *, per_s: float = 5.0) -> Iterator[Asker]:
    """Searches for as long as the block takes, and a moment longer."""
    with Asker(switch.product, switch.base, questions, per_s=per_s) as asker:
        yield asker
        time.sleep(2 / per_s)
