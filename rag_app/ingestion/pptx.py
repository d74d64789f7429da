"""Reads PowerPoint presentations: every visible slide in order with its title, lists, tables, diagrams and notes."""

from collections.abc import Iterator

from lxml import etree

from rag_app.errors import DamagedFile, NoText
from rag_app.ingestion.draft import Draft, one_line, soft_lines
from rag_app.ingestion.office_package import Package, attribute, name_of
from rag_app.ingestion.original import Original
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.pptx_chart import chart_rows
from rag_app.ingestion.tables import pipe_table

_TITLES = frozenset({"title", "ctrTitle"})
_FRAME = frozenset({"dt", "ftr", "sldNum", "hdr"})  # date, footer, number: the same on every slide
_DEPTH = 30


def parse_pptx(path: Original) -> ParsedDocument:
    """All visible slides. Raises DamagedFile, EncryptedFile, NoText, TooMuchContent."""
    with Package(path) as package:
        kinds = package.relations("")
        main = next((part for kind, part in kinds.values() if kind == "officeDocument"), "ppt/presentation.xml")
        book = package.xml(main)
        if book is None:
            raise DamagedFile("The file is not a PowerPoint presentation: its main part is missing.")
        relations = package.relations(main)
        draft, hidden, title = Draft(), [], ""
        for number, entry in enumerate(book.iter("{*}sldId"), start=1):
            part = relations.get(_relation(entry), ("", ""))[1]
            root = package.xml(part) if part else None
            if root is None:
                continue
            if attribute(root, "show") in ("0", "false"):
                hidden.append(str(number))
                continue
            slide = _Slide(package, part, draft)
            slide.write(root)
            title = title or slide.title
            draft.end_place({"slide": number})
        if not len(draft):
            raise NoText("The presentation holds no text.")
        metadata = package.metadata()
        return draft.finish(title=_title(metadata, title), metadata=metadata, warnings=_warnings(hidden))


def _relation(entry: etree._Element) -> str:
    """The id of the relation, which has the same local name as the id of the slide."""
    return next((str(value) for key, value in entry.attrib.items() if key.endswith("}id")), "")


def _title(metadata: dict[str, str], first: str) -> str:
    given = metadata.get("title", "")
    return given if given and given.lower() not in ("powerpoint presentation", "presentation") else first


def _warnings(hidden: list[str]) -> list[str]:
    if not hidden:
        return []
    return [f"{len(hidden)} hidden {'slide was' if len(hidden) == 1 else 'slides were'} left out: {', '.join(hidden)}."]


