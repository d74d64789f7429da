"""Unpacks an archive in a parser child: what is in it, then each member as a stream of bytes."""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_app.errors import ParserCrashed
from rag_app.ingestion.archive import LONGEST_PATH, MOST_MEMBERS
from rag_app.ingestion.sandbox import Ask, ParserPool

TIMEOUT_S = 120.0  # to look through all of it


@dataclass(frozen=True, slots=True)
class Packed:
    """An archive and how to open it."""

    path: Path
    filename: str
    media_type: str | None
    password: str | None
    most_member_bytes: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in an archive: paths and sizes of what is taken, and what is not taken with the reason."""

    members: dict[str, int]
    left_out: tuple[tuple[str, str], ...]
    left_out_count: int
    litter: int


class OpenArchive:
    """An archive whose members are read one after the other."""

    def __init__(self, contents: Contents, ask: Ask) -> None:
        self.contents = contents
        self._ask = ask

    async def members(self) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Path and bytes of each; the bytes must be read before the next one is asked for."""
        while answer := _without_time(await self._ask({"do": "next member"})):
            path = str(answer.get("path"))
            if path not in self.contents.members:
                raise ParserCrashed()
            yield path, self._bytes(answer)

    async def _bytes(self, answer: dict[str, Any]) -> AsyncIterator[bytes]:
        while True:
            try:
                yield base64.b64decode(answer["chunk"], validate=True)
                if answer["is_last"]:
                    return
            except (KeyError, TypeError, binascii.Error) as problem:
                raise ParserCrashed() from problem
            answer = await self._ask({"do": "more of it"})


@asynccontextmanager
async def open_archive(pool: ParserPool, packed: Packed) -> AsyncIterator[OpenArchive]:
    """Look through an archive, and keep it open for its members.

    Raises PasswordNeeded, PasswordWrong, EncryptedFile, DamagedFile, TooMuchContent, ParserTimeout, ParserMemory and
    ParserCrashed; the same may happen between two members.
    """
    async with pool.session(timeout_s=TIMEOUT_S) as ask:
        request = {
            "do": "unpack", "path": str(packed.path.resolve()), "filename": packed.filename,
            "media_type": packed.media_type, "password": packed.password,
            "most_member_bytes": packed.most_member_bytes,
        }  # fmt: skip
        yield OpenArchive(_contents(await ask(request)), ask)


def _without_time(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "parse_ms"}


def _contents(answer: dict[str, Any]) -> Contents:
    """The child is not trusted: everything is checked."""
    try:
        members = {str(path): int(size) for path, size in answer["members"]}
        left_out = tuple((str(path), str(reason)) for path, reason in answer["left_out"])
        found = Contents(members, left_out, int(answer["left_out_count"]), int(answer["litter"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise ParserCrashed() from problem
    if len(members) > MOST_MEMBERS or any(not path or len(path) > 4 * LONGEST_PATH for path in members):
        raise ParserCrashed()
    return found
