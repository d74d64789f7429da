"""Runs both legs at once, each on a connection of its own, and says which one could not run."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rag_app.database.engine import clear_errors
from rag_app.errors import MixedEmbeddingModels, ProviderError
from rag_app.retrieval.dense import Vector, search_dense
from rag_app.retrieval.lexical import Hit, search_lexical
from rag_app.retrieval.question import Question
from rag_app.retrieval.scope import Embed, Scope, Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DenseHits: TypeAlias = tuple[list[Hit] | None, Vector | None]
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


@asynccontextmanager
async def reading(engine: AsyncEngine) -> "AsyncIterator[AsyncConnection]":
    """A connection for single reading statements, without the round trips of a transaction."""
    with clear_errors():
        async with engine.connect() as connection:
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")


def per_leg(scope: Scope) -> int:
    """How many hits each leg returns."""
    return max(CANDIDATES_PER_LEG, scope.limit + scope.limit // 2)


@asynccontextmanager
async def dense_leg(
    engine: AsyncEngine, text: str, targets: Sequence[Target], *, scope: Scope, trace: Trace
) -> "AsyncIterator[asyncio.Task[DenseHits]]":
    """The dense leg as a task that runs beside the block, on a connection of its own. Raises MixedEmbeddingModels."""
    embedded = [] if scope.mode == "lexical" else _embedded(targets, scope, trace)
    task = asyncio.create_task(_dense(engine, text, embedded, scope=scope, trace=trace))
    try:
        yield task
    finally:
        task.cancel()


async def lexical_leg(
    connection: AsyncConnection, question: Question, targets: Sequence[Target], *, scope: Scope, trace: Trace
) -> list[Hit] | None:
    """The lexical leg; None when the mode does not want it."""
    if scope.mode == "dense":
        return None
    if not question.hashes:
        trace.warnings.append(NO_KNOWN_WORD)
    with trace.measure("lexical"):
        ids = [target.knowledge_base_id for target in targets]
        return await search_lexical(connection, question, ids, scope, limit=per_leg(scope))


def _embedded(targets: Sequence[Target], scope: Scope, trace: Trace) -> list[Target]:
    """The targets whose vectors can be searched."""
    found = [target for target in targets if target.index_id is not None]
    if len({target.model for target in found}) > 1:
        raise MixedEmbeddingModels()
    if not found or scope.embed is None:
        trace.warnings.append(NO_INDEX)
        return []
    return found


async def _dense(engine: AsyncEngine, text: str, targets: Sequence[Target], *, scope: Scope, trace: Trace) -> DenseHits:
    if not targets or scope.embed is None:
        return None, None
    vector = await _embed(scope.embed, text, trace)
    if vector is None:
        return None, None
    with trace.measure("dense"):
        async with reading(engine) as connection:
            return await search_dense(connection, vector, targets, scope, limit=per_leg(scope)), vector


async def _embed(embed: Embed, text: str, trace: Trace) -> Vector | None:
    try:
        with trace.measure("embed"):
            vector: Vector = (await embed([text]))[0]
            return vector
    except ProviderError:
        trace.warnings.append(EMBEDDER_FAILED)
        return None
