"""The runs that are under way in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID
from weakref import WeakValueDictionary

from rag_app.chat.trace import AnswerTrace
from rag_app.services.wire import ENDS, Json

Numbered = tuple[int, str, Json]
# So many runs write to the tables at the same time; the other connections stay free for those who ask something.
MOST_WRITING = 4
# So many answers are made for one person at the same time; further ones wait, so that nobody takes all of the process.
MOST_PER_PERSON = 64


@dataclass
class Run:
    """One answer being made in this process."""

    message_id: UUID
    conversation_id: UUID
    events: list[Numbered] = field(default_factory=list)
    trace: AnswerTrace = field(default_factory=AnswerTrace)
    flushed: int = 0
    readers: int = 0
    stopping: bool = False
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    written: asyncio.Event = field(default_factory=asyncio.Event)  # its end stands in the tables

    @property
    def ended(self) -> bool:
        """True when the last event has been written."""
        return bool(self.events) and self.events[-1][1] in ENDS

    def add(self, kind: str, data: Json) -> None:
        """Number an event and wake those who follow."""
        self.events.append((len(self.events) + 1, kind, data))
        self.changed.set()
        self.changed = asyncio.Event()

    def said(self) -> str:
        """What has been said so far."""
        return "".join(data["text"] for _, kind, data in self.events if kind == "token")

    def cited(self) -> list[Json]:
        """The citations so far."""
        return [data for _, kind, data in self.events if kind == "citation"]


class RunRegistry:
    """Finds the run of a message."""

    def __init__(self) -> None:
        self._runs: dict[UUID, Run] = {}
        self._turns: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()
        self.writing = asyncio.Semaphore(MOST_WRITING)

    def add(self, run: Run) -> None:
        """Remember a run."""
        self._runs[run.message_id] = run

    def get(self, message_id: UUID) -> Run | None:
        """The run of a message, if it is in this process."""
        return self._runs.get(message_id)

    def remove(self, run: Run) -> None:
        """Forget a run that has ended."""
        self._runs.pop(run.message_id, None)

    @asynccontextmanager
    async def turn(self, person: UUID) -> AsyncIterator[None]:
        """Wait until fewer than MOST_PER_PERSON answers are being made for this person."""
        semaphore = self._turns.setdefault(person, asyncio.Semaphore(MOST_PER_PERSON))
        async with semaphore:
            yield

    async def drain(self, timeout_s: float) -> None:
        """At a stop: let running answers finish for a moment, then end them as interrupted."""
        tasks = [run.task for run in self._runs.values() if run.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
