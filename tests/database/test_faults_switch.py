"""kill -9 in each phase of a switch, under searches: none fails, none is mixed, and the switch comes to its end."""

from collections.abc import Iterator

import pytest

from tests.aiming import Reach, held
from tests.killing import Product, Role, running_product, wait_until
from tests.switching import Switch, answers, judge, watched

COUNT = 40
WORDS = ("harbour", "lantern", "meadow", "copper", "willow", "granite", "orchard", "signal", "timber", "valley")
QUESTIONS = [
    f"{one} {other} report {n}" for n, (one, other) in enumerate(zip(WORDS, WORDS[3:] + WORDS[:3], strict=True))
]
IN_FLIP = "%UPDATE versions v SET passage_count%"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One installation for all kills of this file."""
    with running_product(tmp_path_factory.mktemp("switch")) as made:
        yield made


@pytest.fixture(scope="module")
def switch(product: Product) -> Switch:
    """A knowledge base of forty texts of several passages."""
    base = product.new_base("switch")
    texts = [
        {"external_id": f"n{number}", "title": f"Report {number}", "text": _text(number)} for number in range(COUNT)
    ]
    with product.client() as client:
        assert client.post(f"/knowledge-bases/{base}/documents", json={"texts": texts}).status_code == 202

        def are_ready() -> bool:
            return bool(client.get(f"/knowledge-bases/{base}").json()["documents"]["ready"] == COUNT)

        wait_until(are_ready, "all are ready", every_s=0.1)
    return Switch(product, base)


def _text(number: int) -> str:
    return "\n\n".join(
        " ".join(WORDS[(number * 7 + place * 3 + step * (1 + number % 3)) % len(WORDS)] for step in range(70)) + "."
        for place in range(8)
    )


@pytest.mark.parametrize(
    ("size", "reach", "victim"),
    [
        (90, held("passages", "COPY passages%"), "worker"),
        (110, held("knowledge_bases", "SELECT active_index_id FROM knowledge_bases%FOR NO KEY UPDATE"), "worker"),
        (130, held("versions", IN_FLIP), "worker"),
        (150, held("versions", IN_FLIP), "database"),
    ],
    ids=["while cutting", "before the flip", "inside the flip", "the database inside the flip"],
)
def test_a_kill_neither_harms_searches_nor_ends_the_switch(
    switch: Switch, size: int, reach: Reach, victim: Role
) -> None:
    product = switch.product
    old = answers(product, switch.base, QUESTIONS)
    begun: list[int] = []
    cuts = size == 90
    if not cuts:
        begun.append(switch.begin(passage_tokens=size))
        switch.wait_until_ready(begun[0])

    def deliver() -> None:
        if cuts:
            begun.append(switch.begin(passage_tokens=size, auto_flip=True))
        else:
            switch.use(begun[0])

    with watched(switch, QUESTIONS, per_s=20) as asker:
        with reach(product, switch.base, deliver):
            product.kill(victim)
        switch.wait_until_active(begun[0])
        product.wait_until_ready()
    verdict = judge(asker.asked, old, answers(product, switch.base, QUESTIONS))
    assert verdict.mixed == 0, verdict.examples[:3]
    assert victim == "database" or verdict.errors == 0, verdict.examples[:3]
    assert verdict.searches > 5
    assert switch.wrong() == []
