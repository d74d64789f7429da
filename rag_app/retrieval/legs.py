"""Runs both legs of a search, and says which one could not run."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rag_app.errors import MixedEmbeddingModels, ProviderError
from rag_app.retrieval.dense import Vector, check_dimensions, search_dense, vector_literal
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.hits import Hit, LegQuery
from rag_app.retrieval.lexical import search_lexical, sparse_literal
from rag_app.retrieval.question import Question
from rag_app.retrieval.reader import Reader
from rag_app.retrieval.scope import Embed, Scope, Target

NO_INDEX = "dense: no embedding index yet; only words were compared"
EMBEDDER_FAILED = "dense: the embedding model did not answer; only words were compared"
NO_KNOWN_WORD = "lexical: no word of the question occurs in these knowledge bases"
CANDIDATES_PER_LEG = 50
MOMENT_S = 0.005


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
    """Both legs, beside each other where that holds nobody else up. Raises MixedEmbeddingModels and InvalidInput."""
    embedded = [] if scope.mode == "lexical" else _embedded(targets, scope, trace)
    vector = await _vector(reader, question.text, scope, trace) if embedded else None
    if vector is not None:
        check_dimensions(vector, embedded)
    literal = None if vector is None else vector_literal(vector)
    query = LegQuery(sparse_literal(question), literal, per_leg(scope))
    if scope.mode != "dense" and not question.hashes:
        trace.warnings.append(NO_KNOWN_WORD)

    async def dense(on: Reader) -> list[Hit]:
        with trace.measure("dense"):
            return await search_dense(on, query, embedded, scope=scope)

    async def lexical() -> list[Hit]:
        with trace.measure("lexical"):
            return await search_lexical(reader, question, targets, asked=query, scope=scope)

    if vector is None or scope.mode == "dense":
        words = None if scope.mode == "dense" else await lexical()
        return _legs(words, None if vector is None else await dense(reader))
    async with reader.beside() as other:
        if other is None:
            return _legs(await lexical(), await dense(reader))
        meaning = asyncio.create_task(dense(other))
        try:
            return _legs(await lexical(), await meaning)
        finally:
            await _ended(meaning)


async def _ended(task: "asyncio.Task[list[Hit]]") -> None:
    """A connection may only be given back when nothing runs on it any more."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})


def _legs(lexical: list[Hit] | None, dense: list[Hit] | None) -> Legs:
    places = {hit.passage_id: place for place, hit in enumerate(dense or (), start=1)}
    candidates = [
        Candidate(hit.passage_id, hit.bm25, hit.cosine, lexical=place, dense=places.pop(hit.passage_id, None))
        for place, hit in enumerate(lexical or (), start=1)
    ]
    candidates.extend(
        Candidate(hit.passage_id, hit.bm25, hit.cosine, dense=places[hit.passage_id])
        for hit in dense or ()
        if hit.passage_id in places
    )
    return Legs(lexical is not None, dense is not None, candidates)


def _embedded(targets: Sequence[Target], scope: Scope, trace: Trace) -> list[Target]:
    """The targets whose vectors can be searched."""
    found = [target for target in targets if target.index_id is not None]
    if len({target.model for target in found}) > 1:
        raise MixedEmbeddingModels()
    if not found or scope.embed is None:
        trace.warnings.append(NO_INDEX)
        return []
    return found


async def _vector(reader: Reader, text: str, scope: Scope, trace: Trace) -> Vector | None:
    """The question's vector; None when the embedding model did not answer."""
    if scope.embed is None:
        return None
    embedding = asyncio.create_task(_embed(scope.embed, text, trace))
    try:
        done, _ = await asyncio.wait({embedding}, timeout=MOMENT_S)
        if not done:
            await reader.release()  # a slow embedding model must not hold a connection
        return await embedding
    finally:
        embedding.cancel()


async def _embed(embed: Embed, text: str, trace: Trace) -> Vector | None:
    try:
        with trace.measure("embed"):
            vector: Vector = (await embed([text]))[0]
            return vector
    except ProviderError:
        trace.warnings.append(EMBEDDER_FAILED)
        return None
