"""The child's side of unpacking an archive: first a look through all of it, then its members one by one in pieces."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag_app.errors import DamagedFile
from rag_app.ingestion.archive import CHUNK, ArchiveWalk, Entry, Member
from rag_app.ingestion.formats import ARCHIVES, HEAD_BYTES, sniff
from rag_app.ingestion.original import head_of

MOST_LEFT_OUT = 1_000  # that are named one by one


class ArchiveSession:
    """One archive; `look` comes first."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._path = Path(request["path"])
        self._filename = str(request["filename"])
        self._kind = sniff(self._filename, request["media_type"], head_of(self._path, HEAD_BYTES))
        if self._kind not in ARCHIVES:
            raise DamagedFile("The file is not an archive.")
        self._password = request["password"]
        self._most_member_bytes = int(request["most_member_bytes"])
        self._chosen: set[int] = set()
        self._rest: Iterator[Member] | None = None
        self._member: Member | None = None

    def look(self) -> dict[str, Any]:
        """Unpack everything once without keeping it: nothing is taken of an archive that breaks a limit."""
        places: dict[str, int] = {}
        sizes: dict[str, int] = {}
        left_out: list[list[str]] = []
        litter = 0
        for number, entry in enumerate(self._entries()):
            if not isinstance(entry, Member):
                litter += not entry.reason
                if entry.reason:
                    left_out.append([entry.path, entry.reason])
                continue
            size, fault = self._measured(entry)
            if fault:
                left_out.append([entry.path, fault])
                continue
            if entry.path in places:
                left_out.append([entry.path, "Another file of the same name comes later in the archive."])
            places[entry.path], sizes[entry.path] = number, size
        self._chosen = set(places.values())
        return {
            "members": [[path, sizes[path]] for path in places],
            "left_out": left_out[:MOST_LEFT_OUT],
            "left_out_count": len(left_out),
            "litter": litter,
        }

    def next(self) -> dict[str, Any]:
        """The path of the next chosen member with its first piece; an empty answer at the end."""
        if self._rest is None:
            self._rest = (
                entry for number, entry in enumerate(self._entries())
                if isinstance(entry, Member) and number in self._chosen
            )  # fmt: skip
        self._member = next(self._rest, None)
        return {"path": self._member.path, **self.more()} if self._member else {}

    def more(self) -> dict[str, Any]:
        """The next piece of the member; one shorter than CHUNK is its last."""
        content = self._member.stream.read(CHUNK) if self._member else b""
        return {"chunk": base64.b64encode(content).decode(), "is_last": len(content) < CHUNK}

    def _entries(self) -> Iterator[Entry]:
        walk = ArchiveWalk(self._password)
        return walk.entries(self._path, self._kind, self._filename)

    def _measured(self, member: Member) -> tuple[int, str]:
        """How large a member is unpacked, and why it cannot be taken."""
        size = 0
        try:
            while part := member.stream.read(CHUNK):
                size += len(part)
                if size > self._most_member_bytes:
                    return size, f"It is larger than {self._most_member_bytes // 1_000_000} MB, the most accepted here."
        except DamagedFile as problem:
            return size, problem.message
        return size, ""
