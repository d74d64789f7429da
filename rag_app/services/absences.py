"""Why a document was not used in an answer: the first reason that applies, in words, and what would change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from rag_app.chat.lexicon import language_of, question_words
from rag_app.chat.trace import AnswerTrace
from rag_app.errors import InvalidInput, NotFound
from rag_app.retrieval.filters import allowed_values, document_filter
from rag_app.retrieval.inspection import Standing, inspect
from rag_app.retrieval.passages import Considered
from rag_app.services.absence_words import Facts, Reason, sentence_of
from rag_app.services.answering import BotSearch
from rag_app.services.bots import BotCard, get_bot
from rag_app.services.context import Context
from rag_app.services.knowledge import VISIBLE, visibility
from rag_app.services.permissions import Actor, permit
from rag_app.services.reranking import chat_model
from rag_app.services.retrieval_settings import MOST_PASSAGES, RetrievalSettings
from rag_app.services.search import MOST_RESULTS, Query, scope_of
from rag_app.services.traces import TracedCandidate, TraceView, read_trace

_DOCUMENT = f"""
SELECT d.id, d.knowledge_base_id, d.title, d.external_id, d.kind, k.name AS knowledge_base, d.active_version_id,
       v.state, v.error_message, v.ready_at, coalesce(v.filename, '') AS filename, count(*) OVER () AS fitting,
       ARRAY(SELECT m.title FROM documents m WHERE m.knowledge_base_id = d.knowledge_base_id AND m.parent_id = d.id
             AND m.deleted_at IS NULL ORDER BY m.created_at, m.id) AS members,
       (SELECT count(*) FROM edits e WHERE e.knowledge_base_id = d.knowledge_base_id AND e.document_id = d.id
        AND e.conflict IS NULL) AS hidden,
       (SELECT count(*) FROM passages p WHERE p.knowledge_base_id = d.knowledge_base_id AND p.document_id = d.id
       ) AS passages
FROM documents d JOIN knowledge_bases k ON k.id = d.knowledge_base_id
LEFT JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id
     AND v.id = coalesce(d.active_version_id, d.latest_version_id)
WHERE {VISIBLE} AND d.deleted_at IS NULL
"""  # noqa: S608 - made of constants
_BY_ID = text(_DOCUMENT + " AND d.id = :id")
_BY_NAME = text(
    _DOCUMENT
    + """ AND (d.external_id = :name OR d.title ILIKE :like OR v.filename ILIKE :like)
ORDER BY (d.knowledge_base_id = ANY(:kbs)) DESC, (d.external_id IS NOT DISTINCT FROM :name) DESC,
         (lower(d.title) = lower(:name)) DESC, (lower(v.filename) = lower(:name)) DESC NULLS LAST,
         d.created_at DESC, d.id LIMIT 1"""
)
_FILTER = document_filter(document="d", language="v.language", given=":filter")
_MATCHES = text(
    f"""
SELECT EXISTS (
    SELECT FROM documents d LEFT JOIN versions v
      ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.active_version_id
    WHERE d.knowledge_base_id = :kb AND d.id = :id
      AND {_FILTER})
"""  # noqa: S608 - made of constants
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The document that is asked about: by its id, or by its external id, title or file name."""

    document_id: UUID | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a document was not used, or how it was."""

    document_id: UUID
    knowledge_base_id: UUID
    title: str
    external_id: str | None
    filename: str
    others: int  # further documents that the name fits
    knowledge_base: str
    reason: Reason
    sentence: str
    query: str = ""  # the search in which it stood best
    place: int | None = None  # among the candidates of that search
    limit: int = 0
    hidden: int = 0  # stretches of it that edits hide or correct, so that they cannot be found
    ranks: Mapping[str, int | None] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    last_shown: Considered | None = None  # what the last passage that was shown had
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the bot's retrieval, worth a try


async def why_not(context: Context, actor: Actor, message_id: UUID, wanted: Wanted) -> Absence:
    """Why an answer of one's own did not use a document. Raises NotFound, Conflict, InvalidInput."""
    permit(actor, "chat")
    trace = await read_trace(context, actor, message_id)
    bot = await get_bot(context, actor, trace.bot_id)
    row = await _document(context, actor, bot, wanted)
    traced = _traced(trace, row["id"])
    if traced is not None:
        return _from_trace(trace, row, *traced)
    reason = await _outside(context, bot, row, trace)
    if reason is not None:
        changes: dict[str, Any] = {"filter": {}} if reason == "filtered" else {}
        facts = Facts(detail=row["error_message"] or "", members=row["members"])
        return _absence(row, reason, facts=facts, changes=changes)
    return await _looked_for(context, actor, bot, trace, row=row)


async def _document(context: Context, actor: Actor, bot: BotCard, wanted: Wanted) -> RowMapping:
    name = wanted.name.strip()
    if wanted.document_id is None and not name:
        raise InvalidInput("document_id or name: one of them is expected", field="document_id")
    like = "%" + name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    values = {**visibility(actor), "id": wanted.document_id, "name": name, "like": like}
    async with context.transaction() as session:
        if wanted.document_id is not None:
            found = await session.execute(_BY_ID, values)
        else:
            found = await session.execute(_BY_NAME, {**values, "kbs": list(bot.knowledge_base_ids)})
        row = found.mappings().first()
    if row is None:
        raise NotFound("There is no such document, or it is not yours.")
    return row


def _traced(trace: TraceView, document_id: UUID) -> tuple[str, TracedCandidate] | None:
    """The search in which the document came furthest, and its best candidate there."""
    order = ["used", "joined", "budget", "pool", "duplicate", "below_limit"]
    found = [
        (order.index(each.fate), place, query.text, each)
        for query in trace.queries
        for place, each in enumerate(query.candidates)
        if each.document_id == document_id
    ]
    if not found:
        return None
    _, _, query, best = min(found, key=lambda one: one[:2])
    return query, best


