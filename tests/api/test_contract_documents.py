"""Documents, tasks and search over REST, from outside: shapes, states, versions, lists that stay right."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from rag_app.ingestion.workshop import Workshop
from tests.api.cast import Cast
from tests.workspaces import open_workshop, work_off

V1 = "/api/v1"
GUIDE = """# Returns

Customers may return goods within thirty days of delivery.

# Refunds

The refund is paid to the original card within five working days. Opened software cannot be refunded.
"""
DOCUMENT = {
    "id", "knowledge_base_id", "external_id", "kind", "title", "url", "status", "phase", "progress", "error", "update",
    "passages", "pages", "bytes", "language", "filename", "media_type", "metadata", "version_id", "created_at",
    "updated_at", "warnings", "parent_id",
}  # fmt: skip
TASK = {
    "id", "kind", "status", "phase", "progress", "result", "error", "knowledge_base_id", "document_id", "version_id",
    "created_at", "started_at", "finished_at",
}  # fmt: skip
PASSAGE = {
    "id", "knowledge_base_id", "document_id", "version_id", "external_id", "title", "url", "text", "heading",
    "page_from", "page_to", "char_from", "char_to", "score", "ranks", "place",
}  # fmt: skip


class Library:
    """A knowledge base of the owner, and the worker that fills it."""

    def __init__(self, cast: Cast, program: httpx.AsyncClient, base: str, workshop: Workshop) -> None:
        self._cast, self._workshop = cast, workshop
        self.program, self.base = program, f"{V1}/knowledge-bases/{base}"

    async def add(self, body: str = GUIDE, **labels: Any) -> dict[str, Any]:
        """Add one text; what became of it."""
        answer = await self.program.post(f"{self.base}/documents", json={"texts": [{"text": body, **labels}]})
        assert answer.status_code == 202, answer.text
        return dict(answer.json()["items"][0])

    async def work(self) -> None:
        """Let the worker do all that waits."""
        await work_off(self._cast.context, self._workshop)

    async def get(self, path: str, expected: int = 200, /, **query: Any) -> Any:
        """What is at an address."""
        answer = await self.program.get(path if path.startswith("/") else f"{V1}/{path}", params=query)
        assert answer.status_code == expected, answer.text
        return answer.json()

    async def found(self, query: str, **more: Any) -> Any:
        """What a search finds."""
        answer = await self.program.post(f"{self.base}/search", json={"query": query, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def change(self, statement: str, **values: Any) -> None:
        """Put the tables into a state that takes a worker to reach."""
        async with self._cast.context.transaction() as session:
            await session.execute(text(statement), values)


@pytest.fixture
async def library(cast: Cast) -> AsyncIterator[Library]:
    """An empty knowledge base."""
    program = await cast.program((await cast.key(await cast.owner()))[1])
    made = await program.post(f"{V1}/knowledge-bases", json={"name": "Handbook"})
    async with open_workshop(cast.context) as workshop:
        yield Library(cast, program, made.json()["id"], workshop)


async def test_a_document_from_its_acceptance_to_its_passages(library: Library) -> None:
    item = await library.add(title="Guide", external_id="g-1", metadata={"team": "shop"})
    waiting = await library.get(f"documents/{item['id']}")
    assert set(waiting) == DOCUMENT
    assert (waiting["status"], waiting["progress"], waiting["update"], waiting["error"]) == ("queued", 0.0, None, None)
    task = await library.get(f"tasks/{item['task_id']}")
    assert set(task) == TASK and (task["kind"], task["status"]) == ("ingest", "queued")
    unread = await library.get(f"documents/{item['id']}/text", 409)
    assert unread["error"]["code"] == "conflict"
    await library.work()
    ready = await library.get(f"documents/{item['id']}")
    assert (ready["status"], ready["progress"], ready["phase"], ready["error"]) == ("ready", 1.0, None, None)
    assert (ready["external_id"], ready["metadata"], ready["bytes"]) == ("g-1", {"team": "shop"}, len(GUIDE.encode()))
    done = await library.get(f"tasks/{item['task_id']}")
    assert (done["status"], done["progress"], done["document_id"]) == ("done", 1.0, item["id"])
    body = await library.get(f"documents/{item['id']}/text")
    assert set(body) == {"version_id", "text", "pages", "places"} and body["version_id"] == ready["version_id"]
    pieces = (await library.get(f"documents/{item['id']}/passages"))["items"]
    assert len(pieces) == ready["passages"] > 0
    for number, piece in enumerate(pieces):
        assert piece["ordinal"] == number and piece["text"] == body["text"][piece["char_from"] : piece["char_to"]]
    base = await library.get(library.base)
    assert base["documents"] == {"queued": 0, "working": 0, "ready": 1, "failed": 0, "total": 1}
    assert base["passages"] == len(pieces)


async def test_search_has_its_shape_in_every_mode(library: Library) -> None:
    empty = await library.found("refund")
    assert empty["passages"] == [] and set(empty) == {"passages", "warnings", "timings_ms"}
    await library.add(title="Guide", external_id="g-1", metadata={"team": "shop", "tags": ["a", "b"]})
    await library.work()
    for mode, legs in (("hybrid", {"dense", "lexical"}), ("dense", {"dense"}), ("lexical", {"lexical"})):
        found = await library.found("When is the refund paid?", mode=mode)
        best = found["passages"][0]
        assert set(best) == PASSAGE and set(best["ranks"]) == {"dense", "lexical", "fused", "rerank"}
        assert 0 <= best["score"] <= 1 and "five working days" in best["text"] and best["external_id"] == "g-1"
        assert {leg for leg in ("dense", "lexical") if found["timings_ms"][leg] is not None} == legs
        assert {leg for leg in ("dense", "lexical") if best["ranks"][leg] is not None} <= legs
        assert [each["score"] for each in found["passages"]] == sorted(
            (each["score"] for each in found["passages"]), reverse=True
        )
    for good in ({"team": "shop"}, {"team": ["shop", "ops"]}, {"tags": "b"}, {"team": "shop", "tags": ["b", "z"]}):
        assert (await library.found("refund", filter=good))["passages"], good
    for other in ({"team": "ops"}, {"team": "shop", "tags": "z"}, {"unknown": 1}):
        assert (await library.found("refund", filter=other))["passages"] == [], other
    assert "rerank" in str((await library.found("refund", rerank=True))["warnings"])
    refused: tuple[dict[str, Any], ...] = (
        {"limit": 0},
        {"limit": 101},
        {"mode": "x"},
        {"filter": []},
        {"query": ""},
        {"query": " "},
    )
    for wrong in refused:
        answer = await library.program.post(f"{library.base}/search", json={"query": "x", **wrong})
        assert answer.status_code == 422, wrong


async def test_a_list_stays_right_while_things_are_added(library: Library) -> None:
    first = [(await library.add(f"Text number {number}."))["id"] for number in range(7)]
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(10):
        page = await library.get(f"{library.base}/documents", limit=2, **cursor)
        seen += [each["id"] for each in page["items"]]
        assert len(page["items"]) <= 2
        await library.add(f"Added while reading, {uuid4()}.")
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == first[::-1]
    for limit, status in ((0, 422), (201, 422), (200, 200), ("x", 422)):
        await library.get(f"{library.base}/documents", status, limit=limit)
    for odd in ("x", "%", "MjAyNA", "a" * 201, "é", "Tm9uZXxOb25l"):
        await library.get(f"{library.base}/documents", 422, cursor=odd)


async def test_all_lists_share_their_shape(library: Library) -> None:
    for number in range(3):
        await library.add(f"Text number {number}.")
        await library.program.post(f"{V1}/knowledge-bases", json={"name": f"KB {number}"})
        await library.program.post(f"{V1}/bots", json={"name": f"Bot {number}"})
        await library.program.post(f"{library.base}/chat", json={"message": "hello"})
        await library.program.post(f"{V1}/api-keys", json={"name": f"Key {number}"})
    for path in ("knowledge-bases", "bots", "tasks", "conversations", "api-keys", f"{library.base}/documents"):
        whole = await library.get(path)
        assert set(whole) == {"items", "next_cursor"} and whole["next_cursor"] is None and len(whole["items"]) >= 3
        found: list[Any] = []
        cursor: dict[str, Any] = {}
        while True:
            page = await library.get(path, limit=1, **cursor)
            found += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert [each["id"] for each in found] == [each["id"] for each in whole["items"]], path
        moments = [each.get("updated_at" if path == "conversations" else "created_at") for each in found]
        assert moments == sorted(moments, reverse=True), path


async def test_lists_can_be_narrowed(library: Library) -> None:
    ready = await library.add("Words about apples.", title="Apples 100%")
    await library.work()
    queued = await library.add("Words about pears.", title="Pears_and more")
    listing = f"{library.base}/documents"

    async def ids(**query: Any) -> set[str]:
        return {each["id"] for each in (await library.get(listing, **query))["items"]}

    assert await ids(status="ready") == {ready["id"]} and await ids(status="queued") == {queued["id"]}
    assert await ids(status="failed") == await ids(status="working") == set()
    assert await ids(q="APPLES") == await ids(q="100%") == await ids(q="0%") == {ready["id"]}
    assert await ids(q="s_a") == {queued["id"]} and await ids(q="\\") == set()
    assert await ids(q="e", status="ready") == {ready["id"]}
    await library.get(listing, 422, status="done")
    await library.get(listing, 422, q="x" * 201)


async def test_the_same_id_is_a_new_version_and_the_old_one_serves_until_it_is_ready(library: Library) -> None:
    item = await library.add("The old refund takes nine days.", external_id="g-1", title="Guide")
    await library.work()
    old = (await library.get(f"documents/{item['id']}"))["version_id"]
    newer = await library.add("The new refund takes two days.", external_id="g-1", title="Guide 2")
    assert (newer["id"], newer["duplicate"], newer["status"]) == (item["id"], False, "ready")
    shown = await library.get(f"documents/{item['id']}")
    assert (shown["status"], shown["version_id"], shown["error"]) == ("ready", old, None)
    assert shown["update"] == {"status": "queued", "phase": None, "progress": 0.0, "error": None}
    assert "nine" in (await library.found("refund"))["passages"][0]["text"]
    await library.work()
    shown = await library.get(f"documents/{item['id']}")
    assert shown["update"] is None and shown["version_id"] != old and shown["title"] == "Guide 2"
    [hit] = (await library.found("refund"))["passages"]
    assert "two days" in hit["text"]
    assert "nine" in (await library.get(f"documents/{item['id']}/text", version=old))["text"]
    gone = await library.get(f"documents/{item['id']}/text", 410, version=str(uuid4()))
    assert gone["error"]["code"] == "version_gone"
    again = await library.add("The new refund takes two days.", external_id="g-1", title="Guide 2")
    assert (again["id"], again["duplicate"]) == (item["id"], True)


async def test_a_cancelled_task_leaves_a_failed_document(library: Library) -> None:
    item = await library.add()
    cancelled = await library.program.post(f"{V1}/tasks/{item['task_id']}/cancel")
    assert cancelled.status_code == 200
    assert (cancelled.json()["status"], cancelled.json()["error"]["code"]) == ("cancelled", "cancelled")
    shown = await library.get(f"documents/{item['id']}")
    assert (shown["status"], shown["error"]["code"], shown["update"]) == ("failed", "cancelled", None)
    await library.work()
    assert (await library.get(f"documents/{item['id']}"))["status"] == "failed"
    assert (await library.found("refund"))["passages"] == []
    late = await library.program.post(f"{V1}/tasks/{item['task_id']}/cancel")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "conflict")
    retried = await library.program.post(f"{V1}/documents/{item['id']}/retry")
    assert (retried.status_code, retried.json()["status"], retried.json()["error"]) == (202, "queued", None)
    task = await library.get(f"tasks/{item['task_id']}")
    assert (task["status"], task["error"], task["finished_at"]) == ("queued", None, None)
    await library.work()
    assert (await library.get(f"documents/{item['id']}"))["status"] == "ready"
    assert (await library.program.post(f"{V1}/documents/{item['id']}/retry")).status_code == 409


async def test_a_cancelled_update_leaves_the_old_content(library: Library) -> None:
    item = await library.add("The old refund takes nine days.", external_id="g-1")
    await library.work()
    newer = await library.add("The new refund takes two days.", external_id="g-1")
    assert (await library.program.post(f"{V1}/tasks/{newer['task_id']}/cancel")).status_code == 200
    await library.work()
    shown = await library.get(f"documents/{item['id']}")
    assert (shown["status"], shown["error"]) == ("ready", None)
    assert (shown["update"]["status"], shown["update"]["error"]["code"]) == ("failed", "cancelled")
    assert "nine" in (await library.found("refund"))["passages"][0]["text"]


async def test_the_same_bytes_again_wake_a_failed_document(library: Library) -> None:
    item = await library.add()
    await library.program.post(f"{V1}/tasks/{item['task_id']}/cancel")
    again = await library.add()
    assert (again["id"], again["duplicate"], again["status"]) == (item["id"], True, "queued")
    task = await library.get(f"tasks/{again['task_id']}")
    assert (task["status"], task["error"]) == ("queued", None)
    await library.work()
    assert (await library.get(f"documents/{item['id']}"))["status"] == "ready"
    assert (await library.get(f"tasks/{again['task_id']}"))["status"] == "done"


async def test_a_deleted_document_is_gone_at_once(library: Library) -> None:
    item = await library.add()
    await library.work()
    assert (await library.found("refund"))["passages"]
    assert (await library.program.delete(f"{V1}/documents/{item['id']}")).status_code == 204
    assert (await library.found("refund"))["passages"] == []
    for path in ("", "/text", "/passages", "/original"):
        await library.get(f"documents/{item['id']}{path}", 404)
    assert (await library.program.delete(f"{V1}/documents/{item['id']}")).status_code == 404
    assert (await library.program.post(f"{V1}/documents/{item['id']}/retry")).status_code == 404
    anew = await library.add()
    assert anew["id"] != item["id"] and anew["duplicate"] is False
    await library.work()
    assert (await library.found("refund"))["passages"]


async def test_a_deleted_knowledge_base_takes_everything_along(library: Library) -> None:
    item = await library.add()
    await library.work()
    said = (await library.program.post(f"{library.base}/chat", json={"message": "When is the refund paid?"})).json()
    assert (await library.program.delete(library.base)).status_code == 204
    for path in (library.base, f"{library.base}/documents", f"documents/{item['id']}", f"tasks/{item['task_id']}",
                 f"messages/{said['message_id']}", f"conversations/{said['conversation_id']}/messages"):  # fmt: skip
        await library.get(path, 404)
    assert (await library.program.post(f"{library.base}/search", json={"query": "refund"})).status_code == 404


async def test_a_document_whose_worker_is_at_it_shows_how_far(library: Library) -> None:
    item = await library.add()
    await library.change(
        "UPDATE versions SET state = 'working', phase = 'embedding', progress = 0.5 WHERE document_id = :id",
        id=UUID(item["id"]),
    )
    shown = await library.get(f"documents/{item['id']}")
    assert (shown["status"], shown["phase"], shown["progress"]) == ("working", "embedding", 0.5)
    base = await library.get(library.base)
    assert base["documents"] == {"queued": 0, "working": 1, "ready": 0, "failed": 0, "total": 1}
    assert {each["id"] for each in (await library.get(f"{library.base}/documents", status="working"))["items"]} == {
        item["id"]
    }
