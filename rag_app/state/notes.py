"""The notes of a knowledge base and the conflicts that wait for a decision."""

from typing import Any
from uuid import UUID

import reflex as rx

from rag_app.errors import InvalidInput, RagError
from rag_app.services.conflict_places import places_now
from rag_app.services.conflicts import Resolution, count_conflicts, resolve
from rag_app.services.documents import delete_document, document_text
from rag_app.services.edit_cards import list_conflicts
from rag_app.services.notes import NewNote, add_note, change_note, list_notes
from rag_app.services.paging import PageRequest
from rag_app.state.change_rows import EditMark, NoteRow, edit_mark, note_row, places_of
from rag_app.state.documents import DocumentsState
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings

AT_ONCE = 100


class NotesState(SessionState):
    """The tabs “Notes” and “Conflicts” of a knowledge base."""

    kb_id: str = ""
    rows: list[NoteRow] = []
    conflicts: list[EditMark] = []
    waiting: int = 0
    busy: bool = False
    loaded: bool = False
    problem: str = ""
    form: str = ""  # "" | new | the id of a note
    form_row: NoteRow = NoteRow("", "", "", "", "", "", False, False, "", "")
    form_problem: str = ""
    doomed_id: str = ""
    doomed_title: str = ""
    attach_id: str = ""
    attach_words: str = ""
    attach_problem: str = ""

    @rx.event
    async def load(self) -> None:
        """Open the page."""
        self.kb_id, self.rows, self.conflicts, self.loaded, self.form = self._segment(1), [], [], False, ""
        self.doomed_id, self.attach_id = "", ""
        async with self._trying("problem"):
            await self._read()

    @rx.event
    async def refresh(self) -> Any:
        """Read again what may have changed."""
        if not self.kb_id or self._segment(0) != "knowledge":
            return None
        try:
            await self._read()
        except RagError as problem:
            self.problem = problem.message
        return DocumentsState.refresh

    async def _read(self) -> None:
        context, actor, kb = surroundings(), await self._actor(), as_id(self.kb_id)
        page = PageRequest(limit=AT_ONCE)
        self.rows = [note_row(each) for each in (await list_notes(context, actor, kb, page)).items]
        waiting = (await list_conflicts(context, actor, kb, page)).items
        places = await places_now(context, actor, waiting)
        self.conflicts = [edit_mark(each, places[each.id].text if each.id in places else "") for each in waiting]
        self.waiting = await count_conflicts(context, actor, kb)
        self.busy = any(row.busy for row in self.rows)
        self.loaded = True

    @rx.event
    def open_form(self, note_id: str) -> None:
        """Write a note, or change one."""
        found = next((row for row in self.rows if row.id == note_id), None)
        self.form_row = found or NoteRow("", "", "", "", "", "", False, False, "", "")
        self.form, self.form_problem = (found.id if found else "new"), ""

    @rx.event
    def close_form(self) -> None:
        """Never mind."""
        self.form = ""

    @rx.event
    async def save(self, form: dict[str, Any]) -> Any:
        """Keep the note."""
        said = NewNote(as_text(form.get("text")), as_text(form.get("question"), 300))
        async with self._trying("form_problem"):
            context, actor = surroundings(), await self._actor()
            if self.form == "new":
                await add_note(context, actor, as_id(self.kb_id), said)
            else:
                await change_note(context, actor, as_id(self.form), said)
            self.form = ""
            await self._read()
        return DocumentsState.refresh

    @rx.event
    def ask_delete(self, note_id: str) -> None:
        """Ask before a note is deleted."""
        row = next((row for row in self.rows if row.id == note_id), None)
        self.doomed_id, self.doomed_title = (row.id, row.title) if row else ("", "")

    @rx.event
    def keep(self) -> None:
        """Do not delete it."""
        self.doomed_id = ""

    @rx.event
    async def delete(self) -> Any:
        """Delete the note that was asked about."""
        doomed, self.doomed_id = self.doomed_id, ""
        async with self._trying():
            await delete_document(surroundings(), await self._actor(), as_id(doomed))
            self._say(f"“{self.doomed_title}” was deleted and is gone from search.")
            await self._read()
        return DocumentsState.refresh

    @rx.event
    async def settle(self, edit_id: str, how: str) -> Any:
        """Keep the note of a conflict by itself, or drop the edit."""
        async with self._trying():
            resolution = Resolution("keep" if how == "keep" else "drop")
            await resolve(surroundings(), await self._actor(), as_id(edit_id), resolution)
            await self._read()
        return DocumentsState.refresh

    @rx.event
    def ask_attach(self, edit_id: str) -> None:
        """Ask for the words that an edit belongs to now."""
        mark = next((each for each in self.conflicts if each.id == edit_id), None)
        self.attach_id, self.attach_words, self.attach_problem = (mark.id, mark.now, "") if mark else ("", "", "")

    @rx.event
    def close_attach(self) -> None:
        """Never mind."""
        self.attach_id = ""

    @rx.event
    async def attach(self, form: dict[str, Any]) -> None:
        """Tie the edit to other words of its document."""
        words = as_text(form.get("words"))
        mark = next((each for each in self.conflicts if each.id == self.attach_id), None)
        async with self._trying("attach_problem"):
            if mark is None:
                raise InvalidInput("This conflict was resolved meanwhile.")
            version_id, start, end = await self._place(as_id(mark.document_id), words)
            resolution = Resolution("reattach", start, end, version_id)
            await resolve(surroundings(), await self._actor(), as_id(mark.id), resolution)
            self.attach_id = ""
            self._say("Attached: it applies there from now on.")
            await self._read()

    async def _place(self, document_id: UUID, words: str) -> tuple[UUID, int, int]:
        """The one place of these words in a document. Raises InvalidInput."""
        shown = await document_text(surroundings(), await self._actor(), document_id)
        places = places_of(words, shown.text)
        if len(places) != 1:
            raise InvalidInput(
                "These words are not in the document."
                if not places
                else "These words stand there more than once: add some of what is around them."
            )
        return shown.version_id, *places[0]
