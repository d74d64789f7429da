"""Idempotency-Key: the same POST twice does its work once, whatever the body looks like."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from starlette.responses import StreamingResponse
from starlette.types import Message

from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.api.idempotency import BodyDigest, IdempotencyDep, IdempotentRoute
from rag_app.api.shapes import Shape
from rag_app.errors import NotFound
from rag_app.services import idempotency
from rag_app.services.context import Context
from rag_app.services.idempotency import Earlier, Place
from tests.api.cast import Cast

KEYS = "/api/v1/api-keys"
INVITATIONS = "/api/v1/invitations"
REPLAYED = "idempotent-replayed"


class Asked(Shape):
    """A question to the streaming route of this test."""

    message: str


class Scene:
    """Routes of this test alone: one waits for a sign, one streams, one takes any body."""

    def __init__(self, api: FastAPI) -> None:
        self.calls = 0
        self.streamed: list[UUID] = []
        self.go_on = asyncio.Event()
        self.begun = asyncio.Event()
        router = APIRouter(route_class=IdempotentRoute)
        router.add_api_route("/test/slow", self.slow, methods=["POST"])
        router.add_api_route("/test/fails", self.fails, methods=["POST"])
        router.add_api_route("/test/stream", self.stream, methods=["POST"])
        router.add_api_route("/test/upload", self.upload, methods=["POST"])
        api.include_router(router)

    async def slow(self, actor: ActorDep) -> dict[str, int]:
        """Answers once it is told to."""
        self.calls += 1
        self.begun.set()
        await self.go_on.wait()
        return {"calls": self.calls}

    async def fails(self, actor: ActorDep) -> None:
        """Refuses."""
        self.calls += 1
        raise NotFound

    async def stream(
        self, body: Asked, actor: ActorDep, context: ContextDep, repetition: IdempotencyDep
    ) -> StreamingResponse:
        """Streams the id of its message."""
        message_id = repetition.message_id
        if message_id is None:
            self.calls += 1
            message_id = uuid4()
            async with context.transaction() as session:
                await repetition.bind(session, message_id)
        self.streamed.append(message_id)

        async def said() -> AsyncIterator[str]:
            yield str(message_id)

        return StreamingResponse(said(), media_type="text/event-stream")

    async def upload(self, request: Request, actor: ActorDep) -> dict[str, int]:
        """Counts the bytes of its body."""
        self.calls += 1
        return {"bytes": len(await request.body())}


@pytest.fixture
def scene(api: FastAPI) -> Scene:
    """The routes of this test, on the API."""
    return Scene(api)


@pytest.fixture
async def browser(cast: Cast) -> httpx.AsyncClient:
    """The owner's browser."""
    return await cast.browser(await cast.sign_in())


def keyed(key: str) -> dict[str, str]:
    """The header with this key."""
    return {"Idempotency-Key": key}


