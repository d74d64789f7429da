"""Walks the members of a zip or tar file, also of archives inside, within limits; what is not taken says why."""

import bz2
import gzip
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

from rag_app.errors import (
    DamagedFile,
    EncryptedFile,
    PasswordNeeded,
    PasswordWrong,
    RagError,
    TooMuchContent,
)
from rag_app.ingestion.formats import ARCHIVES, HEAD_BYTES, Format, sniff
from rag_app.ingestion.original import Original, head_of, size_of

MOST_MEMBERS = 10_000
MOST_ENTRIES = 50_000  # with folders, hidden files and what is left out
MOST_BYTES = 2_000_000_000  # of all members unpacked
MOST_NESTED_BYTES = 200_000_000  # of an archive inside, which is unpacked in memory
DEEPEST = 3
HIGHEST_RATIO = 200  # of unpacked to packed bytes, once there are this many:
RATIO_FROM_BYTES = 100_000_000
LONGEST_PATH = 400
CHUNK = 1 << 20
_DRIVE = re.compile(r"^[A-Za-z]:")
_UNSHOWN = re.compile("[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_LITTER = frozenset({"thumbs.db", "desktop.ini"})
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, KeyError,
           IndexError, OverflowError, NotImplementedError)  # fmt: skip
_TOO_MANY = f"The archive holds more than {MOST_MEMBERS:,} files: split it."
_TOO_LARGE = f"The archive unpacks to more than {MOST_BYTES // 1_000_000_000} GB: split it."
_BOMB = f"The archive unpacks to more than {HIGHEST_RATIO} times its size, as only hostile ones do."


@dataclass(frozen=True, slots=True)
class Member:
    """A file that can be read."""

    path: str  # inside of the archive, "/" between folders; of one in an archive inside: "inner.zip/a.txt"
    stream: "Unpacked"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not taken, and why; `reason` is "" for litter such as hidden files."""

    path: str
    reason: str


Entry = Member | LeftOut


class ArchiveWalk:
    """One pass through an archive."""

    def __init__(self, password: str | None = None) -> None:
        self._password = password
        self._packed = 0
        self._entries = self._members = self._bytes = 0

    def entries(self, original: Original, kind: Format, filename: str) -> Iterator[Entry]:
        """All entries in the order of the archive. A member must be read before the next one is asked for.

        Raises PasswordNeeded, PasswordWrong, EncryptedFile, DamagedFile and TooMuchContent.
        """
        self._packed = size_of(original)
        try:
            yield from self._walk(original, kind, filename, prefix="", depth=1)
        except _BROKEN as problem:
            raise DamagedFile("The archive is damaged: pack it again and upload the new copy.") from problem

    def _walk(self, original: Original, kind: Format, filename: str, *, prefix: str, depth: int) -> Iterator[Entry]:
        raw = self._zip(original) if kind is Format.ZIP else self._tar(original, filename)
        for name, stream in raw:
            self._entries += 1
            if self._entries > MOST_ENTRIES:
                raise TooMuchContent(_TOO_MANY)
            path, fault = _safe(name)
            shown = prefix + path
            if fault is not None or isinstance(stream, str):
                yield LeftOut(shown, fault if fault is not None else str(stream))
                continue
            yield from self._entry(shown, stream, depth)

    def _entry(self, path: str, stream: IO[bytes], depth: int) -> Iterator[Entry]:
        counted = Unpacked(stream, self)
        name = path.rpartition("/")[2]
        try:
            head = counted.peek()
            kind = sniff(name, None, head)
        except RagError as problem:
            yield LeftOut(path, problem.message.partition(" Supported:")[0])
            return
        if kind not in ARCHIVES:
            self._members += 1
            if self._members > MOST_MEMBERS:
                raise TooMuchContent(_TOO_MANY)
            yield Member(path, counted)
            return
        if depth == DEEPEST:
            yield LeftOut(path, f"Archives inside of archives are opened {DEEPEST} deep, and this one lies deeper.")
            return
        content = counted.read(MOST_NESTED_BYTES + 1)
        if len(content) > MOST_NESTED_BYTES:
            limit = MOST_NESTED_BYTES // 1_000_000
            yield LeftOut(path, f"An archive of more than {limit} MB inside of another is not opened: upload it alone.")
            return
        try:
            yield from self._walk(BytesIO(content), kind, name, prefix=f"{path}/", depth=depth + 1)
        except _BROKEN:
            yield LeftOut(path, "This archive is damaged, at least from here on.")
        except (PasswordNeeded, EncryptedFile):
            yield LeftOut(path, "This archive inside of another needs a password: upload it alone.")

    def _zip(self, original: Original) -> Iterator[tuple[str, IO[bytes] | str]]:
        with zipfile.ZipFile(original) as archive:
            infos = archive.infolist()
            if len(infos) > MOST_ENTRIES:
                raise TooMuchContent(_TOO_MANY)
            if sum(info.file_size for info in infos) > MOST_BYTES:
                raise TooMuchContent(_TOO_LARGE)
            for info in infos:
                if not info.is_dir():
                    yield _zip_name(info), self._zip_member(archive, info)

    def _zip_member(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes] | str:
        is_locked = bool(info.flag_bits & 1)
        if is_locked and self._password is None:
            raise PasswordNeeded("The archive is protected by a password: enter the password and it is unpacked.")
        try:
            return archive.open(info, pwd=self._password.encode() if is_locked and self._password else None)
        except NotImplementedError as problem:
            if is_locked:
                raise EncryptedFile(
                    "The archive is encrypted with AES, which is not opened here: unpack it and upload the files."
                ) from problem
            return "It is packed in a way that is not known here: pack it with an ordinary method."
        except RuntimeError as problem:
            raise PasswordWrong() from problem
        except zipfile.BadZipFile:
            return "It is damaged in the archive."

    def _tar(self, original: Original, filename: str) -> Iterator[tuple[str, IO[bytes] | str]]:
        try:
            archive = _open_tar(original)
        except tarfile.ReadError:
            yield from _single(original, filename)
            return
        with archive:
            for info in archive:
                if info.isdir():
                    continue
                stream = archive.extractfile(info) if info.isreg() else None
                yield info.name, stream or "It is a link or a device, not a file."

    @property
    def has_password(self) -> bool:
        """Whether one was given."""
        return self._password is not None

    def count(self, size: int) -> None:
        """Note bytes that were unpacked. Raises TooMuchContent."""
        self._bytes += size
        if self._bytes > MOST_BYTES:
            raise TooMuchContent(_TOO_LARGE)
        if self._bytes > RATIO_FROM_BYTES and self._bytes > HIGHEST_RATIO * self._packed:
            raise TooMuchContent(_BOMB)


class Unpacked:
    """A member's bytes, counted as they are unpacked."""

    def __init__(self, stream: IO[bytes], walk: ArchiveWalk) -> None:
        self._stream, self._walk = stream, walk
        self._held = b""

    def peek(self) -> bytes:
        """The first bytes, which stay to be read."""
        self._held = self._read(HEAD_BYTES)
        return self._held

    def read(self, size: int = -1) -> bytes:
        """As a file does."""
        parts, count = [self._held], len(self._held)
        self._held = b""
        while size < 0 or count < size:
            part = self._read(CHUNK if size < 0 else min(CHUNK, size - count))
            if not part:
                break
            parts.append(part)
            count += len(part)
        content = b"".join(parts)
        if 0 <= size < len(content):
            content, self._held = content[:size], content[size:]
        return content

    def _read(self, size: int) -> bytes:
        try:
            part = self._stream.read(size)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError) as problem:
            if self._walk.has_password:  # one wrong password in 256 passes the first check
                raise PasswordWrong() from problem
            raise DamagedFile("It is damaged in the archive.") from problem
        self._walk.count(len(part))
        return part


