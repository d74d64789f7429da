"""The tables of reStructuredText: drawn as a grid, drawn with rules, written as lists or as CSV."""

import csv
import re
from collections.abc import Mapping, Sequence

from rag_app.ingestion.draft import one_line

_GRID = re.compile(r"\+(?:[-=]+\+)+$")
_RULE = re.compile(r"=+(?:\s+=+)+$")
_SPAN_RULE = re.compile(r"-+(?:\s+-+)*$")
_MOST_ROWS = 50_000

Table = tuple[list[list[str]], int, int]
"""Rows, how many of them are header, and the line after the table (its first line when there is none)."""


def grid_table(lines: Sequence[str], place: int) -> Table:
    """A table drawn with `+---+`."""
    if not _GRID.match(lines[place]):
        return [], 0, place
    after = place
    while after < len(lines) and lines[after][:1] in ("+", "|"):
        after += 1
    drawn = lines[place:after]
    columns = sorted({at for line in drawn if line.startswith("+") for at, char in enumerate(line) if char == "+"})
    if len(columns) < 2 or len(drawn) < 3:
        return [], 0, place
    rows: list[list[str]] = []
    heads = 0
    current: list[list[str]] = [[] for _ in columns[1:]]
    for line in drawn[1:]:
        if line.startswith("+") and set(line) <= set("+-= |") and _GRID.match(line):
            rows.append([one_line(" ".join(cell)) for cell in current])
            current = [[] for _ in columns[1:]]
            if "=" in line:
                heads = len(rows)
        else:
            for number, (left, text) in _pieces(line, columns):
                del left
                current[number].append(text)
    return [row for row in rows if any(row)], heads, after


def _pieces(line: str, columns: Sequence[int]) -> list[tuple[int, tuple[int, str]]]:
    """The text of a drawn line by column; one that reaches over several columns stands in the first."""
    found = []
    first = 0
    for number in range(1, len(columns)):
        at = columns[number]
        if number == len(columns) - 1 or line[at : at + 1] in ("|", "+"):
            text = line[columns[first] + 1 : at].strip(" ")
            if text and set(text) <= {"-", "+"} and len(text) > 1:
                text = ""
            found.append((first, (columns[first], text)))
            first = number
    return found


def simple_table(lines: Sequence[str], place: int) -> Table:
    """A table drawn with rules of `=`."""
    if not _RULE.match(lines[place]):
        return [], 0, place
    columns = [found.span() for found in re.finditer("=+", lines[place])]
    rows: list[list[str]] = []
    heads, rules, after = 0, 1, place + 1
    while after < len(lines) and len(rows) < _MOST_ROWS:
        line = lines[after]
        after += 1
        if _RULE.match(line) or (set(line.strip()) == {"="} and len(line.strip()) > 2):
            rules += 1
            at_end = after >= len(lines) or not lines[after].strip()
            if rules >= 3 or at_end:
                break
            heads = len(rows)
        elif line.strip() and not _SPAN_RULE.match(line.strip()):
            cells = [
                line[start : (columns[number + 1][0] if number + 1 < len(columns) else None)].strip()
                for number, (start, _) in enumerate(columns)
            ]
            if rows and not cells[0] and len(rows) > (heads if heads else 0):
                rows[-1] = [one_line(f"{old} {new}") for old, new in zip(rows[-1], cells, strict=True)]
            else:
                rows.append([one_line(cell) for cell in cells])
    return rows, heads, after


def list_table(lines: Sequence[str]) -> list[list[str]]:
    """A table written as a list of lists."""
    rows: list[list[str]] = []
    for line in lines:
        stripped = line.strip()
        if stripped.startswith(("* - ", "- - ", "* -", "- -")) and not line.startswith("  "):
            rows.append([stripped[3:].strip()])
        elif rows and re.match(r" {1,4}- ?", line) and len(line) - len(line.lstrip()) <= 4:
            rows[-1].append(line.strip()[1:].strip())
        elif rows and rows[-1] and stripped:
            rows[-1][-1] = one_line(f"{rows[-1][-1]} {stripped}")
    return rows


def csv_table(options: Mapping[str, str], lines: Sequence[str]) -> list[list[str]]:
    """A table written as CSV, its header among the options."""
    delimiter = {"tab": "\t", "space": " "}.get(options.get("delim", ","), options.get("delim", ",")[:1] or ",")
    try:
        head = list(csv.reader([options["header"]], skipinitialspace=True)) if options.get("header") else []
        return head + list(
            csv.reader([line for line in lines if line.strip()], delimiter=delimiter, skipinitialspace=True)
        )
    except csv.Error:
        return [[line] for line in lines]
