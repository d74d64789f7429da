"""The main job over REST: knowledge base, document, search, cited answer, stream, resume, conversation."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.api.cast import Cast
from tests.workspaces import open_workshop, work_off

GUIDE = b"""# Returns

Customers may return goods within thirty days of delivery.

## Refunds

The refund is paid to the original card within five working days. Opened software cannot be refunded.
"""
V1 = "/api/v1"


@pytest.fixture
async def program(cast: Cast) -> httpx.AsyncClient:
    """A program of the owner."""
    _, key = await cast.key(await cast.owner())
    return await cast.program(key)


async def knowledge_base(program: httpx.AsyncClient, name: str = "Handbook") -> str:
    answer = await program.post(f"{V1}/knowledge-bases", json={"name": name})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def filled(cast: Cast, program: httpx.AsyncClient) -> tuple[str, str]:
    base = await knowledge_base(program)
    answer = await program.post(
        f"{V1}/knowledge-bases/{base}/documents", files={"files": ("guide.md", GUIDE, "text/markdown")}
    )
    assert answer.status_code == 202, answer.text
    [item] = answer.json()["items"]
    assert item["error"] is None and item["duplicate"] is False
    async with open_workshop(cast.context) as workshop:
        await work_off(cast.context, workshop)
    return base, item["id"]


def events_of(body: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


async def test_a_document_becomes_a_cited_answer(cast: Cast, program: httpx.AsyncClient) -> None:
    base, document = await filled(cast, program)
    shown = (await program.get(f"{V1}/documents/{document}")).json()
    assert shown["status"] == "ready" and shown["passages"] >= 1 and shown["error"] is None
    found = (
        await program.post(f"{V1}/knowledge-bases/{base}/search", json={"query": "when is the refund paid?"})
    ).json()
    assert "five working days" in found["passages"][0]["text"]
    assert set(found["timings_ms"]) == {"embed", "dense", "lexical", "fuse", "rerank", "total"}
    answer = await program.post(
        f"{V1}/knowledge-bases/{base}/chat", json={"message": "Within how many days is the refund paid?"}
    )
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert "five working days" in said["answer"] and said["model"] == "local/extractive" and not said["abstained"]
    text = (await program.get(f"{V1}/documents/{document}/text")).json()["text"]
    for citation in said["citations"]:
        assert citation["verified"] and text[citation["char_from"] : citation["char_to"]] == citation["quote"]
        marker = f"[{citation['n']}]"
        assert marker in said["answer"]
    assert said["citations"]


async def test_a_stream_is_numbered_and_can_be_resumed(cast: Cast, program: httpx.AsyncClient) -> None:
    base, _ = await filled(cast, program)
    body = {"message": "When is the refund paid?", "stream": True}
    whole = events_of((await program.post(f"{V1}/knowledge-bases/{base}/chat", json=body)).text)
    kinds = [kind for _, kind, _ in whole]
    assert kinds[0] == "conversation" and kinds[-1] == "done" and {"searching", "passages", "token"} <= set(kinds)
    assert [number for number, _, _ in whole] == list(range(1, len(whole) + 1))
    said = "".join(data["text"] for _, kind, data in whole if kind == "token")
    assert said == whole[-1][2]["answer"]
    message = whole[0][2]["message_id"]
    rest = await program.get(f"{V1}/messages/{message}/stream", headers={"Last-Event-ID": "2"})
    assert events_of(rest.text) == whole[2:]


async def test_the_idempotency_key_replays_an_answer(cast: Cast, program: httpx.AsyncClient) -> None:
    base, _ = await filled(cast, program)
    body = {"message": "When is the refund paid?"}
    headers = {"Idempotency-Key": "once"}
    first = await program.post(f"{V1}/knowledge-bases/{base}/chat", json=body, headers=headers)
    again = await program.post(f"{V1}/knowledge-bases/{base}/chat", json=body, headers=headers)
    assert again.json() == first.json() and again.headers["Idempotent-Replayed"] == "true"
    other = await program.post(f"{V1}/knowledge-bases/{base}/chat", json={"message": "Other"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")


async def test_a_conversation_goes_on_and_belongs_to_one_person(cast: Cast, program: httpx.AsyncClient) -> None:
    base, _ = await filled(cast, program)
    first = (
        await program.post(f"{V1}/knowledge-bases/{base}/chat", json={"message": "When is the refund paid?"})
    ).json()
    conversation = first["conversation_id"]
    await program.post(
        f"{V1}/knowledge-bases/{base}/chat", json={"message": "thanks!", "conversation_id": conversation}
    )
    messages = (await program.get(f"{V1}/conversations/{conversation}/messages")).json()["items"]
    assert [each["role"] for each in messages] == ["assistant", "user", "assistant", "user"]
    rated = await program.post(f"{V1}/messages/{first['message_id']}/feedback", json={"rating": 1, "comment": "good"})
    assert rated.json()["feedback"] == {"rating": 1, "comment": "good"}
    other = await cast.join("viewer")
    stranger = await cast.browser(other.token)
    for address in (f"conversations/{conversation}/messages", f"messages/{first['message_id']}"):
        assert (await stranger.get(f"{V1}/{address}")).status_code == 404
    foreign = await stranger.post(
        f"{V1}/knowledge-bases/{base}/chat", json={"message": "hello", "conversation_id": conversation}
    )
    assert foreign.status_code == 404


async def test_one_refused_file_does_not_refuse_the_others(program: httpx.AsyncClient) -> None:
    base = await knowledge_base(program)
    files = [("files", ("virus.exe", b"MZ\x90\x00" + b"\0" * 100)), ("files", ("guide.md", GUIDE))]
    answer = await program.post(f"{V1}/knowledge-bases/{base}/documents", files=files)
    assert answer.status_code == 202
    first, second = answer.json()["items"]
    assert first["id"] is None and first["error"]["code"] == "unsupported_type"
    assert second["id"] and second["error"] is None
    refused = await program.post(f"{V1}/knowledge-bases/{base}/documents", files=files[:1])
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "validation_error")


async def test_two_questions_at_once_in_one_conversation_are_refused(cast: Cast, program: httpx.AsyncClient) -> None:
    base, _ = await filled(cast, program)
    first = (await program.post(f"{V1}/knowledge-bases/{base}/chat", json={"message": "hello"})).json()
    body = {"message": "When is the refund paid?", "conversation_id": first["conversation_id"]}
    answers = await asyncio.gather(*(program.post(f"{V1}/knowledge-bases/{base}/chat", json=body) for _ in range(4)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 200 and set(codes) <= {200, 409}


async def test_readiness_tells_strangers_nothing(cast: Cast, program: httpx.AsyncClient) -> None:
    stranger = await cast.client()
    assert (await stranger.get("/ready")).json() == {"status": "ready"}
    assert (await program.get(f"{V1}/ready")).json()["details"]["waiting_jobs"] == 0
