"""kill -9 at named points while 30 documents are taken in: what is lost, doubled or half searchable, and for how long.

Each trial brings the product to a point, verifies that it stands there, kills one process, and waits for the rest.
"""

import argparse
import os
import random
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

from bench._installation import free_port, write_result
from tests.aiming import POINTS, Point
from tests.killing import PATIENCE_S, Delivery, Product
from tests.pile import pile
from tests.truth import Searcher, wait_until_ready, wrong_documents

DOCUMENTS = 30
GOAL_P95_S = 5.0
GOAL_SUSPENDED_S = 45.0
ON_THEIR_WAY_S = 0.5  # what was sent before a process stands still is done by then
SETTLE_S = 10.5  # a process that lived so long is started again without a growing pause
_ATTEMPTS = "SELECT coalesce(sum(attempt), 0) FROM versions WHERE knowledge_base_id = %s"
_READY = "SELECT count(*) FROM versions WHERE knowledge_base_id = %s AND state = 'ready'"


@dataclass
class Tally:
    """What the trials at one point found."""

    trials: int = 0
    missed: int = 0  # the point was not reached: not counted as a trial
    progress_s: list[float] = field(default_factory=list)
    all_ready_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unanswered: int = 0
    refused: int = 0
    searches: int = 0

    def count(self, *marks: str) -> int:
        """How many problems are of this kind."""
        return sum(each.startswith(marks) for each in self.problems)


def run_trial(product: Product, point: Point, seed: int, tally: Tally) -> None:
    """One kill at one point."""
    papers = pile(DOCUMENTS, seed=seed)
    base = product.new_base(f"{point.name} {seed}")
    delivery = Delivery(product, base, papers, keys=True)
    with Searcher(product, base, papers) as searcher:
        try:
            with point.reach(product, base, delivery.start):
                before = _state(product, base)
                if not point.suspends:
                    product.kill(point.victim)
                began = time.monotonic()
            if point.suspends:  # here, for who held it at the point lets it go on
                os.kill(product.pid(point.victim), signal.SIGSTOP)
                time.sleep(ON_THEIR_WAY_S)
                before = _state(product, base)
        except AssertionError as problem:
            if not str(problem).startswith(("it did not happen", "no version was caught")):
                raise
            tally.missed += 1
            return
        tally.trials += 1
        if point.victim == "supervisor":
            product.start()
        tally.progress_s.append(_seconds_to_progress(product, point, base, before=before, began=began))
        try:
            delivery.wait()
            wait_until_ready(product, base, DOCUMENTS)
        except AssertionError as problem:
            tally.problems.append(f"lost: {problem}")
        tally.all_ready_s.append(time.monotonic() - began)
        product.wait_until_ready()
    tally.problems += [each if each.startswith("half") else f"half: {each}" for each in searcher.halves]
    tally.problems += wrong_documents(product, base, papers)
    tally.unanswered += delivery.unanswered
    tally.refused += sum(status in (409, 503) for status in delivery.statuses)
    tally.searches += searcher.statuses[200]


def _state(product: Product, base: str) -> tuple[int, int]:
    with product.connect() as connection:
        rows = [connection.execute(query, [base]).fetchone() for query in (_ATTEMPTS, _READY)]
        return (int(rows[0][0]) if rows[0] else 0, int(rows[1][0]) if rows[1] else 0)


