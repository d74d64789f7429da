"""One document: how it was read, and how it was cut."""

import re
from collections.abc import Iterator, Sequence
from uuid import UUID

import reflex as rx

from rag_app.errors import Conflict
from rag_app.retrieval.places import described
from rag_app.services.documents import (
    BlockRange,
    DocumentCard,
    DocumentFilter,
    DocumentText,
    PlaceRange,
    document_passages,
    document_text,
    get_document,
    list_documents,
)
from rag_app.services.paging import PageRequest
from rag_app.services.source_pages import source_of_document
from rag_app.state.documents import document_row
from rag_app.state.rows import CutRow, DocumentRow, ReadBlock
from rag_app.state.session import SessionState
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import counted

# A websocket message has its limits, and so has a reader: the rest is in the original.
MOST_CHARS = 300_000
MOST_CUTS = 600
MOST_MEMBERS = 200
TABS = ("read", "cut", "history")
_RULE = re.compile(r":?-+:?")
_PIPE = re.compile(r"(?<!\\)\|")


class DocumentState(SessionState):
    """What /documents/[doc_id] shows."""

    row: DocumentRow = DocumentRow("", "", "", "", "", "", 0, False, "", "", "", "", "", False, False, "")
    kb_id: str = ""
    kb_name: str = ""
    facts: str = ""
    blocks: list[ReadBlock] = []
    cuts: list[CutRow] = []
    tab: str = "read"
    loaded: bool = False
    missing: str = ""
    cut_short: bool = False
    original_url: str = ""
    remarks: list[str] = []
    members: list[DocumentRow] = []
    archive_id: str = ""
    live_url: str = ""
    path: str = ""  # in its repository, bucket, folder or archive
    source_id: str = ""
    source_name: str = ""
    versions_url: str = ""
    max_mb: int = 100
    _version: str = ""

    @rx.event
    async def load(self) -> None:
        """Open the page."""
        self.loaded, self.blocks, self.cuts = False, [], []
        asked = self.router.url.query_parameters.get("tab", "")
        self.tab = asked if asked in TABS else TABS[0]
        await self._read()

    async def _is_outdated(self) -> bool:
        """True while the document is on its way, and once another version than the one shown is in use."""
        if self.row.busy or self.row.asks_password:
            return True
        card = await get_document(surroundings(), await self._actor(), self._segment_id(1))
        return str(card.version_id) != self._version or card.update is not None

    async def _read(self) -> None:
        async with self._trying("missing"):
            actor, context, document_id = await self._recognise(), surroundings(), self._segment_id(1)
            card = await get_document(context, actor, document_id)
            self.row, self._version = document_row(card), str(card.version_id)
            self.kb_id, self.kb_name = str(card.knowledge_base_id), card.knowledge_base_name
            self.original_url = f"/api/v1/documents/{document_id}/original" if card.has_original else ""
            self.versions_url = f"/api/v1/documents/{document_id}/versions" if card.kind == "file" else ""
            self.max_mb = context.settings.max_upload_mb
            facts = [self.row.filename, self.row.size, f"language: {card.language}" if card.language else ""]
            facts.append(counted(card.pages, "page") if card.pages else "")
            facts.append(counted(card.passages, "passage") if card.status == "ready" else "")
            self.facts = " · ".join(fact for fact in facts if fact and fact != "–")
            self.live_url = card.url if card.url and card.url.startswith(("http://", "https://")) else ""
            self.path = str(card.metadata.get("path") or "")
            source = await source_of_document(context, actor, card)
            self.source_id, self.source_name = (str(source[0]), source[1]) if source else ("", "")
            self.remarks = list(card.warnings)
            self.archive_id = str(card.parent_id or "")
            self.members = await self._members(card) if self.row.is_archive else []
            await self._read_content(document_id)
            self.loaded = True

    async def _members(self, card: DocumentCard) -> list[DocumentRow]:
        """What an archive was unpacked into, as far as a page can show it."""
        wanted, page = DocumentFilter(parent_id=card.id), PageRequest(limit=MOST_MEMBERS)
        found = await list_documents(
            surroundings(), await self._actor(), card.knowledge_base_id, wanted=wanted, page=page
        )
        return [document_row(each) for each in found.items]

    async def _read_content(self, document_id: UUID) -> None:
        context, actor = surroundings(), await self._actor()
        try:
            found = await document_text(context, actor, document_id)
        except Conflict:
            return
        self.blocks, self.cut_short = read_blocks(found)
        stored = await document_passages(context, actor, document_id)
        self.cuts = [
            CutRow(
                id=str(each.id),
                ordinal=each.ordinal + 1,
                text=each.text,
                heading=each.heading,
                pages=described(each.place, each.page_from, each.page_to),
                extent=counted(each.char_to - each.char_from, "character"),
            )
            for each in stored[:MOST_CUTS]
        ]

    @rx.event
    def show_tab(self, tab: str) -> None:
        """As it was read, as it was cut, or its history."""
        self.tab = tab if tab in TABS else TABS[0]

    @rx.event
    async def reread(self) -> None:
        """Read again after something of it changed."""
        if self.loaded and self._segment(0) == "documents":
            await self._read()


def read_block(block: BlockRange, text: str) -> ReadBlock:
    """A block as the page shows it; a table of pipes is taken apart into cells."""
    rows = [pipe_cells(line) for line in text.splitlines()] if block.kind == "table" else []
    if not rows or any(row is None for row in rows):
        return ReadBlock("code" if block.kind == "table" else block.kind, text, min(max(block.level, 1), 6))
    table = [row for row in rows if row is not None]
    ruled = next((place for place, row in enumerate(table) if row and all(_RULE.fullmatch(cell) for cell in row)), None)
    head = table[0] if ruled == 1 else []
    return ReadBlock(
        "table", "", 0, head, [row for place, row in enumerate(table) if place != ruled and row is not head]
    )


def pipe_cells(line: str) -> list[str] | None:
    """The cells of a line `| a | b |`; None when it is not one."""
    stripped = line.strip()
    if len(stripped) < 2 or not (stripped.startswith("|") and stripped.endswith("|")):
        return None
    return [cell.strip().replace("\\|", "|") for cell in _PIPE.split(stripped[1:-1])]


def read_blocks(found: DocumentText) -> tuple[list[ReadBlock], bool]:
    """The text as blocks with page breaks between them, and whether it was cut short."""
    shown: list[ReadBlock] = []
    waiting = sorted([*((page.char_from, f"Page {page.page}") for page in found.pages), *_starts(found.places)])
    for block in found.blocks:
        if block.char_from >= MOST_CHARS:
            return shown, True
        while waiting and waiting[0][0] <= block.char_from:
            shown.append(ReadBlock("page", waiting.pop(0)[1]))
        shown.append(read_block(block, found.text[block.char_from : block.char_to]))
    if not found.blocks and found.text:
        shown.append(ReadBlock("paragraph", found.text[:MOST_CHARS]))
    shown.extend(ReadBlock("page", name) for _, name in waiting)
    return shown, False


def _starts(places: Sequence[PlaceRange]) -> Iterator[tuple[int, str]]:
    """Where another slide or part begins, and what it is called. Sheets have headings, times stand with passages."""
    before = ""
    for span in places:
        name = described({key: span.place[key] for key in ("part", "slide", "page") if key in span.place})
        if name and name != before:
            yield span.char_from, name if "part" in span.place else name.capitalize()
        before = name
