"""Reads Outlook messages (.msg): the properties that [MS-OXMSG] keeps in an OLE file, and the attachments."""

import struct
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from rag_app.errors import DamagedFile, MislabelledFile, TooMuchContent
from rag_app.ingestion.message import Attachment, Message, ParseFile, decoded, written
from rag_app.ingestion.original import Original, content_of, size_of
from rag_app.ingestion.parsed import ParsedDocument

MAX_BYTES = 200_000_000
DEEPEST = 4
_MOST_ATTACHED = 1_000
_SUBJECT, _BODY, _HTML, _FROM_NAME, _FROM_ADDRESS, _TO, _CC = 0x0037, 0x1000, 0x1013, 0x0C1A, 0x0C1F, 0x0E04, 0x0E03
_FROM_SMTP, _SENT, _DELIVERED, _CODEPAGE = 0x5D01, 0x0039, 0x0E06, 0x3FFD
_DATA, _LONG_NAME, _SHORT_NAME, _MIME, _CONTENT_ID = 0x3701, 0x3707, 0x3704, 0x370E, 0x3712
_TEXT, _OLD_TEXT, _BINARY, _TIME, _INTEGER = 0x001F, 0x001E, 0x0102, 0x0040, 0x0003
# What olefile lets through on broken files.
_BROKEN = (OSError, ValueError, KeyError, IndexError, TypeError, struct.error, RecursionError, AttributeError)
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def parse_msg(original: Original, parse_file: ParseFile) -> ParsedDocument:
    """The message with its attachments. Raises DamagedFile, MislabelledFile, EmptyFile, TooMuchContent."""
    import olefile

    if size_of(original) > MAX_BYTES:
        raise TooMuchContent()
    try:
        file = olefile.OleFileIO(BytesIO(content_of(original)))
        if not file.exists("__properties_version1.0"):
            raise MislabelledFile("The file is named .msg, but it is another kind of Office file.")
        message = _Folder(file, ()).message(1)
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        struct.error,
        RecursionError,
        AttributeError,
    ) as problem:
        raise DamagedFile() from problem
    return written(message, parse_file)


class _Folder:
    """A message or an attachment inside of the file: its properties by their numbers."""

    def __init__(self, file: Any, path: tuple[str, ...]) -> None:
        self._file, self._path = file, path
        self._fixed = self._fixed_properties()

    def message(self, depth: int) -> Message:
        sender = self.text(_FROM_SMTP) or self.text(_FROM_ADDRESS)
        name = self.text(_FROM_NAME)
        date = self._time(_SENT) or self._time(_DELIVERED)
        headers = {
            "From": f"{name} <{sender}>" if name and "@" in sender else name or sender,
            "To": self.text(_TO),
            "Cc": self.text(_CC),
            "Date": date,
            "Subject": self.text(_SUBJECT),
        }
        html = self.text(_HTML) or decoded(self.data(_HTML), None)
        attachments = self._attachments(depth) if depth < DEEPEST else ()
        return Message(
            {each: value for each, value in headers.items() if value}, html, self.text(_BODY), date, attachments
        )

    def text(self, number: int) -> str:
        data = self._stream(f"__substg1.0_{number:04X}{_TEXT:04X}")
        if data is not None:
            return data.decode("utf-16-le", errors="replace").rstrip("\0")
        data = self._stream(f"__substg1.0_{number:04X}{_OLD_TEXT:04X}")
        page = self._fixed.get((_CODEPAGE, _INTEGER), b"")[:4]
        charset = f"cp{int.from_bytes(page, 'little')}" if page else None
        return decoded(data, "utf-8" if charset == "cp65001" else charset).rstrip("\0") if data else ""

    def data(self, number: int) -> bytes:
        return self._stream(f"__substg1.0_{number:04X}{_BINARY:04X}") or b""

    def _attachments(self, depth: int) -> list[Attachment]:
        found = []
        for number in range(_MOST_ATTACHED):
            path = (*self._path, f"__attach_version1.0_#{number:08X}")
            if not self._file.exists(path):
                break
            folder = _Folder(self._file, path)
            inner = (*path, f"__substg1.0_{_DATA:04X}000D")
            name = folder.text(_LONG_NAME) or folder.text(_SHORT_NAME)
            if self._file.exists(inner):
                message = _Folder(self._file, inner).message(depth + 1)
                found.append(Attachment(message.headers.get("Subject") or name or "message", message))
                continue
            inline = bool(folder.text(_CONTENT_ID))
            found.append(Attachment(name or "attachment", folder.data(_DATA), folder.text(_MIME), inline))
        return found

    def _time(self, number: int) -> str:
        ticks = int.from_bytes(self._fixed.get((number, _TIME), b""), "little")
        try:
            return (_EPOCH + timedelta(microseconds=ticks // 10)).isoformat(timespec="seconds") if ticks else ""
        except OverflowError:
            return ""

    def _fixed_properties(self) -> dict[tuple[int, int], bytes]:
        """Numbers and times stand in one stream of 16 bytes each, after a head that depends on the kind of folder."""
        data = self._stream("__properties_version1.0") or b""
        is_attachment = bool(self._path) and self._path[-1].startswith("__attach")
        head = 32 if not self._path else 8 if is_attachment else 24
        rows = (data[at : at + 16] for at in range(head, len(data) - 15, 16))
        return {(tag >> 16, tag & 0xFFFF): row[8:16] for row in rows for (tag,) in (struct.unpack_from("<I", row),)}

    def _stream(self, name: str) -> bytes | None:
        path = (*self._path, name)
        if not self._file.exists(path) or self._file.get_type(path) != 2:
            return None
        with self._file.openstream(path) as stream:
            data: bytes = stream.read()
        return data
