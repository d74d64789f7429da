"""Searches on a real database: what is found, who may see it, and what a search says about itself."""

import asyncio
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import transaction
from rag_app.errors import InvalidInput, MixedEmbeddingModels, ProviderError
from rag_app.retrieval import legs
from rag_app.retrieval.dense import build_hnsw, drop_hnsw
from tests.retrieval_library import Library

REFUND = "Customers can return a purchase within thirty days and get their money back."
SHIPPING = "Parcels leave our warehouse in Rotterdam every weekday before noon."
LOGIN = "A forgotten password is reset through the link ERR_CONN-104 on the sign-in page."


@pytest.fixture
async def library(engine: AsyncEngine) -> Library:
    """An empty workspace."""
    return await Library.open(engine)


async def three(library: Library) -> tuple[UUID, UUID, UUID, UUID]:
    """A knowledge base with three documents."""
    base = await library.base()
    refund, shipping, login = [(await library.publish(base, each)).document_id for each in (REFUND, SHIPPING, LOGIN)]
    return base, refund, shipping, login


async def test_finds_by_words_and_by_meaning(library: Library) -> None:
    base, refund, shipping, login = await three(library)
    assert (await library.found("When do parcels leave the warehouse?", base))[0] == shipping
    assert (await library.found("refund for bought goods", base, mode="dense"))[0] == refund
    assert (await library.found("err_conn-104", base, mode="lexical")) == [login]


async def test_each_leg_and_the_fusion_say_their_rank(library: Library) -> None:
    base, refund, *_ = await three(library)
    both = (await library.ask("return a purchase", base)).passages[0]
    assert (both.document_id, both.ranks.lexical, both.ranks.dense, both.ranks.fused) == (refund, 1, 1, 1)
    words = await library.ask("return a purchase", base, mode="lexical")
    assert words.passages[0].ranks.dense is None
    assert "dense" not in words.timings_ms
    meaning = await library.ask("return a purchase", base, mode="dense")
    assert meaning.passages[0].ranks.lexical is None
    assert words.warnings == meaning.warnings == ()


async def test_scores_are_probabilities_that_fall(library: Library) -> None:
    base, *_ = await three(library)
    result = await library.ask("How do I return a purchase to the warehouse?", base)
    scores = [passage.score for passage in result.passages]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert set(result.timings_ms) == {"embed", "dense", "lexical", "fuse", "total"}


async def test_evidence_tells_answerable_from_unanswerable(library: Library) -> None:
    base, *_ = await three(library)
    there = await library.ask("Within how many days can customers return a purchase?", base)
    missing = await library.ask("Which glacier did Amundsen cross in 1911?", base)
    assert there.evidence.answerable > 0.8
    assert missing.evidence.answerable < 0.2


async def test_shown_text_is_a_slice_of_the_version_when_neighbours_are_joined(library: Library) -> None:
    base = await library.base()
    parts = [
        "The Zugspitze is a mountain.",
        "The mountain Zugspitze is 2,962 m high.",
        "Cows graze below.",
        "Zugspitze!",
    ]
    published = await library.publish(base, *parts)
    result = await library.ask("How high is the mountain Zugspitze?", base, limit=3)
    best = result.passages[0]
    assert best.id == published.passage_ids[1]
    assert best.char_from == 0
    for passage in result.passages:
        assert passage.text == published.text[passage.char_from : passage.char_to]
    spans = sorted((passage.char_from, passage.char_to) for passage in result.passages)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    apart = await library.ask("How high is the mountain Zugspitze?", base, limit=3, merge_neighbours=False)
    assert apart.passages[0].text == parts[1]


async def test_a_deleted_document_is_gone_at_once(library: Library) -> None:
    base, refund, *_ = await three(library)
    async with transaction(library.engine) as session:
        await session.execute(text("UPDATE documents SET deleted_at = now() WHERE id = :id"), {"id": refund})
    assert refund not in await library.found("return a purchase", base)


