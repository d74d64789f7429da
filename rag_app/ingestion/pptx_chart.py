"""The figures of a chart as rows: its categories and series, as they were stored when it was last drawn."""

from lxml import etree

from rag_app.ingestion.draft import one_line
from rag_app.ingestion.number_format import general
from rag_app.ingestion.office_package import attribute, name_of

_MOST_POINTS = 2_000
_MOST_SERIES = 50


def chart_rows(root: etree._Element) -> tuple[str, list[list[str]]]:
    """The title and a table with one row per category and one column per series; no rows without stored figures."""
    heading = root.find("{*}chart/{*}title")
    title = one_line("".join(each.text or "" for each in heading.iter("{*}t"))) if heading is not None else ""
    names: list[str] = []
    columns: list[dict[int, str]] = []
    categories: dict[int, str] = {}
    for series in list(root.iter("{*}ser"))[:_MOST_SERIES]:
        parts = {name_of(child): child for child in series}
        names.append(" ".join(_points(parts["tx"]).values()) if "tx" in parts else "")
        values = parts.get("val", parts.get("yVal"))
        columns.append(_points(values) if values is not None else {})
        labels = parts.get("cat", parts.get("xVal"))
        if labels is not None:
            categories = _points(labels) | categories
    places = sorted({place for column in columns for place in column})
    if not places:
        return title, []
    rows = [[categories.get(place, ""), *(column.get(place, "") for column in columns)] for place in places]
    return title, [["", *names], *rows]


def _points(element: etree._Element) -> dict[int, str]:
    found: dict[int, str] = {}
    for point in list(element.iter("{*}pt"))[:_MOST_POINTS]:
        place, value = attribute(point, "idx"), point.find("{*}v")
        if place.isdecimal() and value is not None:
            found[int(place)] = _shown(value.text or "")
    if not found:
        found = {0: one_line(" ".join(each.text or "" for each in element.iter("{*}v")))}
    return found


def _shown(value: str) -> str:
    try:
        return general(float(value))
    except (ValueError, OverflowError):
        return one_line(value)
