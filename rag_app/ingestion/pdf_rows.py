"""Finds tables that show only by alignment: rows of short cells whose gaps stand above each other."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from statistics import median

from rag_app.ingestion.pdf_lines import Fragment, overlaps
from rag_app.ingestion.pdf_words import Word

NUMBER = re.compile(
    r"^[\s$€£¥(+\-–—−~<>=]*\d[\d.,\s'%)*†‡§/:+\-–—]*(?:%|[a-z]{1,2}\))?$|^[-–—.*]+$|^n/?a\.?$|^\$\s*[—–-]$", re.I
)
_BEGINS_NUMBER = re.compile(r"^[$€£¥(+\-–—−<>]{0,2}\d|^[$€£¥—–-]$")
_NUMBER_GAP = 0.45  # of a word's height
_CURRENCY = re.compile(r"^[$€£¥]$|^\($|^\$\s*\($")
_SUFFIX = re.compile(r"^[%)]+$|^\)\s*%$|^%\s*\)$")
_LEADERS = re.compile(r"(?:\.\s?){5,}|…{2,}")
_LIST_MARK = re.compile(r"^(?:[•‣◦▪●○■□–—·*➢✓-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\d+(?:\.\d+)+\.?|☐|☒)$")
_FORMULA = re.compile("[\u2200-\u22ff\u0391-\u03c9\u21d0-\u21ff\u27e8-\u27ef\u2308-\u230b\u239b-\u23ad]|[|{}]")
_MAX_STEP = 2.6  # row distance, in heights of a row, that ends a table
_MIN_RIVER = 0.35  # of a row's height: the narrowest gap between two columns
_LONG_CELL_WORDS = 7
_LONG_LINE_WORDS = 14


@dataclass(slots=True)
class Cell:
    """Words between two gaps of a row."""

    words: list[Word]
    x0: float
    x1: float
    column: int = 0

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(word.text for word in self.words)

    @property
    def core(self) -> float:
        """Where it begins without a sign of currency, which often stands in a column of its own."""
        signs = takewhile(lambda word: _CURRENCY.match(word.text), self.words[:-1])
        return self.words[sum(1 for _ in signs)].x0 if _CURRENCY.match(self.words[0].text) else self.x0


@dataclass(slots=True)
class Row:
    """Cells on one height."""

    cells: list[Cell]
    top: float
    bottom: float
    fragments: list[int]

    @property
    def height(self) -> float:
        """Height of its first fragment."""
        return self.bottom - self.top


@dataclass(slots=True)
class Grid:
    """A table: its rows of texts, where it is, and the fragments it is made of."""

    rows: list[list[str]]
    header_rows: int
    box: tuple[float, float, float, float]  # x0, top, x1, bottom
    fragments: set[int] = field(default_factory=set)


def rows_of(fragments: Sequence[Fragment]) -> list[Row]:
    """All fragments of a page in rows from top to bottom; signs of currency and percent are put to their numbers."""
    rows: list[list[Fragment]] = []
    for fragment in sorted(fragments, key=lambda each: each.middle):
        for number in range(len(rows) - 1, max(-1, len(rows) - 4), -1):
            if overlaps(rows[number][0], fragment) and not _collides(rows[number], fragment):
                rows[number].append(fragment)
                break
        else:
            rows.append([fragment])
    return [_row(members) for members in rows]


def _collides(members: Sequence[Fragment], fragment: Fragment) -> bool:
    return any(min(each.x1, fragment.x1) - max(each.x0, fragment.x0) > 2 for each in members)


def _row(members: list[Fragment]) -> Row:
    top, bottom = members[0].top, members[0].bottom
    members.sort(key=lambda each: each.x0)
    cells: list[Cell] = []
    for cell in (part for member in members for part in _between_numbers(member)):
        last = cells[-1] if cells else None
        if last is not None and (_CURRENCY.match(last.text) or (_SUFFIX.match(cell.text) and NUMBER.match(last.text))):
            last.words.extend(cell.words)
            last.x1 = max(last.x1, cell.x1)
        else:
            cells.append(cell)
    return Row(cells, top, bottom, [member.number for member in members])


def _between_numbers(fragment: Fragment) -> Iterator[Cell]:
    """The fragment, cut where two numbers stand further apart than words do."""
    words = fragment.words
    start = 0
    for number in range(1, len(words)):
        before, after = words[number - 1], words[number]
        gap = after.x0 - before.x1
        if (
            gap > _NUMBER_GAP * (after.bottom - after.top)
            and NUMBER.match(before.text)
            and _BEGINS_NUMBER.match(after.text)
        ):
            yield Cell(words[start:number], words[start].x0, before.x1)
            start = number
    yield Cell(words[start:], words[start].x0 if start else fragment.x0, fragment.x1)


def aligned_tables(rows: Sequence[Row]) -> Iterator[Grid]:
    """Tables among the rows."""
    for run in _runs(rows):
        grid = _grid(run)
        if grid is not None:
            yield grid


def _runs(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows that may make a table: several cells in most of them, not far from each other."""
    run: list[Row] = []
    lonely = 0
    for row in rows:
        far = bool(run) and row.top - run[-1].bottom > _MAX_STEP * max(row.height, run[-1].height)
        alone = len(row.cells) == 1
        prose = (alone and _is_long(row.cells[0], run)) or _is_prose(row) or _is_contents(row)
        if run and (far or prose or (alone and lonely >= 3)):
            yield from _trimmed(run)
            run, lonely = [], 0
        if prose:
            continue
        run.append(row)
        lonely = lonely + 1 if alone else 0
    yield from _trimmed(run)


