"""“Why this answer” over REST: how it came about, why a document is not in it, and other settings tried on it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.retrieval_shapes import RetrievalIn, RetrievalView, changes_of
from rag_app.api.search import PassageView, RanksView
from rag_app.api.shapes import PLACE, PlainText, Shape, View
from rag_app.services.absences import Absence, Wanted, why_not
from rag_app.services.traces import read_trace
from rag_app.services.trials import Tried, try_settings
from rag_app.services.wire import passage_json

router = APIRouter(tags=["messages"], route_class=IdempotentRoute)


class CandidateView(View):
    """A candidate of a search. Its words are empty when its passage was cut anew since."""

    passage_id: UUID
    document_id: UUID
    knowledge_base_id: UUID
    title: str
    external_id: str | None
    filename: Annotated[str, Field(description="this and the next two are of the version in use now")]
    version: int | None
    version_at: datetime | None
    knowledge_base: str
    heading: str
    excerpt: str
    page_from: int | None
    page_to: int | None
    place: dict[str, Any] = Field(default={}, description=PLACE)
    ranks: RanksView
    bm25: float
    cosine: float | None
    fused: float
    score: float
    fate: Annotated[str, Field(description="used, budget, pool, joined, duplicate or below_limit")]
    into: Annotated[UUID | None, Field(description="the passage that it became a part of")]
    cited: bool


class QueryView(View):
    """One search of an answer."""

    text: str
    why: Annotated[str, Field(description="asked, rewritten, part or hop")]
    dense_weight: float
    evidence: dict[str, float]
    timings_ms: dict[str, float]
    warnings: list[str]
    candidates: list[CandidateView]
    hidden: Annotated[int, Field(description="candidates that are gone, or that you may not see")]


class EvidenceView(View):
    """How likely the passages were judged to answer, and what the bot wants at least."""

    probability: float | None
    bar: float | None


class PromptView(View):
    """What the model was given; tokens are estimates."""

    passages: int
    passage_tokens: int
    budget_tokens: int
    prompt_tokens: int
    history_turns: int


class ModelCallView(View):
    """One call of a model."""

    purpose: Annotated[str, Field(description="rewrite, hop, rerank or answer")]
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_microusd: int | None
    took_ms: float
    ok: bool


class TraceOut(View):
    """How an answer came about."""

    message_id: UUID
    conversation_id: UUID
    bot_id: UUID
    bot_name: str
    question: str
    status: str
    abstained: bool
    model: str
    way: Annotated[str, Field(description="model, quotes, refused, talk or none")]
    queries: list[QueryView]
    used: list[UUID]
    evidence: EvidenceView
    prompt: PromptView
    calls: list[ModelCallView]
    citations: dict[str, int]
    timings_ms: dict[str, float]
    warnings: list[str]
    settings: dict[str, Any]
    created_at: datetime


class DocumentIn(Shape):
    """The document that is asked about: by its id, or by its external id or a part of its title or file name."""

    document_id: UUID | None = None
    name: Annotated[PlainText, Field(max_length=500)] = ""


class BestView(View):
    """The passage of the document that comes closest."""

    passage_id: UUID
    bm25: float
    cosine: float | None
    text: str
    heading: str


class StandingView(View):
    """What the document has to say to the question."""

    passages: int
    by_words: BestView | None
    by_meaning: BestView | None
    missing: list[str]
    held: list[str]


class AbsenceOut(View):
    """Why a document is not in an answer, or how it is."""

    document_id: UUID
    knowledge_base_id: UUID
    title: str
    external_id: str | None
    filename: str
    others: Annotated[int, Field(description="further documents that the name fits")]
    knowledge_base: str
    reason: str
    sentence: str
    query: str
    place: int | None
    limit: int
    hidden: Annotated[int, Field(description="stretches of it that edits hide or correct")]
    ranks: dict[str, int | None]
    standing: StandingView
    changes: Annotated[dict[str, Any], Field(description="a change of the bot's `retrieval` that is worth a try")]


class TriedOut(View):
    """What one set of settings finds."""

    settings: RetrievalView
    queries: list[str]
    passages: list[PassageView]
    probability: float
    bar: float
    says_no: bool
    warnings: list[str]
    timings_ms: dict[str, float]
    cost_microusd: int | None


class TryIn(Shape):
    """Settings to try; nothing is stored."""

    retrieval: RetrievalIn


class TrialOut(View):
    """The bot's settings as they are, and changed."""

    before: TriedOut
    after: TriedOut


@router.get("/messages/{message_id}/trace")
async def trace(context: ContextDep, actor: ActorDep, message_id: UUID) -> TraceOut:
    """How an answer of yours came about. It is kept for 90 days."""
    return TraceOut.model_validate(await read_trace(context, actor, message_id))


@router.post("/messages/{message_id}/trace/document")
async def document(context: ContextDep, actor: ActorDep, message_id: UUID, body: DocumentIn) -> AbsenceOut:
    """Why a document was not used in an answer of yours."""
    found: Absence = await why_not(context, actor, message_id, Wanted(body.document_id, body.name))
    return AbsenceOut.model_validate(found)


@router.post("/messages/{message_id}/trace/try")
async def attempt(context: ContextDep, actor: ActorDep, message_id: UUID, body: TryIn) -> TrialOut:
    """Search again with other settings of the bot; `PATCH /bots/{id}` with the same `retrieval` applies them."""
    found = await try_settings(context, actor, message_id, changes_of(body.retrieval))
    return TrialOut(before=_tried(found.before), after=_tried(found.after))


def _tried(tried: Tried) -> TriedOut:
    passages = [PassageView(**passage_json(each)) for each in tried.passages]
    values: Mapping[str, Any] = {
        "settings": RetrievalView.model_validate(tried.settings),
        "queries": list(tried.queries),
        "passages": passages,
        "says_no": tried.says_no,
        "warnings": list(tried.warnings),
        "timings_ms": dict(tried.timings_ms),
    }
    return TriedOut(probability=tried.probability, bar=tried.bar, cost_microusd=tried.cost_microusd, **values)
