"""One search: who may see what, both legs at once, fusion, evidence, neighbours joined."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.errors import MixedEmbeddingModels, ProviderError
from rag_app.retrieval import evidence, fusion, neighbours
from rag_app.retrieval.candidates import Found, read_candidates
from rag_app.retrieval.dense import Vector, search_dense
from rag_app.retrieval.lexical import Hit, search_lexical
from rag_app.retrieval.passages import Evidence, Passage, Ranks, SearchResult
from rag_app.retrieval.question import Question, analyse
from rag_app.retrieval.scope import Scope, Target, targets

CANDIDATES_PER_LEG = 50
NO_INDEX = "dense: no embedding index yet; only words were compared"
EMBEDDER_FAILED = "dense: the embedding model did not answer; only words were compared"
NO_KNOWN_WORD = "lexical: no word of the question occurs in these knowledge bases"


@dataclass(slots=True)
class _Clock:
    """Milliseconds per step."""

    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timings[step] = round((time.perf_counter() - started) * 1000, 3)


@dataclass(frozen=True, slots=True)
class _Legs:
    """What the legs returned; None = did not run."""

    lexical: list[Hit] | None
    dense: list[Hit] | None
    vector: Vector | None


async def search(engine: AsyncEngine, question: str, scope: Scope) -> SearchResult:
    """The passages that answer the question best, at most `scope.limit`, best first.

    A leg that could not run is named in the warnings. Knowledge bases that do not exist or that the person may not
    see are left out in silence. Raises MixedEmbeddingModels when the rest have different embedding models and the
    mode is not lexical.
    """
    clock = _Clock()
    warnings: list[str] = []
    with clock.measure("total"):
        async with engine.connect() as connection:
            allowed = [target for target in await targets(connection, scope) if target.passages > 0]
            if not allowed or scope.limit < 1 or not question.strip():
                return SearchResult(passages=(), evidence=evidence.judge([], [], coverage=0.0))
            analysed = await analyse(connection, question, allowed)
        legs = await _run_legs(engine, question, analysed, _Run(scope, allowed, clock, warnings))
        with clock.measure("fuse"):
            result = await _rank(engine, analysed, legs, _Run(scope, allowed, clock, warnings))
    return SearchResult(
        passages=result[0],
        evidence=result[1],
        warnings=tuple(warnings),
        timings_ms=clock.timings,
        idf=analysed.idf,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    scope: Scope
    targets: Sequence[Target]
    clock: _Clock
    warnings: list[str]

    @property
    def per_leg(self) -> int:
        return max(CANDIDATES_PER_LEG, self.scope.limit + self.scope.limit // 2)


async def _run_legs(engine: AsyncEngine, text: str, question: Question, run: _Run) -> _Legs:
    dense = asyncio.create_task(_run_dense(engine, text, run))
    try:
        lexical = await _run_lexical(engine, question, run)
        hits, vector = await dense
    finally:
        dense.cancel()
    return _Legs(lexical, hits, vector)


async def _run_lexical(engine: AsyncEngine, question: Question, run: _Run) -> list[Hit] | None:
    if run.scope.mode == "dense":
        return None
    with run.clock.measure("lexical"):
        ids = [target.knowledge_base_id for target in run.targets]
        async with engine.connect() as connection:
            hits = await search_lexical(connection, question, ids, run.scope, limit=run.per_leg)
    if not question.hashes:
        run.warnings.append(NO_KNOWN_WORD)
    return hits


async def _run_dense(engine: AsyncEngine, text: str, run: _Run) -> tuple[list[Hit] | None, Vector | None]:
    if run.scope.mode == "lexical":
        return None, None
    embedded = [target for target in run.targets if target.index_id is not None]
    if len({target.model for target in embedded}) > 1:
        raise MixedEmbeddingModels()
    if not embedded or run.scope.embed is None:
        run.warnings.append(NO_INDEX)
        return None, None
    try:
        with run.clock.measure("embed"):
            vector = (await run.scope.embed([text]))[0]
    except ProviderError:
        run.warnings.append(EMBEDDER_FAILED)
        return None, None
    with run.clock.measure("dense"):
        async with engine.connect() as connection:
            hits = await search_dense(connection, vector, embedded, run.scope, limit=run.per_leg)
    return hits, vector


async def _rank(
    engine: AsyncEngine, question: Question, legs: _Legs, run: _Run
) -> tuple[tuple[Passage, ...], Evidence]:
    ids = {hit.passage_id for hits in (legs.lexical, legs.dense) for hit in hits or ()}
    if not ids:
        return (), evidence.judge([], [], coverage=0.0)
    async with engine.connect() as connection:
        found = await read_candidates(
            connection, list(ids), question=question, vector=legs.vector, targets=run.targets, scope=run.scope
        )
        fused = _fuse(found, legs, run.scope)
        ranked = sorted(found, key=lambda each: (-fused[each.id], each.id))
        if run.scope.merge_neighbours:
            shown = await neighbours.join(connection, neighbours.group(ranked, limit=run.scope.limit))
        else:
            shown = ranked[: run.scope.limit]
    features = {each.id: _features(each, question) for each in ranked}
    verdict = evidence.judge(
        [features[each.id] for each in ranked[:10]],
        [fused[each.id] for each in ranked[:10]],
        coverage=_coverage(ranked[:3], question),
    )
    return _passages(shown, fused, {key: evidence.relevance(each) for key, each in features.items()}, legs), verdict


def _fuse(found: Sequence[Found], legs: _Legs, scope: Scope) -> dict[UUID, float]:
    candidates = [fusion.Candidate(each.id, each.bm25, each.cosine) for each in found]
    if legs.dense is None:
        weight = 0.0
    elif legs.lexical is None:
        weight = 1.0
    else:
        weight = scope.dense_weight
    return fusion.fuse(candidates, dense_weight=weight)


def _features(each: Found, question: Question) -> evidence.Features:
    best = question.best_possible(each.language)
    return evidence.Features(
        bm25_share=min(1.0, each.bm25 / best) if best else 0.0,
        coverage=question.coverage(set(each.stems), each.language),
        cosine=each.cosine,
    )


def _coverage(best: Sequence[Found], question: Question) -> float:
    stems = {stem for each in best for stem in each.stems}
    return question.coverage(stems, best[0].language) if best else 0.0


def _passages(
    shown: Sequence[Found], fused: dict[UUID, float], relevance: dict[UUID, float], legs: _Legs
) -> tuple[Passage, ...]:
    places = fusion.ranks(fused)
    dense = {hit.passage_id: place for place, hit in enumerate(legs.dense or (), start=1)}
    lexical = {hit.passage_id: place for place, hit in enumerate(legs.lexical or (), start=1)}
    passages = []
    ceiling = 1.0
    for each in shown:
        ceiling = min(ceiling, relevance[each.id])  # the list falls, so must the number beside it
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
                score=ceiling,
                ranks=Ranks(dense=dense.get(each.id), lexical=lexical.get(each.id), fused=places[each.id]),
                fused=fused[each.id],
                bm25=each.bm25,
                cosine=each.cosine,
                language=each.language,
            )
        )
    return tuple(passages)
