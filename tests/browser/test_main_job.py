"""The main job as a person does it: set up, drop documents, watch, ask, open the source, sign out."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from reportlab.pdfgen.canvas import Canvas

from tests.browser.conftest import EMAIL, PASSWORD, Product

pytestmark = pytest.mark.browser

HANDBOOK = """# Travel handbook

## Trains

Employees book trains in second class. The night train to Vienna needs the approval of the team lead.

## Hotels

The limit for a hotel room is 140 euros per night. Breakfast is paid by the company.
"""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A Markdown file, a PDF of two pages, and a file that cannot be read."""
    handbook = tmp_path / "handbook.md"
    handbook.write_text(HANDBOOK)
    canvas = Canvas(str(tmp_path / "parking.pdf"))
    canvas.drawString(72, 720, "Parking rules of the head office. Visitors park behind the building.")
    canvas.showPage()
    canvas.drawString(72, 720, "The parking garage in Lindenstrasse closes at eleven in the evening.")
    canvas.showPage()
    canvas.save()
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\n" + b"no objects at all " * 40)
    return [str(handbook), str(tmp_path / "parking.pdf"), str(broken)]


def test_from_the_printed_link_to_a_checked_answer(
    page: Page, product: Product, files: list[str], complaints: list[str]
) -> None:
    _set_up(page, product)
    _make_knowledge_base(page, "Office")
    _upload(page, files)
    _ask(page, "What is the limit for a hotel room?")
    answer = page.locator(".reply").last
    expect(answer).to_contain_text("140 euros")
    answer.get_by_role("button", name=re.compile("^Source 1")).first.click()
    panel = page.get_by_role("complementary", name="Source")
    expect(panel.locator("mark")).to_contain_text("The limit for a hotel room is 140 euros per night.")
    expect(panel).to_contain_text("Breakfast is paid")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    _ask(page, "When does the parking garage close?")
    page.locator(".reply").last.get_by_role("button", name=re.compile("^Source 1")).first.click()
    expect(panel).to_contain_text("page 2")
    link = panel.get_by_role("link", name="Open the original")
    assert (link.get_attribute("href") or "").endswith("/original#page=2")
    _check_original(page, product, link.get_attribute("href") or "")
    _sign_out(page, product)
    assert complaints == []


def _set_up(page: Page, product: Product) -> None:
    page.goto(product.setup_link)
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Create the owner account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome, Ada Lovelace")
    assert "#" not in page.url
    page.go_back()
    expect(page.get_by_text("This server has its owner already.")).to_be_visible()
    assert "#" not in page.url
    page.go_forward()
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome, Ada Lovelace")


def _make_knowledge_base(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Knowledge").click()
    page.get_by_role("button", name="New knowledge base").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def _upload(page: Page, files: list[str]) -> None:
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Choose files").click()
    chosen.value.set_files(files)
    uploads = page.get_by_role("list", name="Uploads")
    expect(uploads.get_by_role("listitem")).to_have_count(3)
    expect(uploads.get_by_role("progressbar").first).to_have_attribute("aria-valuenow", "100")
    rows = page.get_by_role("table", name="Documents").get_by_role("row")
    expect(rows.filter(has_text="ready")).to_have_count(2, timeout=60_000)
    failed = rows.filter(has_text="broken.pdf")
    expect(failed).to_contain_text("failed", timeout=60_000)
    expect(failed).to_contain_text("damaged")
    expect(failed.get_by_role("button", name="Retry")).to_be_visible()
    failed.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(failed).to_have_count(0)
    page.get_by_role("link", name="Ask it").click()


def _ask(page: Page, question: str) -> None:
    before = page.locator(".reply-foot").count()
    field = page.get_by_label("Question", exact=True)
    expect(field).to_be_enabled()
    field.fill(question)
    field.press("Enter")
    expect(page.locator(".reply-foot")).to_have_count(before + 1)
    expect(page.get_by_role("status").filter(has_text="Answer:")).to_have_count(1)


def _check_original(page: Page, product: Product, href: str) -> None:
    cookies = {each["name"]: each["value"] for each in page.context.cookies()}
    answer = httpx.get(product.address + href.partition("#")[0], cookies=cookies, trust_env=False)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert httpx.get(product.address + href.partition("#")[0], trust_env=False).status_code == 401


def _sign_out(page: Page, product: Product) -> None:
    old = {each["name"]: each["value"] for each in page.context.cookies()}
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto(f"{product.address}/chat")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    session = httpx.get(f"{product.address}/api/v1/auth/session", cookies=old, trust_env=False)
    assert session.status_code == 401
