"""The documents of one knowledge base, live: list, add text and addresses, retry, delete."""

from collections.abc import Sequence
from typing import Any

import reflex as rx

from rag_app.errors import InvalidInput, RagError
from rag_app.services.acceptance import ARCHIVE, Accepted
from rag_app.services.documents import (
    ASKING_FOR_A_PASSWORD,
    DocumentCard,
    DocumentFilter,
    delete_document,
    list_documents,
    retry_document,
)
from rag_app.services.intake import IncomingText, add_addresses, add_texts
from rag_app.services.knowledge import get_knowledge_base
from rag_app.services.paging import PageRequest
from rag_app.state.rows import DocumentRow
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import count, counted, percent, size

AT_ONCE = 50
MOST_SHOWN = 200
LONGEST_TEXT = 900_000
TABS = ("documents", "sources", "notes", "conflicts", "retrieval", "settings")
STATUSES = ("queued", "working", "ready", "failed")
PHASES = {
    "fetching": "fetching",
    "reading": "reading",
    "unpacking": "unpacking",
    "recognising": "reading pictures of text",
    "cutting": "cutting into passages",
    "embedding": "embedding",
    "publishing": "publishing",
}
WORDS = {"queued": "queued", "working": "working", "ready": "ready", "failed": "failed"}


class DocumentsState(SessionState):
    """What /knowledge/[kb_id] shows."""

    kb_id: str = ""
    kb_name: str = ""
    kb_description: str = ""
    summary: str = ""
    rows: list[DocumentRow] = []
    total: int = 0
    unfinished: int = 0
    loaded: bool = False
    missing: str = ""
    words: str = ""
    status: str = ""
    tab: str = "documents"
    has_more: bool = False
    form: str = ""  # "" | text | address
    form_problem: str = ""
    doomed_id: str = ""
    doomed_title: str = ""
    doomed_archive: bool = False
    upload_url: str = ""
    max_mb: int = 100
    _limit: int = AT_ONCE

    @rx.event
    async def load(self) -> None:
        """Open the page."""
        fresh = self._segment(1)
        if fresh != self.kb_id:
            self.rows, self.loaded, self.words, self.status = [], False, "", ""
            self._limit, self.kb_name = AT_ONCE, ""
        asked = self.router.url.query_parameters.get("tab", "")
        self.tab, self.form, self.doomed_id = (asked if asked in TABS else TABS[0]), "", ""
        self.kb_id = fresh
        self.upload_url = f"/api/v1/knowledge-bases/{fresh}/documents"
        self.max_mb = surroundings().settings.max_upload_mb
        async with self._trying("missing"):
            await self._recognise()
            await self._read()

    @rx.event
    async def refresh(self) -> None:
        """Read again what may have changed."""
        if not self.kb_id or self._segment(0) != "knowledge":
            return
        try:
            await self._read()
        except RagError as problem:
            self.missing = problem.message

    async def _read(self) -> None:
        context, actor, kb = surroundings(), await self._actor(), as_id(self.kb_id)
        card = await get_knowledge_base(context, actor, kb)
        wanted = DocumentFilter(status=self.status or None, q=self.words or None)
        found = await list_documents(context, actor, kb, wanted=wanted, page=PageRequest(limit=self._limit))
        self.kb_name, self.kb_description = card.name, card.description
        self.total = card.documents.total
        self.unfinished = card.documents.queued + card.documents.working
        parts = [counted(card.documents.total, "document"), counted(card.passages, "passage")]
        if self.unfinished:
            parts.append(f"{self.unfinished} on the way")
        if card.documents.failed:
            parts.append(f"{card.documents.failed} failed")
        self.summary = " · ".join(parts)
        rows = [document_row(each) for each in found.items]
        if rows != self.rows:
            self.rows = rows
        self.has_more = found.next_cursor is not None
        self.loaded = True

    @rx.event
    async def narrow(self, words: str) -> None:
        """Show only documents whose title holds the words."""
        self.words = as_text(words, 200)
        await self._refresh_rows()

    @rx.event
    async def narrow_status(self, status: str) -> None:
        """Show only documents in this state; "" = all."""
        self.status = status if status in STATUSES else ""
        await self._refresh_rows()

    @rx.event
    async def more(self) -> None:
        """Show more of the list."""
        self._limit = min(self._limit + AT_ONCE, MOST_SHOWN)
        await self._refresh_rows()

    async def _refresh_rows(self) -> None:
        """Read the list after the filter changed."""
        async with self._trying():
            await self._read()

    @rx.event
    def show_tab(self, tab: str) -> None:
        """Documents, retrieval or settings."""
        self.tab = tab if tab in TABS else TABS[0]

    @rx.event
    def open_form(self, form: str) -> None:
        """Ask for a text or an address."""
        self.form, self.form_problem = (form if form in ("text", "address") else ""), ""

    @rx.event
    def close_form(self) -> None:
        """Never mind."""
        self.form = ""

    @rx.event
    async def add_text(self, form: dict[str, Any]) -> None:
        """Take a pasted text."""
        text, title = as_text(form.get("text"), LONGEST_TEXT), as_text(form.get("title"), 300).strip()
        async with self._trying("form_problem"):
            item = IncomingText(text, title=title or None)
            taken = await add_texts(surroundings(), await self._actor(), as_id(self.kb_id), [item])
            self._taken(taken)
            await self._read()

    @rx.event
    async def add_address(self, form: dict[str, Any]) -> None:
        """Take web addresses, one per line."""
        lines = [line.strip() for line in as_text(form.get("urls")).splitlines() if line.strip()]
        urls = [line if "://" in line else f"https://{line}" for line in lines]
        async with self._trying("form_problem"):
            taken = await add_addresses(surroundings(), await self._actor(), as_id(self.kb_id), urls)
            self._taken(taken)
            await self._read()

    def _taken(self, taken: list[Accepted]) -> None:
        refused = [each for each in taken if each.error]
        if refused:
            raise InvalidInput(" ".join(f"{each.title}: {each.error.message}" for each in refused if each.error))
        self.form = ""
        if all(each.duplicate for each in taken):
            self._say("This is already in the knowledge base.")

    @rx.event
    async def retry(self, document_id: str) -> None:
        """Read a failed document again."""
        async with self._trying():
            await retry_document(surroundings(), await self._actor(), as_id(document_id))
            await self._read()

    @rx.event
    def ask_delete(self, document_id: str) -> None:
        """Ask before a document is deleted."""
        row = next((row for row in self.rows if row.id == document_id), None)
        self.doomed_id, self.doomed_title = (row.id, row.title) if row else ("", "")
        self.doomed_archive = row is not None and row.is_archive

    @rx.event
    def keep(self) -> None:
        """Do not delete it."""
        self.doomed_id = ""

    @rx.event
    async def delete(self) -> None:
        """Delete the document that was asked about."""
        doomed, self.doomed_id = self.doomed_id, ""
        async with self._trying():
            await delete_document(surroundings(), await self._actor(), as_id(doomed))
            self._say(f"“{self.doomed_title}” was deleted and is gone from search.")
            await self._read()


