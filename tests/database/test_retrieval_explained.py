"""What a search says about its candidates, a reranker in it, and how one document stands to a question."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.errors import ProviderError, ProviderTimeout
from rag_app.retrieval.inspection import inspect
from rag_app.retrieval.rerank import FAILED, LATE, Reranker
from rag_app.retrieval.scope import Embedder
from tests.retrieval_library import Library, embed

WORDS = ["refund", "purchase", "money", "card", "parcel", "lamp", "warranty", "shop", "ticket", "order"]


@pytest.fixture
async def library(engine: AsyncEngine) -> Library:
    """An empty workspace."""
    return await Library.open(engine)


async def ten(library: Library) -> tuple[UUID, list[UUID]]:
    """A knowledge base of ten documents that share fewer and fewer words with one question."""
    base = await library.base()
    texts = [f"Document {n} is about {' and '.join(WORDS[: 10 - n])} and nothing else." for n in range(10)]
    return base, [(await library.publish(base, each)).document_id for each in texts]


async def test_each_candidate_has_its_fate_only_when_asked(library: Library) -> None:
    base, documents = await ten(library)
    question = " ".join(WORDS)
    plain = await library.ask(question, base, limit=3)
    assert plain.considered == ()
    result = await library.ask(question, base, limit=3, explain=True)
    assert [each.id for each in result.passages] == [each.id for each in plain.passages]
    assert [each.document_id for each in result.considered[:3]] == documents[:3]
    assert [each.fate for each in result.considered] == ["shown"] * 3 + ["below_limit"] * (len(result.considered) - 3)
    assert [each.ranks.fused for each in result.considered] == list(range(1, len(result.considered) + 1))
    assert 0 < result.dense_weight < 1


async def test_a_neighbour_that_was_joined_names_the_passage(library: Library) -> None:
    base = await library.base()
    published = await library.publish(base, "The refund is paid to the card.", "The refund of a purchase takes a week.")
    result = await library.ask("refund of a purchase to the card", base, explain=True)
    assert sorted(each.fate for each in result.considered) == ["joined", "shown"]
    [joined] = [each for each in result.considered if each.fate == "joined"]
    assert {joined.passage_id, joined.into} == set(published.passage_ids)


def reranker(scores: Sequence[float | None] | Exception, candidates: int = 5) -> Reranker:
    async def score(question: str, texts: list[str]) -> Sequence[float | None]:
        assert question and len(texts) <= candidates
        if isinstance(scores, Exception):
            raise scores
        return scores

    return Reranker(score, candidates)


async def test_a_reranker_moves_its_candidates_and_the_rest_follows(library: Library) -> None:
    base, documents = await ten(library)
    question = " ".join(WORDS)
    order = await library.found(question, base, limit=8)
    assert order == documents[:8]
    moved = await library.ask(question, base, limit=8, reranker=reranker([None, 0.1, 0.9, None, 0.5]))
    wanted = [order[place] for place in (2, 4, 1, 0, 3, 5, 6, 7)]
    assert [each.document_id for each in moved.passages] == wanted
    assert [each.ranks.rerank for each in moved.passages] == [1, 2, 3, None, None, None, None, None]
    assert [each.ranks.fused for each in moved.passages] == [3, 5, 2, 1, 4, 6, 7, 8]
    scores = [each.score for each in moved.passages]
    assert scores == sorted(scores, reverse=True)
    assert moved.timings_ms["rerank"] >= 0 and moved.warnings == ()
    wide = await library.ask(question, base, limit=1, reranker=reranker([0.0, 0.0, 0.0, 0.0, 1.0]))
    assert [each.document_id for each in wide.passages] == [order[4]]


@pytest.mark.parametrize(("trouble", "warning"), [(ProviderTimeout("x"), LATE), (ProviderError("x"), FAILED)])
async def test_a_reranker_in_trouble_leaves_the_order_as_it_was(
    library: Library, trouble: Exception, warning: str
) -> None:
    base, documents = await ten(library)
    result = await library.ask(" ".join(WORDS), base, limit=4, reranker=reranker(trouble))
    assert [each.document_id for each in result.passages] == documents[:4]
    assert result.warnings == (warning,)


async def test_the_standing_of_a_document(library: Library) -> None:
    base = await library.base()
    published = await library.publish(base, "The refund is paid to the card.", "Parcels leave at noon.", title="Money")
    other = await library.publish(base, "Nothing of the kind stands here.")
    question = "When is the refund of a purchase paid?"

    async def standing(document_id: UUID) -> Any:
        scope = library.scope(base, embedder=lambda _: Embedder(embed, 0.35))
        return await inspect(library.engine, question, scope, document_id=document_id)

    found = await standing(published.document_id)
    assert (found.passages, set(found.held)) == (2, {"refund", "paid"})
    assert "purchase" in found.missing
    assert found.by_words is not None and found.by_words.passage_id == published.passage_ids[0]
    assert found.by_meaning is not None and 0 < found.by_meaning.cosine <= 1
    nothing = await standing(other.document_id)
    assert nothing.held == () and nothing.by_words.bm25 == 0
    stranger = (await Library.open(library.engine)).scope(base, embedder=lambda _: Embedder(embed, 0.35))
    foreign = await inspect(library.engine, question, stranger, document_id=published.document_id)
    assert foreign.passages == 0 and foreign.by_words is None
