"""Every page: without complaints of the browser, usable at 320 pixels, in both colours, by keyboard and by name."""

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Product, watched

pytestmark = pytest.mark.browser

PAGES = ("/welcome", "/knowledge", "/bots", "/models", "/people", "/account", "/chat")
GATES = ("/sign-in", "/setup#x", "/invite#x", "/reset#x", "/nothing-here")

# Everything that can be operated must have a name, and every picture a text.
NAMELESS = """() => [...document.querySelectorAll('button, a[href], input, select, textarea, [role=tab]')]
  .filter((el) => el.checkVisibility() && el.type !== 'hidden')
  .filter((el) => !(el.getAttribute('aria-label') || el.innerText?.trim() || el.title || el.labels?.length))
  .map((el) => el.outerHTML.slice(0, 120))"""

# Contrast of text against the nearest background that is not transparent, by the formula of WCAG 2.
FAINT = """() => {
  const rgb = (text) => { const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    c.fillStyle = text; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => {
    const f = (v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
    return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const ground = (el) => { for (let e = el; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (rgb(c)[3] === 255) return rgb(c); } return [255, 255, 255, 255]; };
  const found = new Set();
  for (const el of document.querySelectorAll('body *')) {
    const own = [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !el.checkVisibility() || el.closest('[disabled], .sr, option')) continue;
    const a = light(rgb(getComputedStyle(el).color)), b = light(ground(el));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const text = el.textContent.trim().slice(0, 30);
    if (ratio < 4.5) found.add(`${ratio.toFixed(2)} ${el.tagName}.${el.className} ${text}`);
  }
  return [...found];
}"""


def opened(page: Page, product: Product, path: str) -> None:
    page.goto(product.address + path)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    page.wait_for_timeout(300)
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)


@pytest.fixture(scope="session")
def knowledge(product: Product, owner: dict[str, str]) -> list[str]:
    """Addresses of a knowledge base and of its document."""
    headers = {"Origin": product.address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=product.address, headers=headers, cookies=owner, trust_env=False) as client:
        base = client.post("/api/v1/knowledge-bases", json={"name": "For the pages"}).json()["id"]
        texts = {
            "texts": [
                {"title": "A title " + "that is long " * 8, "text": "# Heading\n\n| a | b |\n|---|---|\n| 1 | 2 |"}
            ]
        }
        document = client.post(f"/api/v1/knowledge-bases/{base}/documents", json=texts).json()["items"][0]["id"]
    return [f"/knowledge/{base}", f"/documents/{document}"]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_page_is_sound(
    browser: Browser, product: Product, owner: dict[str, str], knowledge: list[str], colours: str
) -> None:
    problems: list[str] = []
    complaints: list[str] = []
    width = 320 if colours == "light" else 1280
    scheme = "light" if colours == "light" else "dark"
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]  # one of two words
    context.add_cookies([{"name": name, "value": value, "url": product.address} for name, value in owner.items()])
    page = watched(context.new_page(), complaints)
    for path in (*PAGES, *knowledge, *GATES):
        opened(page, product, path)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            problems.append(f"{path}: wider than the window")
        problems += [f"{path}: no name: {each}" for each in page.evaluate(NAMELESS)]
        problems += [f"{path}: faint: {each}" for each in page.evaluate(FAINT)]
    context.close()
    assert problems == []
    assert [each for each in complaints if "404" not in each] == []


def test_tab_reaches_the_content_first_by_the_skip_link(signed_in: Page, product: Product) -> None:
    opened(signed_in, product, "/knowledge")
    signed_in.keyboard.press("Tab")
    expect(signed_in.get_by_role("link", name="Skip to content")).to_be_focused()
    signed_in.keyboard.press("Enter")
    assert signed_in.url.endswith("#content")


def test_the_palette_finds_a_place(signed_in: Page, product: Product, knowledge: list[str]) -> None:
    opened(signed_in, product, "/account")
    expect(signed_in.get_by_role("button", name="Go to… Ctrl K")).to_be_visible()
    signed_in.keyboard.press("Control+k")
    signed_in.get_by_role("combobox", name="Go to").fill("for the pa")
    expect(signed_in.get_by_role("option", selected=True)).to_contain_text("For the pages")
    signed_in.keyboard.press("Enter")
    signed_in.wait_for_url(f"**{knowledge[0]}")


def test_a_dialog_keeps_the_focus_and_gives_it_back(signed_in: Page, product: Product) -> None:
    opened(signed_in, product, "/knowledge")
    button = signed_in.get_by_role("button", name="New knowledge base").first
    button.click()
    expect(signed_in.get_by_role("dialog").get_by_label("Name")).to_be_focused()
    signed_in.keyboard.press("Escape")
    expect(signed_in.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()


def test_a_stranger_is_sent_to_the_sign_in_page_and_back(page: Page, product: Product, owner: dict[str, str]) -> None:
    del owner
    page.goto(f"{product.address}/account")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill("wrong password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("Password").fill("four unrelated words here")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Account")
