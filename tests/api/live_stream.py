"""A reader of server-sent events that sees each one when it is sent, and can go away in the middle."""

import asyncio
import json
from types import TracebackType
from typing import Any

from fastapi import FastAPI
from starlette.types import Message

Event = tuple[int, str, dict[str, Any]]
PATIENCE_S = 60.0  # until a test gives up; a loaded machine is slow


def events_of(body: str) -> list[Event]:
    """The events of a body, or of one block of it, without the comments."""
    found = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


class LiveStream:
    """One request to the application, read while it is answered."""

    def __init__(
        self, api: FastAPI, key: str, path: str, *, body: dict[str, Any] | None = None, seen: int | None = None
    ) -> None:
        headers = [(b"host", b"testserver"), (b"authorization", f"Bearer {key}".encode())]
        if body is not None:
            headers.append((b"content-type", b"application/json"))
        if seen is not None:
            headers.append((b"last-event-id", str(seen).encode()))
        self._api = api
        self._scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": "GET" if body is None else "POST", "scheme": "http", "path": path, "raw_path": path.encode(),
            "query_string": b"", "headers": headers, "client": ("198.51.100.7", 1), "server": ("testserver", 80),
            "root_path": "",
        }  # fmt: skip
        self._body = b"" if body is None else json.dumps(body).encode()
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._asked = False
        self._text = ""
        self._over = False
        self.status = 0
        self.comments = 0
        self.events: list[Event] = []

    async def __aenter__(self) -> "LiveStream":
        self._task = asyncio.create_task(self._api(self._scope, self._receive, self._sent.put))
        self.status = (await self._next())["status"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        return await asyncio.wait_for(self._sent.get(), PATIENCE_S)

    async def block(self) -> str | None:
        """The next event or comment as it is written; None at the end."""
        while "\n\n" not in self._text:
            if self._over:
                return None
            message = await self._next()
            self._text += message.get("body", b"").decode()
            self._over = not message.get("more_body", False)
        found, _, self._text = self._text.partition("\n\n")
        return found

    async def event(self) -> Event | None:
        """The next event; None at the end."""
        while (block := await self.block()) is not None:
            if block.startswith(":"):
                self.comments += 1
                continue
            self.events += events_of(block)
            return self.events[-1]
        return None

    async def until(self, kind: str, count: int = 1) -> Event:
        """Read on until so many events of a kind have come; the last of them."""
        while count:
            event = await self.event()
            assert event is not None, f"the stream ended before its {kind}"
            count -= event[1] == kind
        return self.events[-1]

    async def rest(self) -> list[Event]:
        """Read to the end; all events seen here."""
        while await self.event() is not None:
            pass
        return self.events

    async def leave(self) -> None:
        """Close the connection."""
        self._gone.set()
        await asyncio.wait_for(asyncio.gather(self._task, return_exceptions=True), PATIENCE_S)
