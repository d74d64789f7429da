"""One search: who may see what, both legs at once, fusion, evidence, neighbours joined."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.retrieval import evidence, fusion, neighbours
from rag_app.retrieval.candidates import Found, read_passages
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.legs import Legs, Trace, run_legs
from rag_app.retrieval.passages import Evidence, Passage, Ranks, SearchResult
from rag_app.retrieval.question import Question, analyse
from rag_app.retrieval.ranking import Judged, rank
from rag_app.retrieval.reader import Reader, reading
from rag_app.retrieval.scope import Scope, Target

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
        async with reading(engine) as reader:
            if scope.limit < 1 or not (question.strip() or scope.must_exist):
                return SearchResult(passages=(), evidence=Evidence())
            targets, analysed = await analyse(reader, question, scope)
            if not targets or not question.strip():
                return SearchResult(passages=(), evidence=Evidence())
            scope = _equipped(scope, targets)
            legs = await run_legs(reader, analysed, targets, scope=scope, trace=trace)
            with trace.measure("fuse"):
                passages, verdict = await _finish(reader, analysed, legs, targets=targets, scope=scope)
    return SearchResult(passages, verdict, tuple(trace.warnings), trace.timings, analysed.idf)


def _equipped(scope: Scope, targets: Sequence[Target]) -> Scope:
    """With the embedder of the model that the knowledge bases were embedded with."""
    model = next((target.model for target in targets if target.model), None)
    if scope.embedder is None or model is None:
        return scope
    found = scope.embedder(model)
    return replace(scope, embed=found.embed, dense_weight=found.dense_weight)


async def _finish(
    reader: Reader, question: Question, legs: Legs, *, targets: Sequence[Target], scope: Scope
) -> tuple[tuple[Passage, ...], Evidence]:
    if not legs.candidates:
        return (), Evidence()
    fused = fusion.fuse(legs.candidates, dense_weight=_dense_weight(legs, scope))
    best = fusion.best_first(legs.candidates, fused, limit=scope.limit + SPARE_PASSAGES)
    scores = {each.passage_id: each for each in best}
    found = await read_passages(reader, scores, question=question, targets=targets, scope=scope)
    judged = rank(
        [found[each] for each in scores if each in found],
        question,
        scores=scores,
        comparable_cosines=all(target.model == evidence.CALIBRATED_MODEL for target in targets),
        words_count=legs.lexical,
    )
    shown = await _shown(reader, [each.found for each in judged], scope)
    verdict = evidence.judge([each.features for each in judged], searched=sum(target.passages for target in targets))
    return _passages(shown, judged, scores), verdict


async def _shown(reader: Reader, ranked: Sequence[Found], scope: Scope) -> Sequence[Found]:
    if not scope.merge_neighbours:
        return ranked[: scope.limit]
    return await neighbours.join(reader, neighbours.group(ranked, limit=scope.limit))


def _dense_weight(legs: Legs, scope: Scope) -> float:
    if not legs.dense:
        return 0.0
    return scope.dense_weight if legs.lexical else 1.0


def _passages(
    shown: Sequence[Found], judged: Sequence[Judged], scores: Mapping[UUID, Candidate]
) -> tuple[Passage, ...]:
    places = {each.found.id: place for place, each in enumerate(judged, start=1)}
    features = {each.found.id: each.features for each in judged}
    passages: list[Passage] = []
    for each in shown:
        candidate = scores[each.id]
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
                score=min(ceiling, evidence.relevance(features[each.id])),
                ranks=Ranks(dense=candidate.dense, lexical=candidate.lexical, fused=places[each.id]),
                fused=features[each.id].fused,
                bm25=candidate.bm25,
                cosine=candidate.cosine,
                language=each.language,
            )
        )
    return tuple(passages)