async def test_an_unpublished_version_leaves_nothing(library: Library) -> None:
    base = await library.base()
    published = await library.publish(base, REFUND)
    await library.unpublish(base, published)
    assert await library.found("return a purchase", base) == []
    async with library.engine.connect() as connection:
        for table in ("lexical", "embeddings", "passages"):
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


async def test_another_workspace_sees_nothing(library: Library, engine: AsyncEngine) -> None:
    base, *_ = await three(library)
    stranger = await Library.open(engine)
    assert await stranger.found("return a purchase", base) == []
    assert await library.found("return a purchase", uuid4()) == []


async def test_a_restricted_knowledge_base_is_for_its_members(library: Library) -> None:
    secret, opened = await library.base(access="restricted"), await library.base()
    hidden = (await library.publish(secret, REFUND)).document_id
    shown = (await library.publish(opened, SHIPPING + " " + REFUND)).document_id
    member = await library.member(secret)
    outsider = await library.member(opened)
    for mode in ("hybrid", "lexical", "dense"):
        both = await library.found("return a purchase", secret, opened, is_admin=False, actor_user_id=member, mode=mode)
        assert set(both) == {hidden, shown}
        for other in (outsider, None):
            seen = await library.found(
                "return a purchase", secret, opened, is_admin=False, actor_user_id=other, mode=mode
            )
            assert seen == [shown]
    assert hidden in await library.found("return a purchase", secret)
    assert hidden in await library.found("return a purchase", secret, is_admin=False, ignore_access=True)


REPORTS = (("Borealis", "2022 Q3"), ("Borealis", "2023 Q1"), ("Australis", "2022 Q3"), ("Australis", "2023 Q1"))
DEBT = "The debt was paid back early, and the interest on what was left of it fell a little in this quarter."


async def series(library: Library) -> tuple[UUID, dict[UUID, tuple[str, str]]]:
    """Reports of two companies for two quarters, alike but for their names, which stand in no passage."""
    base = await library.base()
    made = {}
    for number, (company, quarter) in enumerate(REPORTS):
        texts = [f"{DEBT} {'More on debt. ' * (number + part)}" for part in range(4)]
        document = await library.publish(base, *texts, title=f"Report ({quarter})", names=[company.lower()])
        made[document.document_id] = (company, quarter)
    async with transaction(library.engine) as session:
        heading = "UPDATE passages SET heading = 'Report › Note ' || ordinal || ': Debt' WHERE knowledge_base_id = :kb"
        await session.execute(text(heading), {"kb": base})
    return base, made


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
async def test_the_question_chooses_among_documents_of_one_kind(library: Library, mode: str) -> None:
    base, made = await series(library)
    for company, quarter in REPORTS:
        found = await library.found(f"How was the debt of {company} in {quarter}?", base, mode=mode, limit=1)
        assert [made[each] for each in found] == [(company, quarter)]


