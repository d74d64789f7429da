"""What a search reads is written exactly: weights, statistics, and nothing left behind."""

import random
from collections import Counter
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import transaction
from rag_app.retrieval import lexical, store
from rag_app.retrieval.hits import LegQuery
from rag_app.retrieval.question import analyse
from rag_app.retrieval.reader import reading
from rag_app.retrieval.scope import resolve
from rag_app.retrieval.statistics import knowledge_bases_with_deltas, merge_statistics
from rag_app.retrieval.terms import term_hash, terms_of
from rag_app.retrieval.weights import document_weights, inverse_document_frequency
from tests.retrieval_library import Library

WORDS = ("ship", "harbour", "captain", "storm", "sail", "rope", "anchor", "island", "map", "gold", "parrot", "rum")


@pytest.fixture
async def library(engine: AsyncEngine) -> Library:
    """An empty workspace."""
    return await Library.open(engine)


def story(seed: int, words: int = 30) -> str:
    """A text in which some words are common and some are rare."""
    source = random.Random(seed)
    return " ".join(source.choices(WORDS, weights=range(len(WORDS), 0, -1), k=words))


async def counted(library: Library, base: UUID) -> tuple[dict[int, int], int]:
    """Document frequencies and number of passages as a search sees them."""
    every = [term_hash(base, term) for word in WORDS for term in terms_of(word, "en")]
    async with reading(library.engine) as reader:
        found = await resolve(reader, library.scope(base), every)
    return found.frequency, found.targets[0].passages


async def recounted(library: Library, base: UUID) -> tuple[dict[int, int], int]:
    """The same, counted afresh from the rows."""
    async with library.engine.connect() as connection:
        rows = (
            await connection.execute(text("SELECT terms FROM lexical WHERE knowledge_base_id = :kb"), {"kb": base})
        ).all()
    return dict(Counter(term for row in rows for term in row.terms)), len(rows)


async def merge(library: Library, base: UUID) -> bool:
    """What the periodic job does."""
    async with transaction(library.engine) as session:
        return await merge_statistics(await session.connection(), base)


@pytest.mark.parametrize("seed", range(3))
async def test_statistics_stay_exact_whatever_comes_and_goes(library: Library, seed: int) -> None:
    source = random.Random(seed)
    base = await library.base()
    there = []
    for step in range(25):
        action = source.choice(["add", "add", "add", "remove", "merge"])
        if action == "add":
            there.append(await library.publish(base, story(seed * 100 + step), language=source.choice(["en", ""])))
        elif action == "remove" and there:
            await library.unpublish(base, there.pop(source.randrange(len(there))))
        elif action == "merge":
            assert await merge(library, base)
        assert await counted(library, base) == await recounted(library, base)
    await merge(library, base)
    assert await counted(library, base) == await recounted(library, base)
    async with library.engine.connect() as connection:
        assert await knowledge_bases_with_deltas(connection) == []


async def test_a_change_that_is_rolled_back_leaves_no_trace(library: Library) -> None:
    base = await library.base()
    published = await library.publish(base, story(1))
    before = await counted(library, base)
    async with library.engine.connect() as connection:
        await store.delete(connection, base, published.version_id)
        await connection.rollback()
    assert await counted(library, base) == before == await recounted(library, base)


async def test_only_one_merges_at_a_time(library: Library) -> None:
    base = await library.base()
    await library.publish(base, story(1))
    async with transaction(library.engine) as session:
        assert await merge_statistics(await session.connection(), base)
        assert not await merge(library, base)
    assert await merge(library, base)
    assert await counted(library, base) == await recounted(library, base)


async def test_many_small_changes_are_merged_on_the_way(library: Library) -> None:
    base = await library.base()
    for seed in range(45):
        await library.publish(base, story(seed, words=3))
    async with library.engine.connect() as connection:
        pending = (await connection.execute(text("SELECT count(*) FROM lexical_deltas"))).scalar_one()
    assert pending < 40
    assert await counted(library, base) == await recounted(library, base)


async def test_the_database_scores_as_the_formula_says(library: Library) -> None:
    base = await library.base()
    texts = {(await library.publish(base, story(seed), title="Gold")).passage_ids[0]: story(seed) for seed in range(40)}
    question = "gold island parrot storm"
    stems = terms_of(question, "en")
    weights = {key: document_weights(terms_of(body, "en"), terms_of("Gold", "en"))[0] for key, body in texts.items()}
    idf = {
        stem: inverse_document_frequency(len(texts), sum(stem in each for each in weights.values())) for stem in stems
    }
    expected = {key: sum(idf[stem] * each.get(stem, 0.0) for stem in stems) for key, each in weights.items()}
    found = await library.ask(question, base, mode="lexical", limit=40, merge_neighbours=False)
    assert len(found.passages) == 40
    for passage in found.passages:
        assert passage.bm25 == pytest.approx(expected[passage.id], rel=1e-3)
    assert found.idf == pytest.approx(idf)


async def test_looking_at_rare_words_first_finds_the_same(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    base = await library.base()
    for seed in range(120):
        await library.publish(base, story(seed, words=12))
    questions = [story(seed, words=5) for seed in range(500, 530)]

    async def best(question: str) -> list[tuple[UUID, float]]:
        async with reading(library.engine) as reader:
            scope = library.scope(base, limit=5)
            targets, asked = await analyse(reader, question, scope)
            query = LegQuery(lexical.sparse_literal(asked), None, 50)
            hits = await lexical.search_lexical(reader, asked, targets, asked=query, scope=scope)
        return [(hit.passage_id, hit.bm25) for hit in hits[:5]]

    quick = [await best(question) for question in questions]
    monkeypatch.setattr(lexical, "SPARE", 0.0)
    assert quick == [await best(question) for question in questions]


async def test_deleting_a_knowledge_base_takes_everything_along(library: Library) -> None:
    base, other = await library.base(), await library.base()
    for each in (base, other):
        await library.publish(each, story(1))
        await merge(library, each)
        await library.publish(each, story(2))
    async with transaction(library.engine) as session:
        await session.execute(text("DELETE FROM knowledge_bases WHERE id = :id"), {"id": base})
    async with library.engine.connect() as connection:
        for table in ("lexical", "lexical_counts", "lexical_totals", "lexical_deltas", "embeddings"):
            rows = await connection.execute(text(f"SELECT DISTINCT knowledge_base_id FROM {table}"))
            assert set(rows.scalars()) == {other}
