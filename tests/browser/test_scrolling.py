"""Where the chat stands while somebody asks and reads: at the end, unless they scrolled up to read something else."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product
from tests.provider_double import Answer

pytestmark = pytest.mark.browser
LONG = "\n\n".join(f"Paragraph {n} of a long answer." for n in range(40))
LEFT = "el => Math.round(el.scrollHeight - el.scrollTop - el.clientHeight)"


@pytest.fixture
def bot(product: Product, owner: dict[str, str]) -> Iterator[str]:
    """A bot that answers through the provider double; gives its address in the chat."""
    headers = {"Origin": product.address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=product.address, headers=headers, cookies=owner, trust_env=False) as client:
        entry = {"provider": "compatible", "base_url": product.provider.base_url, "api_key": "sk-double"}
        assert client.post("/api/v1/providers", json=entry).status_code in (201, 409)
        new = {"name": "Scroller", "model": "compatible/double-large", "knowledge_base_ids": []}
        made = client.post("/api/v1/bots", json=new).json()["id"]
        product.provider.reset()
        yield f"{product.address}/chat?bot={made}"
        assert client.delete(f"/api/v1/bots/{made}").status_code == 204


def ask(page: Page, question: str) -> None:
    field = page.get_by_label("Question", exact=True)
    expect(field).to_be_enabled()
    field.fill(question)
    field.press("Enter")


def left(page: Page) -> Any:
    """Pixels below the view."""
    return page.get_by_role("log").evaluate(LEFT)


def feet(page: Page, count: int) -> None:
    expect(page.locator(".reply-foot")).to_have_count(count)


def test_the_view_follows_an_answer_and_a_question_brings_the_end_back(
    signed_in: Page, product: Product, bot: str, complaints: list[str]
) -> None:
    product.provider.script(Answer(LONG, tokens_per_s=400), Answer(LONG, tokens_per_s=400))
    signed_in.goto(bot)
    for count in (1, 2):
        ask(signed_in, f"Tell me something long, number {count}")
        feet(signed_in, count)
        expect(signed_in.locator(".reply-foot").last).to_be_in_viewport(ratio=1)
        assert left(signed_in) <= 1
        expect(signed_in.get_by_role("button", name="Latest")).to_have_count(0)
        signed_in.get_by_role("log").hover()
        signed_in.mouse.wheel(0, -600)
        expect(signed_in.get_by_role("button", name="Latest")).to_be_visible()
    text, button = signed_in.get_by_role("log").bounding_box(), signed_in.get_by_role("button", name="Latest")
    place = button.bounding_box()
    assert text is not None and place is not None and place["y"] >= text["y"] + text["height"]
    product.provider.script(Answer("word " * 200, tokens_per_s=20))
    ask(signed_in, "And what now?")
    expect(signed_in.locator(".said").last).to_be_in_viewport(ratio=1)
    expect(signed_in.get_by_label("Answer under way")).to_contain_text("word word word")
    signed_in.keyboard.press("Escape")
    feet(signed_in, 3)
    expect(signed_in.locator(".reply-foot").last).to_be_in_viewport(ratio=1)
    assert complaints == []


def test_who_scrolls_up_while_an_answer_is_written_stays_there(signed_in: Page, product: Product, bot: str) -> None:
    product.provider.script(Answer(LONG, tokens_per_s=400), Answer(LONG, tokens_per_s=60))
    signed_in.goto(bot)
    ask(signed_in, "First")
    feet(signed_in, 1)
    ask(signed_in, "Second")
    expect(signed_in.get_by_label("Answer under way")).to_contain_text("Paragraph 4")
    signed_in.get_by_role("log").hover()
    signed_in.mouse.wheel(0, -700)
    expect(signed_in.get_by_role("button", name="Latest")).to_be_visible()
    top = signed_in.get_by_role("log").evaluate("el => el.scrollTop")
    feet(signed_in, 2)
    assert signed_in.get_by_role("log").evaluate("el => el.scrollTop") == pytest.approx(top, abs=2)
    signed_in.get_by_role("button", name="Latest").click()
    expect(signed_in.locator(".reply-foot").last).to_be_in_viewport(ratio=1)
    expect(signed_in.get_by_role("button", name="Latest")).to_have_count(0)
