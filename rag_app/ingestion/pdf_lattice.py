"""Finds tables whose cells are drawn: puts the words of a page into the boxes that its rules make."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag_app.ingestion.pdf_lines import Fragment, joined, overlaps
from rag_app.ingestion.pdf_rows import NUMBER, Grid, header_rows
from rag_app.ingestion.pdf_rules import Rule, Rules
from rag_app.ingestion.pdf_words import Word

_TOUCH = 4.0
_SAME = 4.0
_LOWEST, _NARROWEST = 5.0, 9.0  # of a row and a column; what is closer is the padding of cells
_COVERED = 0.6  # of a cell's side that must be drawn to close it
_FILLED = 0.3
_WIDE = 1.2  # of a word's height: a gap between columns
_PARAGRAPH_GAP = 0.9  # of a word's height: a gap between rows
_MAX_CELLS = 5_000


def ruled_tables(fragments: Sequence[Fragment], rules: Rules) -> Iterator[Grid]:
    """Tables with drawn cells. Words outside of them are left alone."""
    for horizontal, vertical in _groups(rules):
        ys, xs = _places(horizontal, _LOWEST), _places(vertical, _NARROWEST)
        _open_sides(xs, horizontal)
        if len(ys) < 3 or len(xs) < 3 or len(ys) * len(xs) > _MAX_CELLS:
            continue
        grid = _Lattice(xs, ys, horizontal, vertical).grid(fragments)
        if grid is not None:
            yield grid


def _groups(rules: Rules) -> Iterator[tuple[list[Rule], list[Rule]]]:
    """Rules that cross or touch each other, directly or through others."""
    count = len(rules.horizontal)
    parents = list(range(count + len(rules.vertical)))
    for number, line in enumerate(rules.horizontal):
        for other, post in enumerate(rules.vertical, count):
            if (
                line.start - _TOUCH <= post.place <= line.end + _TOUCH
                and post.start - _TOUCH <= line.place <= post.end + _TOUCH
            ):
                parents[_root(parents, number)] = _root(parents, other)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for number, rule in enumerate([*rules.horizontal, *rules.vertical]):
        groups.setdefault(_root(parents, number), ([], []))[number >= count].append(rule)
    yield from (group for group in groups.values() if len(group[0]) > 1 and len(group[1]) > 1)


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


def _places(rules: Sequence[Rule], least: float) -> list[float]:
    places: list[float] = []
    for place in sorted(rule.place for rule in rules):
        if not places or place - places[-1] > least:
            places.append(place)
    return places


def _open_sides(xs: list[float], horizontal: Sequence[Rule]) -> None:
    """A table without rules at its sides ends where its horizontal rules end."""
    left, right = min(rule.start for rule in horizontal), max(rule.end for rule in horizontal)
    if xs and left < xs[0] - 3 * _SAME:
        xs.insert(0, left)
    if xs and right > xs[-1] + 3 * _SAME:
        xs.append(right)


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Columns between `xs`, rows between `ys`, and the rules that close cells."""

    xs: list[float]
    ys: list[float]
    horizontal: list[Rule]
    vertical: list[Rule]

    def grid(self, fragments: Sequence[Fragment]) -> Grid | None:
        """The table with its words, None if it is none."""
        width, height = len(self.xs) - 1, len(self.ys) - 1
        owners = self._owners(width, height)
        cells: dict[int, list[Word]] = {}
        inside: set[int] = set()
        for fragment in fragments:
            for word in fragment.words:
                spot = self._spot(word)
                if spot is not None:
                    cells.setdefault(owners[spot[0] * width + spot[1]], []).append(word)
                    inside.add(fragment.number)
        rows = [[joined(cells.get(row * width + column, [])) for column in range(width)] for row in range(height)]
        if not _is_table(rows) or _holds_rows(cells, width):
            return None
        rows = [row for row in rows if any(row)]
        used = [column for column in range(width) if any(row[column] for row in rows)]
        rows = [[row[column] for column in used] for row in rows]
        box = (self.xs[0], self.ys[0], self.xs[-1], self.ys[-1])
        return Grid(rows, header_rows(rows), box, inside)

    def _spot(self, word: Word) -> tuple[int, int] | None:
        x, y = (word.x0 + word.x1) / 2, (word.top + word.bottom) / 2
        if not (self.xs[0] <= x <= self.xs[-1] and self.ys[0] <= y <= self.ys[-1]):
            return None
        column = next(number for number in range(len(self.xs) - 1) if x <= self.xs[number + 1])
        row = next(number for number in range(len(self.ys) - 1) if y <= self.ys[number + 1])
        return row, column

    def _owners(self, width: int, height: int) -> list[int]:
        """For each cell the first cell of the merged cell it belongs to."""
        parents = list(range(width * height))
        for row in range(height):
            for column in range(width):
                here = row * width + column
                if column + 1 < width and not _drawn(
                    self.vertical, self.xs[column + 1], self.ys[row], self.ys[row + 1], reach=_NARROWEST
                ):
                    _unite(parents, here, here + 1)
                if row + 1 < height and not _drawn(
                    self.horizontal, self.ys[row + 1], self.xs[column], self.xs[column + 1]
                ):
                    _unite(parents, here, here + width)
        return [_root(parents, number) for number in range(width * height)]


def _holds_rows(cells: dict[int, list[Word]], width: int) -> bool:
    """Whether single cells hold several rows or columns: then the rules only frame a table that shows by alignment."""
    stacked = spaced = 0
    for place, words in cells.items():
        lines = _lines(words)
        numbers = sum(bool(NUMBER.match(word.text)) for word in words)
        stacked += place % width > 0 and len(lines) >= 3 and numbers >= 0.7 * len(words)
        gaps = [sum(_is_wide(one, other) for one, other in pairwise(line)) for line in lines]
        if max(gaps) >= 2 or sum(gap > 0 for gap in gaps) >= 2:
            return True
        spaced += any(
            below[0].top - above[0].bottom > _PARAGRAPH_GAP * (above[0].bottom - above[0].top)
            for above, below in pairwise(lines)
        )
    return stacked >= 2 or spaced >= 3


def _lines(words: Sequence[Word]) -> list[list[Word]]:
    lines: list[list[Word]] = []
    for word in sorted(words, key=lambda each: (each.top + each.bottom) / 2):
        if lines and overlaps(lines[-1][0], word):
            lines[-1].append(word)
        else:
            lines.append([word])
    return [sorted(line, key=lambda each: each.x0) for line in lines]


def _is_wide(one: Word, other: Word) -> bool:
    """A gap that no sentence has; the one behind the mark of a list item does not count."""
    return other.x0 - one.x1 > _WIDE * (one.bottom - one.top) and len(one.text) > 1


def _unite(parents: list[int], one: int, other: int) -> None:
    first, second = sorted((_root(parents, one), _root(parents, other)))
    parents[second] = first


def _drawn(rules: Sequence[Rule], place: float, start: float, end: float, *, reach: float = _SAME) -> bool:
    drawn = sum(
        max(0.0, min(rule.end, end) - max(rule.start, start)) for rule in rules if abs(rule.place - place) <= reach
    )
    return drawn >= _COVERED * (end - start)


def _is_table(rows: Sequence[Sequence[str]]) -> bool:
    filled = [sum(bool(cell) for cell in row) for row in rows]
    return sum(count > 1 for count in filled) >= 2 and sum(filled) >= _FILLED * sum(
        count > 0 for count in filled
    ) * max(sum(any(row[column] for row in rows) for column in range(len(rows[0]))), 1)
