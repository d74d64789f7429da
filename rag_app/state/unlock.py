"""Asks for the password of an encrypted document; the password itself is never kept in the tab."""

from typing import Any

import reflex as rx

from rag_app.errors import InvalidInput
from rag_app.services.document_passwords import LONGEST_PASSWORD
from rag_app.services.documents import get_document, retry_document
from rag_app.state.documents import DocumentsState
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings


class UnlockState(SessionState):
    """The dialog for a password, on the list of documents and on the page of one."""

    doc_id: str = ""
    doc_title: str = ""
    wrong: str = ""

    @rx.event
    async def ask(self, document_id: str) -> None:
        """Open the dialog."""
        async with self._trying():
            card = await get_document(surroundings(), await self._actor(), as_id(document_id))
            self.doc_id, self.doc_title, self.wrong = str(card.id), card.title, ""

    @rx.event
    def close(self) -> None:
        """Never mind."""
        self.doc_id = ""

    @rx.event
    async def send(self, form: dict[str, Any]) -> Any:
        """Read the document again with the password."""
        async with self._trying("wrong"):
            password = as_text(form.get("password"), LONGEST_PASSWORD)
            if not password:
                raise InvalidInput("Enter the password of the file.")
            await retry_document(surroundings(), await self._actor(), as_id(self.doc_id), password=password)
            self.doc_id = ""
        return DocumentsState.refresh
