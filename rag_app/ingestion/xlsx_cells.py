"""What the cells of a workbook show: shared texts, stored results of formulas, numbers in their formats, errors."""

from lxml import etree

from rag_app.errors import TooMuchContent
from rag_app.ingestion.draft import MAX_CHARS
from rag_app.ingestion.number_format import BUILT_IN, shown_number
from rag_app.ingestion.office_package import Package, attribute, name_of

_FORMULA_CHARS = 300


class CellReader:
    """Knows the shared texts and number formats of one workbook."""

    def __init__(self, package: Package, main: str, book: etree._Element) -> None:
        parts = {kind: part for kind, part in package.relations(main).values()}
        self._texts = _shared_texts(package, parts.get("sharedStrings", ""))
        self._formats = _formats(package, parts.get("styles", ""))
        properties = book.find("{*}workbookPr")
        self._since_1904 = properties is not None and attribute(properties, "date1904") in ("1", "true")
        self.uncalculated = 0

    def text(self, cell: etree._Element) -> str:
        """The text of a `c` element as it is shown."""
        kind = cell.get("t", "n")
        value = formula = ""
        for child in cell:
            name = name_of(child)
            if name == "v":
                value = child.text or ""
            elif name == "f":
                formula = child.text or ""
            elif name == "is":
                return _joined(child)
        if not value:
            return self._uncalculated(formula) if formula and kind != "str" else ""
        if kind == "s":
            return self._texts[int(value)] if value.isdigit() and int(value) < len(self._texts) else ""
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if kind in ("str", "e"):
            return value
        return value.replace("T00:00:00", "") if kind == "d" else self._number(value, cell.get("s", "0"))

    def _uncalculated(self, formula: str) -> str:
        self.uncalculated += 1
        return f"={formula[:_FORMULA_CHARS]}"

    def _number(self, value: str, style: str) -> str:
        code = self._formats[int(style)] if style.isdigit() and int(style) < len(self._formats) else ""
        try:
            number = float(value)
            return shown_number(number, code, since_1904=self._since_1904)
        except (ValueError, OverflowError):
            return value


def _shared_texts(package: Package, part: str) -> list[str]:
    found: list[str] = []
    length = 0
    for item in package.elements(part, "si"):
        text = _joined(item)
        length += len(text)
        if length > MAX_CHARS:
            raise TooMuchContent()
        found.append(text)
    return found


def _joined(item: etree._Element) -> str:
    """The text of an item in runs, without its pronunciation."""
    out: list[str] = []
    for child in item:
        name = name_of(child)
        if name == "t":
            out.append(child.text or "")
        elif name == "r":
            out.extend(run.text or "" for run in child if name_of(run) == "t")
    return "".join(out)


def _formats(package: Package, part: str) -> list[str]:
    """The number format of each cell style."""
    root = package.xml(part) if part else None
    if root is None:
        return []
    own = {attribute(each, "numFmtId"): attribute(each, "formatCode") for each in root.iter("{*}numFmt")}
    styles = root.find("{*}cellXfs")
    numbers = [attribute(each, "numFmtId") for each in styles] if styles is not None else []
    return [own.get(each) or BUILT_IN.get(int(each) if each.isdigit() else 0, "") for each in numbers]
