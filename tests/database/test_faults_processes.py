"""kill -9 of every process in the middle of ingesting 30 documents: all end ready, exactly once, never half."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.aiming import IN_ACCEPTANCE, IN_FLIP, Point, before_the_answer, half_an_upload, in_phase
from tests.killing import Delivery, Product, running_product, wait_until
from tests.pile import pile
from tests.truth import Searcher, wait_until_ready, wrong_documents

COUNT = 30


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One installation for all kills of this file."""
    with running_product(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.parametrize(
    "point",
    [
        Point("worker", "worker", IN_FLIP),
        Point("web", "web", IN_ACCEPTANCE),
        Point("database", "database", in_phase("reading")),
        Point("supervisor", "supervisor", IN_FLIP),
    ],
    ids=lambda point: point.name,
)
def test_whatever_is_killed_everything_ends_ready_exactly_once(product: Product, point: Point) -> None:
    papers = pile(COUNT, seed=sum(map(ord, point.name)))
    base = product.new_base(point.name)
    delivery = Delivery(product, base, papers)
    with Searcher(product, base, papers) as searcher:
        with point.reach(product, base, delivery.start):  # fails when the point is not reached
            killed = product.kill(point.victim)
        if point.victim == "supervisor":
            product.start()
        delivery.wait()
        wait_until_ready(product, base, COUNT)
        product.wait_until_ready()
        wait_until(lambda: searcher.whole > 0, "a search found a whole document")
    assert product.wait_for(point.victim) != killed
    assert not searcher.halves and searcher.looks > 0
    assert set(searcher.statuses) <= {200, 503}
    assert not wrong_documents(product, base, papers)


def test_a_web_process_killed_in_half_an_upload_leaves_nothing_of_it(product: Product) -> None:
    [paper, other] = pile(2, seed=9001)
    base = product.new_base("half an upload")
    with half_an_upload(product, base, paper):
        product.kill("web")
    product.wait_for("web")
    answer = product.upload(base, other)
    assert answer.status_code == 202, answer.text
    wait_until_ready(product, base, 1)
    assert not wrong_documents(product, base, [other])
    assert not any(paper.sha256 in each.name for each in product.originals())


def test_an_upload_without_an_answer_is_not_done_twice(product: Product) -> None:
    [paper] = pile(1, seed=9002)
    base = product.new_base("no answer")
    answers: list[int] = []

    def send() -> None:
        with suppress(httpx.HTTPError):
            answers.append(product.upload(base, paper, key="once").status_code)

    sender = threading.Thread(target=send)
    with before_the_answer(product, base, paper, sender.start):
        os.kill(product.pid("web"), signal.SIGKILL)
        sender.join()
    assert not answers
    product.wait_for("web")
    with product.connect() as connection:  # the time after which a claim without a sign of life is free
        connection.execute(
            "UPDATE idempotency_records SET created_at = now() - interval '1 minute' WHERE status IS NULL"
        )
    again = product.upload(base, paper, key="once")
    assert again.status_code == 202 and again.json()["items"][0]["duplicate"], again.text
    assert product.upload(base, paper, key="once").headers["Idempotent-Replayed"] == "true"
    wait_until_ready(product, base, 1)
    assert not wrong_documents(product, base, [paper])


def test_without_a_database_requests_are_told_to_come_back(product: Product) -> None:
    [paper, late] = pile(2, seed=9003)
    base = product.new_base("no database")
    document = product.upload(base, paper).json()["items"][0]["id"]
    wait_until_ready(product, base, 1)
    reads = (
        "knowledge-bases",
        f"knowledge-bases/{base}",
        f"documents/{document}",
        f"documents/{document}/text",
        "tasks",
    )
    asks = (f"knowledge-bases/{base}/search", f"knowledge-bases/{base}/chat")
    with product.client() as client:
        with product.suspended("supervisor"):  # or it would be there again at once
            product.kill("database")
            answers = [client.get(f"/{each}") for each in (*reads, "bots", "conversations", "ready")]
            answers += [client.post(f"/{each}", json={"query": "x"}) for each in asks[:1]]
            answers += [client.post(f"/{each}", json={"message": "x"}) for each in asks[1:]]
            answers += [client.post("/knowledge-bases", json={"name": "x"}, headers={"Idempotency-Key": "x"})]
            answers.append(product.upload(base, late, key="late"))
            alive = client.get("/health")
        product.wait_until_ready()
        again = product.upload(base, late, key="late")
        found = client.post(f"/{asks[0]}", json={"query": paper.word})
    told = {str(each.url.path): each.status_code for each in answers}
    assert set(told.values()) <= {503}, told
    assert {each.json()["error"]["code"] for each in answers if "error" in each.json()} == {"not_ready"}
    assert all(int(each.headers["Retry-After"]) > 0 for each in answers if "error" in each.json())
    assert alive.status_code == 200
    assert (again.status_code, found.status_code) == (202, 200)
    wait_until_ready(product, base, 2)
    assert not wrong_documents(product, base, [paper, late])


def test_originals_have_no_leftovers_but_unfinished_uploads(product: Product) -> None:
    root = Path(product.data_dir / "originals")
    with product.connect() as connection:
        known = {str(row[0]) for row in connection.execute("SELECT original_key FROM versions").fetchall()}
    stored = {f"{each.parent.name}/{each.name}" for each in root.glob("*/*") if each.parent.name != "incoming"}
    assert known == stored
