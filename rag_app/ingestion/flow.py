"""Writes the blocks of a marked-up text one after the other, gathering the items of a list until it ends."""

from collections.abc import Callable, Sequence

from rag_app.ingestion.draft import Draft, one_line, soft_lines
from rag_app.ingestion.tables import pipe_table

_DEEPEST_ITEM = 8
Way = Callable[[Sequence[str], int], int]
"""Reads the block at a line, if it is of its kind: the line after it, else the same line."""


def read_blocks(lines: Sequence[str], ways: Sequence[Way]) -> None:
    """All blocks of the lines, each by the first way that takes it; the last way must take any."""
    place = 0
    while place < len(lines):
        if not lines[place].strip():
            place += 1
            continue
        place = next(after for way in ways if (after := way(lines, place)) > place)


class Flow:
    """Headings, paragraphs, list items, code and tables in reading order, into one draft."""

    def __init__(self) -> None:
        self.draft = Draft()
        self._items: list[str] = []

    def flush(self) -> None:
        """End the list that is being gathered."""
        items, self._items = self._items, []
        self.draft.add("list", "\n".join(items))

    @property
    def is_in_list(self) -> bool:
        """Whether a list is being gathered."""
        return bool(self._items)

    def heading(self, text: str, level: int) -> None:
        """A heading; level 1 is the top."""
        self.flush()
        self.draft.add("heading", one_line(text), level=min(6, max(1, level)))

    def paragraph(self, text: str, *, depth: int = 0) -> None:
        """A paragraph; within a list (`depth` from 1) it continues the item before it."""
        if depth and self._items:
            if text.strip():
                self._items.append("  " * min(depth, _DEEPEST_ITEM) + one_line(text))
            return
        self.flush()
        self.draft.add("paragraph", soft_lines(text))

    def item(self, marker: str, text: str, *, depth: int) -> None:
        """An item of a list; `depth` from 0."""
        if text.strip():
            self._items.append("  " * min(depth, _DEEPEST_ITEM) + f"{marker} {one_line(text)}")

    def code(self, text: str) -> None:
        """Text whose lines stay as they are."""
        self.flush()
        self.draft.add("code", text.rstrip())

    def table(self, rows: Sequence[Sequence[str]], *, header_rows: int = 1) -> None:
        """A table."""
        self.flush()
        text, header_chars = pipe_table(rows, header_rows=header_rows)
        self.draft.add("table", text, header_chars=header_chars)
