"""The panel beside a thread: the quote of a citation in the text around it."""

from collections.abc import Sequence
from uuid import UUID

import reflex as rx

from rag_app.errors import NotFound, VersionGone
from rag_app.retrieval.places import described, place_of
from rag_app.services import documents
from rag_app.services.edit_cards import note_origin, taken_out
from rag_app.state.rows import CitationRow
from rag_app.state.session import SessionState, as_id
from rag_app.state.surroundings import surroundings
from rag_app.state.unmarked import unmarked

AROUND_CHARS = 700


class PassageViewState(SessionState):
    """What the panel shows; the state of a thread is its child."""

    panel_open: bool = False
    panel_message: str = ""
    panel_n: int = 0
    panel_subject: str = ""
    panel_title: str = ""
    panel_place: str = ""
    panel_before: str = ""
    panel_quote: str = ""
    panel_after: str = ""
    panel_document: str = ""
    panel_original: str = ""
    panel_corrects: str = ""
    panel_problem: str = ""

    @rx.event
    def close_panel(self) -> None:
        """Close the panel."""
        self._close_view()

    def _close_view(self) -> None:
        """Close the panel."""
        self.panel_open, self.panel_message, self.panel_n, self.panel_subject = False, "", 0, ""

    async def _open_view(self, message_id: str, citation: CitationRow) -> None:
        """Show a citation."""
        self.panel_open, self.panel_message, self.panel_n = True, message_id, citation.n
        self.panel_subject = f"{message_id}-{citation.n}"
        self.panel_title, self.panel_place = citation.title, citation.page
        self.panel_before, self.panel_quote, self.panel_after = "", unmarked(citation.quote), ""
        self.panel_document = f"/documents/{citation.document_id}"
        self.panel_original = self.panel_corrects = ""
        async with self._trying("panel_problem"):
            try:
                await self._read_around(citation)
            except NotFound:
                self.panel_document = self.panel_original = ""
                self.panel_problem = "This document has been deleted since; the quote is kept."

    async def _read_around(self, citation: CitationRow) -> None:
        context, actor = surroundings(), await self._actor()
        document_id = as_id(citation.document_id)
        card = await documents.get_document(context, actor, document_id)
        original = f"/api/v1/documents/{citation.document_id}/original" if card.has_original else ""
        self.panel_original = _at_page(original, citation.first_page)
        try:
            found = await documents.document_text(context, actor, document_id, as_id(citation.version_id))
        except VersionGone:
            self.panel_problem = "The document has changed since; this is the passage as it was."
            return
        start, end = citation.char_from, citation.char_to
        # A passage may span pages; the quote inside it begins on one of them.
        first, last = page_at(found.pages, start), page_at(found.pages, end - 1)
        spans = [(span.char_from, span.char_to, span.place) for span in found.places]
        self.panel_place = described(place_of(spans, found.text, char_from=start, char_to=end), first, last)
        self.panel_original = _at_page(original, first)
        hidden = await taken_out(context, actor, found, card)
        if any(low < end and high > start for low, high in hidden):
            self.panel_problem = "A part of this passage has been hidden or corrected since."
        before = unmarked(without(found.text, (max(0, start - AROUND_CHARS), start), hidden))
        after = unmarked(without(found.text, (end, min(end + AROUND_CHARS, len(found.text))), hidden))
        if card.kind == "note":
            await self._say_what_it_corrects(card.id)
        self.panel_before = f"…{before}" if start > AROUND_CHARS else before
        self.panel_after = f"{after}…" if end + AROUND_CHARS < len(found.text) else after
        self.panel_quote = unmarked(found.text[start:end])

    async def _say_what_it_corrects(self, note_id: UUID) -> None:
        origin = await note_origin(surroundings(), await self._actor(), note_id)
        if origin is not None:
            by = f" by {origin.created_by}" if origin.created_by else ""
            self.panel_place = f"Corrected{by} on {origin.created_at:%-d %B %Y}"
            self.panel_corrects = f"/documents/{origin.document_id}?tab=cut#edit-{origin.id}"


def without(text: str, span: tuple[int, int], hidden: Sequence[tuple[int, int]]) -> str:
    """A stretch of a text with a sign where something in it is hidden."""
    shown, place = "", span[0]
    for low, high in sorted(hidden):
        if low < span[1] and high > place:
            shown += text[place : max(low, place)] + " […] "
            place = min(high, span[1])
    return shown + text[place : span[1]]


def page_at(spans: Sequence[documents.PageRange], place: int) -> int | None:
    """The page on which a character stands; None for a text without pages."""
    return next((span.page for span in reversed(spans) if span.char_from <= place), None)


def _at_page(original: str, page: int | None) -> str:
    return f"{original}#page={page}" if original and page else original
