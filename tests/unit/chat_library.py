"""Passages, a search and a model that answer what a test tells them, for the tests of the chat room."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from rag_app.chat.answer import answer
from rag_app.chat.events import Done, Event, Token
from rag_app.chat.request import AnswerRequest, Engine
from rag_app.providers.completion_types import CompletionChunk, CompletionRequest, TokenUsage
from rag_app.retrieval.passages import Evidence, Passage, SearchResult
from rag_app.retrieval.terms import terms_of

OIL = (
    "The 1973 oil crisis began in October 1973 when the members of OAPEC proclaimed an oil embargo. "
    "By the end of the embargo in March 1974, the price of oil had risen from US$3 per barrel to nearly $12 globally. "
    "It was later called the first oil shock."
)
NORMANS = (
    "The Normans were the people who in the 10th and 11th centuries gave their name to Normandy, a region in France. "
    "They were not Frankish vassals at first. Rollo was their leader."
)


def passage(
    text: str, *, title: str = "A document", offset: int = 0, language: str = "en", fused: float = 1.0
) -> Passage:
    """A passage that stands at `offset` in its version."""
    return Passage(
        id=uuid.uuid4(), knowledge_base_id=uuid.uuid4(), document_id=uuid.uuid4(), version_id=uuid.uuid4(),
        external_id=None, title=title, url=None, text=text, heading="", page_from=None, page_to=None,
        char_from=offset, char_to=offset + len(text), score=fused, fused=fused, language=language,
    )  # fmt: skip


@dataclass
class Library:
    """A search that always finds the same passages and remembers what it was asked."""

    passages: tuple[Passage, ...]
    answerable: float = 0.9
    asked: list[str] = field(default_factory=list)
    differing: dict[str, float] = field(default_factory=dict)  # probabilities of single questions

    async def search(self, question: str, limit: int) -> SearchResult:
        """As the product's search."""
        self.asked.append(question)
        evidence = Evidence(answerable=self.differing.get(question, self.answerable))
        return SearchResult(self.passages[:limit], evidence, idf=dict.fromkeys(terms_of(question, "en"), 1.0))


@dataclass
class Model:
    """A chat model that streams fixed texts, one per call, in pieces of `size` characters, and may fail after them."""

    texts: list[str]
    size: int = 4
    error: Exception | None = None
    requests: list[CompletionRequest] = field(default_factory=list)
    closed: int = 0

    def complete(self, request: CompletionRequest) -> AsyncIterator[CompletionChunk]:
        """As a provider's completion."""
        self.requests.append(request)
        return self._stream(self.texts[min(len(self.requests), len(self.texts)) - 1])

    async def _stream(self, text: str) -> AsyncIterator[CompletionChunk]:
        try:
            for start in range(0, len(text), self.size):
                yield CompletionChunk(text[start : start + self.size])
            if self.error:
                raise self.error
            yield CompletionChunk("", "stop", TokenUsage(10, 5, None), "openai/real-name")
        finally:
            self.closed += 1


async def events_of(request: AnswerRequest, engine: Engine) -> list[Event]:
    """All events of one answer."""
    return [event async for event in answer(request, engine)]


def done_of(events: list[Event]) -> Done:
    """The last event, which must be Done and say what the tokens said."""
    last = events[-1]
    assert isinstance(last, Done)
    assert "".join(event.text for event in events if isinstance(event, Token)) == last.answer
    return last
