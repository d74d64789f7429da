"""A changed file as a new version: of a document that is named, of the same name, of the same path."""

from typing import Any

import httpx
import pytest

from tests.api.cast import Cast

V1 = "/api/v1"
OLD = b"Goods may be returned within thirty days."
NEW = b"Goods may be returned within sixty days."
ZIP = b"PK\x05\x06" + bytes(18)


class Desk:
    """A knowledge base that takes files."""

    def __init__(self, program: httpx.AsyncClient, base: str) -> None:
        self.program = program
        self.base = f"{V1}/knowledge-bases/{base}"

    async def add(self, content: bytes, name: str = "policy.txt", **fields: str) -> Any:
        """What became of a file, whether it was taken or refused."""
        form = [(key, (None, value.encode())) for key, value in fields.items()] + [("files", (name, content))]
        answer = (await self.program.post(f"{self.base}/documents", files=form)).json()
        return (answer["items"] if "items" in answer else answer["error"]["details"]["items"])[0]

    async def renew(self, document: str, content: bytes, name: str = "policy.txt", **fields: str) -> httpx.Response:
        """The answer to a file as a new version."""
        form = [(key, (None, value.encode())) for key, value in fields.items()] + [("file", (name, content))]
        return await self.program.post(f"{V1}/documents/{document}/versions", files=form)

    async def versions(self, document: str) -> list[int]:
        """The numbers of its versions."""
        found = await self.program.get(f"{V1}/documents/{document}/versions")
        return [each["number"] for each in found.json()["items"]]

    async def documents(self) -> list[Any]:
        """All documents, newest first."""
        return list((await self.program.get(f"{self.base}/documents")).json()["items"])


@pytest.fixture
async def desk(cast: Cast) -> Desk:
    """An empty one."""
    program = await cast.program((await cast.key(await cast.owner()))[1])
    made = await program.post(f"{V1}/knowledge-bases", json={"name": "Desk"})
    return Desk(program, made.json()["id"])


async def test_a_file_becomes_a_new_version_of_the_named_document(desk: Desk) -> None:
    first = await desk.add(OLD, metadata='{"team": "shop"}')
    taken = await desk.renew(first["id"], NEW, "policy-2.txt", title="Policy", metadata='{"team": "desk"}')
    assert taken.status_code == 202, taken.text
    assert (taken.json()["id"], taken.json()["duplicate"], taken.json()["error"]) == (first["id"], False, None)
    assert await desk.versions(first["id"]) == [2, 1]
    [card] = await desk.documents()
    assert (card["title"], card["metadata"]) == ("Policy", {"team": "desk"})
    assert (await desk.program.get(f"{V1}/documents/{first['id']}/original")).content == NEW
    again = await desk.renew(first["id"], NEW)
    assert again.json()["duplicate"] is True and await desk.versions(first["id"]) == [2, 1]


async def test_the_same_bytes_elsewhere_do_not_lead_the_version_astray(desk: Desk) -> None:
    first, other = await desk.add(OLD), await desk.add(NEW, "other.txt", external_id="o-1")
    assert (await desk.renew(first["id"], NEW)).json()["id"] == first["id"]
    assert (await desk.versions(first["id"]), await desk.versions(other["id"])) == ([2, 1], [1])
    assert (await desk.renew(other["id"], OLD)).json()["external_id"] == "o-1"


async def test_what_is_no_version_of_a_file_is_refused(desk: Desk) -> None:
    first = await desk.add(OLD)
    for name, content, status, code in (
        ("policy.exe", b"MZ\x90\x00\x01 no text", 415, "unsupported_type"),
        ("policy.txt", b"", 422, "empty_file"),
        ("policy.zip", ZIP, 409, "conflict"),
    ):
        answer = await desk.renew(first["id"], content, name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    labelled = await desk.renew(first["id"], NEW, external_id="x")
    assert (labelled.status_code, labelled.json()["error"]["details"]["field"]) == (422, "external_id")
    address = f"{V1}/documents/{first['id']}/versions"
    two = await desk.program.post(address, files=[("file", ("a.txt", NEW)), ("file", ("b.txt", OLD))])
    assert (two.status_code, two.json()["error"]["details"]["item"]["id"]) == (422, first["id"])
    assert (await desk.program.post(address, json={})).status_code == 415
    assert (await desk.program.post(address, files=[("title", (None, b"x"))])).status_code == 422
    texts = {"texts": [{"text": "Pasted."}]}
    pasted = (await desk.program.post(f"{desk.base}/documents", json=texts)).json()["items"][0]
    assert (await desk.renew(pasted["id"], NEW)).status_code == 409
    await desk.program.delete(f"{V1}/documents/{first['id']}")
    assert (await desk.renew(first["id"], NEW)).status_code == 404


async def test_a_file_of_the_same_name_is_asked_about_only_when_it_differs(desk: Desk) -> None:
    first = await desk.add(OLD, same_name="ask")
    same = await desk.add(OLD, same_name="ask")
    assert (same["id"], same["duplicate"], same["error"]) == (first["id"], True, None)
    asked = await desk.add(NEW, same_name="ask")
    assert (asked["id"], asked["error"]["code"]) == (first["id"], "same_name")
    assert len(await desk.documents()) == 1
    kept = await desk.add(NEW, same_name="keep")
    assert kept["id"] != first["id"] and kept["error"] is None
    assert (await desk.add(b"Else.", "else.txt", same_name="ask"))["error"] is None


async def test_a_file_of_the_same_path_is_a_version_and_one_without_a_path_is_adopted(desk: Desk) -> None:
    before = await desk.add(OLD)
    adopted = await desk.add(OLD, path="docs/policy.txt")
    assert (adopted["id"], adopted["duplicate"], adopted["external_id"]) == (before["id"], True, "docs/policy.txt")
    changed = await desk.add(NEW, path="docs/policy.txt")
    assert changed["id"] == before["id"] and await desk.versions(before["id"]) == [2, 1]
    elsewhere = await desk.add(NEW, path="more/policy.txt")
    assert elsewhere["id"] != before["id"]
    both = await desk.add(NEW, path="docs/policy.txt", external_id="x")
    assert both["error"]["code"] == "validation_error"