async def test_none_of_the_documents_that_a_question_means_crowds_out_the_others(library: Library) -> None:
    base, made = await series(library)
    found = await library.found("How did the debt of Australis change?", base, limit=2)
    assert {made[each] for each in found} == {("Australis", "2022 Q3"), ("Australis", "2023 Q1")}
    assert {made[each] for each in await library.found("What about debt?", base, limit=4)} == set(REPORTS)


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
async def test_filters_by_metadata(library: Library, mode: str) -> None:
    base = await library.base()
    old = (await library.publish(base, REFUND, metadata={"year": 2019, "tags": ["shop", "law"]})).document_id
    new = (await library.publish(base, REFUND, metadata={"year": 2024, "lang": "de"})).document_id
    none = (await library.publish(base, REFUND)).document_id

    async def found(wanted: dict[str, Any]) -> set[UUID]:
        return set(await library.found("return a purchase", base, filter=wanted, mode=mode))

    assert await found({}) == {old, new, none}
    assert await found({"year": 2019}) == {old}
    assert await found({"year": [2019, 2024]}) == {old, new}
    assert await found({"year": "2019"}) == set()
    assert await found({"tags": "law"}) == {old}
    assert await found({"year": 2024, "lang": "de"}) == {new}
    assert await found({"year": 2019, "lang": "de"}) == set()
    assert await found({"year": []}) == set()
    assert await found({"' OR '1'='1": "x"}) == set()
    assert await found({"%(kbs)s :limit": "x"}) == set()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"language": "de"}, {"page"}),
        ({"language": ["de", "en"]}, {"page", "file"}),
        ({"title": "Guide"}, {"page"}),
        ({"site": "shop.example.com"}, {"page"}),
        ({"path": "/help/de/returns.html"}, {"page"}),
        ({"path": "/help/de"}, set()),
        ({"section": "/help/de"}, {"page"}),
        ({"section": "/help"}, {"page"}),
        ({"section": ["/help/de/returns.html", "/x"]}, {"page"}),
        ({"section": "/hel"}, set()),
        ({"url": "https://Shop.example.com:8443/help/de/returns.html?from=mail#top"}, {"page"}),
        ({"year": 2021}, {"page"}),
        ({"year": "2021"}, set()),
        ({"kind": "file"}, {"file", "page"}),
        ({"kind": "mine"}, {"given"}),  # given metadata wins
        ({"external_id": "x"}, set()),
    ],
)
async def test_filters_by_what_every_document_has(library: Library, wanted: dict[str, Any], expected: set[str]) -> None:
    base = await library.base()
    made = {
        "page": await library.publish(
            base, REFUND, title="Guide", language="de", metadata={"created": "2021-03-04T10:00:00"}
        ),
        "file": await library.publish(base, REFUND, title="Other", metadata={"created": "unknown"}),
        "given": await library.publish(base, REFUND, language="fr", metadata={"kind": "mine", "year": 1}),
    }
    async with transaction(library.engine) as session:
        await session.execute(
            text("UPDATE documents SET url = :url WHERE id = :id"),
            {"url": "https://Shop.example.com:8443/help/de/returns.html?from=mail#top", "id": made["page"].document_id},
        )
    found = set(await library.found("return a purchase", base, filter=wanted))
    assert found == {made[name].document_id for name in expected}


@pytest.mark.parametrize("wanted", [{"k": "\x00"}, {"\x00": 1}, {"k": float("nan")}, {"k": "\ud800"}, {"k": object()}])
async def test_a_filter_that_json_cannot_hold_is_refused(library: Library, wanted: dict[str, Any]) -> None:
    base, *_ = await three(library)
    with pytest.raises(InvalidInput):
        await library.ask("return a purchase", base, filter=wanted)


@pytest.mark.parametrize(
    "question", ["", "   ", "\x00", "!?", "the of and", "'; DROP TABLE passages; --", "🙂", "a" * 5000]
)
async def test_odd_questions_do_no_harm(library: Library, question: str) -> None:
    base, *_ = await three(library)
    result = await library.ask(question, base)
    assert len(result.passages) <= 3
    assert len(await library.found("return a purchase", base)) == 3


async def test_an_empty_knowledge_base_gives_an_empty_list(library: Library) -> None:
    base = await library.base()
    result = await library.ask("anything", base)
    assert (result.passages, result.warnings, result.evidence.answerable) == ((), (), 0.0)


async def test_a_leg_that_cannot_run_is_named(library: Library) -> None:
    async def broken(texts: list[str]) -> "np.ndarray[Any, np.dtype[np.float32]]":
        raise ProviderError()

    bare = await library.base(model=None)
    document = (await library.publish(bare, REFUND)).document_id
    base, refund, *_ = await three(library)
    without = await library.ask("return a purchase", bare)
    assert ([each.document_id for each in without.passages], without.warnings) == ([document], (legs.NO_INDEX,))
    failing = await library.ask("return a purchase", base, embed=broken)
    assert failing.warnings == (legs.EMBEDDER_FAILED,)
    assert failing.passages[0].document_id == refund
    assert failing.passages[0].ranks.dense is None
    unknown = await library.ask("Xylophon", base)
    assert unknown.warnings == (legs.NO_KNOWN_WORD,)
    assert unknown.passages


