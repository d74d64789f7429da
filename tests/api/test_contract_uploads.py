"""Uploads as a hostile or unlucky client sends them: counted while they stream, named safely, refused one by one."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rag_app.api.multipart import LARGEST_FIELD, MOST_PARTS, MultipartReader
from rag_app.errors import InvalidInput, TooLarge
from rag_app.settings import Settings
from tests.api.cast import Cast

V1 = "/api/v1"
BOUNDARY = "------boundary0123456789"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
NOTE = b"The refund is paid within five working days.\n"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A server that takes one megabyte per file."""
    return settings.model_copy(update={"max_upload_mb": 1})


@pytest.fixture
async def program(cast: Cast) -> httpx.AsyncClient:
    """A program of the owner."""
    return await cast.program((await cast.key(await cast.owner()))[1])


@pytest.fixture
async def address(program: httpx.AsyncClient) -> str:
    """Where the documents of a knowledge base go."""
    made = await program.post(f"{V1}/knowledge-bases", json={"name": "Uploads"})
    return f"{V1}/knowledge-bases/{made.json()['id']}/documents"


def file_part(content: bytes, filename: str = "note.txt", name: str = "files") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    return head.encode() + content + b"\r\n"


def field_part(name: str, value: str | bytes) -> bytes:
    value = value if isinstance(value, bytes) else value.encode()
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def post_form(program: httpx.AsyncClient, address: str, body: bytes | AsyncIterator[bytes]) -> httpx.Response:
    return await program.post(address, content=body, headers={"Content-Type": FORM})


def left_in_store(settings: Settings) -> list[Path]:
    return [each for each in (settings.data_dir / "originals").rglob("*") if each.is_file()]


async def test_a_body_without_a_length_is_taken_in_pieces(
    program: httpx.AsyncClient, address: str, settings: Settings
) -> None:
    answer = await post_form(program, address, pieces(form(file_part(NOTE)), 1))
    assert answer.status_code == 202, answer.text
    [item] = answer.json()["items"]
    assert set(item) == {"id", "external_id", "title", "status", "task_id", "duplicate", "error"}
    assert (item["status"], item["title"], item["duplicate"], item["error"]) == ("queued", "note.txt", False, None)
    assert (await program.get(f"{V1}/documents/{item['id']}/original")).content == NOTE
    assert [each.read_bytes() for each in left_in_store(settings)] == [NOTE]


async def test_a_large_file_is_refused_while_it_streams_and_the_next_is_taken(
    program: httpx.AsyncClient, address: str, settings: Settings
) -> None:
    most = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal most
        yield file_part(b"")[:-2]
        for _ in range(300):
            yield b"x" * 10_000
            most = max(most, sum(each.stat().st_size for each in left_in_store(settings)))
        yield b"\r\n" + form(file_part(NOTE, "small.txt"))

    answer = await post_form(program, address, body())
    large, small = answer.json()["items"]
    assert answer.status_code == 202
    assert large["id"] is None and large["error"]["code"] == "too_large" and small["error"] is None
    assert most <= 1_100_000
    assert [each.read_bytes() for each in left_in_store(settings)] == [NOTE]
    alone = await post_form(program, address, form(file_part(b"x" * 1_000_001)))
    assert (alone.status_code, alone.json()["error"]["code"]) == (422, "validation_error")
    assert alone.json()["error"]["details"]["items"][0]["error"]["code"] == "too_large"
    exact = await post_form(program, address, form(file_part(b"x y " * 250_000)))
    assert exact.status_code == 202


