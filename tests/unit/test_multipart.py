"""A streamed form: names in any script come through as they were sent."""

from collections.abc import AsyncIterator

import httpx
import pytest

from rag_app.api.multipart import MultipartReader


async def body_of(request: httpx.Request, piece: int) -> AsyncIterator[bytes]:
    whole = request.read()
    for start in range(0, len(whole), piece):
        yield whole[start : start + piece]


@pytest.mark.parametrize(
    "name", ["report.txt", "Übung.txt", "日本語.txt", "отчёт 2026.pdf", "a\N{RIGHT-TO-LEFT MARK}b.md"]
)
@pytest.mark.parametrize("piece", [1, 4096])
async def test_a_file_name_comes_through_as_it_was_sent(name: str, piece: int) -> None:
    sent = httpx.Request("POST", "http://x", data={"title": name}, files={"files": (name, b"bytes")})
    seen = []
    async for part in MultipartReader(body_of(sent, piece), sent.headers["content-type"]).parts():
        content = b"".join([each async for each in part.content]) if part.content else b""
        seen.append((part.name, part.filename, part.value, content))
    assert seen == [("title", None, name, b""), ("files", name, "", b"bytes")]
