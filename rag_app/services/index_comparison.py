"""What another index would find for questions that were really asked: how much stays, how places change."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from json import dumps
from statistics import fmean
from typing import Any
from uuid import UUID

from sqlalchemy import text

from rag_app.database.columns import now
from rag_app.errors import Conflict, InvalidInput, ProviderError
from rag_app.providers.embeddings import dense_weight
from rag_app.retrieval.legs import EMBEDDER_FAILED
from rag_app.retrieval.passages import Passage
from rag_app.retrieval.scope import Embedder, Scope
from rag_app.retrieval.search import search
from rag_app.services.context import Context
from rag_app.services.embedding import Vectors, embed_texts
from rag_app.services.indexes import IndexCard, get_index, list_indexes
from rag_app.services.permissions import Actor, permit

PLACES = 10
MOST_QUESTIONS = 30
LONGEST_QUESTION = 1_000
SAME_SHARE = 0.5
"""Of the shorter one: how much of two passages must be the same text for them to count as the same find."""

_ASKED = text(
    """
SELECT asked.text, asked.user_id FROM (
    SELECT DISTINCT ON (lower(btrim(m.text))) m.text, c.user_id, m.created_at
    FROM messages m JOIN conversations c ON c.id = m.conversation_id JOIN bots b ON b.id = c.bot_id
    WHERE m.role = 'user' AND m.workspace_id = :workspace AND length(btrim(m.text)) BETWEEN 4 AND :longest
      AND (b.implicit_knowledge_base_id = :kb OR EXISTS (
          SELECT FROM bot_knowledge_bases u WHERE u.bot_id = b.id AND u.knowledge_base_id = :kb))
    ORDER BY lower(btrim(m.text)), m.created_at DESC
) AS asked ORDER BY asked.created_at DESC LIMIT :most
"""
)
_KEEP = text("UPDATE indexes SET comparison = CAST(:figures AS jsonb) WHERE id = :id")


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage that one of the two finds, with its place in each; None = not among the first ten."""

    document_id: UUID
    title: str
    text: str
    old_place: int | None
    new_place: int | None


