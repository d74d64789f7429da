"""The run of an answer over REST: numbered, resumable from any process, stoppable, and ended when nobody reads."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from rag_app.api import stream
from rag_app.api.app import create_api
from rag_app.services import answers
from rag_app.services.context import Context, open_context
from rag_app.services.runs import end_abandoned_runs
from rag_app.settings import Settings, get_settings
from tests.api.cast import Cast
from tests.api.live_stream import LiveStream, events_of
from tests.provider_double import Answer, ProviderDouble, server_error

V1 = "/api/v1"
MODEL = "openai/double-large"
WORDS = tuple(f"word{number} " for number in range(60))


@pytest.fixture
def reachable(provider: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderDouble]:
    """A provider on this machine that the operator has allowed."""
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", f"127.0.0.1:{provider.port}")
    get_settings.cache_clear()
    yield provider
    get_settings.cache_clear()


@dataclass
class Scene:
    """A bot that talks through the double, its address, and the owner's program."""

    cast: Cast
    program: httpx.AsyncClient
    key: str
    double: ProviderDouble
    bot: str

    @property
    def chat(self) -> str:
        return f"{V1}/bots/{self.bot}/chat"

    def slow(self) -> None:
        """The next answer takes some seconds."""
        self.double.script(Answer(pieces=WORDS, tokens_per_s=20))

    def ask(self, *, api: FastAPI | None = None, **more: Any) -> LiveStream:
        """Ask with a stream."""
        body = {"message": "Tell me something long.", "stream": True, **more}
        return LiveStream(api or self.cast.api, self.key, self.chat, body=body)

    def follow(self, message: str, *, api: FastAPI | None = None, seen: int | None = None) -> LiveStream:
        """Follow an answer."""
        return LiveStream(api or self.cast.api, self.key, f"{V1}/messages/{message}/stream", seen=seen)

    async def message(self, identity: str) -> dict[str, Any]:
        """A message as it stands now."""
        return dict((await self.program.get(f"{V1}/messages/{identity}")).json())

    async def ended(self, identity: str) -> dict[str, Any]:
        """A message once it has ended."""
        for _ in range(400):
            found = await self.message(identity)
            if found["status"] != "running":
                return found
            await asyncio.sleep(0.05)
        raise AssertionError("the answer does not end")

    async def change(self, identity: str, assignment: str) -> None:
        """Turn the clock of a message."""
        async with self.cast.context.transaction() as session:
            await session.execute(text(f"UPDATE messages SET {assignment} WHERE id = :id"), {"id": UUID(identity)})


@pytest.fixture
async def scene(cast: Cast, reachable: ProviderDouble) -> Scene:
    """The scene with the provider set up."""
    _, key = await cast.key(await cast.owner())
    program = await cast.program(key)
    entry = {"provider": "openai", "api_key": "sk-0123456789abcdef", "base_url": reachable.base_url}
    added = await program.post(f"{V1}/providers", json=entry)
    assert added.status_code == 201, added.text
    bot = await program.post(f"{V1}/bots", json={"name": "Talker", "model": MODEL})
    return Scene(cast, program, key, reachable, bot.json()["id"])


@asynccontextmanager
async def another_process(settings: Settings) -> AsyncIterator[FastAPI]:
    """A second server on the same database."""
    async with open_context(settings) as context:
        yield create_api(context)


async def test_a_stream_begins_with_its_ids_and_ends_with_the_whole_answer(scene: Scene) -> None:
    async with scene.ask() as live:
        events = await live.rest()
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    assert events[0][1] == "conversation" and set(events[0][2]) == {"conversation_id", "message_id"}
    number, kind, done = events[-1]
    assert kind == "done" and number == len(events)
    assert set(done) == {
        "conversation_id", "message_id", "answer", "citations", "abstained", "model", "usage", "timings_ms"
    }  # fmt: skip
    assert done["answer"] == "".join(data["text"] for _, kind, data in events if kind == "token")
    assert done["usage"]["prompt_tokens"] == 11 and done["usage"]["completion_tokens"] == 7
    assert {key: done[key] for key in ("conversation_id", "message_id")} == events[0][2]