def _is_long(cell: Cell, run: Sequence[Row]) -> bool:
    """A line of text; but a long label that ends before the last column begins belongs to its table."""
    last_column = max((row.cells[-1].x0 for row in run if len(row.cells) > 1), default=0.0)
    return len(cell.words) > _LONG_LINE_WORDS and cell.x1 > last_column


def _is_prose(row: Row) -> bool:
    """Text in columns, or a list item beside its mark."""
    if len(row.cells) == 1:
        return False
    if len(row.cells) == 2 and _LIST_MARK.match(row.cells[0].text) and len(row.cells[1].words) > 2:
        return not NUMBER.match(row.cells[1].text)
    long = sum(len(cell.words) >= _LONG_CELL_WORDS for cell in row.cells)
    return (long >= 2 and long * 2 > len(row.cells)) or (
        long == 1 == len(row.cells) - 1 and len(row.cells[0].words) > _LONG_LINE_WORDS
    )


def _is_contents(row: Row) -> bool:
    """A line of a table of contents: a title, dots, a page number."""
    return len(row.cells) <= 2 and any(_LEADERS.search(cell.text) for cell in row.cells)


def _trimmed(run: list[Row]) -> Iterator[list[Row]]:
    """Without single cells before and after; one that stands above the columns of numbers is kept as a header."""
    while run and len(run[-1].cells) == 1:
        run.pop()
    start = 0
    while start < len(run) and len(run[start].cells) == 1:
        start += 1
    if start and start < len(run):
        above, first = run[start - 1], run[start]
        if above.cells[0].x0 > first.cells[0].x1 and first.top - above.bottom < 1.2 * above.height:
            start -= 1
    if len(run) - start >= 2:
        yield run[start:]


def _grid(run: list[Row]) -> Grid | None:
    height = median(row.height for row in run)
    columns = _columns(run, height)
    if len(columns) < 2:
        return None
    for row in run:
        row.cells = [part for cell in row.cells for part in _split(cell, columns, height)]
        for cell in row.cells:
            _place(cell, columns)
    texts = _texts(run, len(columns))
    if not _is_table(texts):
        return None
    merged = _headers_over_values(_unwrapped(texts, run, height))
    box = (columns[0][0], run[0].top, columns[-1][1], run[-1].bottom)
    return Grid(merged, header_rows(merged), box, {number for row in run for number in row.fragments})


