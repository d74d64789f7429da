"""Answers under way while the database is killed, the web process is killed or the product is deployed anew.

Clients ask without a pause, read their answers as streams and go on after a cut where they were. Afterwards every
question that was accepted must be there, every answer must have ended, and what a reader saw must be its beginning, but
for the words of the last moment when the process that made it was killed.
"""

import argparse
import json
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench._installation import free_port, write_result
from tests.killing import Product, wait_until
from tests.provider_double import Answer, ProviderDouble, Recorded, quote_first_passage

CLIENTS = 6
TOKENS_PER_S = 25.0
WORDS = 50
MOST_UNKEPT = 200  # characters: what a model says in a second; it is kept five times a second
RESUME_S = 90.0
SETTLED_S = 90.0
ANSWER_S = 120.0
BETWEEN_S = (4.0, 9.0)
TEXTS = [f"The {thing} of house {n} is kept in room {n * 7}." for n in range(40) for thing in ("key", "map", "lamp")]


@dataclass
class Asked:
    """One question and what its reader saw."""

    question: str
    began: float
    message_id: str = ""
    conversation_id: str = ""
    seen: str = ""
    ending: str = ""  # done, error <code>, refused <status>, unreachable
    first_word: float = 0.0
    resumed: int = 0
    last_id: int = 0
    unkept: int = 0  # characters that the reader saw and the product did not keep


@dataclass
class Shared:
    """What all clients ask and note down."""

    product: Product
    bot: str
    asked: list[Asked] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)


def slow_answer(request: Recorded) -> Answer:
    """A grounded answer that takes about two seconds."""
    quoted = quote_first_passage(request).text
    return Answer(f"{quoted} " + " ".join(f"word{n}" for n in range(WORDS)), tokens_per_s=TOKENS_PER_S)


def ask_on(shared: Shared, number: int) -> None:
    """One client: a question after the other, each read to its end."""
    dice, turn = random.Random(number), 0
    with shared.product.client() as client:
        while not shared.stopping.is_set():
            turn += 1
            thing, house = dice.choice(("key", "map", "lamp")), dice.randrange(40)
            one = Asked(f"Where is the {thing} of house {house} kept? ({number}-{turn})", time.monotonic())
            shared.asked.append(one)
            _read(client, "POST", f"/bots/{shared.bot}/chat", one, body={"message": one.question, "stream": True})
            deadline = time.monotonic() + RESUME_S
            while one.message_id and not one.ending.startswith(("done", "error")) and time.monotonic() < deadline:
                time.sleep(0.2)
                one.resumed += 1
                _read(client, "GET", f"/messages/{one.message_id}/stream", one)
            time.sleep(0.2 if one.ending == "done" else 0.5)


def _read(client: httpx.Client, method: str, path: str, one: Asked, *, body: dict[str, Any] | None = None) -> None:
    headers = {"Last-Event-ID": str(one.last_id)} if one.last_id else {}
    try:
        with client.stream(method, path, json=body, headers=headers, timeout=30) as answer:
            if answer.status_code != 200:
                one.ending = f"refused {answer.status_code}"
                if answer.status_code == 410:
                    one.ending = "error stream_expired"
                return
            one.ending = "cut"
            event = ""
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    one.last_id = int(value)
                elif name == "event":
                    event = value
                elif name == "data":
                    _note(one, event, json.loads(value))
    except httpx.HTTPError:
        one.ending = one.ending or "unreachable"


def _note(one: Asked, event: str, data: dict[str, Any]) -> None:
    if event == "conversation":
        one.message_id, one.conversation_id = data["message_id"], data["conversation_id"]
    elif event == "token":
        one.first_word = one.first_word or time.monotonic()
        one.seen += data["text"]
    elif event == "done":
        one.ending = "done"
    elif event == "error":
        one.ending = f"error {data['code']}"


def kill_database(product: Product) -> None:
    """kill -9 of Postgres; it is started again by the supervisor."""
    product.kill("database")


def kill_web(product: Product) -> None:
    """kill -9 of the web process."""
    product.kill("web")


def deploy(product: Product) -> None:
    """An orderly stop, which lets answers finish, and a start."""
    product.stop(patience_s=90)
    product.start()


TROUBLES: dict[str, Callable[[Product], None]] = {"database": kill_database, "web": kill_web, "deploy": deploy}


def measure(shared: Shared, name: str, times: int, seed: int) -> dict[str, Any]:
    """Some troubles of one kind under load, and what became of everything that was asked."""
    dice, moments = random.Random(seed), []
    shared.asked.clear()
    shared.stopping.clear()
    threads = [threading.Thread(target=ask_on, args=(shared, n), daemon=True) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    for _ in range(times):
        moments.append(time.monotonic())
        TROUBLES[name](shared.product)
        wait_until(lambda: _answered(shared, moments[-1]), "an answer", patience_s=ANSWER_S)
        time.sleep(dice.uniform(*BETWEEN_S))
    shared.stopping.set()
    for thread in threads:
        thread.join(RESUME_S + 30)
    recovered = [
        min(each.first_word for each in shared.asked if each.began > moment and each.first_word) - moment
        for moment in moments
    ]
    return {"trouble": name, "times": times, **_judged(shared, moments), **_spread(recovered)}


def _answered(shared: Shared, since: float) -> bool:
    return any(each.began > since and each.first_word for each in shared.asked)


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "recovered_p50_s": round(statistics.median(ordered), 2),
        "recovered_p95_s": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 2),
    }


