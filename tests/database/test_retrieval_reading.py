"""How a search reads: the scores it works with, the connection it borrows, and what it must not remember."""

import asyncio
import random
from contextlib import suppress
from typing import Any, cast
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from rag_app.database.engine import transaction
from rag_app.errors import NotFound, NotReady
from rag_app.providers import local_embedder
from rag_app.retrieval import legs
from rag_app.retrieval.dense import build_hnsw
from rag_app.retrieval.fusion import Candidate, fuse
from rag_app.retrieval.reader import reading
from rag_app.retrieval.scope import Embedder
from rag_app.retrieval.terms import terms_of
from rag_app.retrieval.weights import document_weights, inverse_document_frequency
from tests.retrieval_library import Library, embed

WORDS = [
    "gold", "island", "parrot", "storm", "captain", "anchor", "sail", "rum", "treasure", "map", "harbour", "cannon",
    "mutiny", "deck", "tide", "lantern", "compass", "barrel", "shore", "reef", "crew", "musket", "tavern", "squall",
    "rope", "mast", "keel", "voyage", "chart", "plank",
]  # fmt: skip
PER_LEG = 8


@pytest.fixture
async def library(engine: AsyncEngine) -> Library:
    """An empty workspace."""
    return await Library.open(engine)


def story(seed: int, words: int) -> str:
    """A text in which some words are common and some are rare."""
    return " ".join(random.Random(seed).choices(WORDS, weights=range(len(WORDS), 0, -1), k=words))


class Reference:
    """All scores worked out in Python: every passage, every term, every cosine."""

    def __init__(self, texts: dict[UUID, str]) -> None:
        self.weights = {key: document_weights(terms_of(body, "en"), [])[0] for key, body in texts.items()}
        vectors = local_embedder.embed([f"\n{body}" for body in texts.values()])
        self.vectors = dict(zip(texts, vectors, strict=True))

    def candidates(self, question: str) -> dict[UUID, Candidate]:
        """The best of both legs with both scores."""
        stems = set(terms_of(question, "en"))
        counts = {stem: sum(stem in each for each in self.weights.values()) for stem in stems}
        idf = {stem: inverse_document_frequency(len(self.weights), count) for stem, count in counts.items()}
        bm25 = {key: sum(idf[stem] * each.get(stem, 0.0) for stem in stems) for key, each in self.weights.items()}
        vector = local_embedder.embed([question])[0]
        cosine = {key: float(np.dot(vector, each)) for key, each in self.vectors.items()}
        chosen = set(sorted(bm25, key=lambda key: -bm25[key])[:PER_LEG])
        chosen |= set(sorted(cosine, key=lambda key: -cosine[key])[:PER_LEG])
        return {key: Candidate(key, bm25[key], cosine[key]) for key in chosen}


@pytest.mark.parametrize("hnsw", [False, True])
async def test_every_score_is_that_of_a_search_of_everything(
    library: Library, monkeypatch: pytest.MonkeyPatch, hnsw: bool
) -> None:
    monkeypatch.setattr(legs, "CANDIDATES_PER_LEG", PER_LEG)
    base = await library.base()
    texts = {}
    for seed in range(60):
        body = story(seed, words=14)
        texts[(await library.publish(base, body)).passage_ids[0]] = body
    if hnsw:
        async with library.engine.connect() as connection:
            index_id = (await connection.execute(text("SELECT id FROM indexes"))).scalar_one()
        await build_hnsw(library.engine, index_id=index_id, dimensions=local_embedder.DIMENSIONS)
    reference = Reference(texts)
    for seed in range(1000, 1012):
        question = " ".join(dict.fromkeys(story(seed, words=5).split()))
        expected = reference.candidates(question)
        fused = dict(zip(expected, fuse(list(expected.values()), dense_weight=0.3), strict=True))
        found = (await library.ask(question, base, limit=5, merge_neighbours=False)).passages
        assert len(found) == 5
        for passage in found:
            assert passage.bm25 == pytest.approx(expected[passage.id].bm25, rel=2e-3, abs=2e-3)
            assert passage.cosine == pytest.approx(expected[passage.id].cosine, abs=2e-3)
            assert passage.fused == pytest.approx(fused[passage.id], abs=2e-2)
        assert fused[found[0].id] >= max(fused.values()) - 0.15  # closeness adds at most .12


