"""Messages over REST: read, stop, make anew, rate."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BeforeValidator, Field
from starlette.responses import Response

from rag_app.api.chat import STREAM, AnswerView, CitationView, UsageView, answered
from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.api.idempotency import IdempotencyDep, IdempotentRoute
from rag_app.api.shapes import PlainText, Shape, View
from rag_app.services import answers, conversations
from rag_app.services.conversations import LONGEST_COMMENT, MessageCard, Opinion

router = APIRouter(tags=["messages"], route_class=IdempotentRoute)


class ProblemView(View):
    """Why an answer ended early."""

    code: str
    message: str


class OpinionView(View):
    """What you think of an answer."""

    rating: int
    comment: str


class MessageView(View):
    """One turn of a conversation."""

    id: UUID
    conversation_id: UUID
    role: str
    text: str
    status: str
    abstained: bool
    model: str
    citations: list[CitationView]
    usage: UsageView
    timings_ms: dict[str, float]
    error: ProblemView | None
    feedback: OpinionView | None
    created_at: datetime


class Regenerate(Shape):
    """How to answer anew."""

    stream: bool = False


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):  # in Python true equals 1
        raise ValueError("1 or -1 is expected")
    return value


class Rating(Shape):
    """Thumbs up (1) or down (-1)."""

    rating: Annotated[Literal[1, -1], BeforeValidator(_no_truth)]
    comment: Annotated[PlainText, Field(max_length=LONGEST_COMMENT)] = ""


def message_view(card: MessageCard) -> MessageView:
    """A message as it is shown."""
    return MessageView.model_validate(card)


@router.get("/messages/{message_id}")
async def read(context: ContextDep, actor: ActorDep, message_id: UUID) -> MessageView:
    """One message."""
    return message_view(await conversations.get_message(context, actor, message_id))


@router.post("/messages/{message_id}/stop", status_code=202)
async def stop(context: ContextDep, actor: ActorDep, message_id: UUID) -> MessageView:
    """End an answer; what was said so far stays. Stopping one that has ended is fine."""
    await answers.stop(context, actor, message_id)
    return message_view(await conversations.get_message(context, actor, message_id))


@router.post("/messages/{message_id}/regenerate", response_model=AnswerView, responses=STREAM)
async def regenerate(
    context: ContextDep, actor: ActorDep, repetition: IdempotencyDep, message_id: UUID, body: Regenerate
) -> Response:
    """Make an answer anew; the one before is no longer shown."""
    if repetition.message_id is not None:
        started = await answers.started_before(context, actor, repetition.message_id)
    else:
        started = await answers.regenerate(context, actor, message_id, bind=repetition.bind)
    return await answered(context, actor, started, stream=body.stream)


@router.post("/messages/{message_id}/feedback")
async def rate(context: ContextDep, actor: ActorDep, message_id: UUID, body: Rating) -> MessageView:
    """Say what you think of an answer; a second opinion replaces the first."""
    opinion = Opinion(body.rating, body.comment)
    return message_view(await conversations.rate_message(context, actor, message_id, opinion))
