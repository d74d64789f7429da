"""Questions on product documentation, asked of all of it and of small knowledge bases made of a few of its pages."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from bench import retrieval_sets as sets
from bench.scratch_search import embed, fill
from rag_app.chat.answer import answer
from rag_app.chat.events import Done
from rag_app.chat.request import AnswerRequest, Engine
from rag_app.retrieval.passages import SearchResult
from rag_app.retrieval.search import search as product_search

SMALL_BASES = 40
PAGES = (5, 10)  # of a small knowledge base, drawn at random
FOREIGN = 150  # questions that the documentation does not answer, asked of all of it
FOREIGN_EACH = 10  # and of each small knowledge base


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what became of it."""

    answerable: bool
    refused: bool
    first: bool = False  # the first quote comes from a section that answers
    any: bool = False  # one of the quotes does
    base: str = ""


@dataclass(frozen=True, slots=True)
class Documentation:
    """All of the documentation, its questions, and questions on other things."""

    asked: sets.QuestionSet
    foreign: Sequence[str]

    async def of_everything(self, engine: AsyncEngine) -> list[Asked]:
        """All sections in one knowledge base."""
        return await self._ask(
            engine, self.asked.documents, [key for key, _ in self.asked.questions], self.foreign[:FOREIGN], name="all"
        )

    async def of_small_bases(self, engine: AsyncEngine, *, seed: int) -> list[Asked]:
        """Few pages in each knowledge base; only questions whose sections are all there count as answerable."""
        draw = random.Random(seed)
        pages: dict[str, list[dict[str, Any]]] = {}
        for document in self.asked.documents:
            pages.setdefault(page_of(document["id"]), []).append(document)
        found: list[Asked] = []
        for number in range(SMALL_BASES):
            chosen = draw.sample(sorted(pages), draw.randint(*PAGES))
            documents = [document for page in chosen for document in pages[page]]
            there = {document["id"] for document in documents}
            keys = [key for key, _ in self.asked.questions if self.asked.relevant[key].keys() <= there]
            foreign = draw.sample(self.foreign, FOREIGN_EACH)
            found += await self._ask(engine, documents, keys, foreign, name=f"small {number}")
        return found

    async def _ask(
        self, engine: AsyncEngine, documents: Sequence[dict[str, Any]], keys: Sequence[str], foreign: Sequence[str],
        *, name: str,
    ) -> list[Asked]:  # fmt: skip
        made = await fill(engine, documents, name=f"documentation {name}")

        async def search(question: str, limit: int) -> SearchResult:
            return await product_search(engine, question, made.scope(limit=limit))

        teller = Engine(search=search, embed=embed)
        text = dict(self.asked.questions)
        found = [_asked(await _answer(text[key], teller), set(self.asked.relevant[key]), name) for key in keys]
        return found + [_asked(await _answer(question, teller), set(), name) for question in foreign]


def page_of(section: str) -> str:
    """The page that a section stands on."""
    return section.partition("#")[0]


async def _answer(question: str, teller: Engine) -> Done:
    last = [event async for event in answer(AnswerRequest(question), teller)][-1]
    assert isinstance(last, Done), last
    return last


def _asked(done: Done, gold: set[str], base: str) -> Asked:
    hits = [citation.external_id in gold for citation in done.citations]
    return Asked(bool(gold), done.abstained, bool(hits) and hits[0], any(hits), base)


def rows_of(name: str, asked: Sequence[Asked]) -> list[tuple[str, str, str]]:
    """The lines of the report; a refused question has no quote."""
    yes = [each for each in asked if each.answerable]
    no = [each for each in asked if not each.answerable]
    if not yes or not no:
        return []
    wrong_no = sum(each.refused for each in yes) / len(yes)
    right_no = sum(each.refused for each in no) / len(no)
    bases = len({each.base for each in yes})
    return [
        (f"{name}: a quote from a section that answers ({len(yes)} in {bases})",
         f"{sum(each.any for each in yes) / len(yes):.3f}", ""),
        (f"{name}: the first quote", f"{sum(each.first for each in yes) / len(yes):.3f}", ""),
        (f"{name}: answerable questions refused", f"{wrong_no:.1%}", ""),
        (f"{name}: foreign questions refused ({len(no)})", f"{right_no:.1%}", ""),
        (f"{name}: balanced accuracy of saying no", f"{(1 - wrong_no + right_no) / 2:.3f}", "≥ .88"),
    ]  # fmt: skip
