"""A passage hidden and corrected in the browser, its history, a note and a conflict."""

import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product

FIRST = (
    "Goods may be returned within thirty days. Ask the desk for a label.\n\n"
    "The refund is paid within five working days. The override code is zebra nine."
)
# Words of the first passage, selected as with the mouse.
SELECT = """(words) => {
  const text = document.querySelector(".cutting .passage").firstChild;
  const start = text.data.indexOf(words);
  getSelection().setBaseAndExtent(text, start, text, start + words.length);
}"""


class Desk:
    """A knowledge base with one document, over REST."""

    def __init__(self, product: Product, owner: dict[str, str]) -> None:
        headers = {"Origin": product.address, "Sec-Fetch-Site": "same-origin"}
        self.client = httpx.Client(
            base_url=f"{product.address}/api/v1", headers=headers, cookies=owner, trust_env=False, timeout=30
        )
        made = self.client.post("/knowledge-bases", json={"name": f"Returns desk {uuid4().hex[:6]}"}).raise_for_status()
        self.base = made.json()["id"]
        self.document = ""

    def put(self, body: str) -> None:
        """A version of the document, waited for."""
        sent = {"texts": [{"text": body, "external_id": "returns", "title": "Returns"}]}
        taken = self.client.post(f"/knowledge-bases/{self.base}/documents", json=sent).raise_for_status()
        self.document = taken.json()["items"][0]["id"]
        end = time.monotonic() + 60
        while time.monotonic() < end:
            card = self.client.get(f"/documents/{self.document}").json()
            if card["status"] == "ready" and card["update"] is None:
                return
            time.sleep(0.2)
        raise AssertionError("the document is not ready")

    def found(self, query: str) -> str:
        """All that a search shows."""
        answer = self.client.post(f"/knowledge-bases/{self.base}/search", json={"query": query}).raise_for_status()
        return "\n".join(each["text"] for each in answer.json()["passages"])


@pytest.fixture
def desk(product: Product, owner: dict[str, str]) -> Iterator[Desk]:
    """A desk of this test's own."""
    made = Desk(product, owner)
    yield made
    made.client.close()


def test_a_passage_is_hidden_corrected_and_shown_again(
    signed_in: Page, product: Product, desk: Desk, complaints: list[str]
) -> None:
    page = signed_in
    desk.put(FIRST)
    page.goto(f"{product.address}/documents/{desk.document}?tab=cut")
    page.get_by_role("button", name="Hide passage 1").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Nothing is marked: the whole passage will be hidden.")).to_be_visible()
    page.keyboard.press("Escape")
    page.evaluate(SELECT, "The override code is zebra nine.")
    page.get_by_role("button", name="Hide passage 1").click()
    expect(dialog.get_by_role("status")).to_have_text("Will be hidden: “The override code is zebra nine.”")
    page.keyboard.press("Control+End")
    page.keyboard.type("nothing is written here")
    for _ in range(len(" is zebra nine.")):
        page.keyboard.press("Shift+ArrowLeft")
    expect(dialog.get_by_role("status")).to_have_text("Will be hidden: “is zebra nine.”")
    dialog.get_by_role("button", name="Hide", exact=True).click()
    expect(page.get_by_role("heading", name="Hidden and corrected")).to_be_visible()
    assert "zebra" not in desk.found("what is the override code?")
    expect(page.get_by_text("Being made searchable")).to_have_count(0)
    assert "override code" in desk.found("what is the override code?")
    page.evaluate(SELECT, "five")
    page.get_by_role("button", name="Correct passage 1").click()
    editor = page.get_by_label("What it should say")
    expect(editor).to_be_focused()
    page.keyboard.type("two")
    page.get_by_role("dialog").get_by_role("button", name="Correct").click()
    expect(page.get_by_text("The refund is paid within two working days.")).to_be_visible()
    expect(page.get_by_text("Being made searchable")).to_have_count(0)
    page.get_by_role("link", name="Open the note").click()
    expect(page.get_by_text("This note is answered from instead of a part of")).to_be_visible()
    page.get_by_role("link", name="Returns", exact=True).click()
    expect(page.get_by_role("tab", name="How it was cut")).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="Undo").last.click()
    expect(page.get_by_role("button", name="Undo")).to_have_count(1)
    assert complaints == []


def test_an_older_version_is_compared_brought_back_and_undone(
    signed_in: Page, product: Product, desk: Desk, complaints: list[str]
) -> None:
    page = signed_in
    desk.put(FIRST)
    desk.put(FIRST.replace("thirty", "sixty"))
    page.goto(f"{product.address}/documents/{desk.document}")
    page.get_by_role("tab", name="History").click()
    page.get_by_role("button", name="What changed").click()
    expect(page.get_by_role("dialog").locator("del")).to_have_text("thirty")
    expect(page.get_by_role("dialog").locator("ins")).to_have_text("sixty")
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Bring back").click()
    expect(page.get_by_text("Version 3", exact=True)).to_be_visible()
    expect(page.get_by_text("brought back from version 1")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("brought back from version 2")).to_be_visible()
    assert complaints == []


def test_a_note_is_added_and_a_conflict_is_kept_as_a_note(
    signed_in: Page, product: Product, desk: Desk, complaints: list[str]
) -> None:
    page = signed_in
    desk.put(FIRST)
    start = FIRST.index("five")
    edit = {"kind": "correct", "char_from": start, "char_to": start + 4, "text": "two"}
    desk.client.post(f"/documents/{desk.document}/edits", json=edit).raise_for_status()
    desk.put("Everything is new.")
    page.goto(f"{product.address}/knowledge/{desk.base}")
    page.get_by_role("tab", name="Conflicts (1)").click()
    expect(page.get_by_text("The words are not in the document any more.")).to_be_visible()
    page.get_by_role("button", name="Keep as a note").click()
    expect(page.get_by_role("heading", name="No conflicts")).to_be_visible()
    page.get_by_role("tab", name="Notes").click()
    page.get_by_role("button", name="Question and answer").click()
    page.get_by_role("textbox", name="Question").fill("Who keeps the lighthouse?")
    page.get_by_role("textbox", name="Answer").fill("Marta keeps it.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Marta keeps it.")).to_be_visible()
    expect(page.get_by_text("being made searchable")).to_have_count(0)
    expect(page.locator("header.page-head").get_by_text("3 documents")).to_be_visible()
    assert "Marta" in desk.found("who keeps the lighthouse?")
    assert complaints == []
