"""What tests in a browser may ask for: the whole product as `up` starts it, and a browser that looks at it."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests import chromium
from tests.provider_double import ProviderDouble

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
LINK = re.compile(r"https?://\S+/setup#\S+")
EMAIL = "ada@example.com"
PASSWORD = "four unrelated words here"
expect.set_options(timeout=30_000)


@dataclass(frozen=True)
class Product:
    """The running product."""

    address: str
    setup_link: str
    provider: ProviderDouble
    pid: int


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """`python -m rag_app up` on a new data folder: database, worker and web, all of them real."""
    folder = tmp_path_factory.mktemp("product")
    port = _free_port()
    with ProviderDouble() as provider:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
        environment |= {
            "RAG_DATA_DIR": str(folder / "data"),
            "RAG_PORT": str(port),
            "RAG_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "PYTHONUNBUFFERED": "1",
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rag_app", "up"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        try:
            link = _wait_for_link(process, folder / "log")
            yield Product(f"http://localhost:{port}", link, provider, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            print((folder / "log").read_text(encoding="utf-8"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _wait_for_link(process: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        found = LINK.search(log.read_text(encoding="utf-8"))
        if found:
            return found.group()
        time.sleep(0.2)
    said = log.read_text(encoding="utf-8")[-4000:]
    pytest.fail(f"the product did not start (is the front end built? scripts/build):\n{said}")


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """A browser for the tests of a module. Kept longer, its event loop would stop the tests that need their own."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium_path, args=chromium.flags())
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def owner(product: Product) -> dict[str, str]:
    """The owner's cookies; sets the product up if no test has done it yet."""
    credentials = {"email": EMAIL, "password": PASSWORD}
    headers = {"Origin": product.address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=product.address, headers=headers, trust_env=False, timeout=30) as client:
        token = product.setup_link.partition("#")[2]
        client.post("/api/v1/auth/setup", json={**credentials, "token": token, "name": "Ada Lovelace"})
        client.post("/api/v1/auth/session", json=credentials).raise_for_status()
        return dict(client.cookies)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of this test's own, nobody signed in."""
    opened = browser.new_context(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(30_000)
    yield opened
    opened.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained about; filled while the test runs."""
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Page:
    """An empty tab whose errors are collected."""
    return watched(context.new_page(), complaints)


@pytest.fixture
def signed_in(context: BrowserContext, page: Page, product: Product, owner: dict[str, str]) -> Page:
    """A tab of the owner."""
    context.add_cookies([{"name": name, "value": value, "url": product.address} for name, value in owner.items()])
    return page


def watched(page: Page, complaints: list[str]) -> Page:
    """Collect errors of scripts, of the console and of the content security policy."""
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    page.on(
        "console", lambda message: complaints.append(f"console: {message.text}") if message.type == "error" else None
    )
    return page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The main job begins with the set-up, which there is only once."""
    items.sort(
        key=lambda item: item.path.name != "test_main_job.py" if item.path.parent == Path(__file__).parent else 0
    )
