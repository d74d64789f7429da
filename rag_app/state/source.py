"""One source: how its run goes, its pages, its runs, what changed in a page, its schedule."""

from typing import Any, get_args

import reflex as rx

from rag_app.errors import RagError
from rag_app.services.knowledge import get_knowledge_base
from rag_app.services.paging import PageRequest
from rag_app.services.source_pages import PageFilter, PageStatus, list_pages, page_diff
from rag_app.services.source_runs import list_runs, start_run, stop_run
from rag_app.services.sources import get_source, update_source
from rag_app.state.schedule_words import CHOICES, choice_of, schedule_of
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.source_rows import (
    NO_SOURCE,
    DiffRow,
    RunRow,
    SourcePageRow,
    SourceRow,
    diff_rows,
    page_row,
    run_row,
    source_row,
)
from rag_app.state.sources import secret_of, settings_of
from rag_app.state.surroundings import surroundings

AT_ONCE = 50
MOST_SHOWN = 200
MOST_RUNS = 20
STATUSES = get_args(PageStatus)


class SourceState(SessionState):
    """What /sources/[source_id] shows."""

    row: SourceRow = NO_SOURCE
    kb_id: str = ""
    kb_name: str = ""
    limits: dict[str, str] = {}
    pages: list[SourcePageRow] = []
    runs: list[RunRow] = []
    tab: str = "pages"
    words: str = ""
    status: str = ""
    has_more: bool = False
    loaded: bool = False
    missing: str = ""
    form_open: bool = False
    form_schedule: str = ""
    form_problem: str = ""
    diff_title: str = ""
    diff: list[DiffRow] = []
    diff_note: str = ""
    diff_open: bool = False
    _limit: int = AT_ONCE

    @rx.event
    async def load(self) -> None:
        """Open the page."""
        self.loaded, self.pages, self.runs, self.tab = False, [], [], "pages"
        self.words, self.status, self._limit = "", "", AT_ONCE
        self.form_open, self.diff_open, self.diff = False, False, []
        async with self._trying("missing"):
            await self._recognise()
            await self._read()

    @rx.event
    async def refresh(self) -> None:
        """Read again what may have changed."""
        if self._segment(0) != "sources" or not self.loaded:
            return
        try:
            await self._read()
        except RagError as problem:
            self.missing = problem.message

    async def _read(self) -> None:
        context, actor, source_id = surroundings(), await self._actor(), self._segment_id(1)
        card = await get_source(context, actor, source_id)
        if str(card.knowledge_base_id) != self.kb_id or not self.kb_name:
            self.kb_id = str(card.knowledge_base_id)
            self.kb_name = (await get_knowledge_base(context, actor, card.knowledge_base_id)).name
        row = source_row(card)
        if row != self.row:
            self.row = row
        kept = card.settings
        self.limits = {
            "address": card.address,
            "prefix": kept.prefix,
            "max_pages": str(kept.max_pages),
            "max_depth": str(kept.max_depth),
            "pages_per_second": f"{kept.pages_per_second:g}",
            "max_page_mb": str(kept.max_page_mb),
            "max_total_mb": str(kept.max_total_mb),
            "branch": kept.branch,
            "region": kept.region,
            "endpoint": kept.endpoint,
            "include": "\n".join(kept.include),
            "exclude": "\n".join(kept.exclude),
            "cron": str(card.schedule.get("cron", "")),
            "time_zone": str(card.schedule.get("time_zone", "UTC")),
            "choice": choice_of(card.schedule),
        }
        wanted = PageFilter(next((each for each in STATUSES if each == self.status), None), q=self.words or None)
        found = await list_pages(context, actor, source_id, wanted=wanted, page=PageRequest(limit=self._limit))
        pages = [page_row(each) for each in found.items]
        if pages != self.pages:
            self.pages = pages
        self.has_more = found.next_cursor is not None and self._limit < MOST_SHOWN
        found_runs = await list_runs(context, actor, source_id, PageRequest(MOST_RUNS))
        runs = [run_row(each, card.kind) for each in found_runs.items]
        if runs != self.runs:
            self.runs = runs
        self.loaded = True

    @rx.event
    def show_tab(self, tab: str) -> None:
        """Pages or runs."""
        self.tab = tab if tab in ("pages", "runs") else "pages"

    @rx.event
    async def narrow(self, words: str) -> None:
        """Show only pages whose address or title holds the words."""
        self.words = as_text(words, 200)
        async with self._trying():
            await self._read()

    @rx.event
    async def narrow_status(self, status: str) -> None:
        """Show only pages in this state; "" = all."""
        self.status = status if status in STATUSES else ""
        async with self._trying():
            await self._read()

    @rx.event
    async def more(self) -> None:
        """Show more of the list."""
        self._limit = min(self._limit + AT_ONCE, MOST_SHOWN)
        async with self._trying():
            await self._read()

    @rx.event
    async def run_now(self) -> None:
        """Read the source now."""
        async with self._trying():
            await start_run(surroundings(), await self._actor(), self._segment_id(1))
            await self._read()

    @rx.event
    async def confirm_removals(self) -> None:
        """Read the source again and remove also very many vanished pages."""
        async with self._trying():
            await start_run(surroundings(), await self._actor(), self._segment_id(1), may_retire_many=True)
            await self._read()

    @rx.event
    async def stop(self) -> None:
        """Stop the run that is under way."""
        async with self._trying():
            await stop_run(surroundings(), await self._actor(), self._segment_id(1))
            await self._read()

    @rx.event
    async def toggle_paused(self) -> None:
        """Let the schedule rest, or go on."""
        changes = {"state": "active" if self.row.paused else "paused"}
        async with self._trying():
            await update_source(surroundings(), await self._actor(), self._segment_id(1), changes=changes)
            await self._read()

    @rx.event
    def open_form(self) -> None:
        """Ask for another schedule or other limits."""
        self.form_open, self.form_problem = True, ""
        self.form_schedule = self.limits.get("choice", "")

    @rx.event
    def close_form(self) -> None:
        """Never mind."""
        self.form_open = False

    @rx.event
    def choose_schedule(self, choice: str) -> None:
        """How often it will be read."""
        self.form_schedule = choice if choice in dict(CHOICES) else ""

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Change name, address, schedule and limits."""
        given = {name: as_text(value, 2_000) for name, value in form.items() if isinstance(name, str)}
        settings = {"prefix": "", **settings_of(given)}
        name, address = given.get("name", ""), given.get("address", "").strip()
        changes = {"name": name, "address": address, "settings": settings, "schedule": schedule_of(given)}
        is_moved = address not in ("", self.row.address)
        if (secret := secret_of(given)) or given.get("forget"):
            changes["secret"] = secret
        async with self._trying("form_problem"):
            await update_source(surroundings(), await self._actor(), self._segment_id(1), changes=changes)
            self.form_open = False
            removal = "reads the new address, and removes what only the one before gave"
            self._say(f"Saved. The next run {removal if is_moved else 'follows it'}.")
            await self._read()

    @rx.event
    async def open_diff(self, page_id: str) -> None:
        """Show what changed in a page."""
        row = next((row for row in self.pages if row.id == page_id), None)
        async with self._trying():
            found = await page_diff(surroundings(), await self._actor(), self._segment_id(1), as_id(page_id))
            self.diff, is_cut = diff_rows(found.diff)
            self.diff_title = row.title if row else ""
            words = f"{found.diff.added_words:,} words added, {found.diff.removed_words:,} removed"
            self.diff_note = words + (". Only the first changes are shown." if is_cut else ".")
            self.diff_open = True

    @rx.event
    def close_diff(self) -> None:
        """Close the comparison."""
        self.diff_open, self.diff = False, []
