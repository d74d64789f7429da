"""“Why this answer”: the trace of an answer, its ids turned into titles and words that this person may see now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from rag_app.errors import Conflict, NotFound
from rag_app.retrieval.places import Place
from rag_app.services.context import Context
from rag_app.services.knowledge import VISIBLE, visibility
from rag_app.services.permissions import Actor, permit
from rag_app.telemetry import log

KEPT_DAYS = 90
EXCERPT_CHARS = 280
_MESSAGE = text("""
SELECT m.id, m.conversation_id, m.role, m.status, m.abstained, m.model, m.citations, m.created_at, c.bot_id,
       b.name AS bot_name, asked.text AS question, m.text AS answer, t.data, m.error_message
FROM messages m JOIN conversations c ON c.id = m.conversation_id JOIN bots b ON b.id = c.bot_id
LEFT JOIN messages asked ON asked.id = m.reply_to_id
LEFT JOIN message_traces t ON t.message_id = m.id
WHERE m.id = :id AND c.user_id = :user_id AND c.workspace_id = :workspace_id
""")
_PASSAGES = text(f"""
SELECT p.id, left(p.text, {EXCERPT_CHARS}) AS excerpt, p.heading, p.page_from, p.page_to, p.place FROM passages p
JOIN knowledge_bases k ON k.id = p.knowledge_base_id
WHERE p.knowledge_base_id = ANY(:kbs) AND p.id = ANY(:ids) AND {VISIBLE}
""")  # noqa: S608 - made of constants
_DOCUMENTS = text(f"""
SELECT d.id, d.title, d.external_id, k.name AS knowledge_base, v.filename, v.number, v.created_at FROM documents d
JOIN knowledge_bases k ON k.id = d.knowledge_base_id
LEFT JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id
     AND v.id = coalesce(d.active_version_id, d.latest_version_id)
WHERE d.knowledge_base_id = ANY(:kbs) AND d.id = ANY(:ids) AND d.deleted_at IS NULL AND {VISIBLE}
""")  # noqa: S608 - made of constants
_FORGET = text("DELETE FROM message_traces WHERE at < now() - make_interval(days => :days)")


@dataclass(frozen=True, slots=True)
class TracedCandidate:
    """A candidate of one search. The words are empty when its passage was cut anew since."""

    passage_id: UUID
    document_id: UUID
    knowledge_base_id: UUID
    title: str
    external_id: str | None
    filename: str  # this and the next two are of the version in use now
    version: int | None
    version_at: datetime | None
    knowledge_base: str
    heading: str
    excerpt: str
    page_from: int | None
    page_to: int | None
    place: Place
    ranks: Mapping[str, int | None]
    bm25: float
    cosine: float | None
    fused: float
    score: float
    fate: str  # used | budget | pool | joined | duplicate | below_limit
    into: UUID | None
    cited: bool


@dataclass(frozen=True, slots=True)
class TracedQuery:
    """One search of an answer. `hidden` candidates are gone, or this person may not see them."""

    text: str
    why: str
    dense_weight: float
    evidence: Mapping[str, float]
    timings_ms: Mapping[str, float]
    warnings: Sequence[str]
    candidates: Sequence[TracedCandidate]
    hidden: int


@dataclass(frozen=True, slots=True)
class TraceView:
    """How an answer came about."""

    message_id: UUID
    conversation_id: UUID
    bot_id: UUID
    bot_name: str
    question: str
    answer: str  # this and its citations as they stand in the conversation of the person
    sources: Sequence[Mapping[str, Any]]
    status: str
    abstained: bool
    model: str
    way: str
    queries: Sequence[TracedQuery]
    used: Sequence[UUID]  # passages that the answer could use, in their order
    evidence: Mapping[str, float | None]
    prompt: Mapping[str, int]
    calls: Sequence[Mapping[str, Any]]
    citations: Mapping[str, int]
    timings_ms: Mapping[str, float]
    warnings: Sequence[str]
    settings: Mapping[str, Any]
    created_at: datetime


async def read_trace(context: Context, actor: Actor, message_id: UUID) -> TraceView:
    """The trace of an answer of one's own. Raises NotFound, and Conflict while the answer is being made."""
    permit(actor, "chat")
    async with context.transaction() as session:
        found = await session.execute(_MESSAGE, {**visibility(actor), "id": message_id})
        row = found.mappings().one_or_none()
        if row is None or row["role"] != "assistant":
            raise NotFound("There is no such answer, or it is not yours.")
        if row["status"] == "running":
            raise Conflict("This answer is still being made.")
        if row["data"] is None:
            raise NotFound(f"How this answer came about is not known any more; that is kept for {KEPT_DAYS} days.")
        candidates = [each for query in row["data"]["queries"] for each in query["candidates"]]
        ids = {
            **visibility(actor),
            "kbs": list({UUID(each["knowledge_base_id"]) for each in candidates}),
        }
        passages = await session.execute(_PASSAGES, {**ids, "ids": [UUID(each["passage_id"]) for each in candidates]})
        documents = await session.execute(
            _DOCUMENTS, {**ids, "ids": list({UUID(each["document_id"]) for each in candidates})}
        )
        words = {each["id"]: each for each in passages.mappings()}
        titles = {each["id"]: each for each in documents.mappings()}
    cited = {UUID(each["passage_id"]) for each in row["citations"]}
    return _view(row, [_query(each, words, titles, cited) for each in row["data"]["queries"]])


