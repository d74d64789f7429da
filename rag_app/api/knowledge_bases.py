"""Knowledge bases over REST."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from rag_app.api.dependencies import ActorDep, ContextDep, PageDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import Listing, PlainText, Shape, ShortText, View, listing
from rag_app.services import knowledge
from rag_app.services.knowledge import NewKnowledgeBase

router = APIRouter(tags=["knowledge bases"], route_class=IdempotentRoute)
Language = Annotated[str, StringConstraints(pattern=r"^([a-z]{2})?$")]


class KnowledgeBaseCreate(Shape):
    """A new knowledge base."""

    name: ShortText
    description: Annotated[PlainText, Field(max_length=knowledge.LONGEST_DESCRIPTION)] = ""
    language: Annotated[Language, Field(description="ISO 639-1; empty = found per document")] = ""
    embedding_model: Annotated[PlainText | None, Field(min_length=1, max_length=200)] = None


class KnowledgeBaseUpdate(Shape):
    """What may be changed."""

    name: ShortText | None = None
    description: Annotated[PlainText | None, Field(max_length=knowledge.LONGEST_DESCRIPTION)] = None
    language: Language | None = None
    access: Literal["workspace", "restricted"] | None = None


class DocumentCountsView(View):
    """How many documents are in which state."""

    queued: int
    working: int
    ready: int
    failed: int
    total: int


class KnowledgeBaseView(View):
    """A knowledge base."""

    id: UUID
    name: str
    description: str
    language: str
    access: str
    embedding_model: str
    documents: DocumentCountsView
    passages: int
    created_at: datetime


class Members(Shape):
    """The people named for a restricted knowledge base."""

    user_ids: Annotated[list[UUID], Field(max_length=1000)]


@router.post("/knowledge-bases", status_code=201)
async def create(context: ContextDep, actor: ActorDep, body: KnowledgeBaseCreate) -> KnowledgeBaseView:
    """Make an empty knowledge base."""
    return KnowledgeBaseView.model_validate(
        await knowledge.create_knowledge_base(context, actor, NewKnowledgeBase(**body.model_dump()))
    )


@router.get("/knowledge-bases")
async def list_all(context: ContextDep, actor: ActorDep, page: PageDep) -> Listing[KnowledgeBaseView]:
    """The knowledge bases you may see, newest first."""
    return listing(await knowledge.list_knowledge_bases(context, actor, page), KnowledgeBaseView.model_validate)


@router.get("/knowledge-bases/{knowledge_base_id}")
async def read(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID) -> KnowledgeBaseView:
    """One knowledge base."""
    return KnowledgeBaseView.model_validate(await knowledge.get_knowledge_base(context, actor, knowledge_base_id))


@router.patch("/knowledge-bases/{knowledge_base_id}")
async def update(
    context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, body: KnowledgeBaseUpdate
) -> KnowledgeBaseView:
    """Change name, description, language or access."""
    changes = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    return KnowledgeBaseView.model_validate(
        await knowledge.update_knowledge_base(context, actor, knowledge_base_id, changes=changes)
    )


@router.delete("/knowledge-bases/{knowledge_base_id}", status_code=204)
async def delete(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID) -> None:
    """Remove a knowledge base and all it holds."""
    await knowledge.delete_knowledge_base(context, actor, knowledge_base_id)


@router.get("/knowledge-bases/{knowledge_base_id}/members")
async def read_members(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID) -> Members:
    """The people named for a restricted knowledge base."""
    return Members(user_ids=list(await knowledge.members(context, actor, knowledge_base_id)))


@router.put("/knowledge-bases/{knowledge_base_id}/members")
async def write_members(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, body: Members) -> Members:
    """Name the people who may use a restricted knowledge base; you stay among them."""
    await knowledge.set_members(context, actor, knowledge_base_id, body.user_ids)
    return Members(user_ids=list(await knowledge.members(context, actor, knowledge_base_id)))