def _columns(run: Sequence[Row], height: float) -> list[tuple[float, float]]:
    """Extents of the columns: between rivers that (almost) no cell crosses."""
    multi = [row for row in run if len(row.cells) > 1]
    spans = sorted((min(cell.core, cell.x1), cell.x1) for row in multi for cell in row.cells)
    allowed = 0 if len(multi) < 4 else max(1, len(multi) // 8)
    events = sorted([(x0, 1) for x0, _ in spans] + [(x1, -1) for _, x1 in spans])
    columns: list[tuple[float, float]] = []
    depth = 0
    begin: float | None = None
    last_end = 0.0
    for place, step in events:
        was, depth = depth, depth + step
        if was <= allowed < depth:
            if begin is None or (place - last_end) >= _MIN_RIVER * height:
                if begin is not None:
                    columns.append((begin, last_end))
                begin = place
        elif depth <= allowed < was:
            last_end = place
    if begin is not None:
        columns.append((begin, last_end))
    # A column that holds almost nothing (a lone sign) is no column.
    return [
        column for column in columns if sum(x0 < column[1] and x1 > column[0] for x0, x1 in spans) > max(1, allowed)
    ]


def _split(cell: Cell, columns: Sequence[tuple[float, float]], height: float) -> list[Cell]:
    """Parts of a cell that reaches over a river, where its own words leave a gap there."""
    if len(cell.words) < 2:
        return [cell]
    gaps = [after.x0 - before.x1 for before, after in zip(cell.words, cell.words[1:], strict=False)]
    usual = median(gaps)
    parts, start = [], 0
    for number, gap in enumerate(gaps):
        middle = (cell.words[number].x1 + cell.words[number + 1].x0) / 2
        between = any(left[1] <= middle + 1 and middle - 1 <= right[0] for left, right in itertools.pairwise(columns))
        if _CURRENCY.match(cell.words[number].text):
            continue
        if between and gap > max(0.45 * height, 1.4 * usual if len(gaps) > 1 else 0):
            parts.append(cell.words[start : number + 1])
            start = number + 1
    parts.append(cell.words[start:])
    return [Cell(words, min(w.x0 for w in words), max(w.x1 for w in words)) for words in parts]


def _place(cell: Cell, columns: Sequence[tuple[float, float]]) -> None:
    shares = [min(cell.x1, right) - max(cell.core, left) for left, right in columns]
    touched = [number for number, share in enumerate(shares) if share > 1.0]
    if not touched:
        touched = [max(range(len(columns)), key=lambda number: shares[number])]
    cell.column = touched[0]


def _texts(run: Sequence[Row], width: int) -> list[list[str]]:
    texts = []
    for row in run:
        line = [""] * width
        for cell in row.cells:
            line[cell.column] = f"{line[cell.column]} {cell.text}".strip()
        texts.append(line)
    return texts


def _is_table(texts: Sequence[Sequence[str]]) -> bool:
    filled = [[cell for cell in line if cell] for line in texts]
    multi = [line for line in filled if len(line) > 1]
    cells = [cell for line in filled for cell in line]
    numbers = sum(bool(NUMBER.match(cell)) for cell in cells)
    if sum(bool(_FORMULA.search(cell)) for cell in cells) * 8 > len(cells):
        return False
    if len(multi) < 2 or len(cells) < 0.3 * len(texts) * len(texts[0]):
        return False
    words = median(len(cell.split()) for cell in cells)
    if len(texts[0]) == 2 and (len(multi) < 3 or all(_LIST_MARK.match(line[0]) for line in multi)):
        return False
    return (
        numbers >= 0.2 * len(cells)
        or (words <= 4 and len(texts[0]) >= 3 and len(multi) >= 3)
        or (words <= 3 and len(multi) >= 4)
    )


def _unwrapped(texts: Sequence[Sequence[str]], run: Sequence[Row], height: float) -> list[list[str]]:
    """Rows, with the lines of wrapped cells put together."""
    merged: list[list[str]] = []
    bottom = 0.0
    for line, row in zip(texts, run, strict=True):
        close = bool(merged) and row.top - bottom < 0.5 * height
        if close and _continues(merged[-1], line):
            merged[-1] = [f"{old} {new}".strip() for old, new in zip(merged[-1], line, strict=True)]
        else:
            merged.append(list(line))
        bottom = row.bottom
    return merged


def _continues(above: Sequence[str], line: Sequence[str]) -> bool:
    filled = [number for number, cell in enumerate(line) if cell]
    before = [number for number, cell in enumerate(above) if cell]
    if any(NUMBER.match(line[number]) for number in filled):
        # The label began on the line above, which holds nothing else.
        return before == [0] and filled[0] == 0 and line[0][:1].islower()
    if filled == [0]:
        return line[0][:1].islower() and 0 in before
    return filled[0] > 0 and all(above[number] and not NUMBER.match(above[number]) for number in filled)


def header_rows(rows: Sequence[Sequence[str]]) -> int:
    """How many rows stand above the first one with numbers beside its label (1 to 4)."""
    for number, row in enumerate(rows[:5]):
        others = [cell for cell in row[1:] if cell]
        if others and sum(
            bool(NUMBER.match(cell)) and not re.fullmatch(r"(?:19|20)\d\d", cell) for cell in others
        ) * 2 > len(others):
            while number > 1 and not any(rows[number - 1][1:]):
                number -= 1  # a label over the rows that follow, such as “Assets:”
            return max(1, min(4, number))
    return 1


def _headers_over_values(rows: list[list[str]]) -> list[list[str]]:
    """Puts a column that holds nothing but headers together with its neighbour that has none."""
    heads = header_rows(rows)
    column = 1
    while column + 1 < len(rows[0]):
        one, other = ([row[place] for row in rows] for place in (column, column + 1))
        apart = not any(left and right for left, right in zip(one, other, strict=True))
        if apart and (not any(one[heads:]) or not any(other[heads:])):
            rows = [[*row[:column], row[column] or row[column + 1], *row[column + 2 :]] for row in rows]
        else:
            column += 1
    return rows
