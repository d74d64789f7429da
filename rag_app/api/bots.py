"""Bots over REST."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from rag_app.api.dependencies import ActorDep, ContextDep, PageDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.retrieval_shapes import RetrievalIn, RetrievalView, changes_of
from rag_app.api.shapes import Listing, PlainText, Shape, ShortText, View, listing
from rag_app.services import bots
from rag_app.services.bots import NewBot

router = APIRouter(tags=["bots"], route_class=IdempotentRoute)
Instructions = Annotated[PlainText, Field(max_length=bots.LONGEST_INSTRUCTIONS)]
Model = Annotated[PlainText, Field(min_length=1, max_length=200, description="LiteLLM name, or local/extractive")]
Temperature = Annotated[float, Field(ge=0, le=2)]
KnowledgeBases = Annotated[list[UUID], Field(max_length=bots.MOST_KNOWLEDGE_BASES)]
Suggestions = Annotated[
    list[Annotated[PlainText, Field(min_length=1, max_length=300)]], Field(max_length=bots.MOST_SUGGESTIONS)
]


class BotCreate(Shape):
    """A new bot."""

    name: ShortText
    slug: Annotated[PlainText | None, Field(max_length=bots.LONGEST_SLUG)] = None
    instructions: Instructions = ""
    model: Model | None = None
    fallback_model: Model | None = None
    temperature: Temperature | None = None
    knowledge_base_ids: KnowledgeBases = Field(default_factory=list)
    memory: bool = True
    suggested_questions: Suggestions = Field(default_factory=list)
    retrieval: RetrievalIn = Field(default_factory=RetrievalIn)


class BotUpdate(Shape):
    """What may be changed; null for model or temperature means: the default."""

    name: ShortText | None = None
    slug: Annotated[PlainText | None, Field(max_length=bots.LONGEST_SLUG)] = None
    instructions: Instructions | None = None
    model: Model | None = None
    fallback_model: Model | None = None
    temperature: Temperature | None = None
    knowledge_base_ids: KnowledgeBases | None = None
    memory: bool | None = None
    suggested_questions: Suggestions | None = None
    retrieval: RetrievalIn | None = None


class BotView(View):
    """A bot."""

    id: UUID
    name: str
    slug: str
    public_id: str
    instructions: str
    model: str | None
    fallback_model: str | None
    temperature: float | None
    memory: bool
    suggested_questions: list[str]
    retrieval: RetrievalView
    knowledge_base_ids: list[UUID]
    created_at: datetime
    updated_at: datetime


_MAY_BE_NULL = frozenset({"model", "fallback_model", "temperature"})


@router.post("/bots", status_code=201)
async def create(context: ContextDep, actor: ActorDep, body: BotCreate) -> BotView:
    """Make a bot."""
    wanted = body.model_dump() | {"retrieval": changes_of(body.retrieval)}
    return BotView.model_validate(await bots.create_bot(context, actor, NewBot(**wanted)))


@router.get("/bots")
async def list_all(context: ContextDep, actor: ActorDep, page: PageDep) -> Listing[BotView]:
    """The bots of your workspace, newest first."""
    return listing(await bots.list_bots(context, actor, page), BotView.model_validate)


@router.get("/bots/{bot_id}")
async def read(context: ContextDep, actor: ActorDep, bot_id: UUID) -> BotView:
    """One bot."""
    return BotView.model_validate(await bots.get_bot(context, actor, bot_id))


@router.patch("/bots/{bot_id}")
async def update(context: ContextDep, actor: ActorDep, bot_id: UUID, body: BotUpdate) -> BotView:
    """Change a bot."""
    sent = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in sent.items() if value is not None or name in _MAY_BE_NULL}
    if body.retrieval is not None:
        changes["retrieval"] = changes_of(body.retrieval)
    return BotView.model_validate(await bots.update_bot(context, actor, bot_id, changes))


@router.delete("/bots/{bot_id}", status_code=204)
async def delete(context: ContextDep, actor: ActorDep, bot_id: UUID) -> None:
    """Remove a bot with its conversations."""
    await bots.delete_bot(context, actor, bot_id)
