"""Versions, edits, notes and conflicts as a program meets them."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from rag_app.api.app import PREFIX
from rag_app.services.versions import forget_old_versions
from tests.api.cast import Cast
from tests.workspaces import open_workshop, work_off

FIRST = "The fee is ten euros.\n\nThe desk opens at nine. Bring your card.\n\nGoods come back within thirty days."
SECOND = FIRST.replace("ten euros", "twelve euros").replace("thirty days", "sixty days")
KEPT = 3


class Library:
    """A knowledge base with one document, over REST."""

    def __init__(self, cast: Cast, client: httpx.AsyncClient, base: str) -> None:
        self.cast, self.client, self.base, self.document = cast, client, base, ""

    async def put(self, body: str) -> None:
        """A version of the document."""
        sent = {"texts": [{"text": body, "external_id": "fees", "title": "Fees"}]}
        taken = await self.post(f"knowledge-bases/{self.base}/documents", sent)
        self.document = taken["items"][0]["id"]
        await self.work()

    async def work(self) -> None:
        """Do all that is in the queue."""
        async with open_workshop(self.cast.context) as workshop:
            await work_off(self.cast.context, workshop)

    async def get(self, path: str) -> Any:
        """The answer of a GET."""
        answer = await self.client.get(f"{PREFIX}/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None) -> Any:
        """The answer of a POST."""
        answer = await self.client.post(f"{PREFIX}/{path}", json=body)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()

    async def search(self, query: str) -> str:
        """All the text that a search shows."""
        found = await self.post(f"knowledge-bases/{self.base}/search", {"query": query})
        return "\n".join(each["text"] for each in found["passages"])

    async def versions(self) -> list[Any]:
        """The history, newest first."""
        return list((await self.get(f"documents/{self.document}/versions"))["items"])


@pytest.fixture
async def library(cast: Cast) -> Library:
    """A knowledge base with two versions of one document."""
    owner = await cast.owner()
    client = await cast.program((await cast.key(owner))[1])
    base = (await client.post(f"{PREFIX}/knowledge-bases", json={"name": "Handbook"})).json()["id"]
    made = Library(cast, client, base)
    await made.put(FIRST)
    await made.put(SECOND)
    return made


async def test_the_history_names_who_made_each_version_and_what_changed(library: Library) -> None:
    new, old = await library.versions()
    assert [(each["number"], each["is_active"], each["created_by"]) for each in (new, old)] == [
        (2, True, "Ada"),
        (1, False, "Ada"),
    ]
    diff = await library.get(f"documents/{library.document}/versions/{old['id']}/diff/{new['id']}")
    changed = [(each["kind"], each["text"]) for hunk in diff["hunks"] for each in hunk["segments"]]
    assert ("removed", "ten") in changed and ("added", "twelve") in changed and ("added", "sixty") in changed
    assert (diff["added_words"], diff["removed_words"], diff["is_truncated"]) == (2, 2, False)
    text = await library.get(f"documents/{library.document}/text?version={old['id']}")
    assert text["text"] == FIRST


async def test_an_older_version_comes_back_on_top_and_a_later_upload_wins_over_it(library: Library) -> None:
    _, old = await library.versions()
    await library.post(f"documents/{library.document}/versions/{old['id']}/restore")
    assert "twelve" in await library.search("what is the fee?")
    await library.work()
    assert "ten euros" in await library.search("what is the fee?") and "twelve" not in await library.search("the fee")
    newest = (await library.versions())[0]
    assert (newest["number"], newest["restored_from"], newest["is_active"]) == (3, 1, True)
    again = await library.client.post(f"{PREFIX}/documents/{library.document}/versions/{newest['id']}/restore")
    assert again.status_code == 409
    await library.put(SECOND)
    assert [each["number"] for each in await library.versions()] == [4, 3, 2, 1]
    assert "twelve" in await library.search("what is the fee?")


async def test_what_is_hidden_stays_hidden_through_a_roll_back(library: Library) -> None:
    start = SECOND.index("Bring your card.")
    body = {"kind": "hide", "char_from": start, "char_to": start + 16}
    edit = await library.post(f"documents/{library.document}/edits", body)
    assert (edit["state"], edit["quote"], edit["created_by"]) == ("applied", "Bring your card.", "Ada")
    _, old = await library.versions()
    await library.post(f"documents/{library.document}/versions/{old['id']}/restore")
    await library.work()
    shown = await library.search("desk opens bring your card fee")
    assert "Bring" not in shown and "ten euros" in shown and "opens at nine" in shown
    [listed] = (await library.get(f"documents/{library.document}/edits"))["items"]
    assert FIRST[listed["char_from"] : listed["char_to"]] == "Bring your card."
    assert (await library.client.delete(f"{PREFIX}/edits/{edit['id']}")).status_code == 204
    await library.work()
    assert "Bring your card." in await library.search("bring your card")


async def test_only_the_newest_versions_are_kept_and_the_one_in_use(library: Library) -> None:
    for number in range(KEPT):
        sent = {"texts": [{"text": f"Text number {number}.", "external_id": "fees"}]}
        await library.post(f"knowledge-bases/{library.base}/documents", sent)
    assert len(await library.versions()) == KEPT + 2
    usual = library.cast.context
    few = replace(usual, settings=usual.settings.model_copy(update={"kept_versions": KEPT}))
    forgotten = (await library.versions())[-1]["id"]
    assert await forget_old_versions(usual) == 0
    assert await forget_old_versions(few) == 1  # the second is in use, the rest is under way
    assert [each["number"] for each in await library.versions()][-2:] == [3, 2]
    gone = await library.client.get(f"{PREFIX}/documents/{library.document}/text?version={forgotten}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "version_gone")


async def test_a_question_and_answer_pair_is_found_by_its_question_and_can_be_changed(library: Library) -> None:
    pair = {"question": "Who is the lighthouse keeper?", "text": "Marta keeps it since May."}
    taken = await library.post(f"knowledge-bases/{library.base}/notes", pair)
    await library.work()
    assert "Marta" in await library.search("who keeps the lighthouse?")
    note = await library.get(f"notes/{taken['id']}")
    assert (note["title"], note["question"], note["edit"], note["status"]) == (pair["question"],) * 2 + (None, "ready")
    changed = await library.client.put(f"{PREFIX}/notes/{taken['id']}", json=pair | {"text": "Olaf keeps it."})
    assert changed.status_code == 202
    await library.work()
    shown = await library.search("who keeps the lighthouse?")
    assert "Olaf" in shown and "Marta" not in shown
    [listed] = (await library.get(f"knowledge-bases/{library.base}/notes"))["items"]
    assert (listed["id"], listed["text"]) == (taken["id"], "Olaf keeps it.")
    assert (await library.client.get(f"{PREFIX}/notes/{library.document}")).status_code == 404


async def test_a_correction_can_be_changed_and_keeps_what_it_stands_for(library: Library) -> None:
    start = SECOND.index("twelve")
    body = {"kind": "correct", "char_from": start, "char_to": start + 6, "text": "eleven"}
    edit = await library.post(f"documents/{library.document}/edits", body)
    await library.work()
    assert edit["text"] == "The fee is eleven euros." and "eleven" in await library.search("what is the fee?")
    asked = {"message": "How many euros is the fee?", "stream": False}
    [cited] = (await library.post(f"knowledge-bases/{library.base}/chat", asked))["citations"]
    assert (cited["document_id"], cited["corrected_by"], cited["corrected_at"]) == (
        edit["note_id"], "Ada", edit["created_at"],
    )  # fmt: skip
    asked["message"] = "When does the desk open?"
    [cited] = (await library.post(f"knowledge-bases/{library.base}/chat", asked))["citations"]
    assert (cited["document_id"], cited["corrected_by"], cited["corrected_at"]) == (library.document, None, None)
    await library.client.put(f"{PREFIX}/notes/{edit['note_id']}", json={"text": "There is no fee."})
    await library.work()
    shown = await library.search("what is the fee?")
    assert "no fee" in shown and "eleven" not in shown and "twelve" not in shown
    note = await library.get(f"notes/{edit['note_id']}")
    assert (note["title"], note["corrects"], note["edit"]["text"]) == (
        "Fees (corrected)", library.document, "There is no fee.",
    )  # fmt: skip


@pytest.mark.parametrize("how", ["reattach", "keep", "drop"])
async def test_a_conflict_is_listed_and_resolved(library: Library, how: str) -> None:
    start = SECOND.index("twelve")
    body = {"kind": "correct", "char_from": start, "char_to": start + 6, "text": "eleven"}
    edit = await library.post(f"documents/{library.document}/edits", body)
    early = await library.client.post(f"{PREFIX}/edits/{edit['id']}/resolve", json={"how": "drop"})
    assert early.status_code == 409
    after = "Entry costs a lot.\n\nThe desk opens at nine."
    await library.put(after)
    [conflict] = (await library.get(f"knowledge-bases/{library.base}/conflicts"))["items"]
    assert (conflict["id"], conflict["state"], conflict["reason"]) == (edit["id"], "conflict", "not_found")
    assert conflict["now"] is None
    place = {"char_from": 0, "char_to": 18} if how == "reattach" else {}
    resolved = await library.post(f"edits/{edit['id']}/resolve", {"how": how, **place})
    await library.work()
    assert (await library.get(f"knowledge-bases/{library.base}/conflicts"))["items"] == []
    shown = await library.search("what does entry cost, what is the fee?")
    assert ("eleven" in shown) == (how != "drop")
    assert ("costs a lot" in shown) == (how != "reattach")
    assert (resolved["edit"] is not None) == (how == "reattach")


async def test_edits_and_uploads_at_once_lose_nothing(library: Library) -> None:
    """Hiding, undoing and new versions race with the worker; the last state of each is what is searched."""
    start = SECOND.index("Bring your card.")
    body = {"kind": "hide", "char_from": start, "char_to": start + 16}

    async def hide() -> None:
        await library.post(f"documents/{library.document}/edits", body)

    async def upload() -> None:
        sent = {"texts": [{"text": f"News.\n\n{SECOND}", "external_id": "fees", "title": "Fees"}]}
        await library.post(f"knowledge-bases/{library.base}/documents", sent)

    await asyncio.gather(hide(), upload(), library.work())
    await library.work()
    shown = await library.search("bring your card desk news")
    assert "Bring" not in shown and "News" in shown
    [edit] = (await library.get(f"documents/{library.document}/edits"))["items"]
    assert edit["state"] == "applied"
