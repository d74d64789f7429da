"""The outermost wrapper: what it refuses, what it adds, and what it rewrites."""

import hashlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag_app.api.boundary import LARGEST_BODY, Boundary, Surroundings
from rag_app.api.built_pages import read_built_pages
from rag_app.api.connect_limit import OF_STRANGERS, WINDOW_S, ConnectLimit
from rag_app.api.open_sockets import Asgi, Message, Receive, Scope, Send

SCRIPT = "console.log('inline')"
ENV = "const e={EVENT:`ws://localhost:8000/_event`,PING:`http://localhost:8000/ping`}"
HOST = "rag.example.com"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "assets" / "reflex-env-AbCd1234.js").write_text(ENV)
    page = f'<html><script src="/assets/a.js"></script><script>{SCRIPT}</script></html>'
    (tmp_path / "knowledge" / "index.html").write_text(page)
    (tmp_path / "__spa-fallback.html").write_text("<html><script>other()</script></html>")
    return tmp_path


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body, and answers with what it was asked for."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    path = scope["path"]
    kind = b"text/html; charset=utf-8" if path.endswith("/") or path == "/spa" else b"application/json"
    shown = f"{scope['scheme']} {path} {size} {(scope.get('client') or [''])[0]}".encode()
    headers = [(b"content-type", kind)]
    if path == "/shared":
        headers += [(b"access-control-allow-origin", b"http://localhost"), (b"Access-Control-Max-Age", b"600")]
    if path == "/own":
        headers.append((b"content-security-policy", b"default-src 'self'"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": shown})


def browser(app: Asgi, *, base: str = f"http://{HOST}") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 1234))
    return httpx.AsyncClient(transport=transport, base_url=base)


def boundary(built: Path, around: Surroundings | None = None) -> Boundary:
    return Boundary(echo, read_built_pages(built), around or Surroundings())


async def test_every_answer_carries_the_headers_that_protect_it(built: Path) -> None:
    async with browser(boundary(built)) as client:
        for path in ("/knowledge", "/api/v1/health", "/assets/a-12345678.js", "/_upload"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["referrer-policy"] == "same-origin"
            assert len(headers["x-request-id"]) == 24
            assert "strict-transport-security" not in headers


async def test_no_foreign_page_may_read_an_answer_whatever_the_framework_says(built: Path) -> None:
    async with browser(boundary(built)) as client:
        answer = await client.get("/shared", headers={"Origin": "http://localhost"})
    assert answer.status_code == 200
    assert [name for name in answer.headers if name.startswith("access-control-")] == []


async def test_a_page_may_run_its_own_inline_scripts_and_no_others(built: Path) -> None:
    digest = b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    async with browser(boundary(built)) as client:
        answer = await client.get("/knowledge")
        policy = answer.headers["content-security-policy"]
        fallback = (await client.get("/spa")).headers["content-security-policy"]
    assert answer.text.startswith("http /knowledge/ ")
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert digest not in fallback
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert f"connect-src 'self' ws://{HOST};" in policy


async def test_a_page_that_has_not_changed_keeps_its_policy(built: Path) -> None:
    async def unchanged(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 304, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with browser(boundary(built)) as client:
        first = (await client.get("/knowledge")).headers["content-security-policy"]
    async with browser(Boundary(unchanged, read_built_pages(built), Surroundings())) as client:
        again = (await client.get("/knowledge")).headers["content-security-policy"]
        file = (await client.get("/icon.svg")).headers["content-security-policy"]
    assert again == first
    assert "script-src" not in file


async def test_what_the_application_set_itself_stays(built: Path) -> None:
    async with browser(boundary(built)) as client:
        assert (await client.get("/own")).headers["content-security-policy"] == "default-src 'self'"


async def test_caching_keeps_hashed_files_and_nothing_private(built: Path) -> None:
    async with browser(boundary(built)) as client:
        assert "immutable" in (await client.get("/assets/page-Dfwd_-i3.js")).headers["cache-control"]
        assert (await client.get("/assets/reflex-env-AbCd1234.js")).headers["cache-control"] == "no-store"
        assert (await client.get("/api/v1/documents")).headers["cache-control"] == "no-store"
        assert (await client.get("/knowledge")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("base", "around", "headers", "expected"),
    [
        ("http://localhost:8123", Surroundings(), {}, "ws://localhost:8123/_event"),
        ("https://rag.example.com:8443", Surroundings(), {}, "wss://rag.example.com:8443/_event"),
        ("http://rag.example.com", Surroundings(1), {"x-forwarded-proto": "https"}, "wss://rag.example.com/_event"),
        ("http://rag.example.com", Surroundings(0), {"x-forwarded-proto": "https"}, "ws://rag.example.com/_event"),
        ("http://rag.example.com", Surroundings(0, "https://rag.example.com"), {}, "wss://rag.example.com/_event"),
    ],
)
async def test_the_page_connects_to_the_address_it_came_from(
    built: Path, base: str, around: Surroundings, headers: dict[str, str], expected: str
) -> None:
    async with browser(boundary(built, around), base=base) as client:
        script = (await client.get("/assets/reflex-env-AbCd1234.js", headers=headers)).text
    assert f"EVENT:`{expected}`" in script
    assert "localhost:8000" not in script


@pytest.mark.parametrize("path", ["/_upload", "/_upload/x.pdf", "/_UPLOAD/x", "/_all_routes", "/_health", "/ping"])
async def test_doors_of_the_framework_are_shut(built: Path, path: str) -> None:
    async with browser(boundary(built)) as client:
        answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("host", ["", "x/", "a?b", "a#b", "a b", "user@host", "a,b", "[::1", "-a", "a:port"])
async def test_a_host_that_is_none_is_refused(built: Path, host: str) -> None:
    async with browser(boundary(built)) as client:
        answer = await client.get("/knowledge", headers={"host": host})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "validation_error"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "rag.example.com", "my_host"])
