"""The list of knowledge bases: load, narrow, create."""

from typing import Any

import reflex as rx

from rag_app.services.conflict_places import conflict_counts
from rag_app.services.knowledge import KnowledgeBaseCard, NewKnowledgeBase, create_knowledge_base, list_knowledge_bases
from rag_app.services.models import read_models
from rag_app.services.paging import PageRequest
from rag_app.state.rows import Choice, KnowledgeRow
from rag_app.state.session import SessionState, as_text
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import counted, model_label

LANGUAGES = (
    ("", "Found for each document"),
    ("ar", "Arabic"),
    ("zh", "Chinese"),
    ("cs", "Czech"),
    ("nl", "Dutch"),
    ("en", "English"),
    ("fr", "French"),
    ("de", "German"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ru", "Russian"),
    ("es", "Spanish"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
)


class KnowledgeListState(SessionState):
    """What /knowledge shows."""

    rows: list[KnowledgeRow] = []
    total: int = 0
    loaded: bool = False
    words: str = ""
    form_open: bool = False
    form_problem: str = ""
    embedding_models: list[Choice] = []
    embedding_model: str = ""
    problem: str = ""
    _all: list[KnowledgeRow] = []

    @rx.event
    async def load(self) -> None:
        """Read the list."""
        self.form_open, self.words = False, ""
        async with self._trying("problem"):
            actor = await self._recognise()
            cards = (await list_knowledge_bases(surroundings(), actor, PageRequest(limit=200))).items
            waiting = await conflict_counts(surroundings(), actor)
            self._all = [knowledge_row(card, waiting.get(card.id, 0)) for card in cards]
            self._show()
            self.loaded = True

    @rx.event
    def narrow(self, words: str) -> None:
        """Show only what holds the words."""
        self.words = as_text(words, 200)
        self._show()

    def _show(self) -> None:
        wanted = self.words.casefold().split()
        self.rows = [row for row in self._all if all(word in row.name.casefold() for word in wanted)]
        self.total = len(self._all)

    @rx.event
    async def open_form(self) -> None:
        """Ask for the name of a new knowledge base, and for its embedding model where there is a choice."""
        async with self._trying():
            found = await read_models(surroundings(), await self._actor())
            self.embedding_models = [Choice(name, model_label(name)) for name in found.embedding_models]
            self.embedding_model = found.default_embedding_model
            self.form_open, self.form_problem = True, ""

    @rx.event
    def close_form(self) -> None:
        """Never mind."""
        self.form_open = False

    @rx.event
    async def create_one(self, form: dict[str, Any]) -> Any:
        """Make a knowledge base and open it."""
        language = as_text(form.get("language"), 2)
        new = NewKnowledgeBase(
            as_text(form.get("name")),
            as_text(form.get("description")),
            language=language if language in dict(LANGUAGES) else "",
            embedding_model=as_text(form.get("embedding_model"), 200) or None,
        )
        target = None
        async with self._trying("form_problem"):
            card = await create_knowledge_base(surroundings(), await self._actor(), new)
            self.form_open = False
            target = rx.redirect(f"/knowledge/{card.id}")
        return target


def knowledge_row(card: KnowledgeBaseCard, conflicts: int) -> KnowledgeRow:
    """A knowledge base as the list shows it, with how many conflicts wait in it."""
    return KnowledgeRow(
        id=str(card.id),
        name=card.name,
        description=card.description,
        documents=counted(card.documents.total, "document"),
        passages=counted(card.passages, "passage"),
        restricted=card.access == "restricted",
        working=card.documents.queued + card.documents.working,
        failed=card.documents.failed,
        created_at=card.created_at.isoformat(),
        conflicts=counted(conflicts, "conflict") if conflicts else "",
    )
