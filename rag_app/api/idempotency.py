"""Idempotency-Key on POST: the same request sent twice does its work once and gets the same answer.

Give a router `route_class=IdempotentRoute` and all its POST routes follow the contract. A route that streams an answer
takes `IdempotencyDep` and calls `bind` in the transaction that creates the message; when the request comes again,
`message_id` names that message and the route resumes its stream instead of asking again.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from email.message import Message as Header
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from fastapi import Header as HeaderParameter
from fastapi.routing import APIRoute
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import Message, Receive

from rag_app.api.callers import client_ip
from rag_app.api.dependencies import context_of, resolve_actor
from rag_app.errors import Busy, Forbidden, IdempotencyMismatch, InvalidInput, NotReady, Unauthenticated
from rag_app.services import idempotency
from rag_app.services.context import Context
from rag_app.services.idempotency import Answer, Earlier, Place

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = frozenset({"content-type", "location", "set-cookie"})
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BodyDigest:
    """Hashes a body while it is read. The boundary of a form is left out: a client makes a new one when it retries."""

    def __init__(self, receive: Receive, content_type: str) -> None:
        header = Header()
        header["content-type"] = content_type
        boundary = header.get_boundary() if header.get_content_maintype() == "multipart" else None
        self._boundary = (boundary or "").encode("utf-8", "replace")
        self._receive = receive
        self._digest = hashlib.sha256()
        self._held = b""
        self._complete = False

    async def __call__(self) -> Message:
        """The next message of the client."""
        message = await self._receive()
        if message["type"] == "http.request" and not self._complete:
            self._add(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        elif message["type"] == "http.disconnect":
            self._complete = True
        return message

    def _add(self, chunk: bytes) -> None:
        held = self._held + chunk
        if self._boundary:
            *parts, held = held.split(self._boundary)
            for part in parts:
                self._digest.update(part)
        overlap = max(0, len(self._boundary) - 1)
        ready = len(held) - overlap
        if ready > 0:
            self._digest.update(held[:ready])
            held = held[ready:]
        self._held = held

    async def finish(self) -> bytes:
        """Read what is left, and the hash of it all."""
        while not self._complete:
            await self()
        self._digest.update(self._held)
        self._held = b""
        return self._digest.digest()


class Repetition:
    """What a route may know and say about its Idempotency-Key; without a key it does nothing."""

    def __init__(self, claim_id: UUID | None = None, body: BodyDigest | None = None, message_id: UUID | None = None):
        self._claim_id = claim_id
        self._body = body
        self.message_id = message_id  # the message that the first request of this key created
        self.bound = message_id is not None

    async def bind(self, session: AsyncSession, message_id: UUID) -> None:
        """Say, in the transaction that creates it, which message the streamed answer belongs to."""
        if self._claim_id is not None and self._body is not None:
            body_hash = await self._body.finish()
            await idempotency.bind(session, self._claim_id, message_id=message_id, body_hash=body_hash)
            self.bound = True


async def repetition_of(request: Request) -> Repetition:
    """The repetition of this request."""
    known = getattr(request.state, "repetition", None)
    return known if isinstance(known, Repetition) else Repetition()


async def _declared(
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            alias=HEADER,
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="same key and same body within 24 hours: same answer, nothing done twice",
        ),
    ] = None,
) -> None:
    """Shows the header in the documentation; its work is done around the route."""


class IdempotentRoute(APIRoute):
    """A route whose POST answers are kept under the Idempotency-Key of the caller."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if "POST" in (options.get("methods") or ()):
            options["dependencies"] = [*(options.get("dependencies") or ()), Depends(_declared)]
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> _Handler:
        """The handler of the route, repeated only where that is meant."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if request.method != "POST" or HEADER not in request.headers:
                return await handler(request)
            return await _once(request, handler)

        return handle


IdempotencyDep = Annotated[Repetition, Depends(repetition_of)]


async def _once(request: Request, handler: _Handler) -> Response:
    context = context_of(request)
    place = await _place_of(request, context)
    body = BodyDigest(request.receive, request.headers.get("content-type", ""))
    counted = Request(request.scope, body)
    found = await idempotency.claim(context, place)
    if isinstance(found, Earlier):
        return await _again(counted, handler, body, found)
    repetition = Repetition(found, body)
    request.state.repetition = repetition
    kept = False
    try:
        async with _signs_of_life(context, found):
            response = await handler(counted)
        kept = await _kept(context, found, response, body) or repetition.bound
        return response
    finally:
        if not (kept or repetition.bound):
            await asyncio.shield(idempotency.release(context, found))


async def _again(request: Request, handler: _Handler, body: BodyDigest, earlier: Earlier) -> Response:
    if earlier.answer is None and earlier.message_id is None:
        raise Busy("The same request is still under way.")
    if earlier.answer is None:
        await request.body()  # kept by the request for its route; questions are small
    if await body.finish() != earlier.body_hash:
        raise IdempotencyMismatch
    if earlier.answer is None:
        request.state.repetition = Repetition(message_id=earlier.message_id)
        response = await handler(request)
    else:
        response = Response(earlier.answer.body, earlier.answer.status)
        for name, value in earlier.answer.headers:
            response.headers.append(name, value)
    response.headers[REPLAYED] = "true"
    return response


async def _place_of(request: Request, context: Context) -> Place:
    keys = request.headers.getlist(HEADER)
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidInput(f"{HEADER}: 1 to 255 visible ASCII characters.", field=HEADER)
    try:
        actor = await resolve_actor(request, context)
    except (Unauthenticated, Forbidden):  # the route decides whether that matters
        scope = f"ip:{client_ip(request, context.settings)}"
    else:
        scope = f"key:{actor.api_key_id}" if actor.api_key_id else f"user:{actor.user_id}"
    return Place(scope, request.scope["path"][:1000], keys[0])


async def _kept(context: Context, claim_id: UUID, response: Response, body: BodyDigest) -> bool:
    """Keep a finished good answer. A refusal is not kept: the caller may mend the request and send it again."""
    if isinstance(response, StreamingResponse | FileResponse) or response.status_code >= 400:
        return False
    headers = tuple((name, value) for name, value in response.headers.items() if name in _KEPT_HEADERS)
    answer = Answer(response.status_code, headers, bytes(response.body))
    await idempotency.keep(context, claim_id, answer=answer, body_hash=await body.finish())
    return True


@asynccontextmanager
async def _signs_of_life(context: Context, claim_id: UUID) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            await asyncio.sleep(idempotency.HEARTBEAT_S)
            with suppress(NotReady):
                await idempotency.show_life(context, claim_id)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
