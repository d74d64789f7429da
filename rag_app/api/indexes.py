"""Indexes of a knowledge base over REST: another embedding model or passage size, and the way back."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import Listing, PlainText, Shape, View, whole_listing
from rag_app.ingestion.cutting import LARGEST_PASSAGE, SMALLEST_PASSAGE
from rag_app.services import index_comparison, index_estimate, indexes
from rag_app.services.indexes import KEEP_DAYS, LONGEST_KEEP_DAYS, NewIndex

router = APIRouter(tags=["indexes"], route_class=IdempotentRoute, prefix="/knowledge-bases/{knowledge_base_id}/indexes")
IndexId = Annotated[int, Field(ge=1, le=2**63 - 1)]
Tokens = Annotated[int | None, Field(ge=SMALLEST_PASSAGE, le=LARGEST_PASSAGE)]


class IndexChoice(Shape):
    """How the knowledge base is to be searched; what is left out stays as it is."""

    embedding_model: Annotated[PlainText | None, Field(min_length=1, max_length=200)] = None
    passage_tokens: Annotated[Tokens, Field(description="wanted size of a passage; about ¾ of a word each")] = None
    overlap_tokens: Annotated[int | None, Field(ge=0, le=LARGEST_PASSAGE)] = None


class IndexCreate(IndexChoice):
    """Another index to be built beside the one that is searched."""

    auto_flip: Annotated[bool, Field(description="use it as soon as it is complete")] = False
    keep_days: Annotated[int, Field(ge=0, le=LONGEST_KEEP_DAYS, description="how long the old one is kept")] = KEEP_DAYS


class Questions(Shape):
    """Questions to compare with; none = those that were asked of late."""

    questions: Annotated[
        list[Annotated[PlainText, Field(min_length=1, max_length=index_comparison.LONGEST_QUESTION)]],
        Field(max_length=index_comparison.MOST_QUESTIONS),
    ] = []


class IndexProblem(View):
    """Why an index waits, or has failed."""

    code: str
    message: str


class IndexView(View):
    """An index: one knowledge base, cut in one way and embedded by one model."""

    id: int
    knowledge_base_id: UUID
    model: str
    dimensions: int
    passage_tokens: int
    overlap_tokens: int
    state: str
    phase: str | None
    progress: float
    done: int
    total: int
    left_s: float | None
    auto_flip: bool
    keep_days: int
    task_id: UUID | None
    problem: IndexProblem | None
    comparison: dict[str, Any]
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    drop_at: datetime | None
    has_hnsw: Annotated[bool, Field(description="whether it is large enough for an HNSW, and has it by now")]


class EstimateView(View):
    """What another index would take; null = it cannot be known beforehand, `notes` say why."""

    model: str
    dimensions: int
    passage_tokens: int
    overlap_tokens: int
    passages_now: int
    passages: int
    tokens: int
    cost_microusd: int | None
    seconds: float | None
    notes: list[str]


class FoundPassageView(View):
    """A passage with its place in each of the two."""

    document_id: UUID
    title: str
    text: str
    old_place: int | None
    new_place: int | None


class ComparedQuestionView(View):
    """One question; null where somebody else asked it."""

    question: str | None
    overlap: float
    is_first_same: bool
    passages: list[FoundPassageView]


class ComparisonView(View):
    """Figures over all questions, and each of them."""

    figures: dict[str, Any]
    questions: list[ComparedQuestionView]


@router.get("")
async def list_all(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID) -> Listing[IndexView]:
    """All indexes of a knowledge base, newest first: the active one, one being built, those that are kept."""
    return whole_listing(await indexes.list_indexes(context, actor, knowledge_base_id), IndexView.model_validate)


@router.post("/estimate")
async def estimate(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, body: IndexChoice) -> EstimateView:
    """What another index would take: passages, tokens, price and time. Changes nothing."""
    found = await index_estimate.estimate_index(context, actor, knowledge_base_id, NewIndex(**body.model_dump()))
    return EstimateView.model_validate(found)


@router.post("", status_code=202)
async def create(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, body: IndexCreate) -> IndexView:
    """Build another index beside the active one; searches stay as they are until it is used."""
    made = await indexes.start_index(context, actor, knowledge_base_id, NewIndex(**body.model_dump()))
    return IndexView.model_validate(made)


@router.get("/{index_id}")
async def read(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, index_id: IndexId) -> IndexView:
    """One index."""
    return IndexView.model_validate(await indexes.get_index(context, actor, knowledge_base_id, index_id))


@router.post("/{index_id}/use", status_code=202)
async def use(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, index_id: IndexId) -> IndexView:
    """Search this one from now on: one that is ready, one that was kept (the way back), or one that failed, again."""
    return IndexView.model_validate(await indexes.use_index(context, actor, knowledge_base_id, index_id))


@router.post("/{index_id}/compare")
async def compare(
    context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, index_id: IndexId, body: Questions
) -> ComparisonView:
    """What this index finds beside what the active one finds, for your questions or those asked of late."""
    found = await index_comparison.compare_index(context, actor, knowledge_base_id, index_id, body.questions)
    return ComparisonView.model_validate(found)


@router.delete("/{index_id}", status_code=204)
async def delete(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, index_id: IndexId) -> None:
    """Stop building it, or remove it; the active one cannot be removed."""
    await indexes.drop_index(context, actor, knowledge_base_id, index_id)