class _Slide:
    """Writes one slide: its title first, then its shapes in the order a screen reader has them, then its notes."""

    def __init__(self, package: Package, part: str, draft: Draft) -> None:
        self._package = package
        self._draft = draft
        self._relations = package.relations(part)
        self.title = ""

    def write(self, root: etree._Element) -> None:
        """The whole slide."""
        tree = root.find("{*}cSld/{*}spTree")
        if tree is None:
            return
        shapes = list(_shapes(tree, 0))
        titles = [shape for shape in shapes if _placeholder(shape) in _TITLES]
        for shape in titles:
            text = one_line(" ".join(text for text, _, _ in _paragraphs(shape)))
            self.title = self.title or text
            self._draft.add("heading", text, level=2)
        for shape in shapes:
            if shape not in titles and _placeholder(shape) not in _FRAME:
                self._shape(shape)
        self._notes()

    def _shape(self, shape: etree._Element) -> None:
        name = name_of(shape)
        if name == "sp":
            self._text(shape)
        elif name == "graphicFrame":
            self._graphic(shape)

    def _text(self, shape: etree._Element) -> None:
        is_list = _placeholder(shape) in ("body", "obj", "")
        lines: list[str] = []
        for text, depth, bullet in _paragraphs(shape):
            if bullet or (bullet is None and is_list and _placeholder(shape) and _has_several(shape)):
                lines.append("  " * depth + "- " + one_line(text))
            else:
                self._draft.add("list", "\n".join(lines))
                lines = []
                self._draft.add("paragraph", soft_lines(text))
        self._draft.add("list", "\n".join(lines))

    def _graphic(self, frame: etree._Element) -> None:
        for table in frame.iter("{*}tbl"):
            text, header_chars = pipe_table(_grid(table))
            self._draft.add("table", text, header_chars=header_chars)
        for chart in frame.iter("{*}chart"):
            self._chart(_relation(chart))
        for diagram in frame.iter("{*}relIds"):
            self._diagram(attribute(diagram, "dm"))

    def _chart(self, relation: str) -> None:
        kind, part = self._relations.get(relation, ("", ""))
        root = self._package.xml(part) if kind == "chart" else None
        if root is not None:
            title, rows = chart_rows(root)
            self._draft.add("paragraph", title)
            text, header_chars = pipe_table(rows)
            self._draft.add("table", text, header_chars=header_chars)

    def _diagram(self, relation: str) -> None:
        kind, part = self._relations.get(relation, ("", ""))
        root = self._package.xml(part) if kind == "diagramData" else None
        if root is not None:
            points = (one_line(_joined(point)) for point in root.iter("{*}pt"))
            self._draft.add("list", "\n".join(f"- {point}" for point in points if point))

    def _notes(self) -> None:
        part = next((part for kind, part in self._relations.values() if kind == "notesSlide"), "")
        root = self._package.xml(part) if part else None
        for shape in root.iter("{*}sp") if root is not None else ():
            if _placeholder(shape) == "body":
                text = "\n".join(soft_lines(text) for text, _, _ in _paragraphs(shape))
                self._draft.add("paragraph", f"Notes: {text}" if text.strip() else "")


def _shapes(tree: etree._Element, depth: int) -> Iterator[etree._Element]:
    """The shapes of a slide, those of groups in their place. Of alternatives the first is shown."""
    for child in tree:
        name = name_of(child)
        if (name in ("grpSp", "Choice") and depth < _DEPTH) or (name == "AlternateContent" and depth < _DEPTH):
            yield from _shapes(child, depth + 1)
        elif name in ("sp", "graphicFrame") and not _is_hidden(child):
            yield child


def _is_hidden(shape: etree._Element) -> bool:
    properties = next(iter(shape.iter("{*}cNvPr")), None)
    return properties is not None and attribute(properties, "hidden") in ("1", "true")


def _placeholder(shape: etree._Element) -> str:
    """The kind of placeholder a shape fills, "" for a free one."""
    found = shape.find("{*}nvSpPr/{*}nvPr/{*}ph")
    return "" if found is None else attribute(found, "type") or "obj"


def _has_several(shape: etree._Element) -> bool:
    return sum(1 for _ in _paragraphs(shape)) > 1


def _paragraphs(shape: etree._Element) -> Iterator[tuple[str, int, bool | None]]:
    """Text, depth and whether it has a bullet (None = as its placeholder says) of each paragraph with text."""
    body = shape.find("{*}txBody")
    for paragraph in body.findall("{*}p") if body is not None else ():
        text = _joined(paragraph)
        if not text.strip():
            continue
        properties = paragraph.find("{*}pPr")
        depth, bullet = 0, None
        if properties is not None:
            level = attribute(properties, "lvl")
            depth = min(8, int(level)) if level.isdecimal() else 0
            names = {name_of(child) for child in properties}
            bullet = True if names & {"buChar", "buAutoNum", "buBlip"} else False if "buNone" in names else None
        yield text, depth, bullet


def _joined(element: etree._Element) -> str:
    out: list[str] = []
    for child in element.iter():
        name = name_of(child)
        if name == "t":
            out.append(child.text or "")
        elif name == "br" or (name == "p" and out and out[-1] != "\n"):
            out.append("\n")
    return "".join(out)


def _grid(table: etree._Element) -> list[list[str]]:
    """The cells of a table; those that a merged cell reaches into are empty."""
    return [
        [
            "" if attribute(cell, "hMerge") in ("1", "true") or attribute(cell, "vMerge") in ("1", "true")
            else one_line(_joined(cell))
            for cell in row.findall("{*}tc")
        ]
        for row in table.findall("{*}tr")
    ]  # fmt: skip