def _judged(shared: Shared, moments: list[float]) -> dict[str, Any]:
    endings = Counter(each.ending or "none" for each in shared.asked)
    accepted = [each for each in shared.asked if each.message_id]
    wrong: list[str] = []
    with shared.product.client() as client:
        for each in accepted:
            wrong += _wrong(client, each)
    running = sum(any(each.began < moment for moment in moments) for each in accepted)
    return {
        "asked": len(shared.asked),
        "accepted": len(accepted),
        "before_a_trouble": running,
        "most_unkept_characters": max((each.unkept for each in accepted), default=0),
        "resumed": sum(each.resumed > 0 for each in accepted),
        "endings": dict(endings.most_common()),
        "wrong": wrong,
    }


def _wrong(client: httpx.Client, one: Asked) -> list[str]:
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        answer = client.get(f"/messages/{one.message_id}")
        found.clear()
        found.update(answer.json() if answer.status_code == 200 else {"status": f"answer {answer.status_code}"})
        return found["status"] in ("done", "interrupted", "failed", "stopped")

    with suppress(AssertionError):
        wait_until(has_ended, "the answer has ended", patience_s=SETTLED_S, every_s=0.5)
    problems = []
    if found["status"] not in ("done", "interrupted", "failed", "stopped"):
        problems.append(f"{one.message_id}: still {found['status']}")
    elif not found["text"].startswith(one.seen.rstrip()) and not one.seen.startswith(found["text"]):
        problems.append(f"{one.message_id}: seen {one.seen[-60:]!r}, kept {found['text'][-60:]!r}")
    else:
        one.unkept = max(0, len(one.seen.rstrip()) - len(found["text"].rstrip()))
        if one.unkept > MOST_UNKEPT:
            problems.append(f"{one.message_id}: {len(one.seen)} characters seen, {len(found['text'])} kept")
    if one.ending == "done" and found["status"] != "done":
        problems.append(f"{one.message_id}: the reader was told it was done, kept as {found['status']}")
    turns = client.get(f"/conversations/{one.conversation_id}/messages").json().get("items", [])
    if sum(turn["text"] == one.question for turn in turns) != 1:
        problems.append(
            f"{one.message_id}: the question is there {sum(t['text'] == one.question for t in turns)} times"
        )
    return problems


def run(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All kinds on one installation."""
    rows = []
    with ProviderDouble(default=slow_answer) as double:
        settings = {"RAG_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{double.port}", "RAG_DRAIN_S": "60"}
        product = Product(folder, free_port(), settings=settings)
        product.start()
        try:
            product.wait_until_ready()
            product.enter()
            shared = Shared(product, _bot(product, double))
            for name in options.only or TROUBLES:
                rows.append(measure(shared, name, options.times, options.seed))
                _show(rows[-1])
        finally:
            product.stop()
    return rows


def _bot(product: Product, double: ProviderDouble) -> str:
    base = product.new_base("houses")
    with product.client() as client:
        entry = {"provider": "compatible", "api_key": "sk-double", "base_url": double.base_url}
        assert client.post("/providers", json=entry).status_code == 201
        texts = [{"text": each} for each in TEXTS]
        assert client.post(f"/knowledge-bases/{base}/documents", json={"texts": texts}).status_code == 202
        address = f"/knowledge-bases/{base}"
        wait_until(lambda: client.get(address).json()["documents"]["ready"] == len(TEXTS), "texts are ready")
        made = client.post("/bots", json={"name": "Porter", "model": "compatible/double", "knowledge_base_ids": [base]})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])


def _show(row: dict[str, Any]) -> None:
    print(
        f"{row['trouble']:<10} {row['times']:>4} times: asked {row['asked']}, accepted {row['accepted']}, "
        f"resumed {row['resumed']}, wrong {len(row['wrong'])}, seen and not kept at most "
        f"{row['most_unkept_characters']} characters; an answer again after p50 {row['recovered_p50_s']} s, "
        f"p95 {row['recovered_p95_s']} s; ended: {row['endings']}",
        flush=True,
    )
    for each in row["wrong"][:10]:
        print(f"    {each}")


def main(arguments: list[str]) -> int:
    """Measure and print one line for each kind of trouble. 1 when anything was lost, altered or left open."""
    parser = argparse.ArgumentParser(prog="scripts/bench restarts", description=__doc__)
    parser.add_argument("--times", type=int, default=30, help="troubles of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=TROUBLES)
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="rag-restarts-"))
    try:
        rows = run(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    write_result("restarts", {"clients": CLIENTS, "troubles": rows})
    return 1 if any(row["wrong"] for row in rows) else 0