def note_of(warnings: Sequence[str]) -> str:
    """The first of the sentences on a document, and that there are more."""
    more = f" {len(warnings) - 1} more remarks on its page." if len(warnings) > 2 else " One more remark on its page."
    return (warnings[0] + (more if len(warnings) > 1 else "")) if warnings else ""


def document_row(card: DocumentCard) -> DocumentRow:
    """A document as the list shows it."""
    update = card.update
    status, phase, part, error = card.status, card.phase, card.progress, card.error
    if update is not None:
        status, phase, part, error = update.status, update.phase, update.progress, update.error
    busy = status in ("queued", "working")
    word = WORDS.get(status, status)
    if update is not None:
        word = {"queued": "update queued", "working": "updating", "failed": "update failed"}.get(status, word)
    reason = error.message if error else ""
    if reason and busy:  # put off, for example because the provider of the embedding model is away
        word, reason = "waiting", f"Waits, and goes on by itself: {reason}"
    return DocumentRow(
        id=str(card.id),
        title=card.title,
        filename=card.filename if card.filename != card.title else "",
        status=word,
        tone=status,
        phase=PHASES.get(phase or "", "") if busy else "",
        percent=percent(part),
        busy=busy,
        error=reason,
        size=size(card.bytes) if card.has_original else "–",
        pages=count(card.pages),
        passages=count(card.passages) if card.status == "ready" else "–",
        created_at=card.created_at.isoformat(),
        can_retry=status == "failed",
        has_original=card.has_original,
        url=card.url or "",
        asks_password=error is not None and error.code in ASKING_FOR_A_PASSWORD,
        is_archive=card.kind == ARCHIVE,
        note=note_of(card.warnings) if status == "ready" else "",
    )
