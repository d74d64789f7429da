"""Adding documents: dropped, known already, unreadable, pasted, and from an address that is not opened."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product

pytestmark = pytest.mark.browser

DROP = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, text] of files) transfer.items.add(new File([text], name));
  const zone = document.querySelector('.drop');
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    zone.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: transfer}));
  }
}"""


def drop(page: Page, *files: tuple[str, str]) -> None:
    page.evaluate(DROP, [list(each) for each in files])


@pytest.fixture
def opened(signed_in: Page, product: Product, request: pytest.FixtureRequest) -> Page:
    """A fresh knowledge base."""
    name = f"Pile of {request.node.name}"
    signed_in.goto(f"{product.address}/knowledge")
    signed_in.get_by_role("button", name="New knowledge base").first.click()
    signed_in.get_by_label("Name").fill(name)
    signed_in.get_by_role("button", name="Create").click()
    expect(signed_in.get_by_role("heading", level=1)).to_have_text(name)
    return signed_in


def test_files_are_dropped_known_or_refused(opened: Page) -> None:
    uploads = opened.get_by_role("list", name="Uploads").get_by_role("listitem")
    rows = opened.get_by_role("table", name="Documents").get_by_role("row")
    drop(opened, ("one.txt", "The first file speaks of tulips."), ("two.md", "# Two\n\nThe second speaks of roses."))
    expect(uploads.filter(has_text="added")).to_have_count(2)
    expect(rows.filter(has_text="ready")).to_have_count(2, timeout=60_000)
    drop(opened, ("same.txt", "The first file speaks of tulips."), ("program.exe", "MZ\x00\x01\x02 not text"))
    expect(uploads.filter(has_text="already there")).to_have_count(1)
    refused = uploads.filter(has_text="program.exe")
    expect(refused).to_contain_text("refused")
    expect(refused.locator(".why")).not_to_be_empty()
    expect(rows.filter(has_text="ready")).to_have_count(2)
    opened.get_by_placeholder("Search titles").fill("two")
    expect(rows).to_have_count(2)
    opened.get_by_label("State").select_option("failed")
    expect(opened.get_by_role("heading", name="Nothing found")).to_be_visible()


def test_text_is_pasted_and_a_private_address_is_not_opened(opened: Page) -> None:
    rows = opened.get_by_role("table", name="Documents").get_by_role("row")
    opened.get_by_role("button", name="Paste text").click()
    opened.get_by_label("Title").fill("Opening hours")
    opened.get_by_label("Text", exact=True).fill("The shop opens at nine and closes at six.")
    opened.get_by_role("button", name="Add", exact=True).click()
    expect(rows.filter(has_text="Opening hours")).to_contain_text("ready", timeout=60_000)
    opened.get_by_role("button", name="Web address").click()
    opened.get_by_label("Addresses").fill("http://169.254.169.254/latest/meta-data")
    opened.get_by_role("button", name="Add", exact=True).click()
    refused = opened.get_by_text(re.compile("private or reserved"))
    expect(refused.first).to_be_visible(timeout=60_000)


def test_retrieval_can_be_tried(opened: Page) -> None:
    drop(opened, ("bees.txt", "Bees make honey.\n\nThe queen lays eggs."), ("cars.txt", "Cars need fuel."))
    rows = opened.get_by_role("table", name="Documents").get_by_role("row")
    expect(rows.filter(has_text="ready")).to_have_count(2, timeout=60_000)
    opened.get_by_role("tab", name="Test retrieval").click()
    opened.get_by_label("Question").fill("Who makes honey?")
    opened.get_by_role("button", name="Search", exact=True).click()
    found = opened.get_by_role("status").get_by_role("listitem")
    expect(found.first).to_contain_text("Bees make honey.")
    expect(found.first).to_contain_text("words #1")
    expect(opened.get_by_label("Timings")).to_contain_text("in all")
