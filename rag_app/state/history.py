"""The history of a document: its versions, what changed between two, an older one brought back and undone."""

from typing import Any

import reflex as rx

from rag_app.errors import RagError
from rag_app.services.versions import document_versions, restore_version, version_diff
from rag_app.state.change_rows import VersionRow, version_rows
from rag_app.state.document import DocumentState
from rag_app.state.session import SessionState, as_id
from rag_app.state.source_rows import DiffRow, diff_rows
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import counted


class HistoryState(SessionState):
    """The tab “History” of a document."""

    versions: list[VersionRow] = []
    loaded: bool = False
    busy: bool = False
    problem: str = ""
    diff: list[DiffRow] = []
    diff_open: bool = False
    diff_title: str = ""
    diff_note: str = ""
    undo_id: str = ""
    undo_text: str = ""

    @rx.event
    async def load(self) -> None:
        """Read the history."""
        self.versions, self.loaded, self.diff_open, self.undo_id = [], False, False, ""
        async with self._trying("problem"):
            await self._read()

    @rx.event
    async def refresh(self) -> None:
        """Read again while a version is on its way."""
        if self._segment(0) != "documents" or not self.loaded:
            return
        try:
            await self._read()
        except RagError as problem:
            self.problem = problem.message

    async def _read(self) -> None:
        found = await document_versions(surroundings(), await self._actor(), self._segment_id(1))
        self.versions = version_rows(found)
        self.busy = any(row.busy for row in self.versions)
        self.loaded = True

    @rx.event
    async def compare(self, version_id: str, other_id: str) -> None:
        """Show what changed from one version to another."""
        async with self._trying("problem"):
            new, old = as_id(version_id), as_id(other_id)
            found = await version_diff(
                surroundings(), await self._actor(), self._segment_id(1), from_version=old, to_version=new
            )
            self.diff, is_cut = diff_rows(found.diff)
            number = {row.id: row.number for row in self.versions}
            self.diff_title = f"From version {number.get(str(old), '?')} to version {number.get(str(new), '?')}"
            notes = [counted(found.diff.added_words, "word") + " added"]
            notes.append(counted(found.diff.removed_words, "word") + " removed")
            notes += ["more has changed than is shown"] if is_cut else []
            notes += ["some changes are shown larger than they are"] if found.diff.is_coarse else []
            self.diff_note = " · ".join(notes)
            self.diff_open = True

    @rx.event
    def close_diff(self) -> None:
        """Close the comparison."""
        self.diff_open = False

    @rx.event
    async def restore(self, version_id: str) -> Any:
        """Bring an older version back."""
        before = next((row for row in self.versions if row.active), None)
        chosen = next((row for row in self.versions if row.id == version_id), None)
        async with self._trying():
            await restore_version(surroundings(), await self._actor(), self._segment_id(1), as_id(version_id))
            self.undo_id = before.id if before else ""
            self.undo_text = f"Version {chosen.number if chosen else ''} is brought back as the newest one."
            await self._read()
        return DocumentState.reread

    @rx.event
    async def undo(self) -> Any:
        """Bring back what was in use before."""
        undone, self.undo_id = self.undo_id, ""
        async with self._trying():
            await restore_version(surroundings(), await self._actor(), self._segment_id(1), as_id(undone))
            self._say("What was in use before is brought back.")
            await self._read()
        return DocumentState.reread