async def test_a_quiet_stream_shows_signs_of_life(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stream.QUIET_S <= 15
    monkeypatch.setattr(stream, "QUIET_S", 0.05)
    scene.double.script(Answer(first_token_delay_s=1.0))
    async with scene.ask() as live:
        await live.rest()
    assert live.comments >= 2


async def test_an_answer_goes_on_in_another_process(scene: Scene, settings: Settings) -> None:
    scene.slow()
    async with scene.ask() as live:
        await live.until("token", 3)
        message, seen = live.events[0][2]["message_id"], live.events[-1][0]
    assert (await scene.message(message))["status"] == "running"
    async with another_process(settings) as other, scene.follow(message, api=other, seen=seen) as resumed:
        await resumed.rest()
    events = live.events + resumed.events
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    assert events[-1][1] == "done"
    said = "".join(data["text"] for _, kind, data in events if kind == "token")
    assert said == events[-1][2]["answer"] == "".join(WORDS)


async def test_many_readers_see_the_same(scene: Scene, settings: Settings) -> None:
    scene.slow()
    async with scene.ask() as first:
        await first.until("token")
        message = first.events[0][2]["message_id"]
        async with (
            another_process(settings) as other,
            scene.follow(message) as here,
            scene.follow(message, api=other) as there,
        ):
            seen = await asyncio.gather(first.rest(), here.rest(), there.rest())
    assert seen[0] == seen[1] == seen[2]


async def test_another_process_can_stop_an_answer(scene: Scene, settings: Settings) -> None:
    scene.slow()
    async with another_process(settings) as other, scene.ask() as live:
        await live.until("token", 2)
        message = live.events[0][2]["message_id"]
        transport = httpx.ASGITransport(other)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            headers = {"Authorization": f"Bearer {scene.key}"}
            assert (await client.post(f"{V1}/messages/{message}/stop", headers=headers)).status_code == 202
        events = await live.rest()
    assert events[-1][1] == "error" and events[-1][2]["code"] == "stopped"
    kept = await scene.ended(message)
    assert (kept["status"], kept["error"]["code"]) == ("stopped", "stopped")
    assert kept["text"] == "".join(data["text"] for _, kind, data in events if kind == "token") != ""
    assert (await scene.program.post(f"{V1}/messages/{message}/stop")).status_code == 202


async def test_who_waits_for_a_stopped_answer_hears_of_it(scene: Scene) -> None:
    scene.slow()
    waiting = asyncio.create_task(scene.program.post(scene.chat, json={"message": "Tell me something long."}))
    talks: list[Any] = []
    while not talks:
        await asyncio.sleep(0.05)
        talks = (await scene.program.get(f"{V1}/conversations")).json()["items"]
    messages = (await scene.program.get(f"{V1}/conversations/{talks[0]['id']}/messages")).json()["items"]
    await scene.program.post(f"{V1}/messages/{messages[0]['id']}/stop")
    answer = await waiting
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "stopped")


async def test_one_answer_at_a_time_in_a_conversation(scene: Scene) -> None:
    first = (await scene.program.post(scene.chat, json={"message": "hello"})).json()
    scene.slow()
    talk = {"conversation_id": first["conversation_id"]}
    async with scene.ask(**talk) as live:
        await live.until("token")
        second = await scene.program.post(scene.chat, json={"message": "And?", **talk})
        again = await scene.program.post(f"{V1}/messages/{first['message_id']}/regenerate", json={})
        streamed = await scene.program.post(scene.chat, json={"message": "And?", "stream": True, **talk})
    for answer in (second, again, streamed):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "busy")
    kept = (await scene.program.get(f"{V1}/conversations/{talk['conversation_id']}/messages")).json()["items"]
    assert len(kept) == 4  # what was refused left no question behind


async def test_an_answer_ends_a_minute_after_its_last_reader(scene: Scene) -> None:
    scene.double.script(Answer(pieces=WORDS, stall="midway"))
    async with scene.ask() as live:
        await live.until("token")
        message = live.events[0][2]["message_id"]
        await scene.change(message, "last_reader_at = now() - interval '61 seconds'")
        await asyncio.sleep(1)  # the reader is still there
        assert (await scene.message(message))["status"] == "running"
    await scene.change(message, "last_reader_at = now() - interval '50 seconds'")
    await asyncio.sleep(1)
    assert (await scene.message(message))["status"] == "running"
    await scene.change(message, "last_reader_at = now() - interval '61 seconds'")
    ended = await scene.ended(message)
    assert ended["status"] == "stopped" and ended["text"].startswith("word0")


