"""The single works of the speed table, each done by the product over REST on a running server."""

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from bench import _speed_data as data
from bench._search_server import Client

TEXTS_PER_REQUEST = 1_000
WARM = 50
LONGEST_SETTLE_S = 1_800.0


def ingest_files(client: Client, paths: Sequence[Path], *, name: str) -> dict[str, float]:
    """Upload files one request each and wait until all are searchable."""
    base = client.create(name)
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as several:
        list(several.map(lambda path: client.upload(base, [path]), paths))
    client.wait(base)
    seconds = time.perf_counter() - began
    return {"seconds": round(seconds, 1), "files": len(paths), "passages": client.passages(base)}


def add_texts(client: Client, base: str, texts: Iterable[dict[str, str]]) -> float:
    """Send texts 1,000 a request from two connections and wait until all are searchable; the seconds it took."""
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as several:
        for _ in several.map(lambda batch: client.send_texts(base, batch), batched(texts, TEXTS_PER_REQUEST)):
            pass
    client.wait(base, every_s=1.0)
    return time.perf_counter() - began


def batched(texts: Iterable[dict[str, str]], size: int) -> Iterator[list[dict[str, str]]]:
    """Lists of `size`, the last one shorter."""
    source = iter(texts)
    while batch := list(itertools.islice(source, size)):
        yield batch


def latencies(ask: Callable[[str], object], questions: Sequence[str]) -> dict[str, float]:
    """p50 and p95 in milliseconds of one client that asks one after the other."""
    for question in questions[:WARM]:
        ask(question)
    took = []
    for question in questions[WARM:]:
        began = time.perf_counter()
        ask(question)
        took.append((time.perf_counter() - began) * 1000)
    return {"p50": round(statistics.median(took), 1), "p95": round(statistics.quantiles(took, n=20)[18], 1)}


def throughput(client: Client, base: str, questions: Sequence[str], *, clients: int) -> float:
    """Searches per second of several clients."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as several:
        list(several.map(lambda question: client.search(base, question, mode="hybrid", limit=10), questions))
    return round(len(questions) / (time.perf_counter() - began), 1)


def disk_gb(client: Client) -> float:
    """What all files of the installation take on the disk: tables, their log and originals."""
    used = 0
    for each in client.folder.rglob("*"):
        with suppress(FileNotFoundError):
            used += each.lstat().st_blocks * 512
    return round(used / 1e9, 2)


def settle(client: Client, base: str) -> float:
    """Wait until a large knowledge base has its vector index; the seconds it took. Searches work meanwhile."""
    began = time.perf_counter()
    while not client.has_vector_index(base):
        if time.perf_counter() - began > LONGEST_SETTLE_S:
            raise RuntimeError("the vector index was not built in time")
        time.sleep(2)
    return time.perf_counter() - began


def while_ingesting(client: Client, base: str, questions: Sequence[str], *, texts: int) -> dict[str, float]:
    """p95 of searches idle, and while another knowledge base is being filled."""
    other = client.create("Filled meanwhile")

    def ask(question: str) -> object:
        return client.search(base, question, mode="hybrid", limit=10)

    idle = latencies(ask, questions)
    done = threading.Event()

    def fill() -> None:
        add_texts(client, other, data.texts(texts, seed=9))
        done.set()

    filler = threading.Thread(target=fill)
    filler.start()
    time.sleep(1)
    took: list[float] = []
    for question in itertools.cycle(questions):
        if done.is_set():
            break
        began = time.perf_counter()
        ask(question)
        took.append((time.perf_counter() - began) * 1000)
    filler.join()
    busy = statistics.quantiles(took, n=20)[18]
    return {"idle_p95": idle["p95"], "busy_p95": round(busy, 1), "ratio": round(busy / idle["p95"], 2), "n": len(took)}
