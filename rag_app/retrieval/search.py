"""One search: who may see what, both legs at once, fusion, evidence, neighbours joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.retrieval import evidence, fusion, neighbours, series
from rag_app.retrieval.candidates import Found, read_passages
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.legs import Legs, Trace, run_legs
from rag_app.retrieval.outcome import considered_of, passages_of, ranking_of
from rag_app.retrieval.passages import Evidence, SearchResult
from rag_app.retrieval.question import Question, analyse
from rag_app.retrieval.ranking import Judged, rank
from rag_app.retrieval.reader import Reader, reading
from rag_app.retrieval.rerank import Reranked, rerank
from rag_app.retrieval.scope import Scope, Target

SPARE_PASSAGES = 10
"""Read beyond the limit, because some will join their neighbours and some may just have been deleted."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How is searched, and where."""

    scope: Scope
    targets: Sequence[Target]


async def search(engine: AsyncEngine, question: str, scope: Scope) -> SearchResult:
    """The passages that answer the question best, at most `scope.limit`, best first.

    A leg that could not run is named in the warnings. Knowledge bases that do not exist or that the person may not
    see are left out in silence. Raises MixedEmbeddingModels when the rest have different embedding models and the
    mode is not lexical.
    """
    trace = Trace()
    with trace.measure("total"):
        async with reading(engine) as reader:
            if scope.limit < 1 or not (question.strip() or scope.must_exist):
                return SearchResult(passages=(), evidence=Evidence())
            targets, analysed = await analyse(reader, question, scope)
            if not targets or not question.strip():
                return SearchResult(passages=(), evidence=Evidence())
            scope = _equipped(scope, targets)
            legs = await run_legs(reader, analysed, targets, scope=scope, trace=trace)
            with trace.measure("fuse"):
                found = await _finish(reader, analysed, legs, plan=_Plan(scope, targets), trace=trace)
    trace.timings["fuse"] = round(trace.timings["fuse"] - trace.timings.get("rerank", 0.0), 3)
    return replace(found, warnings=tuple(trace.warnings), timings_ms=trace.timings, idf=analysed.idf)


def _equipped(scope: Scope, targets: Sequence[Target]) -> Scope:
    """With the embedder of the model that the knowledge bases were embedded with."""
    model = next((target.model for target in targets if target.model), None)
    if scope.embedder is None or model is None:
        return scope
    found = scope.embedder(model)
    return replace(scope, embed=found.embed, dense_weight=found.dense_weight)


async def _finish(reader: Reader, question: Question, legs: Legs, *, plan: _Plan, trace: Trace) -> SearchResult:
    if not legs.candidates:
        return SearchResult((), Evidence())
    scope, targets, weight = plan.scope, plan.targets, _dense_weight(legs, plan.scope)
    fused = fusion.best_first(legs.candidates, fusion.fuse(legs.candidates, dense_weight=weight))
    wanted = max(scope.limit, scope.reranker.candidates if scope.reranker else 0)
    scores = {each.passage_id: each for each in fused[: wanted + SPARE_PASSAGES]}
    judged = first = await _judged(reader, question, scores, legs=legs, plan=plan)
    if legs.lexical and series.is_series([each.found for each in judged]):
        named = await series.read_named(reader, [each.passage_id for each in fused], targets)
        lifted = series.lifted(fused, named, question)
        scores = {each.passage_id: each for each in lifted[: wanted + series.SPARE_PASSAGES]}
        judged = series.spread(await _judged(reader, question, scores, legs=legs, plan=plan))
    verdict = evidence.judge([each.features for each in first], searched=sum(target.passages for target in targets))
    reranked = Reranked(judged)
    if scope.reranker:
        await reader.release()  # a slow reranker must not hold a connection
        reranked = await rerank(question.text, judged, scope.reranker, trace=trace)
    ranking = ranking_of(judged, reranked.order, scores=scores, placed=reranked.placed)
    shown = await _shown(reader, [each.found for each in reranked.order], scope)
    considered = considered_of(shown, ranking) if scope.explain else ()
    return SearchResult(passages_of(shown, ranking), verdict, considered=considered, dense_weight=weight)


async def _judged(
    reader: Reader, question: Question, scores: Mapping[UUID, Candidate], *, legs: Legs, plan: _Plan
) -> list[Judged]:
    """These candidates as passages with their features, best first."""
    found = await read_passages(reader, scores, question=question, targets=plan.targets, scope=plan.scope)
    return rank(
        [found[each] for each in scores if each in found],
        question,
        scores=scores,
        comparable_cosines=all(target.model == evidence.CALIBRATED_MODEL for target in plan.targets),
        words_count=legs.lexical,
    )


async def _shown(reader: Reader, ranked: Sequence[Found], scope: Scope) -> Sequence[Found]:
    if not scope.merge_neighbours:
        return ranked[: scope.limit]
    return await neighbours.join(reader, neighbours.group(ranked, limit=scope.limit))


def _dense_weight(legs: Legs, scope: Scope) -> float:
    if not legs.dense:
        return 0.0
    return scope.dense_weight if legs.lexical else 1.0
