"""A crawl of PostgreSQL's documentation, 1,169 pages: the first run, one that finds nothing new, one after changes.

The pages come from Debian's package postgresql-doc-15 (installed, or downloaded with apt-get and unpacked for this).
"""

import argparse
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench._installation import write_result
from bench._search_server import Client, running_server

PACKAGE = "postgresql-doc-15"
INSTALLED = Path("/usr/share/doc") / PACKAGE / "html"
LIMIT_S = 1800.0
UPLOAD_AFTER = 50  # pages
CHANGED, REMOVED = "sql-vacuum.html", "pgtrgm.html"
Figures = dict[str, Any]


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def find_pages(work: Path) -> Path | None:
    """The folder of the pages; None where they cannot be had."""
    if INSTALLED.is_dir():
        return INSTALLED
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None
    subprocess.run(["apt-get", "download", PACKAGE], cwd=work, capture_output=True)
    for package in work.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(work / "unpacked")], check=True)
    found = work / "unpacked" / INSTALLED.relative_to("/")
    return found if found.is_dir() else None


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A plain web server of that folder on a port of its own; its host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def run_source(client: Client, base: str, source: str, *, upload: Path | None = None) -> Figures:
    """Read a source and wait until all of it is searchable: what was found, and how long both took.

    A file to `upload` is sent as soon as fifty pages were visited; how long it took to be searchable is told too.
    """
    figures: Figures = {}
    began = time.perf_counter()
    running = client.last_run(source)
    if running is None or running["status"] not in ("queued", "running"):
        client.start_run(source)
    while (run := client.last_run(source)) is None or run["status"] in ("queued", "running"):
        if time.perf_counter() - began > LIMIT_S:
            raise RuntimeError(f"the run does not end: {run}")
        if upload is not None and run is not None and run["visited"] >= UPLOAD_AFTER:
            figures["file_meanwhile_s"] = round(client.upload_and_wait(base, upload), 1)
            upload = None
        time.sleep(0.1)
    crawled = time.perf_counter() - began
    client.wait(base)
    seconds = time.perf_counter() - began
    if run["status"] != "done":
        raise RuntimeError(f"the run ended as {run['status']}: {run['error']}")
    counts = {name: run[name] for name in ("found", "added", "changed", "unchanged", "removed", "failed", "skipped")}
    return {**counts, **figures, "crawl_s": round(crawled, 1), "searchable_s": round(seconds, 1)}


def measure(client: Client, pages: Path, host: str, *, most: int) -> dict[str, Figures]:
    """The three runs."""
    base = client.create("PostgreSQL")
    source = client.add_source(base, f"http://{host}/index.html", max_pages=most)
    note = pages.parent / "note-of-a-person.txt"
    note.write_text("A person's file goes before the pages of a crawl.\n", encoding="utf-8")
    runs = {"first": run_source(client, base, source, upload=note)}
    passages = client.passages(base)
    runs["first"]["passages"] = passages
    runs["first"]["passages_per_s"] = round(passages / runs["first"]["searchable_s"], 1)
    runs["unchanged"] = run_source(client, base, source)
    page = pages / CHANGED
    page.write_text(page.read_text(encoding="utf-8").replace("VACUUM", "VACUUM (changed)", 1), encoding="utf-8")
    (pages / REMOVED).unlink()
    runs["one changed, one removed"] = run_source(client, base, source)
    return runs


def main(argv: list[str]) -> int:
    """Crawl and print; 0 also when the pages are missing, 1 when a run finds what it should not."""
    parser = argparse.ArgumentParser(prog="scripts/bench crawl", description=__doc__)
    parser.add_argument("--pages", type=int, default=5_000, help="at most so many")
    wanted = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="rag-crawl-") as folder:
        work = Path(folder)
        found = find_pages(work)
        if found is None:
            print(f"missing: the package {PACKAGE} (apt-get install {PACKAGE}); skipped")
            return 0
        pages = Path(shutil.copytree(found, work / "site", symlinks=False))
        with serving(pages) as host, running_server(RAG_ALLOWED_PRIVATE_HOSTS=host) as client:
            runs = measure(client, pages, host, most=wanted.pages)
    for name, figures in runs.items():
        print(f"-- {name}")
        for key, value in figures.items():
            print(f"{key:<16} {value}")
    write_result("crawl", {"runs": runs})
    still, after = runs["unchanged"], runs["one changed, one removed"]
    is_right = (still["added"], still["changed"], still["removed"]) == (0, 0, 0) and (
        after["added"], after["changed"], after["removed"]
    ) == (0, 1, 1)  # fmt: skip
    print("as expected" if is_right else "NOT as expected")
    return 0 if is_right else 1
