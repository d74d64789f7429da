"""What the events of an answer have said so far, taken in however fast they come."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from rag_app.services.run_registry import Numbered
from rag_app.state.chat_rows import citation_row
from rag_app.state.rows import CitationRow

PHASES = {"searching": "Searching the documents…", "passages": "Reading what was found…"}


class Gathered:
    """Fills while it reads; `news` is set whenever there is something that nobody has taken over yet."""

    def __init__(self) -> None:
        self.text = ""
        self.phase = ""
        self.citations: list[CitationRow] = []
        self.done: dict[str, Any] | None = None
        self.news = asyncio.Event()

    async def read(self, events: AsyncIterator[Numbered]) -> None:
        """Take all events in."""
        async for _, kind, data in events:
            if kind == "token":
                self.text += data["text"]
            elif kind == "citation":
                self.citations.append(citation_row(data))
            elif kind == "done":
                self.done = data
            elif kind in PHASES:
                self.phase = PHASES[kind]
            self.news.set()

    async def wait(self, reader: "asyncio.Task[None]", *, timeout_s: float) -> None:
        """Until there is something new, the reader has ended, or the time is over."""
        coming = asyncio.ensure_future(self.news.wait())
        await asyncio.wait({coming, reader}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        coming.cancel()
