"""What tests of the states may ask for: the real web process on a real socket, and people who are signed in."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

os.environ.setdefault("__REFLEX_SKIP_COMPILE", "true")
import rag_app.rag_app  # noqa: F401 - registers the states for every test, whichever comes first
from rag_app.services.context import Context, open_context
from rag_app.settings import Settings
from tests import database_server

UUID_ONE = UUID(int=1)
SECRET = "a secret key that only the tests use"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(database_server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    """The web process of the product, and the settings it runs with; one for the tests of a module."""
    url = database_server.clone(database_server_url)
    folder = tmp_path_factory.mktemp("web")
    settings = Settings(database_url=url, data_dir=folder / "data", secret_key=SECRET)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
        environment |= {"RAG_DATABASE_URL": url, "RAG_DATA_DIR": str(folder / "data"), "RAG_SECRET_KEY": SECRET}
        arguments = [sys.executable, "-m", "rag_app.launcher", "--listen-fd", str(listening.fileno())]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                arguments, cwd=ROOT, env=environment, pass_fds=[listening.fileno()], stdout=log, stderr=log
            )
    try:
        _wait(address, process, folder / "log")
        yield address, settings
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        database_server.drop(database_server_url, url)


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{address}/sign-in", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the web process does not answer (is the front end built? scripts/build):\n{log.read_text()[-4000:]}")


@pytest.fixture
def address(server: tuple[str, Settings]) -> str:
    """Where the web process listens."""
    return server[0]


@pytest.fixture
async def web_context(server: tuple[str, Settings]) -> AsyncIterator[Context]:
    """The services on the database of the web process."""
    async with open_context(server[1]) as opened:
        yield opened