async def test_ten_thousand_parts_are_too_many(program: httpx.AsyncClient, address: str) -> None:
    answer = await post_form(program, address, form(*[field_part("title", "x")] * 10_000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert MOST_PARTS <= 10_000
    large = await post_form(program, address, form(field_part("title", "x" * (LARGEST_FIELD + 1)), file_part(NOTE)))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")


BROKEN = {
    "nothing": b"",
    "no end": file_part(NOTE),
    "only the end": form(),
    "other boundary": form(file_part(NOTE)).replace(BOUNDARY.encode(), b"other"),
    "no header": f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
    "header without colon": f"--{BOUNDARY}\r\nContent-Disposition\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
    "long header": f"--{BOUNDARY}\r\nX: {'x' * 100_000}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
    "many headers": f"--{BOUNDARY}\r\n{'X: y' + chr(13) + chr(10)}".encode() * 5000,
    "not utf-8": form(field_part("title", b"\xff\xfe"), file_part(NOTE)),
    "unknown field": form(field_part("workspace_id", "1"), file_part(NOTE)),
    "unknown file field": form(file_part(NOTE, name="avatar")),
    "a file without a name": form(field_part("files", NOTE)),
    "text": b"hello",
}


async def test_a_broken_form_is_refused(program: httpx.AsyncClient, address: str, settings: Settings) -> None:
    for name, body in BROKEN.items():
        answer = await post_form(program, address, body)
        assert answer.status_code in (413, 422), (name, answer.text)
        assert answer.json()["error"]["code"] in ("validation_error", "too_large"), name
    for kind in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=x",
        "text/plain",
        "",
    ):
        answer = await program.post(address, content=form(file_part(NOTE)), headers={"Content-Type": kind})
        assert answer.status_code in (415, 422), (kind, answer.text)
    listed = (await program.get(address)).json()["items"]
    assert {each["title"] for each in listed} <= {"note.txt"}
    assert not list((settings.data_dir / "originals" / "incoming").glob("*"))


async def test_what_was_taken_before_a_fault_is_named(program: httpx.AsyncClient, address: str) -> None:
    answer = await post_form(program, address, form(file_part(NOTE), field_part("nonsense", "x")))
    assert answer.status_code == 422
    [taken] = answer.json()["error"]["details"]["items"]
    assert (await program.get(f"{V1}/documents/{taken['id']}")).json()["title"] == "note.txt"


NAMES = {
    "../../etc/passwd.txt": "passwd.txt",
    "..\\..\\windows\\system.txt": "system.txt",
    "/etc/cron.d/job.txt": "job.txt",
    "C:\\Users\\a.txt": "a.txt",
    "\\\\server\\share\\a b.txt": "a b.txt",
    "docs/sub/guide.txt": "guide.txt",
    "with\u202etxt.exe.txt": "withtxt.exe.txt",
    "line\u2028break\x07.txt": "linebreak.txt",
    "CON.txt": "CON.txt",
    "naïve – файл.txt": "naïve – файл.txt",
}


async def test_a_file_name_is_never_a_path(program: httpx.AsyncClient, address: str, settings: Settings) -> None:
    for number, (sent, kept) in enumerate(NAMES.items()):
        answer = await post_form(program, address, form(file_part(NOTE + bytes([65 + number]), sent)))
        assert answer.status_code == 202, (sent, answer.text)
        [item] = answer.json()["items"]
        shown = (await program.get(f"{V1}/documents/{item['id']}")).json()
        assert (item["title"], shown["filename"]) == (kept, kept), sent
        original = await program.get(f"{V1}/documents/{item['id']}/original")
        disposition = original.headers["content-disposition"]
        assert re.fullmatch(r"(inline|attachment); filename\*=UTF-8''[A-Za-z0-9._~%-]+", disposition), disposition
    assert all(re.fullmatch(r"[0-9a-f]{64}", each.name) for each in left_in_store(settings))
    for odd in ("", ".", "..", "...", "a\x00b.txt", "x" * 300 + ".txt", "/", "\\"):
        answer = await post_form(program, address, form(file_part(NOTE + odd.encode() + b"!", odd)))
        assert answer.status_code in (202, 422), (odd, answer.text)
        for item in answer.json().get("items", []):
            assert item["error"] or 1 <= len(item["title"].replace("\x00", "")) == len(item["title"]) <= 200


async def test_equal_bytes_at_once_are_one_document(
    program: httpx.AsyncClient, address: str, settings: Settings
) -> None:
    body = form(file_part(NOTE))
    answers = await asyncio.gather(*(post_form(program, address, pieces(body, 7 + n)) for n in range(6)))
    items = [answer.json()["items"][0] for answer in answers]
    assert len({item["id"] for item in items}) == 1
    assert sorted(item["duplicate"] for item in items) == [False] + [True] * 5
    assert (await program.get(address)).json()["items"][0]["id"] == items[0]["id"]
    assert len((await program.get(address)).json()["items"]) == len(left_in_store(settings)) == 1


async def test_a_folder_keeps_files_of_the_same_name_apart(program: httpx.AsyncClient, address: str) -> None:
    parts = [file_part(NOTE + bytes([65 + n]), f"handbook/part{n}/index.txt") for n in range(40)]
    answer = await post_form(program, address, form(*parts))
    items = answer.json()["items"]
    assert answer.status_code == 202 and len({item["id"] for item in items}) == 40
    assert {item["title"] for item in items} == {"index.txt"}


METADATA = ("[]", "1", '"x"', "null", "", "{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\u0000"}', '{"\\u0000": 1}',
            '{"a": "\\ud800"}', '{"a": {"b": 1}}', '{"a": [[1]]}', '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
            json.dumps({str(n): n for n in range(51)}), json.dumps({"a": "x" * 10_001}),
            '{"a": 1' + "0" * 5000 + "}")  # fmt: skip


