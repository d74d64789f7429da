"""Reads OpenDocument files, whatever wrote them: texts, spreadsheets and presentations, straight from their XML."""

from lxml import etree

from rag_app.errors import DamagedFile, EncryptedFile, NoText
from rag_app.ingestion.draft import Draft, one_line
from rag_app.ingestion.odf_sheet import hidden_columns, sheet_rows
from rag_app.ingestion.odf_text import OdfText, is_hidden_style
from rag_app.ingestion.office_package import Package, attribute, name_of
from rag_app.ingestion.original import Original
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.sheet import SheetCounter, write_sheet

_FRAME = frozenset({"date-time", "footer", "header", "page-number"})
_TITLES = frozenset({"title"})
_DEPTH = 30


def parse_odf(path: Original) -> ParsedDocument:
    """The document with its structure. Raises DamagedFile, EncryptedFile, NoText, TooMuchContent."""
    with Package(path) as package:
        manifest = package.xml("META-INF/manifest.xml")
        if manifest is not None and next(manifest.iter("{*}encryption-data"), None) is not None:
            raise EncryptedFile()
        root = package.xml("content.xml")
        body = root.find("{*}body") if root is not None else None
        if root is None or body is None:
            raise DamagedFile("The file is not an OpenDocument file: its content is missing.")
        metadata = package.metadata("meta.xml")
    reader = _Reader(root)
    for part in body:
        reader.read(part)
    if not len(reader.draft):
        raise NoText("The document holds no text.")
    title = metadata.get("title", "") or reader.title
    return reader.draft.finish(title=title, metadata=metadata, warnings=reader.warnings())


class _Reader:
    """Writes the body of one document."""

    def __init__(self, root: etree._Element) -> None:
        self.draft = Draft()
        self.title = ""
        self._styles = {attribute(style, "name"): style for style in root.iter("{*}style")}
        self._text = OdfText(self.draft, self._styles)
        self._hidden: list[str] = []
        self._kind = "sheet"

    def warnings(self) -> list[str]:
        """What was left out."""
        if not self._hidden:
            return []
        names = ", ".join(self._hidden[:10])
        were = f"{self._kind} was" if len(self._hidden) == 1 else f"{self._kind}s were"
        return [f"{len(self._hidden)} hidden {were} left out: {names}."]

    def read(self, part: etree._Element) -> None:
        """One of `office:text`, `office:spreadsheet` and `office:presentation` (or `office:drawing`)."""
        name = name_of(part)
        if name == "spreadsheet":
            self._spreadsheet(part)
        elif name in ("presentation", "drawing"):
            self._kind = "slide"
            for number, page in enumerate(part.findall("{*}page"), start=1):
                self._slide(page, number)
        else:
            self._text.walk(part)
            self._text.flush()
            self.title = self._text.title

    def _spreadsheet(self, part: etree._Element) -> None:
        counter = SheetCounter()
        for table in part.findall("{*}table"):
            name = attribute(table, "name")
            if is_hidden_style(self._styles.get(attribute(table, "style-name"))):
                self._hidden.append(f"“{name}”")
                continue
            rows = sheet_rows(table, self._text, counter=counter, hidden=hidden_columns(table))
            if rows:
                self.draft.add("heading", name, level=1)
                self.draft.end_place({"sheet": name})
                write_sheet(self.draft, rows, {"sheet": name})

    def _slide(self, page: etree._Element, number: int) -> None:
        if is_hidden_style(self._styles.get(attribute(page, "style-name"))):
            self._hidden.append(str(number))
            return
        frames = [child for child in page if name_of(child) != "notes"]
        titles = [frame for frame in frames if attribute(frame, "class") in _TITLES]
        for frame in titles:
            text = one_line(self._text.plain(frame))
            self.title = self.title or text
            self.draft.add("heading", text, level=2)
        for frame in frames:
            if frame not in titles and attribute(frame, "class") not in _FRAME:
                self._text.walk(frame)
                self._text.flush()
        for notes in page.findall("{*}notes"):
            for frame in notes:
                if attribute(frame, "class") == "notes":
                    text = one_line(self._text.plain(frame))
                    self.draft.add("paragraph", f"Notes: {text}" if text else "")
        self.draft.end_place({"slide": number})
