"""One search: who may see what, both legs at once, fusion, evidence, neighbours joined."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.retrieval import evidence, fusion, neighbours
from rag_app.retrieval.candidates import Found, Legs, complete_scores, read_passages
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.legs import Trace, dense_leg, lexical_leg, reading
from rag_app.retrieval.passages import Evidence, Passage, Ranks, SearchResult
from rag_app.retrieval.question import Question, analyse
from rag_app.retrieval.scope import Scope, Target, targets

SPARE_PASSAGES = 10
"""Read beyond the limit, because some will join their neighbours and some may just have been deleted."""


async def search(engine: AsyncEngine, question: str, scope: Scope) -> SearchResult:
    """The passages that answer the question best, at most `scope.limit`, best first.

    A leg that could not run is named in the warnings. Knowledge bases that do not exist or that the person may not
    see are left out in silence. Raises MixedEmbeddingModels when the rest have different embedding models and the
    mode is not lexical.
    """
    trace = Trace()
    with trace.measure("total"):
        async with reading(engine) as connection:
            allowed = [target for target in await targets(connection, scope) if target.passages > 0]
            if not allowed or scope.limit < 1 or not question.strip():
                return SearchResult(passages=(), evidence=Evidence())
            async with dense_leg(engine, question, allowed, scope=scope, trace=trace) as dense:
                analysed = await analyse(connection, question, allowed)
                lexical = await lexical_leg(connection, analysed, allowed, scope=scope, trace=trace)
                await connection.close()  # a slow embedding model must not hold it
                legs = Legs(lexical, *await dense)
        with trace.measure("fuse"):
            passages, verdict = await _rank(engine, analysed, legs, targets=allowed, scope=scope)
    return SearchResult(passages, verdict, tuple(trace.warnings), trace.timings, analysed.idf)


async def _rank(
    engine: AsyncEngine, question: Question, legs: Legs, *, targets: Sequence[Target], scope: Scope
) -> tuple[tuple[Passage, ...], Evidence]:
    if not legs.lexical and not legs.dense:
        return (), Evidence()
    async with reading(engine) as connection:
        candidates = await complete_scores(connection, legs, question=question, targets=targets)
        fused = fusion.fuse(candidates, dense_weight=_dense_weight(legs, scope))
        places = fusion.ranks(fused)
        first = sorted(places, key=places.__getitem__)[: scope.limit + SPARE_PASSAGES]
        found = await read_passages(connection, first, question=question, targets=targets, scope=scope)
        ranked = [found[each] for each in first if each in found]
        if scope.merge_neighbours:
            shown = await neighbours.join(connection, neighbours.group(ranked, limit=scope.limit))
        else:
            shown = ranked[: scope.limit]
    by_id = {each.passage_id: each for each in candidates}
    features = [_features(each, by_id[each.id], question) for each in ranked]
    verdict = evidence.judge(features, [fused[each.id] for each in ranked], coverage=_coverage(ranked[:3], question))
    relevance = {each.id: evidence.relevance(its) for each, its in zip(ranked, features, strict=True)}
    scores = {each.passage_id: each for each in candidates}
    return _passages(shown, legs, fused=fused, scores=scores, relevance=relevance), verdict


def _dense_weight(legs: Legs, scope: Scope) -> float:
    if legs.dense is None:
        return 0.0
    return 1.0 if legs.lexical is None else scope.dense_weight


def _features(found: Found, scores: Candidate, question: Question) -> evidence.Features:
    best = question.best_possible(found.language)
    return evidence.Features(
        bm25_share=min(1.0, scores.bm25 / best) if best else 0.0,
        coverage=question.coverage(found.stems, found.language),
        cosine=scores.cosine,
    )


def _coverage(best: Sequence[Found], question: Question) -> float:
    stems = frozenset(stem for each in best for stem in each.stems)
    return question.coverage(stems, best[0].language) if best else 0.0


def _passages(
    shown: Sequence[Found],
    legs: Legs,
    *,
    fused: Mapping[UUID, float],
    scores: Mapping[UUID, Candidate],
    relevance: Mapping[UUID, float],
) -> tuple[Passage, ...]:
    places = fusion.ranks(fused)
    dense = {hit.passage_id: place for place, hit in enumerate(legs.dense or (), start=1)}
    lexical = {hit.passage_id: place for place, hit in enumerate(legs.lexical or (), start=1)}
    passages: list[Passage] = []
    for each in shown:
        ceiling = passages[-1].score if passages else 1.0  # the list falls, so must the number beside it
        passages.append(
            Passage(
                id=each.id,
                knowledge_base_id=each.knowledge_base_id,
                document_id=each.document_id,
                version_id=each.version_id,
                external_id=each.external_id,
                title=each.title,
                url=each.url,
                text=each.text,
                heading=each.heading,
                page_from=each.page_from,
                page_to=each.page_to,
                char_from=each.char_from,
                char_to=each.char_to,
                score=min(ceiling, relevance[each.id]),
                ranks=Ranks(dense=dense.get(each.id), lexical=lexical.get(each.id), fused=places[each.id]),
                fused=fused[each.id],
                bm25=scores[each.id].bm25,
                cosine=scores[each.id].cosine,
                language=each.language,
            )
        )
    return tuple(passages)