def _open_tar(original: Original) -> tarfile.TarFile:
    if isinstance(original, BytesIO):
        original.seek(0)
        return tarfile.open(fileobj=original, mode="r:*")
    return tarfile.open(original, mode="r:*")


def _single(original: Original, filename: str) -> Iterator[tuple[str, IO[bytes] | str]]:
    """The one file in a .gz, .bz2 or .xz that is no tar."""
    head = head_of(original, 6)
    source: Any = original
    if isinstance(original, BytesIO):
        original.seek(0)
    for magic, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open)):
        if head.startswith(magic):
            name = re.sub(r"\.(?:gz|bz2|xz|tgz|tbz2?|txz)$", "", filename, flags=re.I) or "file"
            with opener(source, "rb") as stream:
                yield name, stream
            return
    raise DamagedFile("The archive is damaged: pack it again and upload the new copy.")


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name as it was meant: many programs write UTF-8 without saying so."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _safe(name: str) -> tuple[str, str | None]:
    """A member's path as a label, and why it is not taken: None = it is, "" = it is litter."""
    name = name.replace("\\", "/")
    parts = [_UNSHOWN.sub("", part) for part in name.split("/") if part not in ("", ".")]
    shown = "/".join(parts).encode("utf-8", "replace").decode()[-LONGEST_PATH:]
    if name.startswith("/") or _DRIVE.match(name) or ".." in parts:
        return shown, "Its name leads out of the archive."
    if not parts:
        return "?", "It has no name."
    if len("/".join(parts)) > LONGEST_PATH:
        return shown, f"Its path has more than {LONGEST_PATH} characters."
    litter = parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts) or parts[-1].lower() in _LITTER
    return shown, "" if litter else None
