"""Several people: an invitation by link, what a viewer sees, a restricted knowledge base, a reset, a removal."""

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import Product, watched

pytestmark = pytest.mark.browser

PASSWORD = "another four unrelated words"


def main_link(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()


def invite(owner: Page, email: str) -> str:
    main_link(owner, "People")
    owner.get_by_role("button", name="Invite").click()
    owner.get_by_label("E-mail").fill(email)
    owner.get_by_label("Role").last.select_option("viewer")
    owner.get_by_role("button", name="Make the link").click()
    link = owner.get_by_label("Link", exact=True).input_value()
    assert re.search(r"/invite#\S{20,}$", link)
    return link


def join(context: BrowserContext, link: str, complaints: list[str]) -> Page:
    page = watched(context.new_page(), complaints)
    page.goto(link)
    page.get_by_label("Your name").fill("Victor Viewer")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD + "x")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("alert")).to_contain_text("not the same")
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_text("Victor Viewer").first).to_be_visible()
    return page


def test_a_viewer_joins_sees_what_is_open_and_leaves(
    signed_in: Page, browser: Browser, product: Product, complaints: list[str]
) -> None:
    for name in ("Open to all", "Board only"):
        signed_in.goto(f"{product.address}/knowledge")
        signed_in.get_by_role("button", name="New knowledge base").first.click()
        signed_in.get_by_label("Name").fill(name)
        signed_in.get_by_role("button", name="Create").click()
        expect(signed_in.get_by_role("heading", level=1)).to_have_text(name)
    signed_in.get_by_role("tab", name="Settings").click()
    signed_in.get_by_label(re.compile("Only named people")).click()
    expect(signed_in.get_by_role("checkbox", name="Ada Lovelace")).to_be_checked()
    link = invite(signed_in, "victor@example.com")
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    viewer = join(context, link, complaints)
    _see_as_viewer(viewer)
    _remove(signed_in, viewer)
    again = context.new_page()
    again.goto(link)
    expect(again.get_by_text(re.compile("used|no longer works|expired")).first).to_be_visible()
    expect(again.get_by_label("Your name")).to_have_count(0)
    context.close()
    # A refused form and a socket that the server closes are complaints of the browser too.
    assert [each for each in complaints if "WebSocket" not in each and "Failed to load resource" not in each] == []


def _see_as_viewer(viewer: Page) -> None:
    main_link(viewer, "Knowledge")
    expect(viewer.get_by_role("link", name=re.compile("Open to all"))).to_be_visible()
    expect(viewer.get_by_role("link", name=re.compile("Board only"))).to_have_count(0)
    expect(viewer.get_by_role("button", name="New knowledge base")).to_have_count(0)
    expect(viewer.get_by_role("link", name="People")).to_have_count(0)
    viewer.get_by_role("link", name=re.compile("Open to all")).click()
    expect(viewer.get_by_role("heading", level=1)).to_have_text("Open to all")
    expect(viewer.get_by_role("button", name="Choose files")).to_have_count(0)
    expect(viewer.get_by_role("tab", name="Settings")).to_have_count(0)
    main_link(viewer, "Models")
    expect(viewer.get_by_role("heading", name="Default models")).to_be_visible()
    expect(viewer.get_by_role("button", name="Save")).to_have_count(0)
    main_link(viewer, "Account")
    viewer.get_by_label("Current password").fill("wrong password")
    viewer.get_by_label("New password", exact=True).fill(PASSWORD + " more")
    viewer.get_by_label("New password again").fill(PASSWORD + " more")
    viewer.get_by_role("button", name="Change the password").click()
    expect(viewer.get_by_role("alert").filter(has_text="current password is wrong")).to_be_visible()
    viewer.get_by_label("Current password").fill(PASSWORD)
    viewer.get_by_role("button", name="Change the password").click()
    expect(viewer.get_by_text("The password was changed.")).to_be_visible()
    viewer.reload()
    expect(viewer.get_by_role("heading", level=1)).to_have_text("Account")


def _remove(owner: Page, viewer: Page) -> None:
    owner.reload()
    row = owner.get_by_role("row").filter(has_text="victor@example.com")
    row.get_by_role("button", name="Make a link for a new password").click()
    assert "/reset#" in owner.get_by_label("Link", exact=True).input_value()
    row.get_by_role("button", name="Remove").click()
    owner.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    expect(viewer.get_by_role("heading", level=1)).to_have_text("Sign in")
