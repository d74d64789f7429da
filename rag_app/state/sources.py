"""The sources of one knowledge base: list, add, run, pause, delete."""

from typing import Any

import reflex as rx

from rag_app.errors import Conflict, RagError
from rag_app.services.paging import PageRequest
from rag_app.services.source_runs import start_run
from rag_app.services.source_settings import KINDS
from rag_app.services.sources import NewSource, create_source, delete_source, list_sources, update_source
from rag_app.state.schedule_words import CHOICES, schedule_of
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.source_rows import SourceRow, source_row
from rag_app.state.surroundings import surroundings

MOST_SOURCES = 200


class SourcesState(SessionState):
    """The tab “Sources” of a knowledge base."""

    kb_id: str = ""
    rows: list[SourceRow] = []
    loaded: bool = False
    problem: str = ""
    busy: bool = False
    form_open: bool = False
    form_kind: str = "website"
    form_schedule: str = ""
    form_problem: str = ""
    form_twin: str = ""  # the source that reads the address already
    has_folders: bool = False
    doomed_id: str = ""
    doomed_name: str = ""
    delete_problem: str = ""

    @rx.event
    async def load(self) -> None:
        """Read the list."""
        self.kb_id, self.rows, self.loaded = self._segment(1), [], False
        self.form_open, self.doomed_id = False, ""
        self.has_folders = bool(surroundings().settings.source_roots)
        async with self._trying("problem"):
            await self._read()

    @rx.event
    async def refresh(self) -> None:
        """Read again what may have changed."""
        if not self.kb_id or self._segment(0) != "knowledge":
            return
        try:
            await self._read()
        except RagError as problem:
            self.problem = problem.message

    async def _read(self) -> None:
        page = PageRequest(limit=MOST_SOURCES)
        found = await list_sources(surroundings(), await self._actor(), as_id(self.kb_id), page)
        rows = [source_row(card) for card in found.items]
        if rows != self.rows:
            self.rows = rows
        self.busy = any(row.run.busy for row in rows)
        self.loaded = True

    @rx.event
    def open_form(self) -> None:
        """Ask for a new source."""
        self.form_open, self.form_kind, self.form_schedule, self.form_problem = True, "website", "", ""
        self.form_twin = ""

    @rx.event
    def close_form(self) -> None:
        """Never mind."""
        self.form_open = False

    @rx.event
    def choose_kind(self, kind: str) -> None:
        """What kind of source it will be."""
        self.form_kind = kind if kind in KINDS else "website"

    @rx.event
    def choose_schedule(self, choice: str) -> None:
        """How often it will be read."""
        self.form_schedule = choice if choice in dict(CHOICES) else ""

    @rx.event
    async def add(self, form: dict[str, Any]) -> Any:
        """Add a source, start its first run and show it."""
        given = {name: as_text(value, 2_000) for name, value in form.items() if isinstance(name, str)}
        kind = given.get("kind", "website")
        target, self.form_twin = None, ""
        async with self._trying("form_problem"):
            new = NewSource(
                kind if kind in KINDS else "website",
                given.get("address", ""),
                given.get("name", ""),
                settings_of(given),
                schedule_of(given),
                secret_of(given),
            )
            context, actor = surroundings(), await self._actor()
            try:
                card = await create_source(context, actor, as_id(self.kb_id), new)
            except Conflict as problem:
                self.form_twin = str(problem.details.get("source_id", ""))
                raise
            await start_run(context, actor, card.id)
            self.form_open = False
            target = rx.redirect(f"/sources/{card.id}")
        return target

    @rx.event
    async def run_now(self, source_id: str) -> None:
        """Read a source now."""
        async with self._trying():
            await start_run(surroundings(), await self._actor(), as_id(source_id))
            await self._read()

    @rx.event
    async def toggle_paused(self, source_id: str) -> None:
        """Let the schedule of a source rest, or go on."""
        row = next((row for row in self.rows if row.id == source_id), None)
        state = "active" if row is not None and row.paused else "paused"
        async with self._trying():
            await update_source(surroundings(), await self._actor(), as_id(source_id), changes={"state": state})
            await self._read()

    @rx.event
    def ask_delete(self, source_id: str) -> None:
        """Ask what becomes of the documents of a source."""
        row = next((row for row in self.rows if row.id == source_id), None)
        self.doomed_id, self.doomed_name, self.delete_problem = (row.id if row else ""), (row.name if row else ""), ""

    @rx.event
    def keep(self) -> None:
        """Do not delete it."""
        self.doomed_id = ""

    @rx.event
    async def delete(self, form: dict[str, Any]) -> None:
        """Delete the source that was asked about, with or without its documents."""
        with_documents = as_text(form.get("documents")) == "delete"
        async with self._trying("delete_problem"):
            removed = await delete_source(
                surroundings(), await self._actor(), as_id(self.doomed_id), with_documents=with_documents
            )
            self.doomed_id = ""
            self._say(f"“{self.doomed_name}” was deleted" + (f" with {removed:,} documents." if removed else "."))
            await self._read()


def settings_of(form: dict[str, str]) -> dict[str, Any]:
    """The limits that a form asks for; what is empty or no number keeps its default."""
    found: dict[str, Any] = {name: form[name].strip() for name in ("prefix", "discover") if form.get(name, "").strip()}
    found |= {name: form[name].strip() for name in ("branch", "region", "endpoint") if name in form}
    for name in ("max_pages", "max_depth", "max_page_mb", "max_total_mb"):
        if form.get(name, "").strip().isdigit():
            found[name] = int(form[name].strip())
    try:
        found["pages_per_second"] = float(form.get("pages_per_second", "").strip() or 5)
    except ValueError:
        found.pop("pages_per_second", None)
    for name in ("include", "exclude"):
        if name in form:
            found[name] = [line.strip() for line in form[name].splitlines() if line.strip()]
    return found


def secret_of(form: dict[str, str]) -> dict[str, str]:
    """The token or keys that a form brings, those that were filled in."""
    return {name: form[name] for name in ("token", "user", "access_key", "secret_key") if form.get(name, "").strip()}