async def test_a_reader_in_another_process_counts(scene: Scene, settings: Settings) -> None:
    scene.double.script(Answer(pieces=WORDS, stall="midway"))
    async with scene.ask() as live:
        await live.until("token")
        message = live.events[0][2]["message_id"]
    async with another_process(settings) as other:
        await scene.change(message, "last_reader_at = now() - interval '55 seconds'")
        async with scene.follow(message, api=other) as reader:
            await reader.until("token")
            async with scene.cast.context.transaction() as session:
                unread = await session.execute(
                    text("SELECT extract(epoch FROM now() - last_reader_at) FROM messages WHERE id = :id"),
                    {"id": UUID(message)},
                )
                assert unread.scalar_one() < 30
    await scene.program.post(f"{V1}/messages/{message}/stop")
    await scene.ended(message)


async def test_an_old_stream_has_expired(scene: Scene) -> None:
    said = (await scene.program.post(scene.chat, json={"message": "hello"})).json()
    address = f"{V1}/messages/{said['message_id']}"
    assert (await scene.program.get(f"{address}/stream")).status_code == 200
    await scene.change(said["message_id"], "finished_at = now() - interval '14 minutes 50 seconds'")
    assert (await scene.program.get(f"{address}/stream")).status_code == 200
    await scene.change(said["message_id"], "finished_at = now() - interval '15 minutes 5 seconds'")
    gone = await scene.program.get(f"{address}/stream")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "stream_expired")
    assert (await scene.program.get(address)).json()["text"] == said["answer"]


async def test_nothing_comes_after_the_last_event(scene: Scene) -> None:
    said = (await scene.program.post(scene.chat, json={"message": "hello"})).json()
    address = f"{V1}/messages/{said['message_id']}/stream"
    for seen in ("4000", "999999999"):
        assert (await scene.program.get(address, headers={"Last-Event-ID": seen})).text == ""
    for odd in ("-1", "x", "1.5", "9" * 30):
        answer = await scene.program.get(address, headers={"Last-Event-ID": odd})
        assert answer.status_code == 422, odd


async def test_a_reader_ahead_of_a_run_is_let_go_at_its_end(scene: Scene) -> None:
    scene.slow()
    async with scene.ask() as live:
        await live.until("token")
        async with scene.follow(live.events[0][2]["message_id"], seen=100_000) as ahead:
            await live.rest()
            assert await asyncio.wait_for(ahead.rest(), 20) == []


async def test_a_reader_who_saw_more_than_was_kept_hears_of_the_end(scene: Scene, context: Context) -> None:
    async with scene.ask() as live:
        events = await live.rest()
    message = events[0][2]["message_id"]
    # As a process leaves it that died before it had kept its last words.
    silent = "status = 'running', finished_at = NULL, heartbeat_at = now() - interval '5 seconds'"
    await scene.change(message, silent)
    assert await end_abandoned_runs(context) == 0
    await scene.change(message, "claimed_by = 1")  # a process that does not live
    async with context.transaction() as session:
        await session.execute(text("DELETE FROM message_events WHERE message_id = :id AND number > 2"), {"id": message})
    for _ in range(200):  # for a moment after its start the database cannot know who lives
        if await end_abandoned_runs(context):
            break
        await asyncio.sleep(0.1)
    async with scene.follow(message, seen=events[-2][0]) as resumed:
        [(number, kind, data)] = await resumed.rest()
    assert (kind, data["code"]) == ("error", "interrupted") and number > events[-1][0]
    assert (await scene.ended(message))["status"] == "interrupted"


async def test_a_provider_that_fails_is_told_apart(scene: Scene) -> None:
    scene.double.script(*[server_error() for _ in range(6)])
    answer = await scene.program.post(scene.chat, json={"message": "Tell me something."})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")
    scene.double.reset()
    scene.double.script(Answer(pieces=WORDS, cut_after=10))
    async with scene.ask() as live:
        events = await live.rest()
    assert events[-1][1] == "error" and events[-1][2]["code"] == "provider_error"
    kept = await scene.ended(events[0][2]["message_id"])
    assert kept["status"] == "failed" and kept["text"].startswith("word0")


