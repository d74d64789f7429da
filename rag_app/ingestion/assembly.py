"""Joins documents to one: a message and its attachments, the chapters of a book. Each stretch keeps where it stood."""

from dataclasses import replace

from rag_app.ingestion.draft import Draft
from rag_app.ingestion.parsed import Block, ParsedDocument, PlaceSpan
from rag_app.retrieval.places import Place

_LOWEST_LEVEL = 6


class Assembly:
    """One document in the making out of others."""

    def __init__(self) -> None:
        self._draft = Draft()
        self._places: list[PlaceSpan] = []
        self._warnings: list[str] = []

    def __len__(self) -> int:
        return len(self._draft)

    def note(self, text: str) -> None:
        """A paragraph of our own, such as who wrote to whom."""
        self._draft.add("paragraph", text)

    def add(self, parsed: ParsedDocument, *, part: str = "", heading: str = "", level: int = 0) -> None:
        """Append a document under a heading; its own headings go below it. `part` names it in places."""
        if heading:
            self._draft.add("heading", heading, level=level)
            self._place(len(self._draft) - len(heading), len(self._draft), _within(part, {}))
        pages = (PlaceSpan(each.char_from, each.char_to, {"page": each.page}) for each in parsed.pages)
        spans = parsed.places or tuple(pages)
        first = 0
        for block in parsed.blocks or (Block("paragraph", 0, len(parsed.text)),):
            start = self._add_block(parsed, block, level)
            while first < len(spans) and spans[first].char_to <= block.char_from:
                first += 1
            self._keep_places(spans[first:], block, moved_by=start - block.char_from, part=part)
        self._warnings += [f"{part}: {each}" if part else each for each in parsed.warnings]

    def _add_block(self, parsed: ParsedDocument, block: Block, level: int) -> int:
        """Append one block; where it begins now."""
        text = parsed.text[block.char_from : block.char_to]
        depth = min(_LOWEST_LEVEL, block.level + level) if block.kind == "heading" else 0
        header_chars = block.header_to - block.char_from if block.header_to else 0
        before = len(self._draft)
        self._draft.add(block.kind, text, level=depth, header_chars=header_chars)
        return max(before, len(self._draft) - len(text))

    def _keep_places(self, spans: tuple[PlaceSpan, ...], block: Block, *, moved_by: int, part: str) -> None:
        placed = False
        for span in spans:
            if span.char_from >= block.char_to:
                break
            start, end = max(span.char_from, block.char_from), min(span.char_to, block.char_to)
            if start < end:
                self._place(start + moved_by, end + moved_by, _within(part, span.place))
                placed = True
        if not placed and part:
            self._place(block.char_from + moved_by, block.char_to + moved_by, _within(part, {}))

    def _place(self, char_from: int, char_to: int, place: Place) -> None:
        """Note a place; one that goes on is made longer, unless its lines are counted."""
        last = self._places[-1] if self._places else None
        char_from = max(char_from, last.char_to if last else 0)
        char_to = min(char_to, len(self._draft))
        if not place or char_from >= char_to:
            return
        if last and last.place == place and not {"rows", "lines"} & place.keys():
            self._places[-1] = replace(last, char_to=char_to)
        else:
            self._places.append(PlaceSpan(char_from, char_to, place))

    def warn(self, sentence: str) -> None:
        """Something was left out."""
        self._warnings.append(sentence)

    def finish(self, *, title: str, metadata: dict[str, str]) -> ParsedDocument:
        """The whole."""
        made = self._draft.finish(title=title, metadata=metadata, warnings=self._warnings)
        return replace(made, places=tuple(self._places))


def _within(part: str, place: Place) -> Place:
    if not part:
        return place
    inner = str(place.get("part", ""))
    return {**place, "part": f"{part}/{inner}" if inner else part}
