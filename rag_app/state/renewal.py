"""Notices that another version of the open document is in use, and has every part of its page read it."""

from typing import Any

import reflex as rx

from rag_app.errors import RagError
from rag_app.state.document import DocumentState
from rag_app.state.edits import EditsState
from rag_app.state.history import HistoryState
from rag_app.state.session import SessionState


class RenewalState(SessionState):
    """Keeps the page of a document true while it is open."""

    @rx.event
    async def look(self) -> Any:
        """Read all of the page again if it shows what is not so any more."""
        shown = await self.get_state(DocumentState)
        if not shown.loaded or self._segment(0) != "documents":
            return None
        try:
            is_outdated = await shown._is_outdated()
        except RagError:  # deleted meanwhile, or signed out: the next click says so
            return None
        return [DocumentState.reread, EditsState.refresh, HistoryState.refresh] if is_outdated else None

    @rx.event
    def taken(self) -> Any:
        """A new version was uploaded."""
        return [DocumentState.reread, EditsState.refresh, HistoryState.refresh]
