"""The rows of an AsciiDoc table, with cells that are repeated or reach over several columns and rows."""

import csv
import re
from collections.abc import Sequence

from rag_app.ingestion.draft import one_line

_CELL = re.compile(r"(?:(?<=\s)|^)((?:\d+\*|\d*(?:\.\d+)?\+)?[<^>]?(?:\.[<^>])?[aehlmsdv]?)?\|")
_COLUMNS = re.compile(r"cols\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|(\d+))")
_REPEATED = re.compile(r"(\d+)\*")
_MOST_COLUMNS = 200
_MOST_ROWS = 50_000


def table_rows(lines: Sequence[str], separator: str, style: str) -> tuple[list[list[str]], int]:
    """Rows and how many of them are header."""
    if separator in (",", ":") or "format=csv" in style or 'format="csv"' in style:
        rows = _separated(lines, "," if separator != ":" else ":")
        return rows, _header_rows(lines, style)
    cells, first = _cells(lines)
    width = _width(style) or first or len(cells)
    return _rows(cells, max(1, min(width, _MOST_COLUMNS))), _header_rows(lines, style)


def _separated(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if row]
    except csv.Error:
        return [[line] for line in lines]


def _header_rows(lines: Sequence[str], style: str) -> int:
    """A table has a header when it says so, or when only its first line is followed by an empty one."""
    if "noheader" in style:
        return 0
    if "header" in style:
        return 1
    return int(len(lines) > 2 and bool(lines[0].strip()) and not lines[1].strip())


def _width(style: str) -> int:
    found = _COLUMNS.search(style)
    if not found:
        return 0
    if found.group(3):
        return int(found.group(3)[:4])
    total = 0
    for each in re.split(r"[,;]", found.group(1) or found.group(2) or ""):
        repeated = _REPEATED.match(each.strip())
        total += int(repeated.group(1)[:4]) if repeated else 1
    return total


def _cells(lines: Sequence[str]) -> tuple[list[tuple[str, str]], int]:
    """All cells as (how it is set, text), and how many stand in the first line."""
    found: list[tuple[str, list[str]]] = []
    first = 0
    for line in lines:
        if line.strip() and not first:
            first = len(_CELL.findall(line))
        marks = [mark for mark in _CELL.finditer(line) if line[mark.end() - 2 : mark.end() - 1] != "\\"]
        if found:
            found[-1][1].append(line[: marks[0].start()] if marks else line)
        for mark, following in zip(marks, [*marks[1:], None], strict=False):
            text = line[mark.end() : following.start() if following else len(line)]
            found.append((mark.group(1) or "", [text]))
    return [(setting, one_line(" ".join(texts)).replace("\\|", "|")) for setting, texts in found], first


def _rows(cells: Sequence[tuple[str, str]], width: int) -> list[list[str]]:
    rows: list[list[str]] = []
    row: list[str] = []
    reaching: dict[int, int] = {}  # column -> how many more rows a cell above reaches into it
    for setting, text in cells:
        for _ in range(_count(setting, r"(\d+)\*")):
            while len(row) < width and reaching.get(len(row), 0):
                reaching[len(row)] -= 1
                row.append("")
            across, down = _count(setting, r"(\d+)(?:\.\d+)?\+"), _count(setting, r"\.(\d+)\+")
            for step in range(min(across, width - len(row))):
                reaching[len(row)] = down - 1
                row.append(text if step == 0 else "")
            while (
                len(row) < width
                and reaching.get(len(row), 0)
                and sum(reaching.values())
                and len(row) > 0
                and all(reaching.get(column, 0) for column in range(len(row), width))
            ):
                reaching[len(row)] -= 1
                row.append("")
            if len(row) >= width and len(rows) < _MOST_ROWS:
                rows.append(row)
                row = []
    return rows + ([row] if row else [])


def _count(setting: str, pattern: str) -> int:
    found = re.search(pattern, setting)
    return max(1, min(int(found.group(1)[:5]), _MOST_COLUMNS)) if found else 1