async def test_a_slow_embedding_model_holds_no_connection(library: Library, engine: AsyncEngine) -> None:
    base = await library.base()
    await library.publish(base, "Gold lies on the island.")
    borrowed: list[int] = []

    async def slow(texts: list[str]) -> "np.ndarray[Any, np.dtype[np.float32]]":
        for _ in range(400):
            await asyncio.sleep(0.01)
            borrowed.append(engine.pool.checkedout())  # type: ignore[attr-defined] # a QueuePool has it
            if borrowed[-1] == 0:
                break
        return await embed(texts)

    result = await library.ask("gold on the island", base, embed=slow)
    assert borrowed[-1] == 0
    assert (result.passages[0].ranks.lexical, result.passages[0].ranks.dense) == (1, 1)


async def test_a_search_cut_off_anywhere_leaves_its_connection_in_order(library: Library, engine: AsyncEngine) -> None:
    base = await library.base()
    for seed in range(20):
        await library.publish(base, story(seed, words=14))
    whole = await library.ask("gold island storm", base)
    cut = 0
    for turns in range(1, 60, 2):
        task = asyncio.create_task(library.ask("gold island storm", base))
        for _ in range(turns):
            await asyncio.sleep(0)
        cut += task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined] # a QueuePool has it
    assert cut > 5
    assert (await library.ask("gold island storm", base)).passages == whole.passages
    assert not any(await _autocommits(engine))


async def test_with_others_at_work_one_connection_does_for_both_legs(library: Library, engine: AsyncEngine) -> None:
    base = await library.base()
    for seed in range(20):
        await library.publish(base, story(seed, words=14))
    free = await library.ask("gold island storm", base)
    others = [await engine.raw_connection() for _ in range(5)]
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, engine.pool.checkedout())  # type: ignore[attr-defined] # a QueuePool has it
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    try:
        crowded = await library.ask("gold island storm", base)
    finally:
        watching.cancel()
        for each in others:
            await greenlet_spawn(each.close)
    assert most == len(others) + 1
    assert crowded.passages == free.passages


async def test_a_connection_that_ends_under_a_search_is_replaced(library: Library, engine: AsyncEngine) -> None:
    base = await library.base()
    await library.publish(base, "Gold lies on the island.")

    async with reading(engine) as reader:
        [[pid]] = await reader.rows(b"SELECT pg_backend_pid()", {})
        async with transaction(library.engine) as session:
            await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(NotReady):
            await reader.rows(b"SELECT 1", {})
    assert not any(await _autocommits(engine))
    assert len(await library.found("gold", base)) == 1


async def _autocommits(engine: AsyncEngine) -> list[bool]:
    """Whether the connections of the pool commit each statement by itself."""
    several = [await engine.raw_connection() for _ in range(3)]
    try:
        return [cast(Any, each.driver_connection).autocommit for each in several]
    finally:
        for each in several:
            await greenlet_spawn(each.close)


async def test_a_language_that_comes_later_is_understood_at_once(library: Library) -> None:
    base = await library.base()
    await library.publish(base, "The island lies in the north.", language="en")
    assert await library.found("verkaufte Haus", base, mode="lexical") == []
    for _ in range(2):
        german = await library.publish(base, "Die Häuser am Fluss wurden verkauft.", language="de")
    assert german.document_id in await library.found("verkaufte Haus", base, mode="lexical")


async def test_rights_taken_away_count_at_once(library: Library) -> None:
    base = await library.base(access="restricted")
    await library.publish(base, "Gold lies on the island.")
    member = await library.member(base)
    rights = {"is_admin": False, "actor_user_id": member}
    assert len(await library.found("gold", base, **rights)) == 1
    async with transaction(library.engine) as session:
        await session.execute(text("DELETE FROM knowledge_base_members WHERE user_id = :user"), {"user": member})
    result = await library.ask("gold", base, **rights)
    assert (result.passages, result.idf) == ((), {})


async def test_a_knowledge_base_that_must_exist_is_asked_for(library: Library) -> None:
    secret, empty = await library.base(access="restricted"), await library.base()
    for missing in (secret, uuid4()):
        with pytest.raises(NotFound):
            await library.ask("gold", missing, must_exist=True, is_admin=False)
    assert (await library.ask("gold", empty, must_exist=True, is_admin=False)).passages == ()


async def test_the_embedder_belongs_to_the_model_of_the_knowledge_base(library: Library) -> None:
    base = await library.base()
    await library.publish(base, "Gold lies on the island.")
    asked: list[str] = []

    def embedder(model: str) -> Embedder:
        asked.append(model)
        return Embedder(embed, 1.0)

    result = await library.ask("island", base, embed=None, embedder=embedder)
    assert asked == [local_embedder.NAME]
    assert result.passages[0].ranks.dense == 1
