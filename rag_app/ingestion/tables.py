"""Writes rows of cells as a table of pipes, the form in which all tables stand in the text."""

from collections.abc import Sequence

from rag_app.ingestion.draft import one_line


def pipe_table(rows: Sequence[Sequence[str]], *, header_rows: int = 1) -> tuple[str, int]:
    """Rows as `| a | b |` lines and the length of the header lines (0 = no header). Empty rows are left out.

    Cells are put on one line; a pipe inside a cell is escaped. Short rows are filled up with empty cells.
    """
    width = max((len(row) for row in rows), default=0)
    lines: list[str] = []
    header_chars = 0
    for number, row in enumerate(rows):
        if any(cell.strip() for cell in row):
            lines.append(pipe_line(row, width))
        if number + 1 == header_rows and lines and len(rows) > header_rows:
            lines.append(pipe_rule(width))
            header_chars = sum(len(line) + 1 for line in lines) - 1
    return "\n".join(lines), header_chars


def pipe_line(row: Sequence[str], width: int) -> str:
    """One row as a line of pipes, filled up to `width` cells."""
    cells = [one_line(cell).replace("|", "\\|") for cell in row]
    return "| " + " | ".join(cells + [""] * (width - len(cells))) + " |"


def pipe_rule(width: int) -> str:
    """The line below a header."""
    return "|" + " --- |" * width
