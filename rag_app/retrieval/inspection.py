"""How one document stands to a question: its best passage by words and by meaning, and the words that it lacks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.errors import ProviderError
from rag_app.retrieval.dense import vector_literal
from rag_app.retrieval.lexical import sparse_literal
from rag_app.retrieval.question import Question, analyse
from rag_app.retrieval.reader import Reader, integers, reading
from rag_app.retrieval.scope import Scope, Target
from rag_app.retrieval.terms import terms_of

_WORD = re.compile(r"[\w'’.+#-]*\w[+#]*")


@dataclass(frozen=True, slots=True)
class BestPassage:
    """A passage with both of its scores; the cosine is None without an embedding."""

    passage_id: UUID
    bm25: float
    cosine: float | None
    text: str
    heading: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a document has to say to a question."""

    passages: int = 0
    by_words: BestPassage | None = None
    by_meaning: BestPassage | None = None
    missing: tuple[str, ...] = ()  # words of the question that stand nowhere in it
    held: tuple[str, ...] = ()


async def inspect(engine: AsyncEngine, question: str, scope: Scope, *, document_id: UUID) -> Standing:
    """The standing of a document in the one knowledge base of the scope; empty when this person may not see it."""
    async with reading(engine) as reader:
        targets, analysed = await analyse(reader, question, scope)
        if not targets:
            return Standing()
        target = targets[0]
        vector = await _vector(question, scope, target)
        values = {
            "kb": target.knowledge_base_id,
            "document": document_id,
            "cutting": target.cutting_id,
            "question": sparse_literal(analysed),
            "vector": vector,
            "index": target.index_id,
        }
        rows = await reader.rows(_BEST, values)
        held = await _held(reader, analysed, target, document_id)
    if not rows:
        return Standing()
    found = [BestPassage(row[0], row[1], row[2], row[3], row[4]) for row in rows]
    with_cosine = [each for each in found if each.cosine is not None]
    missing, there = _by_word(analysed, held)
    return Standing(
        passages=rows[0][5],
        by_words=max(found, key=lambda each: each.bm25),
        by_meaning=max(with_cosine, key=lambda each: each.cosine or 0.0, default=None),
        missing=missing,
        held=there,
    )


async def _vector(question: str, scope: Scope, target: Target) -> str | None:
    if scope.embedder is None or target.model is None or target.index_id is None:
        return None
    try:
        return vector_literal((await scope.embedder(target.model).embed([question]))[0])
    except ProviderError:
        return None


async def _held(reader: Reader, question: Question, target: Target, document_id: UUID) -> set[str]:
    """The stems of the question that stand in the document."""
    values = {"kb": target.knowledge_base_id, "document": document_id, "asked": integers(question.hashes)}
    return {question.hashes[row[0]] for row in await reader.rows(_HELD, values)}


def _by_word(question: Question, held: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The question's own words, each in one of the two lists; words without weight are in neither."""
    missing: list[str] = []
    there: list[str] = []
    for word in _WORD.findall(question.text):
        stems = [set(terms_of(word, language)) for language in question.terms_by_language]
        if any(stems):
            (there if any(each & held for each in stems) else missing).append(word)
    return _once(missing), _once(there)


def _once(words: Sequence[str]) -> tuple[str, ...]:
    return tuple({word.lower(): word for word in reversed(words)}.values())[::-1]


_BEST = b"""
    WITH scored AS (
        SELECT p.id, coalesce(-(l.weights <#> CAST(%(question)s AS sparsevec)), 0) AS bm25,
               -(e.embedding <#> CAST(%(vector)s AS halfvec)) AS cosine, p.text, p.heading,
               count(*) OVER () AS passages
        FROM passages p
        LEFT JOIN lexical l ON l.knowledge_base_id = p.knowledge_base_id AND l.passage_id = p.id
        LEFT JOIN embeddings e ON e.knowledge_base_id = p.knowledge_base_id AND e.passage_id = p.id
             AND e.index_id = CAST(%(index)s AS bigint) AND CAST(%(vector)s AS text) IS NOT NULL
        WHERE p.knowledge_base_id = %(kb)s AND p.document_id = %(document)s AND p.cutting_id = %(cutting)s
    )
    (SELECT id, bm25, cosine, left(text, 600), heading, passages FROM scored ORDER BY bm25 DESC, id LIMIT 1)
    UNION ALL
    (SELECT id, bm25, cosine, left(text, 600), heading, passages FROM scored
     WHERE cosine IS NOT NULL ORDER BY cosine DESC, id LIMIT 1)
"""
_HELD = b"""
    SELECT asked FROM unnest(CAST(%(asked)s AS integer[])) AS asked WHERE EXISTS (
        SELECT FROM passages p
        JOIN lexical l ON l.knowledge_base_id = p.knowledge_base_id AND l.passage_id = p.id
        WHERE p.knowledge_base_id = %(kb)s AND p.document_id = %(document)s AND asked = ANY(l.terms))
"""
