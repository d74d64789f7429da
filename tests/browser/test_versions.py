"""A changed file in the browser: asked about by name, given to its document; the page follows what is in use."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product
from tests.browser.test_edits import Desk
from tests.browser.test_upload import drop

pytestmark = pytest.mark.browser

OLD = "Goods may be returned within thirty days of delivery."
NEW = "Goods may be returned within sixty days of delivery."


@pytest.fixture
def desk(product: Product, owner: dict[str, str]) -> Iterator[Desk]:
    """A knowledge base of this test's own."""
    made = Desk(product, owner)
    yield made
    made.client.close()


def test_a_file_of_the_same_name_is_a_new_version_or_kept_beside(
    signed_in: Page, product: Product, desk: Desk, complaints: list[str]
) -> None:
    page = signed_in
    page.goto(f"{product.address}/knowledge/{desk.base}")
    uploads = page.get_by_role("list", name="Uploads").get_by_role("listitem")
    rows = page.get_by_role("table", name="Documents").get_by_role("row").filter(has_text="ready")
    expect(page.get_by_role("heading", name="No documents yet")).to_be_visible()
    drop(page, ("policy.txt", OLD))
    expect(rows).to_have_count(1, timeout=60_000)
    drop(page, ("policy.txt", NEW))
    asked = page.get_by_role("button", name="New version of it")
    expect(asked).to_be_visible()
    asked.click()
    expect(uploads.first).to_contain_text("new version")
    expect(rows).to_have_count(1)
    drop(page, ("policy.txt", f"{OLD} Ask the desk."))
    page.get_by_role("button", name="Keep both").click()
    expect(rows).to_have_count(2, timeout=60_000)
    # What the server refuses is a complaint of the browser too.
    assert [each for each in complaints if "422" not in each] == []


def test_the_page_of_a_document_follows_its_newest_version(
    signed_in: Page, product: Product, desk: Desk, complaints: list[str], tmp_path: Path
) -> None:
    page = signed_in
    form = {"files": (f"policy-{uuid4().hex[:6]}.txt", OLD.encode())}
    sent = desk.client.post(f"/knowledge-bases/{desk.base}/documents", files=form).raise_for_status()
    page.goto(f"{product.address}/documents/{sent.json()['items'][0]['id']}")
    expect(page.get_by_text(OLD)).to_be_visible()
    changed = tmp_path / "policy.txt"
    changed.write_text(NEW)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload a new version").click()
    chooser.value.set_files(changed)
    expect(page.get_by_text(NEW)).to_be_visible()
    page.get_by_role("tab", name="How it was cut").click()
    page.get_by_role("button", name="Correct passage 1").click()
    editor = page.get_by_label("What it should say")
    before = editor.input_value()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("tab", name="History").click()
    page.get_by_role("button", name="Bring back").click()
    expect(page.get_by_text("Version 3", exact=True)).to_be_visible()
    page.get_by_role("tab", name="How it was cut").click()
    expect(page.locator(".cutting")).to_contain_text("thirty")
    page.get_by_role("button", name="Correct passage 1").click()
    expect(editor).not_to_have_value(before)
    expect(editor).to_have_value(OLD)
    assert complaints == []
