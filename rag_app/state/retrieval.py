"""“Test retrieval”: a question, the passages it finds, their ranks in each leg, and how long each step took."""

from typing import Any

import reflex as rx

from rag_app.retrieval.passages import Mode, Passage
from rag_app.retrieval.places import described
from rag_app.services.search import Query, search_knowledge_base
from rag_app.state.rows import PassageRow, Timing
from rag_app.state.session import SessionState, as_text
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import milliseconds

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
LEGS = {
    "embed": "embed the question",
    "dense": "by meaning",
    "lexical": "by words",
    "fuse": "fuse",
    "rerank": "rerank",
    "total": "in all",
}


class RetrievalState(SessionState):
    """The tab “Test retrieval” of a knowledge base."""

    passages: list[PassageRow] = []
    timings: list[Timing] = []
    warnings: list[str] = []
    asked: str = ""
    problem: str = ""
    searching: bool = False

    @rx.event
    def clear(self) -> None:
        """Forget the last question."""
        self.passages, self.timings, self.warnings, self.asked, self.problem = [], [], [], "", ""

    @rx.event
    async def try_search(self, form: dict[str, Any]) -> Any:
        """Search as the chat would, and show how it came about."""
        self.searching = True
        yield
        async with self._trying("problem"):
            mode = next((each for each in MODES if each == form.get("mode")), MODES[0])
            query = Query(as_text(form.get("query"), 2000), mode=mode)
            found = await search_knowledge_base(surroundings(), await self._actor(), self._segment_id(1), query)
            self.asked = query.text
            self.passages = [passage_row(place, each) for place, each in enumerate(found.passages, start=1)]
            self.warnings = list(found.warnings)
            self.timings = [
                Timing(label, milliseconds(found.timings_ms[name]))
                for name, label in LEGS.items()
                if name in found.timings_ms
            ]
        self.searching = False


def passage_row(place: int, passage: Passage) -> PassageRow:
    """A passage as the panel shows it."""

    def rank(number: int | None) -> str:
        return "–" if number is None else f"#{number}"

    return PassageRow(
        id=str(passage.id),
        place=place,
        document_id=str(passage.document_id),
        title=passage.title,
        heading=passage.heading,
        pages=described(passage.place, passage.page_from, passage.page_to),
        text=passage.text,
        score=f"{passage.score:.2f}",
        dense=rank(passage.ranks.dense),
        lexical=rank(passage.ranks.lexical),
        fused=rank(passage.ranks.fused),
    )