@dataclass(frozen=True, slots=True)
class ComparedQuestion:
    """One question; its words are None when somebody else asked it in a conversation of theirs."""

    question: str | None
    overlap: float  # share of the first ten that both find, 0..1
    is_first_same: bool
    passages: tuple[FoundPassage, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures over all questions, and each of them."""

    figures: dict[str, Any]
    questions: tuple[ComparedQuestion, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two indexes of a knowledge base that are compared."""

    workspace_id: UUID
    knowledge_base_id: UUID
    old_id: int
    new_id: int


async def compare_index(
    context: Context, actor: Actor, knowledge_base_id: UUID, index_id: int, questions: Sequence[str] = ()
) -> Comparison:
    """Compare an index with the active one, on questions given, else on those that were asked of late.

    Raises NotFound, InvalidInput, ProviderError, and Conflict when the index is active or not complete yet.
    """
    permit(actor, "knowledge.edit")
    permit(actor, "search")
    new = await get_index(context, actor, knowledge_base_id, index_id)
    old = next(each for each in await list_indexes(context, actor, knowledge_base_id) if each.state == "active")
    _check(new, questions)
    pair = _Pair(actor.workspace_id, knowledge_base_id, old.id, new.id)
    asked: list[tuple[str, UUID | None]] = [(each.strip(), actor.user_id) for each in questions if each.strip()]
    source = "given" if asked else "recent"
    compared = await _compare(context, pair, asked or await _asked(context, pair))
    figures = _figures(pair, [each for each, _ in compared], source)
    await _keep(context, pair, figures)
    shown = [each if asker == actor.user_id else replace(each, question=None) for each, asker in compared]
    return Comparison(figures, tuple(shown))


async def compare_by_itself(context: Context, pair: tuple[UUID, UUID, int, int]) -> None:
    """Keep the figures of (workspace, knowledge base, active index, new index) on recent questions."""
    both = _Pair(*pair)
    asked = await _asked(context, both)
    compared = await _compare(context, both, asked)
    await _keep(context, both, _figures(both, [each for each, _ in compared], "recent"))


def _check(new: IndexCard, questions: Sequence[str]) -> None:
    if new.state == "active":
        raise Conflict("This index is in use; there is nothing to compare it with.")
    if new.state != "retired" and new.phase not in ("comparing", "ready", "flipping"):
        raise Conflict("This index is not complete yet.")
    if len(questions) > MOST_QUESTIONS or any(len(each) > LONGEST_QUESTION for each in questions):
        most = f"at most {MOST_QUESTIONS} of at most {LONGEST_QUESTION} characters"
        raise InvalidInput(f"questions: {most} are expected", field="questions")


async def _asked(context: Context, pair: _Pair) -> list[tuple[str, UUID | None]]:
    values = {"workspace": pair.workspace_id, "kb": pair.knowledge_base_id}
    async with context.transaction() as session:
        limits = {"longest": LONGEST_QUESTION, "most": MOST_QUESTIONS}
        return [(row.text, row.user_id) for row in await session.execute(_ASKED, {**values, **limits})]


async def _compare(
    context: Context, pair: _Pair, asked: Sequence[tuple[str, UUID | None]]
) -> list[tuple[ComparedQuestion, UUID | None]]:
    found = []
    for question, asker in asked:
        old = await _first(context, pair, pair.old_id, question)
        new = await _first(context, pair, pair.new_id, question)
        found.append((_judged(question, old, new), asker))
    return found


async def _first(context: Context, pair: _Pair, index_id: int, question: str) -> tuple[Passage, ...]:
    def embedder(model: str) -> Embedder:
        async def embed(texts: list[str]) -> Vectors:
            return await embed_texts(context, pair.workspace_id, model, texts, purpose="query")

        return Embedder(embed, dense_weight(model))

    scope = Scope(
        workspace_id=pair.workspace_id,
        knowledge_base_ids=[pair.knowledge_base_id],
        ignore_access=True,
        limit=PLACES,
        embedder=embedder,
        merge_neighbours=False,
        index_id=index_id,
    )
    found = await search(context.engine, question, scope)
    if EMBEDDER_FAILED in found.warnings:
        raise ProviderError("The embedding model did not answer, so the indexes cannot be compared.")
    return found.passages


def _judged(question: str, old: Sequence[Passage], new: Sequence[Passage]) -> ComparedQuestion:
    pairs: list[tuple[int, int]] = []  # places, from 1
    for new_place, each in enumerate(new, start=1):
        taken = {old_place for old_place, _ in pairs}
        for old_place, other in enumerate(old, start=1):
            if old_place not in taken and is_same(other, each):
                pairs.append((old_place, new_place))
                break
    old_of, new_of = {new: old for old, new in pairs}, dict(pairs)
    shown = [_found(each, old_of.get(place), place) for place, each in enumerate(new, start=1)]
    shown += [_found(each, place, None) for place, each in enumerate(old, start=1) if place not in new_of]
    most = max(len(old), len(new))
    is_first_same = new_of.get(1) == 1 or most == 0
    return ComparedQuestion(question, len(pairs) / most if most else 1.0, is_first_same, tuple(shown))


def is_same(one: Passage, other: Passage) -> bool:
    """Whether two passages are the same find: one passage, or mostly the same text of one version."""
    if one.version_id != other.version_id:
        return False
    shared = min(one.char_to, other.char_to) - max(one.char_from, other.char_from)
    return shared >= SAME_SHARE * min(one.char_to - one.char_from, other.char_to - other.char_from)


def _found(passage: Passage, old_place: int | None, new_place: int | None) -> FoundPassage:
    return FoundPassage(passage.document_id, passage.title, passage.text, old_place, new_place)


def _figures(pair: _Pair, compared: Sequence[ComparedQuestion], source: str) -> dict[str, Any]:
    shifts = [
        abs(each.old_place - each.new_place)
        for one in compared
        for each in one.passages
        if each.old_place is not None and each.new_place is not None
    ]
    return {
        "source": source,
        "compared_with": pair.old_id,
        "at": now().isoformat(),
        "questions": len(compared),
        "overlap_at_10": round(fmean(each.overlap for each in compared), 4) if compared else None,
        "first_same": round(fmean(each.is_first_same for each in compared), 4) if compared else None,
        "mean_shift": round(fmean(shifts), 3) if shifts else None,
    }


async def _keep(context: Context, pair: _Pair, figures: dict[str, Any]) -> None:
    async with context.transaction() as session:
        await session.execute(_KEEP, {"figures": dumps(figures), "id": pair.new_id})