async def test_several_knowledge_bases_share_one_ranking(library: Library) -> None:
    one, two = await library.base(), await library.base()
    first = (await library.publish(one, REFUND)).document_id
    second = (await library.publish(two, SHIPPING)).document_id
    await library.publish(two, *["The purchase of land."] * 5)
    result = await library.ask("return a purchase from the warehouse", one, two)
    assert {first, second} <= {passage.document_id for passage in result.passages}
    # "purchase" stands in six of seven passages of both together, but in the only one of the first.
    assert result.idf["purchas"] < result.idf["return"]


async def test_different_embedding_models_are_not_mixed(library: Library) -> None:
    one, two = await library.base(), await library.base(model="other/model")
    await library.publish(one, REFUND)
    await library.publish(two, REFUND)
    with pytest.raises(MixedEmbeddingModels):
        await library.ask("return a purchase", one, two)
    assert len(await library.found("return a purchase", one, two, mode="lexical")) == 2


async def test_languages_are_stemmed_each_in_its_own_way(library: Library) -> None:
    base = await library.base()
    german = await library.publish(base, "Die Häuser am Fluss wurden verkauft.", language="de")
    english = await library.publish(base, "Relational databases store normalized rows.", language="en")
    chinese = await library.publish(base, "退货政策允许三十天内退款。", language="zh")
    for question, wanted in (("verkaufte Haus", german), ("normalizing relations", english), ("退款政策", chinese)):
        assert (await library.found(question, base, mode="lexical"))[0] == wanted.document_id


async def test_a_large_index_gets_an_hnsw_that_finds_the_same(library: Library) -> None:
    base, refund, *_ = await three(library)
    before = await library.found("money for bought goods", base, mode="dense")
    async with library.engine.connect() as connection:
        index_id = (await connection.execute(text("SELECT id FROM indexes"))).scalar_one()
    for _ in range(2):
        await build_hnsw(library.engine, index_id=index_id, dimensions=256)
    async with library.engine.connect() as connection:
        await connection.execute(text("SET enable_seqscan = off"))
        assert (await connection.execute(text("SELECT has_hnsw FROM indexes"))).scalar_one()
    assert await library.found("money for bought goods", base, mode="dense") == before
    assert (await library.found("money for bought goods", base, mode="dense", filter={"x": 1})) == []
    assert before[0] == refund
    await drop_hnsw(library.engine, index_id=index_id)
    assert await library.found("money for bought goods", base, mode="dense") == before


async def test_an_index_is_built_once_however_often_it_is_begun(library: Library) -> None:
    await three(library)
    made = text("SELECT oid FROM pg_class WHERE relname ~ '^embeddings_hnsw_'")
    async with library.engine.connect() as connection:
        index_id = (await connection.execute(text("SELECT id FROM indexes"))).scalar_one()
        # A writer that is not through: the build waits for it, and others come upon the half built index.
        await connection.execute(text("UPDATE embeddings SET passage_id = passage_id"))
        first = asyncio.create_task(build_hnsw(library.engine, index_id=index_id, dimensions=256))
        async with library.engine.connect() as other:
            for _ in range(500):
                begun = (await other.execute(made)).scalars().all()
                await other.rollback()
                if begun:
                    break
                await asyncio.sleep(0.01)
        await asyncio.wait_for(build_hnsw(library.engine, index_id=index_id, dimensions=256), 5)
        assert not first.done()
        await connection.commit()
    await first
    async with library.engine.begin() as connection:
        assert (await connection.execute(made)).scalars().all() == begun
        await connection.execute(text("UPDATE indexes SET has_hnsw = false"))
    await build_hnsw(library.engine, index_id=index_id, dimensions=256)  # whoever built it had died before it said so
    async with library.engine.connect() as connection:
        assert (await connection.execute(text("SELECT has_hnsw FROM indexes"))).scalar_one()
        assert (await connection.execute(made)).scalars().all() == begun