async def test_a_real_host_is_served(built: Path, host: str) -> None:
    async with browser(boundary(built)) as client:
        assert (await client.get("/knowledge", headers={"host": host})).status_code == 200


async def test_a_body_that_is_announced_as_too_large_is_not_read(built: Path) -> None:
    async with browser(boundary(built)) as client:
        answer = await client.post("/api/v1/query", content=b"x" * (LARGEST_BODY + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


async def test_a_body_without_a_length_is_counted(built: Path) -> None:
    async def pieces() -> Any:
        for _ in range(LARGEST_BODY // 65536 + 2):
            yield b"x" * 65536

    async with browser(boundary(built)) as client:
        refused = await client.post("/api/v1/query", content=pieces())
        taken = await client.post("/api/v1/knowledge-bases/1/documents", content=pieces())
    assert refused.status_code == 413
    assert taken.status_code == 200


@pytest.mark.parametrize(("hops", "expected"), [(0, "203.0.113.9"), (1, "198.51.100.2"), (2, "198.51.100.1")])
async def test_only_trusted_proxies_name_the_client(built: Path, hops: int, expected: str) -> None:
    headers = {"x-forwarded-for": "192.0.2.66, 198.51.100.1, 198.51.100.2"}
    async with browser(boundary(built, Surroundings(hops))) as client:
        assert (await client.get("/x", headers=headers)).text.endswith(f" {expected}")


async def test_encrypted_answers_ask_to_stay_encrypted(built: Path) -> None:
    async with browser(boundary(built), base=f"https://{HOST}") as client:
        assert "max-age" in (await client.get("/knowledge")).headers["strict-transport-security"]


OWN = f"http://{HOST}"


@pytest.mark.parametrize(
    ("origins", "opened"),
    [
        ([OWN], True),
        ([], False),
        (["https://evil.example"], False),
        (["null"], False),
        ([f"{OWN}.evil.example"], False),
        ([f"{OWN}:8080"], False),
        ([f"https://{HOST}"], False),
        ([OWN, "https://evil.example"], False),
    ],
)
async def test_only_our_own_pages_open_the_websocket(built: Path, origins: list[str], opened: bool) -> None:
    reached: list[Scope] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        reached.append(scope)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", HOST.encode()), *[(b"origin", origin.encode()) for origin in origins]]
    scope = {"type": "websocket", "scheme": "ws", "path": "/_event/", "headers": headers, "client": ("203.0.113.9", 1)}
    await Boundary(app, read_built_pages(built), Surroundings())(scope, receive, send)
    assert bool(reached) is opened
    assert opened or sent == [{"type": "websocket.close", "code": 1008}]


async def test_one_address_opens_only_so_many_websockets(built: Path) -> None:
    reached = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal reached
        del scope, receive, send
        reached += 1

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        del message

    boundary = Boundary(app, read_built_pages(built), Surroundings())
    headers = [(b"host", HOST.encode()), (b"origin", OWN.encode())]
    scope = {"type": "websocket", "scheme": "ws", "path": "/_event/", "headers": headers, "client": ("203.0.113.9", 1)}
    for _ in range(OF_STRANGERS + 5):
        await boundary(scope, receive, send)
    assert reached == OF_STRANGERS
    await boundary({**scope, "client": ("203.0.113.10", 1)}, receive, send)
    await boundary({**scope, "headers": [*headers, (b"cookie", b"rag_session=rs_x")]}, receive, send)
    assert reached == OF_STRANGERS + 2


def test_the_limit_forgets_after_its_window_and_takes_a_network_as_one() -> None:
    now = 0.0
    limit = ConnectLimit(lambda: now)
    addresses = [f"2001:db8:0:1::{number:x}" for number in range(OF_STRANGERS)]
    assert all(limit.admits(address, has_session=False) for address in addresses)
    assert not limit.admits("2001:db8:0:1:ffff::1", has_session=False)
    assert limit.admits("2001:db8:0:2::1", has_session=False)
    now = WINDOW_S
    assert limit.admits("2001:db8:0:1:ffff::1", has_session=False)