def _from_trace(trace: TraceView, row: RowMapping, query: str, best: TracedCandidate) -> Absence:
    limit = int(trace.settings.get("limit", 0))
    reason: Reason = "used"
    changes: dict[str, Any] = {}
    if best.fate in ("used", "joined") and trace.way == "refused":
        reason, changes = (
            "refused",
            {"minimum_evidence": max(0.0, round((trace.evidence["probability"] or 0) - 0.01, 2))},
        )
    elif best.fate in ("used", "joined"):
        reason = "cited" if best.cited else "used"
    elif best.fate == "budget":
        reason, changes = "budget", {"context_tokens": 2 * trace.prompt["budget_tokens"]}
    elif best.fate == "pool":
        reason, changes = "pool", {"limit": min(MOST_PASSAGES, 2 * limit)}
    elif best.fate == "duplicate":
        reason = "duplicate"
    elif best.ranks.get("rerank") and (best.ranks.get("fused") or 0) <= limit:
        reason, changes = "reranked_down", {"rerank": None}
    else:
        reason, changes = "below_limit", {"limit": min(MOST_PASSAGES, max(limit + 1, best.ranks.get("fused") or 0))}
    place = best.ranks.get("rerank") or best.ranks.get("fused")
    facts = Facts(probability=trace.evidence["probability"], bar=trace.evidence["bar"])
    return _absence(row, reason, facts=facts, query=query, place=place, limit=limit, ranks=best.ranks, changes=changes)


async def _outside(context: Context, bot: BotCard, row: RowMapping, trace: TraceView) -> Reason | None:
    """Why it cannot be found at all, whatever is asked."""
    if not bot.has_knowledge or row["knowledge_base_id"] not in bot.knowledge_base_ids:
        return "elsewhere"
    if row["active_version_id"] is None:
        return "failed" if row["state"] == "failed" else "not_ready"
    if row["kind"] == "archive":
        return "archive"
    if not row["passages"]:
        return "hidden" if row["hidden"] else "empty"
    if bot.retrieval.filter and not await _matches(context, bot.retrieval.filter, row):
        return "filtered"
    if row["ready_at"] is not None and row["ready_at"] > trace.created_at:
        return "too_late"
    return None


async def _matches(context: Context, wanted: Mapping[str, Any], row: RowMapping) -> bool:
    values = {"filter": allowed_values(wanted), "kb": row["knowledge_base_id"], "id": row["id"]}
    async with context.transaction() as session:
        return bool((await session.execute(_MATCHES, values)).scalar_one())


async def _looked_for(context: Context, actor: Actor, bot: BotCard, trace: TraceView, *, row: RowMapping) -> Absence:
    """Search deeper than the answer did, with each of its questions; where it stands best decides."""
    notes = AnswerTrace()
    search = BotSearch(context, actor, bot, await chat_model(context, actor.workspace_id, bot), notes)
    deep = replace(bot.retrieval, limit=MOST_RESULTS, rerank=None)
    best: tuple[int, str, Considered, Sequence[Considered]] | None = None
    for query in trace.queries:
        considered = (await search.find(query.text, deep)).considered
        for place, each in enumerate(considered, start=1):
            if each.document_id == row["id"] and (best is None or place < best[0]):
                best = place, query.text, each, considered
    asked = best[1] if best else trace.queries[0].text if trace.queries else trace.question
    standing = await _standing(context, actor, bot.retrieval, row, query=asked)
    limit = int(trace.settings.get("limit", bot.retrieval.limit))
    if best is None:
        changes: dict[str, Any] = {} if bot.retrieval.mode == "hybrid" else {"mode": "hybrid"}
        reason: Reason = "not_found" if standing.held else "no_word"
        facts = Facts(missing=standing.missing)
        return _absence(row, reason, facts=facts, query=asked, limit=limit, standing=standing, changes=changes)
    place, _, mine, all_of_them = best
    reachable = {"limit": place} if place <= MOST_PASSAGES else {}
    ranks = {"lexical": mine.ranks.lexical, "dense": mine.ranks.dense, "fused": place, "rerank": None}
    last = all_of_them[min(limit, len(all_of_them)) - 1]
    return replace(
        _absence(row, "below_limit", query=asked, place=place, limit=limit, ranks=ranks, changes=reachable),
        standing=standing,
        last_shown=last,
    )


async def _standing(
    context: Context, actor: Actor, settings: RetrievalSettings, row: RowMapping, *, query: str
) -> Standing:
    wanted = Query(query, dense_weight=settings.dense_weight)
    scope = scope_of(context, actor, [row["knowledge_base_id"]], wanted)
    found = await inspect(context.engine, query, scope, document_id=row["id"])
    asking = question_words(language_of(query))  # that “when” stands nowhere in it explains nothing
    return replace(found, missing=tuple(word for word in found.missing if word.lower() not in asking))


def _absence(row: RowMapping, reason: Reason, *, facts: Facts | None = None, **more: Any) -> Absence:
    known = replace(
        facts or Facts(),
        knowledge_base=row["knowledge_base"],
        place=more.get("place"),
        limit=more.get("limit", 0),
        ranks=more.get("ranks", {}),
    )
    return Absence(
        document_id=row["id"],
        knowledge_base_id=row["knowledge_base_id"],
        title=row["title"],
        external_id=row["external_id"],
        filename=row["filename"],
        others=row["fitting"] - 1,
        knowledge_base=row["knowledge_base"],
        reason=reason,
        sentence=sentence_of(reason, known),
        hidden=row["hidden"],
        **more,
    )