def _seconds_to_progress(product: Product, point: Point, base: str, *, before: tuple[int, int], began: float) -> float:
    """From the kill to the next sign of work: of the worker a claim or a flip, of the web process an answer."""
    while time.monotonic() - began < PATIENCE_S:
        if point.victim == "web":
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{product.port}/health", timeout=PATIENCE_S).status_code == 200:
                    break
        else:
            with suppress(psycopg.OperationalError):
                if _state(product, base) != before:
                    break
        time.sleep(0.02)
    return time.monotonic() - began


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def measure(folder: Path, trials: int, seed: int, points: Sequence[Point]) -> dict[str, Tally]:
    """All trials, in an order drawn from the seed, on one installation."""
    tallies = {point.name: Tally() for point in points}
    order = [point for point in points for _ in range(trials)]
    random.Random(seed).shuffle(order)
    product = Product(folder, free_port())
    product.start()
    try:
        product.wait_until_ready()
        product.enter()
        for number, point in enumerate(order):
            run_trial(product, point, seed * 1000 + number, tallies[point.name])
            print(f"  {number + 1}/{len(order)} {point.name}", flush=True)
            time.sleep(SETTLE_S)
    finally:
        product.stop()
    return tallies


def _row(name: str, tally: Tally) -> dict[str, object]:
    return {
        "point": name,
        "n": tally.trials,
        "not_reached": tally.missed,
        "lost": tally.count("lost", "altered", "not ended"),
        "doubled": tally.count("doubled", "lexical", "rows"),
        "half_searchable": tally.count("half"),
        "progress_p50_s": round(statistics.median(tally.progress_s), 2) if tally.progress_s else None,
        "progress_p95_s": round(_quantile(tally.progress_s, 0.95), 2) if tally.progress_s else None,
        "all_ready_p50_s": round(statistics.median(tally.all_ready_s), 2) if tally.all_ready_s else None,
        "unanswered_uploads": tally.unanswered,
        "refused_meanwhile": tally.refused,
        "searches": tally.searches,
    }


def main(arguments: list[str]) -> int:
    """Measure and print. 1 when something was lost, doubled or half searchable, or recovery took too long."""
    parser = argparse.ArgumentParser(prog="scripts/bench faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=3, help="kills per point")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--point", default="", help="only points whose name contains this")
    options = parser.parse_args(arguments)
    points = [point for point in POINTS if options.point in point.name]
    folder = Path(tempfile.mkdtemp(prefix="rag-faults-"))
    try:
        tallies = measure(folder, options.trials, options.seed, points)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [_row(name, tally) for name, tally in tallies.items()]
    print(f"{'killed':<42}{'n':>4}{'lost':>6}{'doubled':>9}{'half':>6}{'p50 s':>8}{'p95 s':>8}{'all ready s':>13}")
    for row in rows:
        print(
            f"{row['point']:<42}{row['n']:>4}{row['lost']:>6}{row['doubled']:>9}{row['half_searchable']:>6}"
            f"{row['progress_p50_s']!s:>8}{row['progress_p95_s']!s:>8}{row['all_ready_p50_s']!s:>13}"
        )
    slow = [seconds for point in points if point.suspends for seconds in tallies[point.name].progress_s]
    every = [seconds for point in points if not point.suspends for seconds in tallies[point.name].progress_s]
    p50, p95 = _quantile(every, 0.5), _quantile(every, 0.95)
    problems = [each for tally in tallies.values() for each in tally.problems]
    print(f"kill to progress, all points: p50 {p50:.1f} s, p95 {p95:.1f} s (goal p95 {GOAL_P95_S:.0f} s)")
    if slow:
        print(f"suspension to progress: most {max(slow):.1f} s (goal {GOAL_SUSPENDED_S:.0f} s)")
    for each in problems[:20]:
        print(f"  {each[:300]}")
    write_result(
        "faults",
        {
            "seed": options.seed,
            "documents_per_trial": DOCUMENTS,
            "points": rows,
            "progress_p50_s": round(p50, 2),
            "progress_p95_s": round(p95, 2),
            "goal_p95_s": GOAL_P95_S,
            "suspended_most_s": round(max(slow, default=0.0), 1),
            "problems": problems[:50],
        },
    )
    late = p95 > GOAL_P95_S or max(slow, default=0.0) > GOAL_SUSPENDED_S
    return 1 if problems or late or any(tally.missed for tally in tallies.values()) else 0