async def test_the_same_request_gets_the_same_answer_once(browser: httpx.AsyncClient) -> None:
    first = await browser.post(KEYS, json={"name": "CI"}, headers=keyed("a"))
    again = await browser.post(KEYS, json={"name": "CI"}, headers=keyed("a"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers[REPLAYED] == "true"
    assert REPLAYED not in first.headers
    assert len((await browser.get(KEYS)).json()["items"]) == 1
    other = await browser.post(KEYS, json={"name": "CI"}, headers=keyed("b"))
    assert other.json()["id"] != first.json()["id"]


async def test_a_kept_secret_cannot_be_read_in_the_database(browser: httpx.AsyncClient, context: Context) -> None:
    key = (await browser.post(KEYS, json={"name": "CI"}, headers=keyed("a"))).json()["key"]
    async with context.transaction() as session:
        rows = (await session.execute(text("SELECT r::text FROM idempotency_records r"))).scalars().all()
    assert len(rows) == 1
    assert key not in rows[0]


async def test_another_body_is_a_mistake(browser: httpx.AsyncClient) -> None:
    await browser.post(KEYS, json={"name": "CI"}, headers=keyed("a"))
    answer = await browser.post(KEYS, json={"name": "other"}, headers=keyed("a"))
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "idempotency_mismatch"


async def test_callers_and_routes_do_not_share_keys(cast: Cast, browser: httpx.AsyncClient) -> None:
    first = await browser.post(KEYS, json={"name": "CI"}, headers=keyed("a"))
    elsewhere = await browser.post(INVITATIONS, json={"email": "bea@example.com", "role": "viewer"}, headers=keyed("a"))
    assert elsewhere.status_code == 201
    viewer = await cast.browser((await cast.join("viewer")).token)
    foreign = await viewer.post(KEYS, json={"name": "CI"}, headers=keyed("a"))
    assert foreign.json()["id"] != first.json()["id"]
    stranger = await cast.client()
    assert (await stranger.post(KEYS, json={"name": "CI"}, headers=keyed("a"))).status_code == 401
    program = await cast.program(first.json()["key"])
    assert (await program.post(KEYS, json={"name": "CI"}, headers=keyed("a"))).json()["id"] != first.json()["id"]


async def test_a_refusal_may_be_mended_and_sent_again(browser: httpx.AsyncClient, scene: Scene) -> None:
    assert (await browser.post(KEYS, json={"name": ""}, headers=keyed("a"))).status_code == 422
    assert (await browser.post(KEYS, json={"name": "CI"}, headers=keyed("a"))).status_code == 201
    for calls in (1, 2):
        assert (await browser.post("/test/fails", headers=keyed("b"))).status_code == 404
        assert scene.calls == calls


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é".encode().decode("latin-1")])
async def test_a_bad_key_is_refused(browser: httpx.AsyncClient, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    assert (await browser.post(KEYS, json={"name": "CI"}, headers=headers)).status_code == 422


async def test_while_it_runs_the_same_request_is_refused(browser: httpx.AsyncClient, scene: Scene) -> None:
    first = asyncio.create_task(browser.post("/test/slow", headers=keyed("a")))
    await scene.begun.wait()
    during = await browser.post("/test/slow", headers=keyed("a"))
    assert during.status_code == 409
    assert during.json()["error"]["code"] == "busy"
    scene.go_on.set()
    assert (await first).json() == {"calls": 1}
    assert (await browser.post("/test/slow", headers=keyed("a"))).json() == {"calls": 1}


async def test_of_many_at_once_one_does_the_work(browser: httpx.AsyncClient, scene: Scene) -> None:
    scene.go_on.set()
    answers = await asyncio.gather(*(browser.post("/test/slow", headers=keyed("a")) for _ in range(8)))
    assert scene.calls == 1
    assert {answer.status_code for answer in answers} <= {200, 409}


async def test_a_streamed_answer_is_resumed(browser: httpx.AsyncClient, scene: Scene) -> None:
    first = await browser.post("/test/stream", json={"message": "hello"}, headers=keyed("a"))
    again = await browser.post("/test/stream", json={"message": "hello"}, headers=keyed("a"))
    assert again.text == first.text
    assert again.headers[REPLAYED] == "true"
    assert scene.calls == 1
    other = await browser.post("/test/stream", json={"message": "goodbye"}, headers=keyed("a"))
    assert other.status_code == 422
    assert len(scene.streamed) == 2


async def test_a_form_sent_again_with_a_new_boundary_is_the_same(browser: httpx.AsyncClient, scene: Scene) -> None:
    def form(boundary: str, content: str) -> dict[str, object]:
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="files"\r\n\r\n{content}\r\n--{boundary}--\r\n'
        kind = f"multipart/form-data; boundary={boundary}"
        return {"content": part.encode(), "headers": {"Content-Type": kind, **keyed("a")}}

    first = await browser.post("/test/upload", **form("aaaa1", "text"))  # type: ignore[arg-type]  # keywords by name
    again = await browser.post("/test/upload", **form("bbbb22", "text"))  # type: ignore[arg-type]  # keywords by name
    other = await browser.post("/test/upload", **form("aaaa1", "other"))  # type: ignore[arg-type]  # keywords by name
    assert again.json() == first.json()
    assert scene.calls == 1
    assert other.status_code == 422


@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=8))
async def test_the_hash_does_not_depend_on_how_the_body_arrives(body: bytes, cuts: list[int]) -> None:
    async def digest(pieces: list[bytes], boundary: str) -> bytes:
        messages: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": n + 1 < len(pieces)} for n, piece in enumerate(pieces)
        ]

        async def receive() -> Message:
            return messages.pop(0)

        return await BodyDigest(receive, f"multipart/form-data; boundary={boundary}").finish()

    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    for boundary in ("x", "ab"):
        marked = body.replace(b"\x00", boundary.encode())
        pieces = [marked[start:end] for start, end in zip(places, [*places[1:], len(marked)], strict=True)]
        assert await digest(pieces, boundary) == await digest([marked], boundary)


async def test_the_work_of_a_dead_process_may_be_done_again(context: Context) -> None:
    place = Place("user:1", "/somewhere", "a")
    claimed = await idempotency.claim(context, place)
    assert isinstance(claimed, UUID)
    assert isinstance(await idempotency.claim(context, place), Earlier)
    async with context.transaction() as session:
        await session.execute(
            text("UPDATE idempotency_records SET created_at = now() - CAST(:age AS interval)"),
            {"age": idempotency.STALE_AFTER},
        )
    assert isinstance(await idempotency.claim(context, place), UUID)


async def test_after_a_day_a_key_is_forgotten(context: Context, browser: httpx.AsyncClient) -> None:
    first = await browser.post(KEYS, json={"name": "CI"}, headers=keyed("a"))
    await browser.post(KEYS, json={"name": "CI"}, headers=keyed("old"))
    async with context.transaction() as session:
        await session.execute(text("UPDATE idempotency_records SET created_at = now() - interval '25 hours'"))
    later = await browser.post(KEYS, json={"name": "CI"}, headers=keyed("a"))
    assert later.status_code == 201
    assert later.json()["id"] != first.json()["id"]
    async with context.transaction() as session:
        kept = (await session.execute(text("SELECT key FROM idempotency_records"))).scalars().all()
    assert kept == ["a"]
