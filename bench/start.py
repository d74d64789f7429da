"""First run, downloads, warm start and memory of a fresh installation in an empty folder.

Everything is measured from outside on a clone of the committed project with empty caches, as a person would meet it.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from bench._installation import Installation, PeakMeter, memory_mb, received_mb, wheels_mb, write_result

WARM_STARTS = 5
SETTLE_S = 20.0
GOALS = {
    "first run, s": 240,
    "downloaded, MB": 350,
    "warm start, s (median)": 6,
    "warm start, s (worst)": 6,
    "stop, s": 10,
    "memory idle, MB": 600,
    "peak memory of the first run, MB": 1600,
    "peak memory of an ingest, MB": 1600,
}


def measure(folder: Path, documents: Path | None, *, weigh: bool) -> dict[str, float]:
    """All figures of one fresh installation."""
    found: dict[str, float] = {}
    installation = Installation(folder)
    before = received_mb()
    with PeakMeter(installation) as meter:
        found["first run, s"] = installation.start()
    network = received_mb() - before
    found["peak memory of the first run, MB"] = meter.peak
    try:
        _warm(installation, found)
        if documents is not None:
            found.update(_ingest(installation, documents))
    finally:
        found["stop, s"] = installation.stop()
    if weigh:
        # Python packages may come from a folder of this machine, which the network does not see.
        wheels = wheels_mb(installation, folder / "wheels")
        found["of that Python packages, MB"] = wheels
        found["downloaded, MB"] = max(network, wheels) if network > wheels else wheels + network
    return found


def _warm(installation: Installation, found: dict[str, float]) -> None:
    seconds = []
    for _ in range(WARM_STARTS):
        installation.stop()
        seconds.append(installation.start())
    found["warm start, s (median)"] = sorted(seconds)[len(seconds) // 2]
    found["warm start, s (worst)"] = max(seconds)
    time.sleep(SETTLE_S)
    parts = memory_mb(installation.processes())
    found["memory idle, MB"] = sum(parts.values())
    found.update({f"  {kind}, MB": size for kind, size in sorted(parts.items())})


def _ingest(installation: Installation, documents: Path) -> dict[str, float]:
    installation.create_owner()
    with PeakMeter(installation) as meter:
        began = time.monotonic()
        installation.command("ingest", str(documents), "--kb", "bench", "--wait")
        took = time.monotonic() - began
    parts = {f"  {kind} at that moment, MB": size for kind, size in sorted(meter.parts.items())}
    return {"peak memory of an ingest, MB": meter.peak, **parts, "ingest, s": took}


def main(arguments: list[str]) -> int:
    """Measure and print. 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench start", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the installation behind and say where")
    parser.add_argument("--no-ingest", action="store_true", help="without the memory of an ingest")
    parser.add_argument("--no-weigh", action="store_true", help="without weighing the downloads")
    options = parser.parse_args(arguments)
    documents: Path | None = Path(os.environ.get("RAG_BENCH_DATA", "../shared/bench")).resolve() / "pdf_sec10q"
    if options.no_ingest:
        documents = None
    elif documents is None or not documents.is_dir():
        print(f"skipped: memory of an ingest ({documents} is missing)")
        documents = None
    folder = Path(tempfile.mkdtemp(prefix="rag-start-"))
    try:
        found = measure(folder, documents, weigh=not options.no_weigh)
    finally:
        if options.keep:
            print(f"the installation is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    missed = [name for name, goal in GOALS.items() if found.get(name, 0) > goal]
    for name, value in found.items():
        goal = f"goal {GOALS[name]}" if name in GOALS else ""
        print(f"{name:<42} {value:>9.1f}  {goal:<10} {'MISSED' if name in missed else ''}")
    write_result("start", {"figures": found, "goals": GOALS, "missed": missed})
    return 1 if missed else 0
