"""What the pages show of versions, edits and notes, as plain values ready for the browser."""

import re
from dataclasses import dataclass

from rag_app.services.edit_cards import EditCard
from rag_app.services.notes import NoteCard
from rag_app.services.versions import VersionCard
from rag_app.state.wording import counted, size

LONGEST_QUOTE = 600
_STATES = {"queued": "waiting", "working": "being made searchable", "failed": "failed", "ready": ""}


@dataclass
class VersionRow:
    """A version in the history of a document."""

    id: str
    number: int
    status: str
    tone: str
    active: bool
    busy: bool
    facts: str
    by: str
    when: str
    restored: str
    error: str
    can_restore: bool
    before_id: str  # the version before it, "" when there is none to compare with


@dataclass
class EditMark:
    """Something that was hidden or corrected."""

    id: str
    kind: str
    word: str
    tone: str
    quote: str
    text: str
    by: str
    when: str
    message: str
    note_id: str
    document_id: str
    document_title: str
    now: str = ""  # of a conflict: what stands there now


@dataclass
class NoteRow:
    """A note of a knowledge base."""

    id: str
    title: str
    question: str
    text: str
    by: str
    when: str
    busy: bool
    failed: bool
    corrects_id: str
    corrects_title: str


def version_rows(cards: tuple[VersionCard, ...]) -> list[VersionRow]:
    """The history, newest first; each version knows the one that can be compared with it."""
    readable = [card for card in cards if card.has_text]
    return [_version_row(card, readable) for card in cards]


def _version_row(card: VersionCard, readable: list[VersionCard]) -> VersionRow:
    before = next((other for other in readable if other.number < card.number), None) if card.has_text else None
    facts = [size(card.bytes), counted(card.pages, "page") if card.pages else "", counted(card.passages, "passage")]
    restored = f"brought back from version {card.restored_from}" if card.restored_from else "brought back"
    return VersionRow(
        id=str(card.id),
        number=card.number,
        status="in use" if card.is_active else _STATES.get(card.state, card.state),
        tone="ready" if card.is_active else ("failed" if card.state == "failed" else "working"),
        active=card.is_active,
        busy=card.state in ("queued", "working"),
        facts=" · ".join(fact for fact in facts if fact),
        by=_bringer(card),
        when=card.created_at.isoformat(),
        restored=restored if card.is_restored else "",
        error=card.error_message or "",
        can_restore=card.has_text and not card.is_active and card.state == "ready",
        before_id=str(before.id) if before else "",
    )


def _bringer(card: VersionCard) -> str:
    if card.source_id is None:
        return card.created_by
    return f"the source {card.created_by}" if card.created_by else "a source that has been deleted"


def edit_mark(card: EditCard, now: str = "") -> EditMark:
    """An edit as the pages show it; `now` is what stands in its place when it is in conflict."""
    return EditMark(
        id=str(card.id),
        kind=card.kind,
        word="Hidden" if card.kind == "hide" else "Corrected",
        tone="warn" if card.state == "conflict" else "flat",
        quote=_short(card.quote),
        text=_short(card.text),
        by=card.created_by,
        when=card.created_at.isoformat(),
        message=card.message or "",
        note_id=str(card.note_id or ""),
        document_id=str(card.document_id),
        document_title=card.document_title,
        now=now,
    )


def note_row(card: NoteCard) -> NoteRow:
    """A note as the list shows it."""
    return NoteRow(
        id=str(card.id),
        title=card.title,
        question=card.question,
        text=card.text,
        by=card.created_by,
        when=card.created_at.isoformat(),
        busy=card.status in ("queued", "working"),
        failed=card.status == "failed",
        corrects_id=str(card.corrects or ""),
        corrects_title=card.corrects_title or "",
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"


def places_of(words: str, text: str) -> list[tuple[int, int]]:
    """Where these words stand in a text, whatever white space is between them; at most two places."""
    pieces = [re.escape(piece) for piece in words.split()]
    if not pieces:
        return []
    found = re.finditer(r"\s+".join(pieces), text)
    return [match.span() for match, _ in zip(found, range(2), strict=False)]


def changed_part(before: str, after: str) -> tuple[int, int, str]:
    """The stretch of `before` that was changed, to whole words, and what stands there in `after`."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    most = min(len(before), len(after)) - start
    while end < most and before[len(before) - 1 - end] == after[len(after) - 1 - end]:
        end += 1
    while not (_is_edge(before, start) and _is_edge(after, start)):
        start -= 1
    while not (_is_edge(before, len(before) - end) and _is_edge(after, len(after) - end)):
        end -= 1
    return start, len(before) - end, after[start : len(after) - end]


def _is_edge(text: str, place: int) -> bool:
    """Whether no word reaches over this place."""
    return place in (0, len(text)) or text[place - 1].isspace() or text[place].isspace()