def _view(row: RowMapping, queries: Sequence[TracedQuery]) -> TraceView:
    data = row["data"]
    shown = {each.passage_id for query in queries for each in query.candidates}
    used = [UUID(each) for each in data["used"]]
    return TraceView(
        message_id=row["id"],
        conversation_id=row["conversation_id"],
        bot_id=row["bot_id"],
        bot_name=row["bot_name"],
        question=row["question"] or "",
        answer=row["answer"],
        sources=row["citations"],
        status=row["status"],
        abstained=row["abstained"],
        model=row["model"],
        way=data["way"],
        queries=queries,
        used=[each for each in used if each in shown],
        evidence=data["evidence"],
        prompt=data["prompt"],
        calls=data["calls"],
        citations=data["citations"],
        timings_ms=data["timings_ms"],
        warnings=data["warnings"],
        settings=data["settings"],
        created_at=row["created_at"],
    )


def _query(
    data: Mapping[str, Any], words: Mapping[UUID, Any], titles: Mapping[UUID, Any], cited: set[UUID]
) -> TracedQuery:
    seen = [each for each in data["candidates"] if UUID(each["document_id"]) in titles]
    return TracedQuery(
        text=data["text"],
        why=data["why"],
        dense_weight=data["dense_weight"],
        evidence=data["evidence"],
        timings_ms=data["timings_ms"],
        warnings=data["warnings"],
        candidates=[_candidate(each, words, titles, cited) for each in seen],
        hidden=len(data["candidates"]) - len(seen),
    )


def _candidate(
    data: Mapping[str, Any], words: Mapping[UUID, Any], titles: Mapping[UUID, Any], cited: set[UUID]
) -> TracedCandidate:
    passage_id, document = UUID(data["passage_id"]), titles[UUID(data["document_id"])]
    passage = words.get(passage_id)
    return TracedCandidate(
        passage_id=passage_id,
        document_id=document["id"],
        knowledge_base_id=UUID(data["knowledge_base_id"]),
        title=document["title"],
        external_id=document["external_id"],
        filename=document["filename"] or "",
        version=document["number"],
        version_at=document["created_at"],
        knowledge_base=document["knowledge_base"],
        heading=passage["heading"] if passage else "",
        excerpt=passage["excerpt"] if passage else "",
        page_from=passage["page_from"] if passage else None,
        page_to=passage["page_to"] if passage else None,
        place=passage["place"] if passage else {},
        ranks=data["ranks"],
        bm25=data["bm25"],
        cosine=data["cosine"],
        fused=data["fused"],
        score=data["score"],
        fate=data["fate"],
        into=UUID(data["into"]) if data["into"] else None,
        cited=passage_id in cited,
    )


async def forget_old_traces(context: Context) -> int:
    """Remove traces older than KEPT_DAYS; how many there were."""
    async with context.transaction() as session:
        gone = (await session.execute(_FORGET, {"days": KEPT_DAYS})).rowcount  # type: ignore[attr-defined]  # of a DELETE
    if gone:
        log.info("traces_forgotten", count=gone)
    return int(gone)