async def test_hostile_metadata_is_refused(program: httpx.AsyncClient, address: str) -> None:
    for metadata in METADATA:
        answer = await post_form(program, address, form(field_part("metadata", metadata), file_part(NOTE)))
        assert answer.status_code == 422, (metadata[:50], answer.text)
        assert answer.json()["error"]["code"] == "validation_error"
        texts = f'{{"texts": [{{"text": "x", "metadata": {metadata or "?"}}}]}}'
        answer = await program.post(address, content=texts.encode(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, (metadata[:50], answer.text)
    assert (await program.get(address)).json()["items"] == []
    good = {"team": "ops", "year": 2024, "draft": False, "tags": ["a", "b"], "note": None}
    labels = [field_part("metadata", json.dumps(good)), field_part("title", "Guide"), field_part("external_id", "g-1")]
    answer = await post_form(program, address, form(*labels, file_part(NOTE), file_part(NOTE + b"2", "second.txt")))
    first, second = [(await program.get(f"{V1}/documents/{each['id']}")).json() for each in answer.json()["items"]]
    assert (first["title"], first["external_id"], first["metadata"]) == ("Guide", "g-1", good)
    assert (second["title"], second["external_id"], second["metadata"]) == ("second.txt", None, good)


BODIES: tuple[Any, ...] = (
    [], "x", 1, {}, {"texts": None}, {"texts": []}, {"texts": "x"}, {"texts": ["x"]}, {"texts": [{}]},
    {"texts": [{"text": 1}]}, {"texts": [{"text": None}]}, {"texts": [{"text": "x", "more": 1}]}, {"urls": []},
    {"texts": [{"text": "x"}], "urls": ["https://example.com"]}, {"urls": [1]}, {"urls": "https://example.com"},
    {"texts": [{"text": "x", "external_id": ""}]}, {"texts": [{"text": "x", "external_id": "x" * 501}]},
    {"texts": [{"text": "a\x00b"}]}, {"texts": [{"text": "x"}] * 1001}, {"files": []}, {"texts": [{"text": " "}]},
    {"texts": [{"text": "x", "metadata": []}]}, {"urls": ["ftp://example.com/x", "javascript:alert(1)", "", "x"]},
)  # fmt: skip


async def test_a_body_of_another_shape_is_refused(program: httpx.AsyncClient, address: str) -> None:
    for body in BODIES:
        answer = await program.post(address, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error"), (body, answer.text)
    for raw in (b"", b"{", b"\xff", b'{"texts": [{"text": "\\ud800"}]}', b"[" * 100_000, b'{"texts": 1' + b"0" * 9999):
        answer = await program.post(address, content=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, raw[:40]
    assert (await program.get(address)).json()["items"] == []


async def test_one_refused_text_or_address_does_not_refuse_the_others(program: httpx.AsyncClient, address: str) -> None:
    texts = [{"text": " "}, {"text": "Some words.", "external_id": "e1", "title": "T"}, {"text": "Some words."}]
    answer = await program.post(address, json={"texts": texts})
    empty, named, untitled = answer.json()["items"]
    assert answer.status_code == 202 and empty["error"]["code"] == "empty_file" and empty["id"] is None
    assert (named["external_id"], named["title"], named["error"]) == ("e1", "T", None)
    assert untitled["id"] != named["id"] and untitled["title"] == "Some words."
    urls = ["https://example.com/a", "ftp://example.com/b", "https://user:pw@example.com/c"]
    answer = await program.post(address, json={"urls": urls})
    good, *bad = answer.json()["items"]
    assert answer.status_code == 202 and good["error"] is None and all(each["error"] for each in bad)


async def test_originals_cannot_act_on_our_origin(program: httpx.AsyncClient, address: str) -> None:
    page = b"<!doctype html><html><body><script>alert(1)</script><p>Words enough to be read here.</p></body></html>"
    sent = {
        "page.html": (page, "text/html", "application/octet-stream", "attachment"),
        "note.txt": (NOTE, "text/plain", "text/plain; charset=utf-8", "inline"),
        "sly.txt": (page, "image/svg+xml", "application/octet-stream", "attachment"),
        "guide.md": (b"# Title\n\nWords.", "text/markdown", "application/octet-stream", "attachment"),
        "a.pdf": (b"%PDF-1.4\n%%EOF", "text/html", "application/pdf", "inline"),
    }
    for name, (content, media_type, shown, place) in sent.items():
        answer = await program.post(address, files={"files": (name, content, media_type)})
        item = answer.json()["items"][0] if answer.status_code == 202 else None
        if item is None:  # refused at the door is fine as well
            continue
        original = await program.get(f"{V1}/documents/{item['id']}/original")
        assert original.content == content
        assert original.headers["content-type"] == shown, name
        assert original.headers["content-disposition"].startswith(place + ";"), name
        assert original.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in original.headers["content-security-policy"]
        assert "default-src 'none'" in original.headers["content-security-policy"]
        assert original.headers["cache-control"].startswith("private")


RANGES = {
    "bytes=0-9": (0, 10), "bytes=5-": (5, None), "bytes=-7": (-7, None), "bytes=0-999999": (0, None),
    "bytes=3-3": (3, 4),
}  # fmt: skip


async def test_a_viewer_may_ask_for_a_part(program: httpx.AsyncClient, address: str) -> None:
    answer = await program.post(address, files={"files": ("note.txt", NOTE)})
    original = f"{V1}/documents/{answer.json()['items'][0]['id']}/original"
    whole = await program.get(original)
    assert whole.headers["accept-ranges"] == "bytes" and whole.headers["content-length"] == str(len(NOTE))
    for asked, (first, last) in RANGES.items():
        part = await program.get(original, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, NOTE[first:last]), asked
        start = first % len(NOTE)
        assert part.headers["content-range"] == f"bytes {start}-{start + len(part.content) - 1}/{len(NOTE)}"
    for odd in ("bytes=", "bytes=-", "bytes=9-3", "bytes=999-", "bytes=-0", "bytes=0-1,3-4", "lines=0-1", "bytes=x-y"):
        answer = await program.get(original, headers={"Range": odd})
        assert (answer.status_code, answer.content) == (200, NOTE), odd
    tag = {"Range": "bytes=0-3", "If-Range": whole.headers["etag"]}
    assert (await program.get(original, headers=tag)).status_code == 206
    assert (await program.get(original, headers={**tag, "If-Range": '"old"'})).status_code == 200


@hypothesis_settings(max_examples=60, deadline=None)
@given(contents=st.lists(st.binary(max_size=300), min_size=1, max_size=4), size=st.integers(1, 97))
async def test_files_come_out_as_they_went_in_however_they_are_cut(contents: list[bytes], size: int) -> None:
    body = form(*(part for n, each in enumerate(contents) for part in (field_part("title", str(n)), file_part(each))))
    reader = MultipartReader(pieces(body, size), FORM)
    titles, found = [], []
    async for part in reader.parts():
        if part.content is None:
            titles.append(part.value)
        else:
            found.append(b"".join([chunk async for chunk in part.content]))
    assert found == contents and titles == [str(n) for n in range(len(contents))]


@hypothesis_settings(max_examples=100, deadline=None)
@given(data=st.data())
async def test_a_damaged_form_ends_in_one_of_our_errors(data: st.DataObject) -> None:
    body = bytearray(form(field_part("title", "x"), file_part(NOTE), file_part(NOTE, "b.txt")))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    whole = bytes(body[: data.draw(st.integers(0, len(body)))])
    reader = MultipartReader(pieces(whole, data.draw(st.integers(1, 64))), FORM)
    with suppress(InvalidInput, TooLarge):  # nothing else may come out
        async for part in reader.parts():
            if part.content is not None:
                async for _ in part.content:
                    pass
