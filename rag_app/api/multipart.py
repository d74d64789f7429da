"""Reads a multipart body while it streams in: fields are kept small, files are handed on chunk by chunk."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import python_multipart
from python_multipart.exceptions import FormParserError

from rag_app.errors import InvalidInput, TooLarge

# It writes a line for each odd byte that a client sends; what is wrong is told to the client.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
LARGEST_FIELD = 100_000
MOST_PARTS = 2000
LARGEST_HEADER = 8192


@dataclass
class Part:
    """One part of the body. The value of a field is whole; a file is read from `content`."""

    name: str
    filename: str | None
    media_type: str
    value: str = ""
    content: "FileStream | None" = None


@dataclass
class _Head:
    field_name: bytes = b""
    field_value: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class FileStream:
    """The bytes of one file; to be read to its end before the next part is asked for."""

    def __init__(self, reader: "MultipartReader") -> None:
        self._reader = reader

    def __aiter__(self) -> "FileStream":
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._reader.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk


class MultipartReader:
    """Turns a stream of bytes into parts. Raises InvalidInput for a body that is not well-formed."""

    def __init__(self, stream: AsyncIterator[bytes], content_type: str) -> None:
        kind, options = python_multipart.multipart.parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise InvalidInput("The body must be multipart/form-data with a boundary.")
        self._stream = stream
        self._events: list[tuple[str, bytes]] = []
        self._parser = python_multipart.MultipartParser(
            boundary,
            {
                "on_part_begin": lambda: self._note("begin"),
                "on_header_field": lambda data, start, end: self._note("name", data[start:end]),
                "on_header_value": lambda data, start, end: self._note("value", data[start:end]),
                "on_header_end": lambda: self._note("header"),
                "on_headers_finished": lambda: self._note("headers"),
                "on_part_data": lambda data, start, end: self._note("data", data[start:end]),
                "on_part_end": lambda: self._note("end"),
                "on_end": lambda: self._note("finish"),
            },
        )
        self._head = _Head()

    def _note(self, kind: str, data: bytes = b"") -> None:
        self._events.append((kind, data))

    async def parts(self) -> AsyncIterator[Part]:
        """The parts in their order; what is left of a file that was not read is passed over."""
        count = 0
        while (head := await self._next_head()) is not None:
            count += 1
            if count > MOST_PARTS:
                raise TooLarge(f"A request may hold at most {MOST_PARTS} parts.")
            part = _part(head)
            if part.filename is None:
                part.value = await self._whole_value()
                yield part
                continue
            part.content = FileStream(self)
            yield part
            while await self.next_chunk() is not None:
                pass

    async def next_chunk(self) -> bytes | None:
        """More of the part that is being read; None at its end."""
        while self._events and self._events[0][0] == "closed":
            return None
        kind, data = await self._next_event()
        if kind == "data":
            return data
        self._events.insert(0, ("closed", b""))
        return None

    async def _whole_value(self) -> str:
        value = b""
        while (chunk := await self.next_chunk()) is not None:
            value += chunk
            if len(value) > LARGEST_FIELD:
                raise TooLarge(f"A form field may hold at most {LARGEST_FIELD} bytes.")
        try:
            return value.decode()
        except UnicodeDecodeError as problem:
            raise InvalidInput("Form fields must be UTF-8.") from problem

    async def _next_head(self) -> _Head | None:
        self._head = _Head()
        while True:
            kind, data = await self._next_event()
            if kind == "finish":
                return None
            if kind == "name":
                self._head.field_name += data
            elif kind == "value":
                self._head.field_value += data
            elif kind == "header":
                name = self._head.field_name.decode("latin-1").lower()
                self._head.headers[name] = self._head.field_value.decode("latin-1")  # back to bytes in `_part`
                self._head.field_name = self._head.field_value = b""
            elif kind == "headers":
                return self._head
            if len(self._head.field_value) > LARGEST_HEADER:
                raise TooLarge("A header of a form part is too long.")

    async def _next_event(self) -> tuple[str, bytes]:
        while not self._events or self._events == [("closed", b"")]:
            self._events.clear()
            await self._fill()
        if self._events[0][0] == "closed":
            self._events.pop(0)
        return self._events.pop(0)

    async def _fill(self) -> None:
        try:
            chunk = await anext(self._stream)
        except StopAsyncIteration as problem:
            raise InvalidInput("The body ends before its last part does.") from problem
        try:
            self._parser.write(chunk)
        except FormParserError as problem:
            raise InvalidInput("The body is not valid multipart/form-data.") from problem


def _part(head: _Head) -> Part:
    raw = head.headers.get("content-disposition", "").encode("latin-1")  # names inside it are UTF-8
    _, options = python_multipart.multipart.parse_options_header(raw)
    filename = options.get(b"filename")
    return Part(
        name=options.get(b"name", b"").decode("utf-8", "replace"),
        filename=filename.decode("utf-8", "replace") if filename is not None else None,
        media_type=head.headers.get("content-type", "").split(";", 1)[0].strip().lower(),
    )
