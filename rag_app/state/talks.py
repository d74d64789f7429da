"""The list of conversations: search, rename, archive, delete."""

from typing import Any

import reflex as rx

from rag_app.services.conversations import (
    ConversationCard,
    ConversationFilter,
    delete_conversation,
    list_conversations,
    update_conversation,
)
from rag_app.services.paging import PageRequest
from rag_app.state.rows import TalkRow
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings


class TalksState(SessionState):
    """The sidebar of /chat."""

    rows: list[TalkRow] = []
    words: str = ""
    archived: bool = False
    of_programs: bool = False
    list_open: bool = False
    renamed_id: str = ""
    renamed_title: str = ""
    doomed_id: str = ""
    doomed_title: str = ""
    problem: str = ""

    @rx.event
    async def load(self) -> None:
        """Read the list."""
        self.list_open, self.renamed_id, self.doomed_id = False, "", ""
        async with self._trying():
            await self._read()

    async def _read(self) -> None:
        wanted = ConversationFilter(self.words or None, self.archived, by_person=not self.of_programs)
        found = await list_conversations(
            surroundings(), await self._actor(), wanted=wanted, page=PageRequest(limit=100)
        )
        self.rows = [talk_row(each) for each in found.items]

    @rx.event
    async def narrow(self, words: str) -> None:
        """Show only conversations whose title holds the words."""
        self.words = as_text(words, 200)
        async with self._trying():
            await self._read()

    @rx.event
    async def toggle_archived(self) -> None:
        """Show the archive, or leave it."""
        self.archived = not self.archived
        async with self._trying():
            await self._read()

    @rx.event
    async def toggle_programs(self) -> None:
        """Show what programs asked with this person's keys, or leave that."""
        self.of_programs = not self.of_programs
        async with self._trying():
            await self._read()

    @rx.event
    def open_list(self) -> None:
        """Show the list on a narrow screen."""
        self.list_open = True

    @rx.event
    def close_list(self) -> None:
        """Hide the list on a narrow screen."""
        self.list_open = False

    @rx.event
    def ask_rename(self, conversation_id: str) -> None:
        """Ask for a new title."""
        row = self._row(conversation_id)
        self.renamed_id, self.renamed_title = (row.id, row.title) if row else ("", "")

    @rx.event
    def ask_delete(self, conversation_id: str) -> None:
        """Ask before a conversation is deleted."""
        row = self._row(conversation_id)
        self.doomed_id, self.doomed_title = (row.id, row.title) if row else ("", "")

    def _row(self, conversation_id: str) -> TalkRow | None:
        return next((row for row in self.rows if row.id == conversation_id), None)

    @rx.event
    def close_dialogs(self) -> None:
        """Never mind."""
        self.renamed_id, self.doomed_id, self.problem = "", "", ""

    @rx.event
    async def rename(self, form: dict[str, Any]) -> None:
        """Give the conversation another title."""
        async with self._trying("problem"):
            title = as_text(form.get("title"), 200)
            await update_conversation(surroundings(), await self._actor(), as_id(self.renamed_id), title=title)
            self.renamed_id = ""
            await self._read()

    @rx.event
    async def archive(self, conversation_id: str) -> None:
        """Put a conversation away, or bring it back."""
        row = self._row(conversation_id)
        async with self._trying():
            away = not (row and row.archived)
            await update_conversation(surroundings(), await self._actor(), as_id(conversation_id), archived=away)
            await self._read()

    @rx.event
    async def delete(self) -> Any:
        """Delete the conversation that was asked about."""
        doomed, self.doomed_id = self.doomed_id, ""
        target = None
        async with self._trying():
            await delete_conversation(surroundings(), await self._actor(), as_id(doomed))
            await self._read()
            if self._segment(1) == doomed:
                target = rx.redirect("/chat")
        return target


def talk_row(view: ConversationCard) -> TalkRow:
    """A conversation as the list shows it."""
    return TalkRow(str(view.id), view.title or "Untitled", view.updated_at.isoformat(), view.bot_name, view.archived)
