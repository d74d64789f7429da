"""Sends hundreds of odd and hostile PDF files through a running server and checks how each of them ends."""

import argparse
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from bench._installation import descendants, write_result
from bench._search_server import Client, running_server

LONGEST_S = 60.0
MOST_MB = 1_000.0
GIVEN_UP_S = 1_800.0
_WORKER = b"rag_app\0worker"
_OPENED = ("ready", "no_text")
_RIGHT = {
    "opens": {*_OPENED},
    "password": {"password_needed"},
    # pypdf may read what pdfium does not open
    "damaged": {"damaged_file", "encrypted_file", *_OPENED},
}


class Watch:
    """Looks at the processes below this one: which workers there were, and the most memory of worker and parsers."""

    def __init__(self) -> None:
        self.workers: set[int] = set()
        self.peak_mb = {"worker": 0.0, "parser": 0.0}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.05):
            for pid in descendants(os.getpid()):
                try:
                    command = Path(f"/proc/{pid}/cmdline").read_bytes()
                    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
                except (OSError, IndexError):
                    continue
                kind = "parser" if b"parser_child" in command else "worker" if _WORKER in command else ""
                if kind == "worker":
                    self.workers.add(pid)
                if kind:
                    self.peak_mb[kind] = max(self.peak_mb[kind], resident)


def expected(path: Path) -> str:
    """What pdfium itself says of the file: opens (at least one page of it), password or damaged."""
    pdfium.FPDF_LoadMemDocument(b"", 0, None)  # or the reason of a file before might be taken for that of this one
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        return "password" if pdfium.FPDF_GetLastError() == pdfium.FPDF_ERR_PASSWORD else "damaged"
    opens = any(_loads(document, number) for number in range(len(document)))
    document.close()
    return "opens" if opens else "damaged"


def _loads(document: pypdfium2.PdfDocument, number: int) -> bool:
    try:
        document[number].close()
    except pypdfium2.PdfiumError:
        return False
    return True


def pages_of(client: Client, path: str) -> Iterator[dict[str, Any]]:
    """All items of a list."""
    cursor = ""
    while True:
        answer = client.call("GET", f"{path}?limit=200{cursor}")
        yield from answer["items"]
        if not answer["next_cursor"]:
            return
        cursor = f"&cursor={answer['next_cursor']}"


def send(client: Client, base: str, paths: list[Path]) -> dict[str, Any]:
    """Upload each file in a request of its own: its document's id, or the code with which it was refused."""
    found: dict[str, Any] = {}
    for path in paths:
        status, body = client.send(base, path)
        if status == 202:
            found[path.name] = {"id": body["items"][0]["id"]}
        else:
            found[path.name] = {"code": body["error"]["details"]["items"][0]["error"]["code"]}
    return found


def settled(client: Client, base: str) -> int:
    """Wait until no document is on its way; how many still were when patience ended."""
    deadline = time.monotonic() + GIVEN_UP_S
    while True:
        counts = client.call("GET", f"/knowledge-bases/{base}")["documents"]
        waiting = int(counts["queued"] + counts["working"])
        if not waiting or time.monotonic() > deadline:
            return waiting
        time.sleep(0.3)


def outcomes(client: Client, base: str, sent: dict[str, Any]) -> dict[str, str]:
    """How each file ended: ready, or the code of its failure."""
    by_id = {each["id"]: each for each in pages_of(client, f"/knowledge-bases/{base}/documents")}
    found = {}
    for name, each in sent.items():
        card = by_id.get(each.get("id"))
        found[name] = each["code"] if card is None else card["error"]["code"] if card["error"] else card["status"]
    return found


def durations(client: Client) -> list[float]:
    """Seconds of each task from its start to its end."""
    found = []
    for task in pages_of(client, "/tasks"):
        if task["started_at"] and task["finished_at"]:
            begin, end = (datetime.fromisoformat(task[name]) for name in ("started_at", "finished_at"))
            found.append((end - begin).total_seconds())
    return found


def unlock(client: Client, base: str, sent: dict[str, Any], passwords: dict[str, str]) -> int:
    """Retry the encrypted files with their passwords; how many of them opened."""
    for name, password in passwords.items():
        client.call("POST", f"/documents/{sent[name]['id']}/retry", {"password": password})
    settled(client, base)
    ended = outcomes(client, base, {name: sent[name] for name in passwords})
    return sum(each in _OPENED for each in ended.values())


def main(argv: list[str]) -> int:
    """Print the table; 1 when a file ended otherwise than it should, 0 also when the data is missing."""
    parser = argparse.ArgumentParser(prog="scripts/bench robust", description=__doc__)
    parser.add_argument("--files", type=int, default=0, help="only so many files")
    wanted = parser.parse_args(argv)
    folder = Path(os.environ.get("RAG_BENCH_DATA", "../shared/bench")) / "pdf_robust"
    paths = sorted((folder / "pdfs").glob("*.pdf"))[: wanted.files or None]
    if not paths:
        print(f"missing: {folder} (set RAG_BENCH_DATA); skipped")
        return 0
    said = {path.name: expected(path) for path in paths}
    with running_server() as client, Watch() as watch:
        base = client.create("Odd files")
        began = time.perf_counter()
        sent = send(client, base, paths)
        stuck = settled(client, base)
        seconds = time.perf_counter() - began
        ended = outcomes(client, base, sent)
        spent = durations(client)
        asking = {
            name: password for name, password in _passwords(folder).items() if ended.get(name) == "password_needed"
        }
        unlocked = unlock(client, base, sent, asking)
    wrong = sorted(f"{name}: {said[name]} → {ended[name]}" for name in said if ended[name] not in _RIGHT[said[name]])
    figures: dict[str, Any] = {
        "files": len(paths),
        "opened": sum(each in _OPENED for each in ended.values()),
        "with text": sum(each == "ready" for each in ended.values()),
        **dict(Counter(each for each in ended.values() if each != "ready").most_common()),
        "ended otherwise than they should": len(wrong),
        "opened with their password": f"{unlocked} of {len(asking)}",
        "stuck": stuck,
        "worker deaths": len(watch.workers) - 1,
        "seconds for all": round(seconds, 1),
        "longest file, s": round(max(spent, default=0.0), 2),
        "most memory of a parser, MB": round(watch.peak_mb["parser"]),
        "most memory of the worker, MB": round(watch.peak_mb["worker"]),
    }
    for name, value in figures.items():
        print(f"{name:<34} {value}")
    print(*wrong, sep="\n")
    write_result("robust", {**figures, "wrong": wrong})
    limits = max(spent, default=0.0) <= LONGEST_S and watch.peak_mb["parser"] <= MOST_MB
    return int(bool(wrong or stuck or len(watch.workers) != 1 or not limits))


def _passwords(folder: Path) -> dict[str, str]:
    found = {}
    for line in (folder / "files.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for entry in row["manifest"]:
            if entry.get("password"):
                found[row["file"]] = entry["password"]
    return found
