"""Another passage size from the console: what it would take, its making, taking over, the way back, and the end."""

from contextlib import suppress
from itertools import cycle, islice

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product

pytestmark = pytest.mark.browser
WORDS = ("harbour", "lantern", "meadow", "copper", "willow", "granite", "orchard", "signal", "timber", "valley")


def knowledge_base(product: Product, owner: dict[str, str]) -> str:
    """A knowledge base with a few texts of several passages."""
    headers = {"Origin": product.address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=f"{product.address}/api/v1", headers=headers, cookies=owner, trust_env=False) as client:
        base = str(client.post("/knowledge-bases", json={"name": "Another size"}).json()["id"])
        texts = [{"title": f"Report {n}", "text": story(n)} for n in range(6)]
        assert client.post(f"/knowledge-bases/{base}/documents", json={"texts": texts}).status_code == 202
    return base


def story(number: int) -> str:
    """Paragraphs that differ from those of every other number."""
    return "\n\n".join(
        f"Report {number} part {place}. " + " ".join(islice(cycle(WORDS[number % 7 :]), 80)) for place in range(6)
    )


def test_another_size_takes_over_and_there_is_a_way_back(
    signed_in: Page, product: Product, owner: dict[str, str], complaints: list[str]
) -> None:
    page = signed_in
    base = knowledge_base(product, owner)
    page.goto(f"{product.address}/knowledge/{base}")
    expect(page.get_by_text("6 documents")).to_be_visible()
    expect(page.get_by_text("on the way")).to_have_count(0)
    page.get_by_role("tab", name="Settings").click()
    page.get_by_role("button", name="Change embedding model or passage size").click()
    page.get_by_label("Passage size in tokens").fill("100")
    page.get_by_role("button", name="What would it take?").click()
    expect(page.get_by_text("Tokens to embed")).to_be_visible()
    page.get_by_role("button", name="Build it").click()
    page.get_by_role("button", name="Compare…").first.click()
    page.get_by_label("Questions, one per line").fill("harbour lantern\nReport 3")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("On 2 questions of yours").first).to_be_visible()
    page.get_by_role("button", name="Use the new one").click()
    expect(page.get_by_text("passages of about 100 tokens (75 words)").first).to_be_visible()
    expect(page.get_by_role("heading", name="The way back")).to_be_visible()
    page.get_by_role("button", name="Go back to this one").click()
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(page.get_by_text("passages of about 220 tokens").first).to_be_visible()
    # The list is drawn anew while it is looked at; a press may meet a button that is on its way out.
    for _ in range(5):
        page.get_by_role("button", name="Drop", exact=True).first.click()
        with suppress(AssertionError):
            expect(page.get_by_role("button", name="Drop it")).to_be_visible(timeout=4_000)
            break
    page.get_by_role("button", name="Drop it").click()
    expect(page.get_by_role("heading", name="The way back")).to_have_count(0)
    assert complaints == []
