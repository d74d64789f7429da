"""Sources as a person adds them: a private repository and a bucket by their forms, their secrets never on the page."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Product
from tests.browser.test_pages import FAINT, NAMELESS
from tests.git_server import GitServer, Repository, needs_git
from tests.s3_server import ACCESS, REGION, SECRET, S3Server

pytestmark = [pytest.mark.browser, needs_git]
TOKEN = "a-t0ken"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    """A private repository with two documents."""
    with GitServer(tmp_path / "served") as made:
        repository = Repository.make(tmp_path / "served" / "handbook.git")
        repository.put("docs/salt.md", "# Salt\n\nSalt is mined in deep caves.")
        repository.put("docs/pepper.md", "# Pepper\n\nPepper grows on tall vines.")
        repository.put("README.md", "Read the folder docs.")
        repository.commit()
        repository.git("config", "core.bare", "false")
        made.token = TOKEN
        yield made


@pytest.fixture
def bucket() -> Iterator[S3Server]:
    """A bucket with one document."""
    with S3Server() as made:
        made.objects = {"handbook/thyme.md": b"# Thyme\n\nThyme grows on dry hills."}
        yield made


@pytest.fixture
def base(product: Product, owner: dict[str, str]) -> str:
    """An empty knowledge base."""
    headers = {"Origin": product.address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=product.address, headers=headers, cookies=owner, trust_env=False) as client:
        return str(client.post("/api/v1/knowledge-bases", json={"name": "Spices"}).json()["id"])


def entry(page: Page, name: str) -> Locator:
    """A field of the open form."""
    return page.locator(f"dialog[open] [name={name}]")


def asked_for(page: Page, kind: str) -> None:
    page.get_by_role("button", name="Add a source").click()
    entry(page, "kind").select_option(kind)


def move(page: Page, bucket: S3Server) -> None:
    """Give the source another address: what only the former one gave goes."""
    bucket.objects = {"manual/sage.md": b"# Sage\n\nSage grows in gardens."}
    page.get_by_role("button", name="Settings").click()
    expect(entry(page, "address")).to_have_value("s3://docs/handbook/")
    entry(page, "address").fill("s3://docs/manual/")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("removes what only the one before gave")).to_be_visible()
    page.get_by_role("button", name="Read now").click()
    expect(page.get_by_role("link", name="Sage")).to_be_visible()
    expect(page.get_by_role("link", name="Thyme")).to_have_count(0)


def test_a_private_repository_and_a_bucket_are_added_and_read(
    signed_in: Page, product: Product, base: str, server: GitServer, bucket: S3Server, complaints: list[str]
) -> None:
    page = signed_in
    page.goto(f"{product.address}/knowledge/{base}")
    page.get_by_role("tab", name="Sources").click()
    asked_for(page, "feed")
    page.locator("dialog[open] summary").click()
    expect(entry(page, "max_pages")).to_be_visible()
    expect(entry(page, "max_depth").or_(entry(page, "prefix"))).to_have_count(0)
    page.keyboard.press("Escape")
    asked_for(page, "git")
    entry(page, "address").fill(f"{server.address}/handbook.git/.git")
    entry(page, "prefix").fill("docs")
    expect(entry(page, "token")).to_have_attribute("type", "password")
    entry(page, "token").fill(TOKEN)
    page.get_by_role("button", name="Add and read it").click()
    expect(page.get_by_role("link", name="Salt")).to_be_visible()
    expect(page.get_by_role("link", name="Pepper")).to_be_visible()
    expect(page.get_by_text("last read just now: 2 added")).to_be_visible()
    page.get_by_role("button", name="Settings").click()
    expect(entry(page, "prefix")).to_have_value("/docs/")
    expect(entry(page, "token")).to_have_value("")
    page.get_by_label("Forget the token").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Read now").click()
    expect(page.get_by_text("token: the repository is private")).to_be_visible()
    page.get_by_role("tab", name="Runs").click()
    expect(page.get_by_role("table", name="Runs").get_by_role("row").last).to_contain_text("s2 added")
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.get_by_role("heading", level=1).evaluate("node => node.scrollWidth <= node.clientWidth")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("link", name="Spices").click()
    page.get_by_role("tab", name="Sources").click()
    asked_for(page, "s3")
    entry(page, "address").fill("s3://docs/handbook/")
    entry(page, "region").fill(REGION)
    entry(page, "endpoint").fill(bucket.address)
    entry(page, "access_key").fill(ACCESS)
    entry(page, "secret_key").fill(SECRET)
    assert page.evaluate(NAMELESS) == [] and page.evaluate(FAINT) == []
    page.get_by_role("button", name="Add and read it").click()
    expect(page.get_by_role("link", name="Thyme")).to_be_visible()
    move(page, bucket)
    assert TOKEN not in page.content() and SECRET not in page.content()
    assert [each for each in complaints if "WebSocket" not in each] == []
