"""One person's file during a crawl of 10,000 pages and a flood of files: seconds to searchable; the worker's memory.

The flood is a thousand files of another knowledge base. Memory is the largest PSS of the worker itself; its parsers
are counted apart, for they have a limit of their own. `--large` adds a text of so many MB.
"""

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench._installation import memory_mb, processes_below, write_result
from bench._search_server import Client, running_server
from tests.pile import WORDS

GOAL_S, GOAL_MB = 15.0, 500.0
LIMIT_S = 120.0
PER_PAGE = 50  # links
FLOOD = 200


class _Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages = 10_000

    def do_GET(self) -> None:
        """A page with links to others, made from its number."""
        number = int(self.path.rpartition("/")[2].partition(".")[0] or 0) if self.path.endswith(".html") else 0
        found = self.path == "/" or self.path.endswith(".html")
        body = self._page(number).encode() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _page(self, number: int) -> str:
        dice = random.Random(number)
        paragraphs = "".join(f"<p>{' '.join(dice.choices(WORDS, k=60)).capitalize()}.</p>" for _ in range(5))
        following = range(number * PER_PAGE + 1, min(self.pages, number * PER_PAGE + PER_PAGE + 1))
        links = "".join(f'<li><a href="/{each}.html">Page {each}</a></li>' for each in following)
        return f"<title>Page {number}</title><main><h1>Page {number}</h1>{paragraphs}<ul>{links}</ul></main>"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def _site(pages: int) -> Iterator[str]:
    _Site.pages = pages
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Memory:
    """The largest memory of the worker and of its parsers, in MB, until it is closed."""

    def __init__(self, client: Client) -> None:
        self.most: dict[str, float] = {}
        self._client, self._done = client, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(0.25):
            for name, megabytes in memory_mb(processes_below(self._client.pid)).items():
                self.most[name] = max(self.most.get(name, 0.0), megabytes)

    def close(self) -> None:
        """Look no longer."""
        self._done.set()
        self._thread.join()


def _one_file(client: Client, base: str, folder: Path, number: int) -> float:
    word = "only" + "".join(chr(ord("a") + int(digit)) for digit in f"{number:04}")
    path = folder / f"{word}.md"
    path.write_text(f"# A file\n\nThis is the file of one person, {word}.\n")
    began = time.monotonic()
    client.upload(base, [path])
    while not client.search(base, word, mode="lexical", limit=1)["passages"]:
        if time.monotonic() - began > LIMIT_S:
            return LIMIT_S
        time.sleep(0.05)
    return time.monotonic() - began


def _measure(client: Client, folder: Path, host: str, options: argparse.Namespace) -> dict[str, Any]:
    memory = _Memory(client)
    crawled, flooded, mine = (client.create(name) for name in ("Crawled", "Flooded", "Mine"))
    source = client.add_source(crawled, f"http://{host}/", max_pages=options.pages)
    flood = [folder / f"flood-{number}.md" for number in range(FLOOD)]
    for number, path in enumerate(flood):
        path.write_text(f"# File {number}\n\n" + " ".join(random.Random(number).choices(WORDS, k=300)))
    client.upload(flooded, flood)
    if options.large:
        large = folder / "large.txt"
        dice = random.Random(1)
        with large.open("w") as file:
            while file.tell() < options.large * 1_000_000:
                file.write(" ".join(dice.choices(WORDS, k=60)).capitalize() + ".\n\n")
        client.upload(flooded, [large])
    waits = [_one_file(client, mine, folder, number) for number in range(options.files)]
    run = client.last_run(source) or {}
    if options.large:
        client.wait(flooded)
    memory.close()
    return {"files": len(waits), "waits_s": sorted(round(each, 2) for each in waits), "memory_mb": memory.most,
            "crawl": {"status": run.get("status"), "found": run.get("found"), "added": run.get("added")}}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Measure and print; 1 when a file waited too long or the worker grew too large."""
    parser = argparse.ArgumentParser(prog="scripts/bench bystander", description=__doc__)
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=20, help="single files, one after the other")
    parser.add_argument("--large", type=int, default=0, help="MB of one more text")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="rag-bystander-") as folder,
        _site(options.pages) as host,
        running_server(RAG_ALLOWED_PRIVATE_HOSTS=host) as client,
    ):
        found = _measure(client, Path(folder), host, options)
    waits = found["waits_s"]
    print(f"single files while a crawl of {options.pages} pages runs ({found['crawl']}), and behind {FLOOD} files: "
          f"n {len(waits)}, median {waits[len(waits) // 2]} s, most {waits[-1]} s (goal {GOAL_S:.0f} s)")  # fmt: skip
    for name, megabytes in sorted(found["memory_mb"].items()):
        print(f"most memory of {name:<12} {megabytes:>8.0f} MB")
    write_result("bystander", {**vars(options), "goal_s": GOAL_S, "goal_mb": GOAL_MB, **found})
    return 0 if waits[-1] <= GOAL_S and found["memory_mb"].get("worker", 0) <= GOAL_MB else 1
