"""Bots, conversations and opinions over REST; and what a bot over a restricted knowledge base tells to whom."""

import re
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.api.calls import TABLE, made_up, send
from tests.api.cast import Cast
from tests.api.live_stream import events_of
from tests.workspaces import open_workshop, work_off

V1 = "/api/v1"
OPEN = "The refund is paid to the original card within five working days."
SECRET = "The secret bonus of the board is paid to the original card within nine working days."
BOT = {
    "id", "name", "slug", "public_id", "instructions", "model", "fallback_model", "temperature", "memory",
    "suggested_questions", "retrieval", "knowledge_base_ids", "created_at", "updated_at",
}  # fmt: skip
MESSAGE = {
    "id", "conversation_id", "role", "text", "status", "abstained", "model", "citations", "usage", "timings_ms",
    "error", "feedback", "created_at",
}  # fmt: skip
CONVERSATION = {
    "id", "bot_id", "bot_name", "knowledge_base_id", "title", "via", "archived", "created_at", "updated_at",
}  # fmt: skip


@dataclass
class House:
    """An open and a restricted knowledge base of the owner."""

    cast: Cast
    owner: httpx.AsyncClient
    open: str
    restricted: str

    async def program(self, role: Any, email: str = "") -> httpx.AsyncClient:
        """A program of a new person, who is named nowhere."""
        signed_in = await self.cast.join(role, email)
        return await self.cast.program((await self.cast.key(await self.cast.actor(signed_in)))[1])

    async def bot(self, *bases: str, **more: Any) -> dict[str, Any]:
        """A bot of the owner."""
        answer = await self.owner.post(f"{V1}/bots", json={"name": "Helper", "knowledge_base_ids": bases, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


@pytest.fixture
async def house(cast: Cast) -> House:
    """Both knowledge bases, filled."""
    owner = await cast.program((await cast.key(await cast.owner()))[1])
    ids = []
    async with open_workshop(cast.context) as workshop:
        for name, body in (("Shop", OPEN), ("Board", SECRET)):
            made = (await owner.post(f"{V1}/knowledge-bases", json={"name": name})).json()["id"]
            await owner.post(f"{V1}/knowledge-bases/{made}/documents", json={"texts": [{"text": body}]})
            ids.append(made)
        await work_off(cast.context, workshop)
    await owner.patch(f"{V1}/knowledge-bases/{ids[1]}", json={"access": "restricted"})
    return House(cast, owner, ids[0], ids[1])


async def test_a_bot_says_nothing_of_what_its_reader_may_not_see(house: House) -> None:
    bot = await house.bot(house.open, house.restricted)
    question = {"message": "Within how many days is the bonus paid to the original card?", "stream": True}
    for role in ("viewer", "editor"):
        reader = await house.program(role, f"{role}@example.com")
        for address, body in (
            (f"{V1}/bots/{bot['id']}/chat", question),
            (f"{V1}/query", {"bot_id": bot["id"], "question": question["message"], "stream": True}),
        ):
            answer = await reader.post(address, json=body)
            assert answer.status_code == 200 and "nine" not in answer.text and house.restricted not in answer.text
            [found] = [data["passages"] for _, kind, data in events_of(answer.text) if kind == "passages"]
            assert {each["knowledge_base_id"] for each in found} <= {house.open}
        shown = (await reader.get(f"{V1}/bots/{bot['id']}")).json()
        assert shown["knowledge_base_ids"] == [house.open]
        assert house.restricted not in (await reader.get(f"{V1}/bots")).text
    told = await house.owner.post(f"{V1}/bots/{bot['id']}/chat", json=question)
    assert "nine working days" in told.text
    assert house.restricted in (await house.owner.get(f"{V1}/bots/{bot['id']}")).text


async def test_a_bot_over_hidden_knowledge_alone_says_that_it_found_nothing(house: House) -> None:
    bot = await house.bot(house.restricted)
    viewer = await house.program("viewer")
    body = {"message": "Within how many days is the bonus paid?"}
    answer = (await viewer.post(f"{V1}/bots/{bot['id']}/chat", json=body)).json()
    assert answer["abstained"] is True and answer["citations"] == [] and "nine" not in answer["answer"]


async def test_an_editor_does_not_take_away_what_they_cannot_see(house: House) -> None:
    bot = await house.bot(house.open, house.restricted)
    editor = await house.program("editor")
    changed = await editor.patch(f"{V1}/bots/{bot['id']}", json={"knowledge_base_ids": []})
    assert (changed.status_code, changed.json()["knowledge_base_ids"]) == (200, [])
    kept = (await house.owner.get(f"{V1}/bots/{bot['id']}")).json()
    assert kept["knowledge_base_ids"] == [house.restricted]
    for ids in ([house.restricted], [house.open, house.restricted]):
        refused = await editor.patch(f"{V1}/bots/{bot['id']}", json={"knowledge_base_ids": ids})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")


async def test_a_conversation_loses_sight_of_what_was_closed(house: House) -> None:
    viewer = await house.program("viewer")
    address = f"{V1}/knowledge-bases/{house.open}/chat"
    said = (await viewer.post(address, json={"message": "When is the refund paid?"})).json()
    assert said["citations"]
    await house.owner.patch(f"{V1}/knowledge-bases/{house.open}", json={"access": "restricted"})
    more = {"message": "And to which card?", "conversation_id": said["conversation_id"]}
    assert (await viewer.post(address, json=more)).status_code == 404
    assert (await viewer.post(f"{V1}/messages/{said['message_id']}/regenerate", json={})).status_code == 404
    document = said["citations"][0]["document_id"]
    assert (await viewer.get(f"{V1}/documents/{document}/text")).status_code == 404


async def test_a_bot_has_its_shape_and_its_defaults(house: House) -> None:
    bot = await house.bot()
    assert set(bot) == BOT
    assert (bot["slug"], bot["model"], bot["temperature"], bot["memory"]) == ("helper", None, None, True)
    assert (await house.bot())["slug"] == "helper-2"
    assert (await house.bot(name="Ünïcode & Cø."))["slug"] == "unicode-c"
    taken = await house.owner.post(f"{V1}/bots", json={"name": "x", "slug": "helper"})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "conflict")
    given = await house.bot(
        slug="my-bot", model="openai/x", temperature=0.5, memory=False, suggested_questions=["Why?"]
    )
    assert (given["slug"], given["model"], given["temperature"], given["memory"]) == ("my-bot", "openai/x", 0.5, False)
    address = f"{V1}/bots/{given['id']}"
    changed = await house.owner.patch(address, json={"model": None, "temperature": None, "instructions": "Be brief."})
    assert (changed.json()["model"], changed.json()["temperature"]) == (None, None)
    assert changed.json()["instructions"] == "Be brief." and changed.json()["suggested_questions"] == ["Why?"]
    wrong: tuple[dict[str, Any], ...] = (
        {"temperature": 2.1}, {"temperature": -1}, {"temperature": "hot"}, {"slug": "A B"}, {"slug": "a--b"},
        {"name": " "}, {"name": ""}, {"name": "x" * 121}, {"instructions": "x" * 20_001}, {"knowledge_base_ids": ["x"]},
        {"memory": "perhaps"}, {"suggested_questions": ["x"] * 9}, {"nonsense": 1},
    )  # fmt: skip
    for body in wrong:
        answer = await house.owner.patch(address, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error"), body
    assert (await house.owner.delete(address)).status_code == 204
    assert (await house.owner.get(address)).status_code == 404


async def test_a_deleted_bot_takes_its_conversations_along(house: House) -> None:
    bot = await house.bot(house.open)
    said = (await house.owner.post(f"{V1}/bots/{bot['id']}/chat", json={"message": "When is the refund paid?"})).json()
    assert (await house.owner.delete(f"{V1}/bots/{bot['id']}")).status_code == 204
    assert (await house.owner.get(f"{V1}/messages/{said['message_id']}")).status_code == 404
    assert (await house.owner.get(f"{V1}/conversations")).json()["items"] == []


async def test_conversations_are_listed_renamed_archived_and_deleted(house: House) -> None:
    bot = await house.bot(house.open)
    chat = f"{V1}/bots/{bot['id']}/chat"
    first = (await house.owner.post(chat, json={"message": "When is the refund paid?"})).json()
    second = (await house.owner.post(chat, json={"message": "hello 100%"})).json()

    async def listed(**query: Any) -> list[str]:
        items = (await house.owner.get(f"{V1}/conversations", params=query)).json()["items"]
        return [each["id"] for each in items]

    whole = (await house.owner.get(f"{V1}/conversations")).json()["items"]
    assert {each["via"] for each in whole} == {"api"}
    assert all(set(each) == CONVERSATION for each in whole)
    assert whole[1]["title"] == "When is the refund paid?" and whole[1]["bot_name"] == "Helper"
    assert await listed() == [second["conversation_id"], first["conversation_id"]]
    assert await listed(q="five working") == [first["conversation_id"]]
    assert await listed(q="100%") == [second["conversation_id"]] and await listed(q="0_") == []
    address = f"{V1}/conversations/{first['conversation_id']}"
    changed = await house.owner.patch(address, json={"title": "  Refunds  ", "archived": True})
    assert (changed.json()["title"], changed.json()["archived"]) == ("Refunds", True)
    assert await listed(archived="true") == [first["conversation_id"]]
    assert await listed(archived="false") == [second["conversation_id"]]
    assert (await house.owner.patch(address, json={"archived": False})).json()["archived"] is False
    for body in ({"title": ""}, {"title": " "}, {"title": "x" * 201}, {"archived": "perhaps"}):
        assert (await house.owner.patch(address, json=body)).status_code == 422, body
    assert (await house.owner.delete(address)).status_code == 204
    for path in (address, f"{address}/messages", f"{V1}/messages/{first['message_id']}"):
        assert (await house.owner.get(path)).status_code in (404, 405), path
    again = await house.owner.post(chat, json={"message": "x", "conversation_id": first["conversation_id"]})
    assert (again.status_code, again.json()["error"]["code"]) == (404, "not_found")


async def test_messages_and_opinions_have_their_shape(house: House) -> None:
    bot = await house.bot(house.open)
    said = (
        await house.owner.post(f"{V1}/query", json={"bot_id": bot["id"], "question": "When is the refund paid?"})
    ).json()
    address = f"{V1}/conversations/{said['conversation_id']}/messages"
    reply, asked = (await house.owner.get(address)).json()["items"]
    assert set(reply) == set(asked) == MESSAGE
    assert (asked["role"], asked["text"], asked["status"]) == ("user", "When is the refund paid?", "done")
    assert (reply["role"], reply["text"], reply["citations"]) == ("assistant", said["answer"], said["citations"])
    assert (reply["status"], reply["error"], reply["feedback"], reply["model"]) == (
        "done",
        None,
        None,
        "local/extractive",
    )
    opinion = f"{V1}/messages/{said['message_id']}/feedback"
    for rating, comment in ((1, ""), (-1, "Too short.")):
        rated = await house.owner.post(opinion, json={"rating": rating, "comment": comment})
        assert rated.json()["feedback"] == {"rating": rating, "comment": comment}
    for body in ({"rating": 0}, {"rating": 2}, {"rating": True}, {}, {"rating": 1, "comment": "x" * 2001}):
        assert (await house.owner.post(opinion, json=body)).status_code == 422, body
    question = await house.owner.post(f"{V1}/messages/{asked['id']}/feedback", json={"rating": 1})
    assert (question.status_code, question.json()["error"]["code"]) == (409, "conflict")
    for text in ("", " ", "x" * 20_001, "a\x00b"):
        refused = await house.owner.post(f"{V1}/bots/{bot['id']}/chat", json={"message": text})
        assert refused.status_code == 422, text[:10]


async def test_every_post_takes_a_key_and_does_its_work_once(house: House) -> None:
    browser = await house.cast.browser(await house.cast.sign_in())
    bot = await house.bot(house.open)
    said = (await house.owner.post(f"{V1}/bots/{bot['id']}/chat", json={"message": "hello"})).json()
    names = made_up() | {
        "knowledge_base_id": house.open, "bot_id": bot["id"], "message_id": said["message_id"],
        "user_id": str((await house.cast.join("viewer", "v@example.com")).user_id),
    }  # fmt: skip
    replayed = set()
    posts = [call for call in TABLE if call.startswith("POST ") and not call.startswith("POST /auth/")]
    posts.sort(key=lambda call: "regenerate" in call)  # after it the message is no longer shown
    for call in posts:
        browser.headers["Idempotency-Key"] = f"key for {call}".replace(" ", "-")
        fixed = {"new": re.sub("[^a-z]+", "-", f"once{call.lower()}").strip("-")[:60]}
        first = await send(browser, call, names | fixed)
        again = await send(browser, call, names | fixed)
        if first.status_code < 400:
            assert again.headers["Idempotent-Replayed"] == "true", call
            assert (again.status_code, again.json()) == (first.status_code, first.json()), call
            replayed.add(call)
            if TABLE[call].body and "/stop" not in call:
                other = await send(browser, call, names | fixed, {"nonsense": 1})
                assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch"), call
        else:  # a refusal is not kept
            assert again.status_code == first.status_code and "Idempotent-Replayed" not in again.headers, call
    # What these act on is not there: a refusal, each time anew.
    absent = ("/documents/{", "/tasks/{", "/edits/{", "/sources/{", "/indexes/{")
    assert {call for call in posts if not any(part in call for part in absent)} <= replayed
    assert not any(part in call for call in replayed for part in absent)
