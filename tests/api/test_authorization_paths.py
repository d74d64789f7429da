"""Addresses and Host headers made to slip past a check: none of them is answered as if it were a good one."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rag_app.api.boundary import Boundary, Surroundings
from rag_app.api.built_pages import read_built_pages
from rag_app.api.open_sockets import Asgi, Message
from tests.api.cast import Cast

GOOD_HOST = b"testserver"
TRICKS = (
    "//api/v1/knowledge-bases", "/api//v1/knowledge-bases", "/api/v1//knowledge-bases", "/api/v1/knowledge-bases/",
    "/api/v1/./knowledge-bases", "/api/v1/../v1/knowledge-bases", "/api/v1/health/../knowledge-bases",
    "/API/v1/knowledge-bases", "/api/V1/knowledge-bases", "/api/v1/Knowledge-Bases", "/api/v1/knowledge-bases;a=b",
    "/api/v1/knowledge-bases\x00", "/api/v1/knowledge-bases\\", "/api/v1\\knowledge-bases", "/api/v1/knowledge-bases ",
    "/api/v1/knowledge-bases%2f", "/api/v1/%2e%2e/v1/knowledge-bases", "/api/v1/knowledge-bases/..%2fpeople",
    "/api/v1/knowledge-bases/%2e%2e/people", "/api/v1/knowledge-bases%00", "/api/v1/knowledge-bases%20",
    "/api/v1/documents/..%2f..%2fpeople/original", "/api/v1/documents/%2e%2e/original", "/v1/knowledge-bases",
    "/api/v1/documents/....//....//etc/passwd", "/api/v1/documents/../../../../etc/passwd/original",
    "/health/../api/v1/people", "/metrics/../api/v1/people", "/api/v1/people/\u2025/people", "/api/v1/people%ff",
    "/_upload", "/_upload/", "/_UPLOAD", "/ping/", "/_health", "/auth-codespace", "/_all_routes",
)  # fmt: skip
HOSTS = (
    b"", b"evil.example.com, testserver", b"testserver/evil", b"testserver:80:80", b"testserver@evil", b"a b",
    b"testserver\x00", b"test\xffserver", b"[::1", b"-", b"..", b"testserver#x", b"testserver?x", b"testserver:999999",
)  # fmt: skip


@pytest.fixture
def guarded(api: FastAPI, tmp_path: Path) -> Asgi:
    """The API inside its boundary, as the server runs it."""
    return Boundary(api, read_built_pages(tmp_path), Surroundings())


async def status_of(app: Asgi, path: str, *, key: str = "", hosts: tuple[bytes, ...] = (GOOD_HOST,)) -> tuple[int, Any]:
    """Status and body of a GET of this path as a server hands it over: percent signs are decoded once."""
    headers = [(b"host", host) for host in hosts]
    if key:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": unquote(path, errors="replace"), "raw_path": path.encode("utf-8", "replace"), "query_string": b"",
        "headers": headers, "client": ("198.51.100.7", 1), "server": ("testserver", 80), "root_path": "",
    }  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return sent[0]["status"], body


async def test_a_crooked_address_leads_nowhere(cast: Cast, guarded: Asgi) -> None:
    _, key = await cast.key(await cast.owner())
    for path in TRICKS:
        for credential in ("", key):
            status, body = await status_of(guarded, path, key=credential)
            assert status in (400, 401, 404, 405, 422), (path, status)
            assert json.loads(body)["error"]["code"] in ("validation_error", "not_found", "unauthenticated")


async def test_a_crooked_host_is_refused(cast: Cast, guarded: Asgi) -> None:
    _, key = await cast.key(await cast.owner())
    for host in HOSTS:
        status, _ = await status_of(guarded, "/api/v1/knowledge-bases", key=key, hosts=(host,))
        assert status == 400, host


async def test_one_host_is_expected(cast: Cast, guarded: Asgi) -> None:
    _, key = await cast.key(await cast.owner())
    for hosts in ((), (GOOD_HOST, b"evil.example.com"), (GOOD_HOST, GOOD_HOST)):
        assert (await status_of(guarded, "/api/v1/knowledge-bases", key=key, hosts=hosts))[0] == 400
    assert (await status_of(guarded, "/api/v1/knowledge-bases", key=key))[0] == 200


PIECES = st.lists(
    st.sampled_from(["api", "v1", "people", "health", "..", ".", "", "%2e%2e", "%2f", "%5c", "%00", "\\", ";", "%ff"]),
    max_size=8,
)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces=PIECES)
async def test_no_address_made_of_pieces_reaches_people(guarded: Asgi, pieces: list[str]) -> None:
    path = "/" + "/".join(pieces)
    status, body = await status_of(guarded, path)
    assert status < 500, path
    assert status != 200 or path.strip("/").removeprefix("api/v1/") in ("health", "health/"), (path, body[:200])
