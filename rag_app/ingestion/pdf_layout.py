"""Makes running text of the lines of all pages: drops running heads, joins lines to paragraphs, finds headings."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from rag_app.ingestion.draft import Draft, one_line
from rag_app.ingestion.pdf_lines import Line

_DIGITS = re.compile(r"\d+")
_ROMAN = re.compile(r"^[ivxlc]+$", re.I)
_BULLET = re.compile(r"^(?:[•‣◦▪●○■□–—·*-]|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{2,4})[.)])\s+\S|^[•‣◦▪●○■□]\S?")
_SENTENCE_END = re.compile(r"[.!?…:;。！？][\"'”’»)\]]*\d{0,2}$")
_EDGE_LINES = 4
_REPEATED_SHARE = 0.5
_MAX_HEADING_CHARS = 160
_LARGER = 1.12
_KNOWN_LEVELS = 4


@dataclass(frozen=True, slots=True)
class TableText:
    """A table that stands between the lines."""

    text: str
    header_chars: int
    top: float


@dataclass(slots=True)
class PageContent:
    """Lines and tables of a page in reading order."""

    number: int
    height: float
    items: list[Line | TableText]
    junk: float = 0.0  # the share of its characters that have no meaning


@dataclass(slots=True)
class _Paragraph:
    lines: list[Line]
    text: str = ""
    is_item: bool = False

    @property
    def size(self) -> float:
        return self.lines[0].size

    @property
    def bold(self) -> bool:
        return all(line.bold for line in self.lines)


@dataclass(slots=True)
class Layout:
    """What is known of the whole document when its pages are written."""

    body_size: float
    mostly_bold: bool
    levels: list[float]  # sizes of headings, largest first
    outline: Mapping[str, int]  # plain title -> level
    dropped: set[tuple[str, bool]] = field(default_factory=set)


def write_pages(pages: Sequence[PageContent], draft: Draft, outline: Mapping[str, int]) -> str:
    """Write all pages into the draft, page by page. Returns the largest text of the first page (a guess at a title)."""
    layout = _layout(pages, outline)
    title = ""
    for page in pages:
        paragraphs = list(_paragraphs(page, layout))
        if not title:
            title = _largest(paragraphs, layout)
        _write(paragraphs, draft, layout)
        draft.end_page(page.number)
    return title


def plain(text: str) -> str:
    """A title without case, numbers and spaces, for comparing."""
    return "".join(char for char in text.lower() if char.isalpha())


def _layout(pages: Sequence[PageContent], outline: Mapping[str, int]) -> Layout:
    sizes: Counter[float] = Counter()
    bold = total = 0
    for page in pages:
        for line in page.items:
            if isinstance(line, Line):
                sizes[_rounded(line.size)] += len(line.text)
                bold += len(line.text) if line.bold else 0
                total += len(line.text)
    body = sizes.most_common(1)[0][0] if sizes else 10.0
    larger = [size for size, chars in sizes.items() if size >= body * _LARGER and chars < total * 0.2]
    levels: list[float] = []
    for size in sorted(larger, reverse=True):
        if not levels or size < levels[-1] * 0.93:
            levels.append(size)
    return Layout(body, bold > total * 0.5, levels, outline, _running_heads(pages))


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _running_heads(pages: Sequence[PageContent]) -> set[tuple[str, bool]]:
    """Lines at the upper or lower edge that most pages repeat, numbers aside: (pattern, at the top)."""
    if len(pages) < 3:
        return set()
    seen: Counter[tuple[str, bool]] = Counter()
    for page in pages:
        seen.update({(_pattern(line.text), at_top) for line, at_top in _edges(page)})
    needed = max(3, _REPEATED_SHARE * sum(bool(page.items) for page in pages))
    halves = {key for key, count in seen.items() if count >= needed}
    # Left and right pages often differ: each pattern is then on just under half of the pages.
    if len(pages) >= 8:
        halves |= {key for key, count in seen.items() if count >= len(pages) * 0.35 and "#" in key[0]}
    return halves


def _pattern(text: str) -> str:
    text = one_line(text)
    return "#" if _ROMAN.match(text) else _DIGITS.sub("#", text)


def _edges(page: PageContent) -> Iterator[tuple[Line, bool]]:
    """Lines near the upper edge (True), then those near the lower edge (False), each from the edge inward."""
    lines = [item for item in page.items if isinstance(item, Line)]
    by_height = sorted(lines, key=lambda line: line.top)
    for line in by_height[:_EDGE_LINES]:
        if line.bottom < page.height * 0.15:
            yield line, True
    for number, line in enumerate(by_height[: -_EDGE_LINES - 1 : -1]):
        # On pages made from the web the foot follows the text, wherever that ends.
        if line.top > page.height * 0.85 or (number == 0 and len(by_height) > 3):
            yield line, False


def _running_lines(page: PageContent, layout: Layout) -> set[int]:
    """Identities of the lines to leave out: those that repeat, from the edge inward, up to the first that does not."""
    found: set[int] = set()
    closed: set[bool] = set()
    for line, at_top in _edges(page):
        if at_top in closed or (_pattern(line.text), at_top) not in layout.dropped:
            closed.add(at_top)
        else:
            found.add(id(line))
    return found


def _paragraphs(page: PageContent, layout: Layout) -> Iterator[_Paragraph | TableText]:
    running = _running_lines(page, layout)
    items = [item for item in page.items if id(item) not in running]
    pitch = _pitch(items)
    right = max((item.x1 for item in items if isinstance(item, Line)), default=0.0)
    current: list[Line] = []
    for item in items:
        if isinstance(item, TableText):
            if current:
                yield _paragraph(current)
                current = []
            yield item
        elif current and _goes_on(current, item, pitch, right):
            current.append(item)
        else:
            if current:
                yield _paragraph(current)
            current = [item]
    if current:
        yield _paragraph(current)


def _pitch(items: Sequence[Line | TableText]) -> float:
    """The usual distance from one line to the next."""
    lines = [item for item in items if isinstance(item, Line)]
    steps = [below.bottom - above.bottom for above, below in itertools.pairwise(lines)]
    steps = [step for step, line in zip(steps, lines, strict=False) if 0.5 * line.size < step < 2.2 * line.size]
    return median(steps) if steps else 14.0


def _goes_on(current: Sequence[Line], line: Line, pitch: float, right: float) -> bool:
    last = current[-1]
    if abs(line.size - last.size) > 0.12 * last.size or (line.bold != last.bold and len(last.text) < 100):
        return False
    step = line.bottom - last.bottom
    if step < -0.5 * line.size or step > 6 * line.size:  # the next column, or another part of the page
        return not _SENTENCE_END.search(last.text) and line.text[:1].islower()
    if step > max(1.3 * min(pitch, 1.5 * line.size), 1.15 * line.size) or _BULLET.match(line.text):
        return False
    if _SENTENCE_END.search(last.text):
        indented = line.x0 > last.x0 + 0.8 * line.size and line.x0 > current[0].x0 - 1 and len(current) > 1
        short = last.x1 < right - 0.25 * (right - min(last.x0, line.x0))
        return not (indented or short)
    return True


def _paragraph(lines: list[Line]) -> _Paragraph:
    parts: list[str] = []
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        if following is None:
            parts.append(line.text)
        elif line.hyphen and following.text[:1].islower():
            parts.append(line.text[:-1])
        else:
            parts.append(line.text if line.hyphen else line.text + " ")
    return _Paragraph(lines, "".join(parts), bool(_BULLET.match(lines[0].text)))


def _level(paragraph: _Paragraph, layout: Layout) -> int:
    """Level of a heading, 0 for running text."""
    text = paragraph.text
    if len(text) > _MAX_HEADING_CHARS or len(paragraph.lines) > 3 or sum(char.isalpha() for char in text) < 3:
        return 0
    known = layout.outline.get(plain(text))
    if known:
        return known
    if text.rstrip()[-1] in ".;," and not text.rstrip()[:-1].isupper():
        return 0
    for level, size in enumerate(layout.levels[:_KNOWN_LEVELS], 1):
        if paragraph.size >= size * 0.97:
            return min(6, level)
    bold = paragraph.bold and not layout.mostly_bold and paragraph.size >= layout.body_size * 0.97
    if bold and not paragraph.is_item and len(text) <= 120 and not text.rstrip().endswith(":"):
        return min(6, max(2, len(layout.levels[:_KNOWN_LEVELS]) + 1))
    return 0


def _largest(paragraphs: Sequence[_Paragraph | TableText], layout: Layout) -> str:
    found = [each for each in paragraphs if isinstance(each, _Paragraph) and 3 <= len(each.text) <= 200]
    found = [each for each in found if any(char.isalpha() for char in each.text)]
    if not found:
        return ""
    best = max(found, key=lambda each: each.size)
    return best.text if best.size >= layout.body_size * _LARGER or best.bold else ""


def _write(paragraphs: Sequence[_Paragraph | TableText], draft: Draft, layout: Layout) -> None:
    items: list[str] = []
    for number, each in enumerate(paragraphs):
        if isinstance(each, _Paragraph) and each.is_item and not _level(each, layout):
            items.append(each.text)
            continue
        draft.add("list", "\n".join(items))
        items = []
        if isinstance(each, TableText):
            draft.add("table", each.text, header_chars=each.header_chars)
        elif level := _level(each, layout):
            draft.add("heading", each.text, level=level)
        elif number == 0 and _runs_on(draft, each.text):
            draft.extend(each.text, glue=" ")
        else:
            draft.add("paragraph", each.text)
    draft.add("list", "\n".join(items))


def _runs_on(draft: Draft, text: str) -> bool:
    """Whether the first paragraph of a page continues the last one of the page before."""
    tail = draft.tail(40)
    return draft.last_kind == "paragraph" and text[:1].islower() and not _SENTENCE_END.search(tail)
