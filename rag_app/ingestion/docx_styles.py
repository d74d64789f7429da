"""The look of paragraphs in a Word document: heading levels, list markers and counters, code."""

import re
from dataclasses import dataclass

from lxml import etree

from rag_app.ingestion.draft import one_line
from rag_app.ingestion.office_package import Package, attribute

_HEADING_NAME = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop|rubrik|nagłówek|заголовок)\s*(\d)", re.I)
_CODE_NAME = re.compile(r"\b(?:code|source|preformatted|macro)\b", re.I)


@dataclass(frozen=True, slots=True)
class ParagraphStyle:
    """What matters of the look of one paragraph."""

    level: int = 0  # of a heading, 0 = none
    marker: str | None = None  # of a list item: "- " or "3. "
    depth: int = 0  # of a list item
    code: bool = False
    is_title: bool = False


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    based_on: str
    outline: int | None
    numbering: tuple[str, int] | None


class Styles:
    """Looks up heading levels and list markers; counts numbered lists as it goes."""

    def __init__(self, package: Package) -> None:
        self._styles = _styles(package)
        self._formats = _number_formats(package)
        self._counters: dict[tuple[str, int], int] = {}
        self.title = ""

    def of(self, paragraph: etree._Element) -> ParagraphStyle:
        """The style of a paragraph; asking for a list item counts it."""
        properties = paragraph.find("{*}pPr")
        style_id = _child_value(properties, "pStyle")
        chain = self._chain(style_id)
        level, is_title = self._level(properties, chain)
        numbering = _numbering(properties) or next((style.numbering for style in chain if style.numbering), None)
        marker = None
        if numbering and numbering[0] != "0" and not level:
            marker = self._marker(*numbering)
        code = any(_CODE_NAME.search(style.name) for style in chain[:1])
        return ParagraphStyle(level, marker, numbering[1] if numbering else 0, code, is_title)

    def remember_title(self, style: ParagraphStyle, text: str) -> None:
        """Keep the text of the first paragraph in the style “Title”, else of the first top heading."""
        if style.is_title or (style.level == 1 and not self.title):
            self.title = one_line(text)

    def _chain(self, style_id: str) -> list[_Style]:
        chain: list[_Style] = []
        while style_id in self._styles and len(chain) < 20:
            chain.append(self._styles[style_id])
            style_id = chain[-1].based_on
        return chain

    @staticmethod
    def _level(properties: etree._Element | None, chain: list[_Style]) -> tuple[int, bool]:
        own = _child_value(properties, "outlineLvl")
        if own.isdecimal() and int(own) < 9:
            return min(6, int(own) + 1), False
        for style in chain:
            named = _HEADING_NAME.fullmatch(style.name.strip())
            if style.name.lower() in ("title", "titel", "titre", "título", "titolo"):
                return 1, True
            if style.outline is not None and style.outline < 9:
                return min(6, style.outline + 1), False
            if named and named.group(1) != "0":
                return min(6, int(named.group(1))), False
        return 0, False

    def _marker(self, number_id: str, depth: int) -> str:
        if self._formats.get((number_id, depth), "bullet") in ("bullet", "none"):
            return "- "
        key = (number_id, depth)
        self._counters[key] = self._counters.get(key, 0) + 1
        for other in [each for each in self._counters if each[0] == number_id and each[1] > depth]:
            del self._counters[other]
        return f"{self._counters[key]}. "


def _child_value(properties: etree._Element | None, name: str) -> str:
    child = properties.find("{*}" + name) if properties is not None else None
    return attribute(child, "val") if child is not None else ""


def _numbering(properties: etree._Element | None) -> tuple[str, int] | None:
    numbering = properties.find("{*}numPr") if properties is not None else None
    if numbering is None:
        return None
    depth = _child_value(numbering, "ilvl")
    number_id = _child_value(numbering, "numId")
    return (number_id, int(depth) if depth.isdecimal() else 0) if number_id else None


def _styles(package: Package) -> dict[str, _Style]:
    root = package.xml("word/styles.xml")
    found: dict[str, _Style] = {}
    for style in root.iter("{*}style") if root is not None else ():
        properties = style.find("{*}pPr")
        outline = _child_value(properties, "outlineLvl")
        found[attribute(style, "styleId")] = _Style(
            _child_value(style, "name"),
            _child_value(style, "basedOn"),
            int(outline) if outline.isdecimal() else None,
            _numbering(properties),
        )
    return found


def _number_formats(package: Package) -> dict[tuple[str, int], str]:
    root = package.xml("word/numbering.xml")
    if root is None:
        return {}
    abstract: dict[str, dict[int, str]] = {}
    for definition in root.iter("{*}abstractNum"):
        levels = ((attribute(level, "ilvl"), _child_value(level, "numFmt")) for level in definition.iter("{*}lvl"))
        abstract[attribute(definition, "abstractNumId")] = {
            int(depth): form for depth, form in levels if depth.isdecimal()
        }
    found = {}
    for number in root.iter("{*}num"):
        for depth, form in abstract.get(_child_value(number, "abstractNumId"), {}).items():
            found[attribute(number, "numId"), depth] = form
    return found
