"""How figures are written for people: sizes, counts, shares, times."""

import re

from rag_app.errors import RagError

_UNITS = ("bytes", "KB", "MB", "GB", "TB")

_MODELS = {
    "local/extractive": "Quotes from the documents (built in, no model)",
    "local/wordllama-256": "WordLlama 256 (built in, quick)",
}

# Fields whose names in the API are not those of the forms.
_FIELDS = {
    "passage_tokens": "Passage size in tokens",
    "overlap_tokens": "Overlap in tokens",
    "keep_days": "Days to keep the old one",
    "max_pages": "Pages or files at most",
    "max_depth": "Links deep at most",
    "max_page_mb": "MB per file",
    "max_total_mb": "MB per run",
}
_FIELD = re.compile(r"[a-z][a-z0-9_]*(?:, [a-z][a-z0-9_]*)*")


def said(problem: RagError) -> str:
    """The message of an error; fields at its beginning are called as people call them.

    “secret_key: it is missing” -> “Secret key: it is missing”.
    """
    names, colon, rest = problem.message.partition(": ")
    if not colon or not _FIELD.fullmatch(names):
        return problem.message
    called = ", ".join(_FIELDS.get(name, name.replace("_", " ")) for name in names.split(", "))
    return f"{called[0].upper()}{called[1:]}: {rest}"


def model_label(name: str) -> str:
    """What a model is called in a list of choices; those that are built in have words of their own."""
    return _MODELS.get(name, name)


def size(byte_count: int | None) -> str:
    """1536 -> “1.5 KB”; unknown -> “–”."""
    if byte_count is None:
        return "–"
    figure, unit = float(byte_count), 0
    while figure >= 1000 and unit < len(_UNITS) - 1:
        figure, unit = figure / 1000, unit + 1
    return f"{int(figure)} {_UNITS[0]}" if unit == 0 else f"{figure:.{0 if figure >= 100 else 1}f} {_UNITS[unit]}"


def count(number: int | None) -> str:
    """12345 -> “12,345”; unknown -> “–”."""
    return "–" if number is None else f"{number:,}"


def counted(number: int, one: str, many: str = "") -> str:
    """(1, "document") -> “1 document”, (2, "document") -> “2 documents”."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(part: float) -> int:
    """0..1 -> 0..100, kept inside."""
    return round(min(1.0, max(0.0, part)) * 100)


def milliseconds(duration: float | None) -> str:
    """4.2 -> “4.2 ms”, 1530 -> “1.5 s”; unknown -> “–”."""
    if duration is None:
        return "–"
    if duration >= 1000:
        return f"{duration / 1000:.1f} s"
    return f"{duration:.1f} ms" if duration < 10 else f"{duration:.0f} ms"


def money(microusd: int | None) -> str:
    """Micro-dollars as dollars: 1234 -> “$0.0012”; unknown -> “”."""
    return "" if microusd is None else f"${microusd / 1_000_000:.4f}"
