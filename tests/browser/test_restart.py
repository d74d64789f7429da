"""The web process dies under an open page: the page comes back by itself, and what was typed is not lost."""

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product

pytestmark = pytest.mark.browser


def test_an_open_page_outlives_the_web_process(signed_in: Page, product: Product) -> None:
    signed_in.goto(f"{product.address}/knowledge")
    expect(signed_in.get_by_role("heading", level=1)).to_have_text("Knowledge")
    expect(signed_in.get_by_role("status", name="Loading")).to_have_count(0)
    signed_in.get_by_role("button", name="New knowledge base").first.click()
    signed_in.get_by_label("Name").fill("Typed before the fall")
    children = psutil.Process(product.pid).children(recursive=True)
    [web] = [each for each in children if "rag_app.launcher" in " ".join(each.cmdline())]
    web.kill()
    web.wait(10)
    # The supervisor keeps the listening socket: the browser waits in its queue until the next process takes it up.
    signed_in.get_by_role("button", name="Create").click()
    expect(signed_in.get_by_role("heading", level=1)).to_have_text("Typed before the fall", timeout=90_000)
