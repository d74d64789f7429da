"""Asking over REST: streaming or whole, new or replayed."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.responses import Response

from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.api.idempotency import IdempotencyDep, IdempotentRoute
from rag_app.api.shapes import PLACE, PlainText, Shape, View
from rag_app.api.stream import event_stream
from rag_app.errors import InvalidInput, RagError, all_codes
from rag_app.services import answers
from rag_app.services.answers import LONGEST_MESSAGE, Question, Started
from rag_app.services.bots import implicit_bot
from rag_app.services.context import Context
from rag_app.services.permissions import Actor
from rag_app.services.wire import Json

router = APIRouter(tags=["chat"], route_class=IdempotentRoute)
Text = Annotated[PlainText, Field(min_length=1, max_length=LONGEST_MESSAGE)]


class ChatIn(Shape):
    """A question to a bot."""

    message: Text
    conversation_id: UUID | None = None
    stream: bool = False


class QueryIn(Shape):
    """A question to a bot that is named in the body."""

    bot_id: UUID
    question: Text
    conversation_id: UUID | None = None
    stream: bool = False


class CitationView(View):
    """A checked pointer into one version of a document."""

    n: int
    answer_from: int
    answer_to: int
    knowledge_base_id: UUID
    document_id: UUID
    version_id: UUID
    passage_id: UUID
    external_id: str | None
    title: str
    url: str | None
    page_from: int | None
    page_to: int | None
    char_from: int
    char_to: int
    quote: str
    verified: bool
    place: dict[str, Any] = Field(default={}, description=PLACE)
    corrected_by: str | None = Field(default=None, description="who wrote the correction that is cited; null: none is")
    corrected_at: datetime | None = None


class UsageView(View):
    """What an answer consumed; null = unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_microusd: int | None = None


class AnswerView(View):
    """A whole answer."""

    conversation_id: UUID
    message_id: UUID
    answer: str
    citations: list[CitationView]
    abstained: bool
    model: str
    usage: UsageView
    timings_ms: dict[str, float]


STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "model": AnswerView,
        "description": "The answer, or with `stream: true` server-sent events",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events from the one after `Last-Event-ID` on",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.post("/bots/{bot_id}/chat", response_model=AnswerView, responses=STREAM)
async def chat_with_bot(
    context: ContextDep, actor: ActorDep, repetition: IdempotencyDep, bot_id: UUID, body: ChatIn
) -> Response:
    """Ask a bot."""
    question = Question(body.message, body.conversation_id, via="api")
    started = await _ask(context, actor, bot_id, (question, repetition))
    return await answered(context, actor, started, stream=body.stream)


@router.post("/knowledge-bases/{knowledge_base_id}/chat", response_model=AnswerView, responses=STREAM)
async def chat_with_knowledge_base(
    context: ContextDep, actor: ActorDep, repetition: IdempotencyDep, knowledge_base_id: UUID, body: ChatIn
) -> Response:
    """Ask a knowledge base."""
    bot = await implicit_bot(context, actor, knowledge_base_id)
    question = Question(body.message, body.conversation_id, via="api")
    started = await _ask(context, actor, bot.id, (question, repetition))
    return await answered(context, actor, started, stream=body.stream)


@router.post("/query", response_model=AnswerView, responses=STREAM)
async def query(context: ContextDep, actor: ActorDep, repetition: IdempotencyDep, body: QueryIn) -> Response:
    """Ask a bot that is named in the body."""
    started = await _ask(
        context, actor, body.bot_id, (Question(body.question, body.conversation_id, via="api"), repetition)
    )
    return await answered(context, actor, started, stream=body.stream)


async def _ask(context: Context, actor: Actor, bot_id: UUID, what: tuple[Question, Any]) -> Started:
    question, repetition = what
    if repetition.message_id is not None:
        return await answers.started_before(context, actor, repetition.message_id)
    return await answers.ask(context, actor, bot_id, question, bind=repetition.bind)


async def answered(context: Context, actor: Actor, started: Started, *, stream: bool, after: int = 0) -> Response:
    """A run as server-sent events, or its last event as JSON. Errors before the first byte use the HTTP status."""
    if stream:
        events = answers.follow(context, actor, started.message_id, after=after)
        return event_stream(events, await anext(events, None))
    last = await answers.finished(context, actor, started)
    kind = last.pop("kind")
    if kind == "done":
        return JSONResponse(last)
    raise _error_of(last)


def _error_of(last: Json) -> RagError:
    found = all_codes().get(last["code"], RagError)
    problem = found(last["message"])
    problem.code = last["code"]
    return problem


@router.get("/messages/{message_id}/stream", responses=EVENTS, response_class=Response)
async def resume(
    context: ContextDep,
    actor: ActorDep,
    message_id: UUID,
    request: Request,
    last_event_id: Annotated[str, Header(pattern=r"^\d{0,9}$")] = "",
) -> Response:
    """Follow an answer from any connection; `Last-Event-ID` names the last event that was seen."""
    if request.headers.getlist("last-event-id")[1:]:
        raise InvalidInput("Last-Event-ID: one is expected")
    started = await answers.started_before(context, actor, message_id)
    return await answered(context, actor, started, stream=True, after=int(last_event_id or 0))
