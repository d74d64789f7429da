"""The order in which an upload becomes durable, and disks that are full, read-only or broken."""

import asyncio
import errno
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from rag_app.api.app import create_api
from rag_app.database.engine import without_driver
from rag_app.database.files import FileStore
from rag_app.services import accounts, api_keys, setup
from rag_app.services.context import Context
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from tests.killing import ROOT
from tests.workspaces import open_workshop, work_off

SIZE = 300_000
SMALL_DISK = 1_500_000
ORDER = ["written", "file synced", "renamed", "folder synced", "its folder synced", "committed", "answered 202"]


class Desk:
    """An installation in this process, and a program that uploads to it."""

    def __init__(self, context: Context, client: httpx.AsyncClient, base: str) -> None:
        self.context, self.client, self.base = context, client, base

    async def upload(self, content: bytes, name: str = "note.md", **headers: str) -> httpx.Response:
        """The answer to one file."""
        path = f"/api/v1/knowledge-bases/{self.base}/documents"
        return await self.client.post(path, files={"files": (name, content)}, headers=headers)


async def _desk(context: Context) -> AsyncIterator[Desk]:
    if not await setup.is_set_up(context):
        await setup.create_first_owner(context, email="owner@example.com", password="four unrelated words", name="O")
    actor = await accounts.operator(context)
    _, key = await api_keys.create_key(context, actor, name="disk")
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Disk"))
    transport = httpx.ASGITransport(create_api(context), client=("127.0.0.1", 50000))
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
        yield Desk(context, client, str(base.id))


@pytest.fixture
async def desk(context: Context) -> AsyncIterator[Desk]:
    """On the ordinary disk."""
    async for made in _desk(context):
        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only the administrator of the machine can mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
async def cramped(context: Context, small_disk: Path) -> AsyncIterator[Desk]:
    """With its originals on a small disk."""
    async for made in _desk(replace(context, files=FileStore(small_disk / "originals"))):
        yield made


def _content(number: int = 0, size: int = SIZE) -> bytes:
    return (f"# Number {number}\n\n" + "words about harbours " * (size // 21)).encode()


async def _counts(desk: Desk) -> tuple[int, int]:
    def count() -> tuple[int, int]:
        with psycopg.connect(without_driver(desk.context.url)) as connection:
            row = connection.execute("SELECT count(*), count(ready_at) FROM versions").fetchone()
        assert row is not None
        return int(row[0]), int(row[1])

    return await asyncio.to_thread(count)


def _mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True)


async def test_an_upload_is_durable_before_it_is_committed_and_committed_before_it_is_accepted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, rename, commit = os.fsync, os.replace, psycopg.AsyncConnection.commit

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            steps.append("its folder synced" if "folder synced" in steps else "folder synced")
        else:
            steps.extend(["written"] * (found.st_size == SIZE) + ["file synced"])
        sync(descriptor)

    def move(source: Any, target: Any) -> None:
        rename(source, target)
        steps.append("renamed")

    async def committing(self: Any) -> None:
        before = await _counts(desk)
        await commit(self)
        if await _counts(desk) != before:
            steps.append("committed")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", move)
    monkeypatch.setattr(psycopg.AsyncConnection, "commit", committing)
    answer = await desk.upload(_content().ljust(SIZE)[:SIZE])
    steps.append(f"answered {answer.status_code}")
    assert steps == ORDER


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_kernel_sees_the_same_order(tmp_path: Path) -> None:
    """The same from outside, of the function that stores an original."""
    program = (
        "import asyncio, sys, uuid\nfrom pathlib import Path\nfrom rag_app.database.files import FileStore\n"
        "store = FileStore(Path(sys.argv[1]))\n"
        "asyncio.run(store.put_bytes(uuid.UUID(int=1), b'x' * 300000, limit=1000000))\n"
    )
    trace = tmp_path / "trace"
    calls = "trace=write,fsync,fdatasync,rename,renameat,renameat2"
    command = ["strace", "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c", program, str(tmp_path / "o")]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60, capture_output=True)
    seen: list[str] = []
    for line in trace.read_text().splitlines():
        found = re.search(r"(write|fsync|fdatasync|rename\w*)\((?:\d+<([^>]*)>|.*?\"([^\"]*)\")", line)
        place = str(tmp_path / "o")
        if found and place in line and (not seen or seen[-1] != found[1]):
            seen.append("rename" if found[1].startswith("rename") else found[1])
    assert seen == ["write", "fsync", "rename", "fsync"], seen


async def test_a_full_disk_refuses_loses_nothing_and_recovers_by_itself(cramped: Desk, small_disk: Path) -> None:
    first = await cramped.upload(_content(1))
    assert first.status_code == 202, first.text
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    refused = await cramped.upload(_content(2), **{"Idempotency-Key": "two"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "storage_full")
    assert not list((small_disk / "originals" / "incoming").iterdir())
    assert await _counts(cramped) == (1, 0)
    async with open_workshop(cramped.context) as workshop:
        await work_off(cramped.context, workshop)
    assert await _counts(cramped) == (1, 1)  # what was accepted is read meanwhile
    ballast.unlink()
    again = await cramped.upload(_content(2), **{"Idempotency-Key": "two"})
    assert again.status_code == 202, again.text
    async with open_workshop(cramped.context) as workshop:
        await work_off(cramped.context, workshop)
    assert await _counts(cramped) == (2, 2)


async def test_a_read_only_disk_says_so(cramped: Desk, small_disk: Path) -> None:
    assert (await cramped.upload(_content(1))).status_code == 202
    await asyncio.to_thread(_mount, "-o", "remount,ro", str(small_disk))
    refused = await cramped.upload(_content(2))
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "storage_unwritable")
    assert await _counts(cramped) == (1, 0)
    await asyncio.to_thread(_mount, "-o", "remount,rw", str(small_disk))
    assert (await cramped.upload(_content(2))).status_code == 202


@pytest.mark.parametrize("failing", [1, 2, 3], ids=["the file", "its folder", "the folder above"])
async def test_a_disk_that_cannot_sync_accepts_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    calls = []
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        refused = await desk.upload(_content())
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "storage_unwritable")
    assert await _counts(desk) == (0, 0)
    incoming = desk.context.settings.data_dir / "originals" / "incoming"
    assert not await asyncio.to_thread(lambda: list(incoming.iterdir()))
    assert (await desk.upload(_content())).status_code == 202
