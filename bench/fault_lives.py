"""Lives of knowledge bases under fire: processes die at named points while documents come, change and go.

Each life is one line in the results, so a run can be stopped and continued; `--part 0/2` and `--part 1/2` run beside
each other. `--report` prints what was found so far.
"""

import argparse
import asyncio
import json
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench._installation import ROOT
from tests.crashing import Site, open_site
from tests.provider_double import ProviderDouble
from tests.trials import CASES, Life, Load, Tally, migrate

RESULTS = ROOT / "bench" / "results" / "fault_lives.jsonl"
LOADS: tuple[Load, ...] = ("texts", "texts", "files", "texts", "provider")
MIGRATION_EVERY = 5


async def _run(seeds: list[int], results: Path, until: float) -> None:
    folder = Path(tempfile.mkdtemp(prefix="rag-faults-"))
    try:
        with ProviderDouble() as double:
            async with open_site(folder, provider_port=double.port, provider_url=double.base_url) as site:
                for seed in seeds:
                    if time.monotonic() > until:
                        return
                    await _one(site, seed, double, results)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _one(site: Site, seed: int, double: ProviderDouble, results: Path) -> None:
    load, tally = LOADS[seed % len(LOADS)], Tally()
    double.requests.clear()
    await Life(site, seed, load, tally).run()
    if seed % MIGRATION_EVERY == 0:
        await migrate(site, seed, tally)
    embedded = [str(text) for request in double.requests for text in _inputs(request.body)]
    line = {
        "seed": seed,
        "load": load,
        "commit": _commit(),
        "reached": _rows(tally.reached),
        "missed": _rows(tally.missed),
        "problems": tally.problems,
        "documents": tally.documents,
        "looks": tally.looks,
        "searches": tally.searches,
        "embedded": len(set(embedded)),
        "embedded_again": len(embedded) - len(set(embedded)),
        "seconds": round(tally.seconds, 1),
    }
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(
        f"  seed {seed} ({load}): {tally.kills} kills, {len(tally.problems)} problems, {tally.seconds:.0f} s",
        flush=True,
    )


def _inputs(body: dict[str, Any]) -> list[Any]:
    found = body.get("input", [])
    return found if isinstance(found, list) else [found]


def _rows(counted: Counter[tuple[str, str]]) -> list[list[Any]]:
    return [[point, victim, count] for (point, victim), count in sorted(counted.items())]


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def read_results(path: Path) -> list[dict[str, Any]]:
    """The lives so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def summary(lives: list[dict[str, Any]]) -> dict[str, Any]:
    """What was found, by point and in all."""
    reached, missed = (_counted(lives, name) for name in ("reached", "missed"))
    problems = [problem for each in lives for problem in each["problems"]]
    totals = {name: sum(each[name] for each in lives)
              for name in ("documents", "looks", "searches", "embedded", "embedded_again", "seconds")}  # fmt: skip
    return {"lives": len(lives), "kills": reached.total(), "reached": reached, "missed": missed, "problems": problems,
            **totals}  # fmt: skip


def _counted(lives: list[dict[str, Any]], name: str) -> Counter[tuple[str, str]]:
    counted = Counter(dict.fromkeys(_points(lives), 0))
    for point, victim, count in (row for each in lives for row in each[name]):
        counted[point, victim] += count
    return counted


def _points(lives: list[dict[str, Any]]) -> list[tuple[str, str]]:
    known = [(case.name, case.victim) for case in CASES]
    seen = {(row[0], row[1]) for each in lives for row in [*each["reached"], *each["missed"]]}
    return [*known, *sorted(seen - set(known))]


def show(lives: list[dict[str, Any]]) -> int:
    """Print the table; 1 when something was wrong."""
    found = summary(lives)
    print(f"{'point':<40}{'what died':<36}{'n':>6}{'not reached':>13}")
    for (point, victim), count in found["reached"].items():
        print(f"{point:<40}{victim:<36}{count:>6}{found['missed'][point, victim]:>13}")
    kinds = Counter(problem.split(":", 1)[0] for problem in found["problems"])
    bound = 300 / found["kills"] if found["kills"] else 100
    print(f"kills: {found['kills']} in {found['lives']} lives with {found['documents']} documents")
    print(f"meanwhile {found['looks']} looks into the tables and {found['searches']} searches")
    print(f"problems: {len(found['problems'])} {dict(kinds) or ''} (95 % bound {bound:.2f} % per kill)")
    print(f"texts embedded: {found['embedded']}, again after a kill: {found['embedded_again']}")
    for problem in found["problems"][:20]:
        print(f"  {problem[:300]}")
    return 1 if found["problems"] or not found["kills"] else 0


def main(arguments: list[str]) -> int:
    """Run some lives, or continue; print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench fault_lives", description=__doc__)
    parser.add_argument("--lives", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1000, help="of the first life")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th life, from the k-th")
    parser.add_argument("--minutes", type=float, default=600, help="begin no new life after so long")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="only print")
    options = parser.parse_args(arguments)
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # databases die here
    part, parts = map(int, options.part.split("/"))
    known = {each["seed"] for each in read_results(options.results)}
    seeds = [each for each in range(options.seed, options.seed + options.lives) if each % parts == part]
    if not options.report:
        print(f"{os.getpid()}: {len(set(seeds) - known)} lives to come", flush=True)
        until = time.monotonic() + 60 * options.minutes
        asyncio.run(_run([each for each in seeds if each not in known], options.results, until))
    return show(read_results(options.results))
