"""How a knowledge base is searched: what another model or passage size would take, its making, and the way back."""

from typing import Any

import reflex as rx

from rag_app.errors import InvalidInput
from rag_app.services.index_comparison import MOST_QUESTIONS, compare_index
from rag_app.services.index_estimate import estimate_index
from rag_app.services.indexes import NewIndex, drop_index, list_indexes, start_index, use_index
from rag_app.services.models import read_models
from rag_app.state.index_rows import ComparedRow, IndexRow, compared_row, estimate_lines, figures_of, index_row
from rag_app.state.rows import Choice
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import model_label


class IndexSettingsState(SessionState):
    """The part “How it is searched” of a knowledge base's settings."""

    kb_id: str = ""
    active: IndexRow = IndexRow()
    building: IndexRow = IndexRow()
    kept: list[IndexRow] = []
    models: list[Choice] = []
    opened: bool = False
    expected: list[Choice] = []  # id: what, label: how much
    notes: list[str] = []
    looking: bool = False
    problem: str = ""
    form_problem: str = ""
    compared_id: str = ""
    compared_word: str = "new"  # what the one that is compared with the one in use is called
    compared_with: str = ""
    compared: list[ComparedRow] = []
    comparing: bool = False
    doomed: IndexRow = IndexRow()
    _wanted: dict[str, Any] = {}

    @rx.event
    async def load(self) -> None:
        """Read the indexes."""
        self.kb_id = self._segment(1)
        self.problem, self.form_problem, self.opened = "", "", False
        self.expected, self.notes, self.compared, self.compared_id = [], [], [], ""
        self.doomed = IndexRow()
        async with self._trying("problem"):
            await self._read()

    @rx.event
    async def refresh(self) -> None:
        """Read again how far it is."""
        if self.kb_id and self._segment(0) == "knowledge":
            async with self._trying("problem"):
                await self._read()

    async def _read(self) -> None:
        rows = [index_row(each) for each in await list_indexes(surroundings(), await self._actor(), as_id(self.kb_id))]
        self.active = next((row for row in rows if row.state == "active"), IndexRow())
        self.building = next((row for row in rows if row.state == "building"), IndexRow())
        self.kept = [row for row in rows if row.state in ("retired", "failed")]

    @rx.event
    async def open_form(self) -> None:
        """Offer another model and passage size."""
        async with self._trying("problem"):
            found = await read_models(surroundings(), await self._actor())
            names = dict.fromkeys([self.active.model, *found.embedding_models])
            self.models = [Choice(name, model_label(name), name == self.active.model) for name in names]
            self.opened, self.form_problem, self.expected, self.notes = True, "", [], []

    @rx.event
    def close_form(self) -> None:
        """Leave it as it is."""
        self.opened, self.expected, self.notes = False, [], []

    @rx.event
    async def look(self, form: dict[str, Any]) -> Any:
        """Say what it would take, before anything is done."""
        self.looking, self.expected, self.notes = True, [], []
        yield
        async with self._trying("form_problem"):
            self._wanted = {
                "embedding_model": as_text(form.get("embedding_model"), 200).strip() or None,
                "passage_tokens": _number(form.get("passage_tokens"), "Passage size"),
                "overlap_tokens": _number(form.get("overlap_tokens"), "Overlap"),
                "auto_flip": bool(form.get("auto_flip")),
                "keep_days": _number(form.get("keep_days"), "Days"),
            }
            wanted = NewIndex(**self._wanted)
            found = await estimate_index(surroundings(), await self._actor(), as_id(self.kb_id), wanted)
            self.expected, self.notes = estimate_lines(found), list(found.notes)
        self.looking = False

    @rx.event
    async def begin(self) -> None:
        """Build it beside the one in use."""
        async with self._trying("form_problem"):
            wanted = NewIndex(**self._wanted)
            await start_index(surroundings(), await self._actor(), as_id(self.kb_id), wanted)
            self.opened, self.expected, self.compared = False, [], []
            await self._read()

    @rx.event
    async def use(self, index_id: str) -> None:
        """Use a new one, go back to a kept one, or try one that failed again."""
        async with self._trying("problem"):
            await use_index(surroundings(), await self._actor(), as_id(self.kb_id), _index_id(index_id))
            self.compared, self.compared_id = [], ""
            await self._read()

    @rx.event
    async def stop(self) -> None:
        """Stop what is being built; what is in use stays in use."""
        async with self._trying("problem"):
            await drop_index(surroundings(), await self._actor(), as_id(self.kb_id), _index_id(self.building.id))
            self._say(f"{'Discarded' if self.building.complete else 'Stopped'}. Nothing has changed for searches.")
            await self._read()

    @rx.event
    def ask_drop(self, index_id: str) -> None:
        """Ask before a kept one is removed."""
        self.doomed = next((row for row in self.kept if row.id == index_id), IndexRow())

    @rx.event
    def keep(self) -> None:
        """Do not remove it."""
        self.doomed = IndexRow()

    @rx.event
    async def drop(self) -> None:
        """Remove a kept one."""
        async with self._trying("problem"):
            await drop_index(surroundings(), await self._actor(), as_id(self.kb_id), _index_id(self.doomed.id))
            self._say("The old index is being removed.")
            await self._read()
        self.doomed = IndexRow()

    @rx.event
    def open_comparison(self, index_id: str) -> None:
        """Ask with which questions to compare."""
        self.compared_id, self.compared, self.compared_with = as_text(index_id, 20), [], ""
        self.compared_word = "new" if self.compared_id == self.building.id else "kept"

    @rx.event
    def close_comparison(self) -> None:
        """Enough seen."""
        self.compared_id, self.compared = "", []

    @rx.event
    async def compare(self, form: dict[str, Any]) -> Any:
        """What it finds beside what is in use, for the questions given or those asked of late."""
        self.comparing = True
        yield
        lines = [line.strip() for line in as_text(form.get("questions")).splitlines() if line.strip()]
        async with self._trying("problem"):
            index_id = _index_id(self.compared_id)
            asked = lines[:MOST_QUESTIONS]
            found = await compare_index(surroundings(), await self._actor(), as_id(self.kb_id), index_id, asked)
            self.compared = [compared_row(each) for each in found.questions]
            self.compared_with = figures_of(found.figures)
        self.comparing = False


def _index_id(text: Any) -> int:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19 else 0


def _number(value: Any, name: str) -> int:
    text = as_text(value, 10).strip()
    if not text.isascii() or not text.isdigit():
        raise InvalidInput(f"{name}: a number is expected.")
    return int(text)