async def test_a_deleted_conversation_takes_its_run_along(scene: Scene, context: Context) -> None:
    scene.slow()
    async with scene.ask() as live:
        await live.until("token")
        ids = live.events[0][2]
        assert (await scene.program.delete(f"{V1}/conversations/{ids['conversation_id']}")).status_code == 204
        events = await live.rest()
    assert events[-1][1] == "error"
    for _ in range(100):
        if context.runs.get(UUID(ids["message_id"])) is None:
            break
        await asyncio.sleep(0.05)
    assert context.runs.get(UUID(ids["message_id"])) is None
    assert (await scene.program.get(f"{V1}/messages/{ids['message_id']}")).status_code == 404


async def test_what_cannot_be_stored_is_said_without_it(scene: Scene) -> None:
    scene.double.script(Answer(pieces=("one ", "t\x00wo ", "thr\ud83dee ", "four")))
    said = await scene.program.post(scene.chat, json={"message": "Tell me something."})
    assert said.status_code == 200, said.text
    assert said.json()["answer"] == "one t\ufffdwo thr\ufffdee four"


async def test_a_repeated_question_resumes_its_stream(scene: Scene) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {"message": "Tell me something.", "stream": True}
    first = await scene.program.post(scene.chat, json=body, headers=headers)
    again = await scene.program.post(scene.chat, json=body, headers=headers)
    assert events_of(again.text) == events_of(first.text) != []
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(scene.double.requests) == 1


async def test_an_answer_is_made_anew_once_per_key(scene: Scene) -> None:
    said = (await scene.program.post(scene.chat, json={"message": "Tell me something."})).json()
    address = f"{V1}/messages/{said['message_id']}/regenerate"
    headers = {"Idempotency-Key": "anew"}
    first = await scene.program.post(address, json={"stream": True}, headers=headers)
    again = await scene.program.post(address, json={"stream": True}, headers=headers)
    assert first.status_code == 200 and events_of(again.text) == events_of(first.text) != []
    late = await scene.program.post(address, json={})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "conflict")
    kept = (await scene.program.get(f"{V1}/conversations/{said['conversation_id']}/messages")).json()["items"]
    assert [each["role"] for each in kept] == ["assistant", "user"] and kept[0]["id"] != said["message_id"]
    question = await scene.program.post(f"{V1}/messages/{kept[1]['id']}/regenerate", json={})
    assert question.status_code == 409


async def test_an_earlier_answer_is_made_anew_from_what_was_said_before_it(scene: Scene) -> None:
    first = (await scene.program.post(scene.chat, json={"message": "Tell me of apples."})).json()
    talk = {"conversation_id": first["conversation_id"]}
    await scene.program.post(scene.chat, json={"message": "Tell me of pears.", **talk})
    anew = await scene.program.post(f"{V1}/messages/{first['message_id']}/regenerate", json={})
    assert anew.status_code == 200
    assert "apples" in str(scene.double.requests[-1].body) and "pears" not in str(scene.double.requests[-1].body)


async def test_the_service_lets_go_of_a_reader(scene: Scene, context: Context) -> None:
    scene.slow()
    actor = await scene.cast.owner()
    async with scene.ask() as live:
        await live.until("token")
        message = UUID(live.events[0][2]["message_id"])
        run = context.runs.get(message)
        assert run is not None and run.readers == 1
        async with aclosing(answers.follow(context, actor, message)) as events:
            await anext(events)
            assert run.readers == 2
        assert run.readers == 1
    assert run.readers == 0


async def test_the_next_question_may_follow_at_once(scene: Scene) -> None:
    talk: dict[str, Any] = {}
    for number in range(12):
        answer = await scene.program.post(scene.chat, json={"message": f"Question {number}?", **talk})
        assert answer.status_code == 200, answer.text
        talk = {"conversation_id": answer.json()["conversation_id"]}
        assert (await scene.message(answer.json()["message_id"]))["status"] == "done"
    async with scene.ask(**talk) as live:
        await live.until("done")
        assert (await scene.message(live.events[0][2]["message_id"]))["status"] == "done"
