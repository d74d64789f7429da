"""The store of originals: content-addressed under the workspace, durable before anything is accepted."""

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from rag_app.errors import NotFound, StorageFull, StorageUnwritable, TooLarge
from rag_app.settings import Settings

CHUNK = 1 << 20
HELD_BYTES = 1 << 18  # in memory before a file is begun
HEAD = 8192
INCOMING = "incoming"
BATCH = 1000
_FULL = (28, 122)  # ENOSPC, EDQUOT


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is safely on disk (or in the object store)."""

    key: str
    sha256: bytes
    byte_count: int
    head: bytes  # the first bytes, for recognising its format


class FileStore:
    """Originals in a folder: temporary name, fsync, rename, fsync of the folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._durable: set[Path] = set()  # folders whose own names are on the disk

    async def put(self, workspace_id: UUID, stream: AsyncIterator[bytes], *, limit: int) -> StoredFile:
        """Store a stream of bytes and return once it is durable.

        Raises TooLarge when it has more than `limit` bytes, StorageFull when the disk is full and StorageUnwritable
        when it takes nothing for another reason; all leave nothing.
        """
        digest, size, head = hashlib.sha256(), 0, b""
        file = _Incoming(self._root / INCOMING / secrets.token_hex(16))
        try:
            async for chunk in stream:
                size += len(chunk)
                if size > limit:
                    raise TooLarge(f"The file is larger than {limit // 1_000_000} MB, the most accepted here.")
                head += chunk[: HEAD - len(head)]  # the first chunks of a slow sender may hold a byte each
                digest.update(chunk)
                if file.holds(chunk):
                    await asyncio.to_thread(file.write)
            key = f"{workspace_id}/{digest.hexdigest()}"
            await asyncio.to_thread(file.publish, self._root / key, self._durable)
        except OSError as problem:
            raise (StorageFull() if problem.errno in _FULL else StorageUnwritable()) from problem
        finally:
            file.drop()
        return StoredFile(key, digest.digest(), size, head)

    async def put_bytes(self, workspace_id: UUID, content: bytes, *, limit: int) -> StoredFile:
        """Store some bytes."""

        async def once() -> AsyncIterator[bytes]:
            for start in range(0, len(content), CHUNK):
                yield content[start : start + CHUNK]

        return await self.put(workspace_id, once(), limit=limit)

    async def local_path(self, key: str) -> Path:
        """A path from which a parser can read the file. Raises NotFound."""
        path = self._root / key
        if not await asyncio.to_thread(path.is_file):
            raise NotFound("The original of this document is missing from the file store.")
        return path

    async def read(self, key: str, offset: int = 0, length: int = -1) -> bytes:
        """Some bytes of a file. Raises NotFound."""
        path = await self.local_path(key)

        def slice_of() -> bytes:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(length)

        return await asyncio.to_thread(slice_of)

    async def delete(self, key: str) -> None:
        """Remove a file; one that is not there is fine."""
        await asyncio.to_thread((self._root / key).unlink, missing_ok=True)

    async def delete_old(self, key: str, age_s: float) -> bool:
        """Remove a file unless it was written anew within this time; True when it was removed.

        Taken aside before it is looked at: an upload of the same bytes may put it there again at any moment.
        """
        return await asyncio.to_thread(self._delete_old, self._root / key, time.time() - age_s)

    def _delete_old(self, path: Path, limit: float) -> bool:
        aside = self._root / INCOMING / secrets.token_hex(16)
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return False
        is_old = aside.stat().st_mtime < limit
        if not is_old:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()
        return is_old

    async def older_than(self, age_s: float) -> AsyncIterator[list[str]]:
        """Keys of files that were written longer ago than this, in batches; unfinished uploads are removed."""
        for folder in await asyncio.to_thread(_folders, self._root):
            keys = await asyncio.to_thread(_old_files, folder, age_s)
            if folder.name == INCOMING:
                for key in keys:
                    await self.delete(key)
            else:
                for start in range(0, len(keys), BATCH):
                    yield keys[start : start + BATCH]

    async def free_bytes(self) -> int:
        """How much room is left."""
        self._root.mkdir(parents=True, exist_ok=True)
        stat = await asyncio.to_thread(os.statvfs, self._root)
        return stat.f_bavail * stat.f_frsize


def open_files(settings: Settings) -> FileStore:
    """The file store of the settings."""
    if not settings.storage_url:
        return FileStore(settings.data_dir / "originals")
    return FileStore(Path(settings.storage_url.removeprefix("file://")))


def _folders(root: Path) -> list[Path]:
    return [each for each in root.iterdir() if each.is_dir()] if root.is_dir() else []


def _old_files(folder: Path, age_s: float) -> list[str]:
    limit = time.time() - age_s
    return [f"{folder.name}/{each.name}" for each in folder.iterdir() if each.stat().st_mtime < limit]


class _Incoming:
    """A file on its way in. Small ones come to the disk in one go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0

    def holds(self, chunk: bytes) -> bool:
        """Take some bytes; True when it is time to write."""
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        return self._held_bytes >= HELD_BYTES

    def write(self) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        self._file.write(b"".join(self._held))
        self._held.clear()
        self._held_bytes = 0

    def publish(self, target: Path, durable: set[Path]) -> None:
        """Make everything durable under its name: the bytes, then the name, then the folder that holds the name.

        `durable` are the folders of which this need not be made sure again.
        """
        self.write()
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path, target)
        _sync_folder(target.parent)
        if target.parent not in durable:
            _sync_folder(target.parent.parent)
            durable.add(target.parent)

    def drop(self) -> None:
        """Leave nothing of what was not published."""
        if self._file is not None:
            with suppress(OSError):  # on a disk that takes nothing; unfinished uploads are collected later
                self._file.close()
                self._path.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
