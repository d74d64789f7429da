"""Conversations over REST."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from rag_app.api.dependencies import ActorDep, ContextDep, PageDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.messages import MessageView, message_view
from rag_app.api.shapes import Listing, PlainText, Shape, View, listing
from rag_app.services import conversations
from rag_app.services.conversations import LONGEST_TITLE, ConversationFilter

router = APIRouter(tags=["conversations"], route_class=IdempotentRoute)


class ConversationView(View):
    """A conversation of yours."""

    id: UUID
    bot_id: UUID
    bot_name: str
    knowledge_base_id: UUID | None
    title: str
    via: Annotated[str, Field(description="where it was begun: console, api or cli")]
    archived: bool
    created_at: datetime
    updated_at: datetime


class ConversationUpdate(Shape):
    """What may be changed."""

    title: Annotated[PlainText | None, Field(min_length=1, max_length=LONGEST_TITLE)] = None
    archived: bool | None = None


@router.get("/conversations")
async def list_all(
    context: ContextDep,
    actor: ActorDep,
    page: PageDep,
    archived: Annotated[bool | None, Query(description="only archived ones, or only others")] = None,
    q: Annotated[str | None, Query(max_length=200, description="part of the title or of a message")] = None,
) -> Listing[ConversationView]:
    """Your conversations, the one used last first."""
    wanted = ConversationFilter(q, archived)
    found = await conversations.list_conversations(context, actor, wanted=wanted, page=page)
    return listing(found, ConversationView.model_validate)


@router.get("/conversations/{conversation_id}/messages")
async def messages(context: ContextDep, actor: ActorDep, page: PageDep, conversation_id: UUID) -> Listing[MessageView]:
    """The messages of a conversation, newest first."""
    return listing(await conversations.list_messages(context, actor, conversation_id, page), message_view)


@router.patch("/conversations/{conversation_id}")
async def update(
    context: ContextDep, actor: ActorDep, conversation_id: UUID, body: ConversationUpdate
) -> ConversationView:
    """Rename, archive, or bring back."""
    changed = await conversations.update_conversation(
        context, actor, conversation_id, title=body.title, archived=body.archived
    )
    return ConversationView.model_validate(changed)


@router.delete("/conversations/{conversation_id}", status_code=204)
async def delete(context: ContextDep, actor: ActorDep, conversation_id: UUID) -> None:
    """Remove a conversation with all its messages."""
    await conversations.delete_conversation(context, actor, conversation_id)
