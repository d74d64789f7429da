"""Runs both legs of a search on one connection, and says which one could not run."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rag_app.errors import MixedEmbeddingModels, ProviderError
from rag_app.retrieval.dense import Beside, DenseHits, Vector, search_dense
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.lexical import Hit, search_lexical, sparse_literal
from rag_app.retrieval.question import Question
from rag_app.retrieval.reader import Reader
from rag_app.retrieval.scope import Scope, Target

NO_INDEX = "dense: no embedding index yet; only words were compared"
EMBEDDER_FAILED = "dense: the embedding model did not answer; only words were compared"
NO_KNOWN_WORD = "lexical: no word of the question occurs in these knowledge bases"
CANDIDATES_PER_LEG = 50


@dataclass(frozen=True, slots=True)
class Trace:
    """What one search notes down: milliseconds per step, and what could not be done."""

    timings: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Note how long the block takes."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timings[step] = round((time.perf_counter() - started) * 1000, 3)


def per_leg(scope: Scope) -> int:
    """How many hits each leg returns."""
    return max(CANDIDATES_PER_LEG, scope.limit + scope.limit // 2)


@dataclass(frozen=True, slots=True)
class Legs:
    """What the legs found: all hits, each with its scores in both."""

    lexical: bool  # whether it ran
    dense: bool
    candidates: list[Candidate]


async def run_legs(
    reader: Reader, question: Question, targets: Sequence[Target], *, scope: Scope, trace: Trace
) -> Legs:
    """Both legs, one after the other, while the embedding model works. Raises MixedEmbeddingModels."""
    embedded = [] if scope.mode == "lexical" else _embedded(targets, scope, trace)
    embedding = asyncio.create_task(_embed(scope, question.text, trace)) if embedded else None
    try:
        lexical = await _lexical(reader, question, targets, scope=scope, trace=trace)
        if embedding is None:
            return _legs(lexical, None)
        if not embedding.done():
            await reader.release()  # a slow embedding model must not hold a connection
        vector = await embedding
    finally:
        if embedding is not None:
            embedding.cancel()
    if vector is None:
        return _legs(lexical, None)
    beside = Beside(sparse_literal(question), [hit.passage_id for hit in lexical or ()], per_leg(scope))
    with trace.measure("dense"):
        return _legs(lexical, await search_dense(reader, vector, embedded, scope=scope, beside=beside))


def _legs(lexical: list[Hit] | None, dense: DenseHits | None) -> Legs:
    cosines = dense.cosines if dense else {}
    hits = dense.hits if dense else []
    places = {hit.known: place for place, hit in enumerate(hits, start=1) if hit.known is not None}
    candidates = [
        Candidate(hit.passage_id, hit.score, cosines.get(number), lexical=number + 1, dense=places.get(number))
        for number, hit in enumerate(lexical or ())
    ]
    candidates.extend(
        Candidate(hit.passage_id, hit.bm25, hit.cosine, dense=place)
        for place, hit in enumerate(hits, start=1)
        if hit.known is None
    )
    return Legs(lexical is not None, dense is not None, candidates)


async def _lexical(
    reader: Reader, question: Question, targets: Sequence[Target], *, scope: Scope, trace: Trace
) -> list[Hit] | None:
    """The lexical leg; None when the mode does not want it."""
    if scope.mode == "dense":
        return None
    if not question.hashes:
        trace.warnings.append(NO_KNOWN_WORD)
    with trace.measure("lexical"):
        return await search_lexical(reader, question, targets, scope=scope, limit=per_leg(scope))


def _embedded(targets: Sequence[Target], scope: Scope, trace: Trace) -> list[Target]:
    """The targets whose vectors can be searched."""
    found = [target for target in targets if target.index_id is not None]
    if len({target.model for target in found}) > 1:
        raise MixedEmbeddingModels()
    if not found or scope.embed is None:
        trace.warnings.append(NO_INDEX)
        return []
    return found


async def _embed(scope: Scope, text: str, trace: Trace) -> Vector | None:
    if scope.embed is None:
        return None
    try:
        with trace.measure("embed"):
            vector: Vector = (await scope.embed([text]))[0]
            return vector
    except ProviderError:
        trace.warnings.append(EMBEDDER_FAILED)
        return None
