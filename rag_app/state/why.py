"""“Why this answer”: how one answer came about, why a document is not in it, other settings tried and applied."""

from typing import Any

import reflex as rx

from rag_app.services.absences import Wanted, why_not
from rag_app.services.bots import get_bot, update_bot
from rag_app.services.permissions import is_allowed
from rag_app.services.traces import read_trace
from rag_app.services.trials import try_settings
from rag_app.state.retrieval_form import RetrievalForm, changes_from, form_of
from rag_app.state.rows import CitationRow, Timing
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings
from rag_app.state.why_rows import (
    WAYS,
    AbsenceRow,
    CallRow,
    SearchRow,
    TriedRow,
    absence_row,
    call_rows,
    prompt_words,
    search_rows,
    source_rows,
    timing_rows,
    trial_rows,
)
from rag_app.state.wording import counted, percent


class WhyState(SessionState):
    """What /why shows."""

    loaded: bool = False
    problem: str = ""
    question: str = ""
    answer: str = ""
    sources: list[CitationRow] = []
    conversation: str = ""
    bot_name: str = ""
    way: str = ""
    model: str = ""
    abstained: bool = False
    searched: bool = False
    searches: list[SearchRow] = []
    calls: list[CallRow] = []
    timings: list[Timing] = []
    warnings: list[str] = []
    prompt: str = ""
    citations: str = ""
    judged: bool = False
    limit: int = 0
    likely: int = 0
    bar: int = 0
    may_apply: bool = False
    fields: RetrievalForm = RetrievalForm()
    absence: AbsenceRow = AbsenceRow()
    absence_problem: str = ""
    trying: bool = False
    tried: bool = False
    trial_problem: str = ""
    before: TriedRow = TriedRow("", False, "")
    after: TriedRow = TriedRow("", False, "")

    _bot: str = ""
    _changes: dict[str, Any] = {}
    _suggested: dict[str, Any] = {}

    @rx.event
    async def load(self) -> None:
        """Read the trace of the answer that the address names."""
        self._clear()
        async with self._trying("problem"):
            context, actor = surroundings(), await self._recognise()
            trace = await read_trace(context, actor, self._segment_id(1))
            bot = await get_bot(context, actor, trace.bot_id)
            self.question, self.conversation = trace.question, str(trace.conversation_id)
            self.answer, self.sources = trace.answer, source_rows(trace)
            self.bot_name, self._bot = trace.bot_name, str(trace.bot_id)
            self.way, self.model, self.abstained = WAYS.get(trace.way, ""), trace.model, trace.abstained
            self.searches, self.calls = search_rows(trace), call_rows(trace)
            self.searched = bool(self.searches)
            self.timings = [Timing(*each) for each in timing_rows(trace.timings_ms)]
            self.limit = int(trace.settings.get("limit", bot.retrieval.limit))
            self.warnings, self.prompt = list(trace.warnings), prompt_words(trace)
            self.judged = trace.evidence["probability"] is not None
            self.likely = percent(trace.evidence["probability"] or 0.0)
            self.bar = percent(trace.evidence["bar"] or 0.0)
            refused = trace.citations["refused"]
            dropped = f"; {counted(refused, 'marker')} did not hold and went" if refused else ""
            self.citations = f"{counted(trace.citations['kept'], 'citation')} checked against the documents{dropped}."
            self.fields, self.may_apply = form_of(bot.retrieval), is_allowed(actor, "bot.edit")
        self.loaded = True

    def _clear(self) -> None:
        self.loaded, self.problem, self.absence_problem, self.trial_problem = False, "", "", ""
        self.searches, self.calls, self.timings, self.warnings = [], [], [], []
        self.searched = self.judged = self.tried = self.trying = False
        self.question = self.conversation = self.way = self.prompt = self.citations = self.bot_name = ""
        self.answer, self.sources, self.limit = "", [], 0
        self.absence, self._changes, self._suggested = AbsenceRow(), {}, {}

    @rx.event
    def open_source(self, n: int) -> Any:
        """Go to the document behind a chip of the answer."""
        found = next((each for each in self.sources if each.n == n), None)
        return rx.redirect(f"/documents/{found.document_id}") if found else None

    @rx.event
    async def ask_about(self, form: dict[str, Any]) -> None:
        """Why is this document not in the answer?"""
        self.absence, self._suggested = AbsenceRow(), {}
        async with self._trying("absence_problem"):
            wanted = Wanted(name=as_text(form.get("document"), 500))
            found = await why_not(surroundings(), await self._actor(), self._segment_id(1), wanted)
            self.absence, self._suggested = absence_row(found), dict(found.changes)

    @rx.event
    async def try_suggestion(self) -> Any:
        """Try what would bring the document in."""
        async for _ in self._try(dict(self._suggested)):
            yield

    @rx.event
    async def try_fields(self, form: dict[str, Any]) -> Any:
        """Search again with the settings of the form."""
        changes: dict[str, Any] = {}
        async with self._trying("trial_problem"):
            context, actor = surroundings(), await self._actor()
            bot = await get_bot(context, actor, as_id(self._bot))
            changes = changes_from(form, bot.retrieval)
        if not self.trial_problem:
            async for _ in self._try(changes):
                yield

    async def _try(self, changes: dict[str, Any]) -> Any:
        self.trying, self.tried = True, False
        yield
        async with self._trying("trial_problem"):
            trial = await try_settings(surroundings(), await self._actor(), self._segment_id(1), changes)
            self.before, self.after = trial_rows(trial)
            self.fields, self._changes, self.tried = form_of(trial.after.settings), changes, True
        self.trying = False
        yield

    @rx.event
    async def apply(self) -> None:
        """Keep the settings that were tried."""
        async with self._trying("trial_problem"):
            changes = {"retrieval": dict(self._changes)}
            await update_bot(surroundings(), await self._actor(), as_id(self._bot), changes)
            self.tried = False
            self._say(f"“{self.bot_name}” searches with these settings from now on.")
