"""Reads XML of any kind: titles as headings, running text as paragraphs, values as `name: value` lines."""

from collections.abc import Iterator

from lxml import etree

from rag_app.errors import DamagedFile, NoText, TooMuchContent
from rag_app.ingestion.draft import Draft, one_line
from rag_app.ingestion.encoding import decode
from rag_app.ingestion.office_package import name_of
from rag_app.ingestion.original import Original, content_of
from rag_app.ingestion.parsed import ParsedDocument

MAX_XML_BYTES = 100_000_000
_DEPTH = 200
_DEEPEST_HEADING = 6
_SMALL_CHARS = 1_000
_TITLES = frozenset({"title", "head", "heading", "name", "label", "caption", "h1", "h2", "h3", "h4", "h5", "h6"})
_INLINE_LEAST_CHARS = 2
_CODE = frozenset({"pre", "code", "programlisting", "screen", "literallayout", "codeblock", "verbatim"})
_PARAGRAPHS = frozenset({"p", "para", "simpara", "paragraph", "ab"})
_XML_SPACE = "{http://www.w3.org/XML/1998/namespace}"


def parse_xml(path: Original) -> ParsedDocument:
    """The text of all elements and the values of all attributes. Entities are not resolved and nothing is fetched.

    Raises DamagedFile when it is not well-formed, NoText, TooMuchContent.
    """
    data = content_of(path)
    if len(data) > MAX_XML_BYTES:
        raise TooMuchContent()
    root = _root(data)
    writer = _Writer()
    writer.write(root, 1)
    writer.flush()
    if not len(writer.draft):
        raise NoText("The file holds no text.")
    return writer.draft.finish(title=writer.title)


def _root(data: bytes) -> etree._Element:
    try:
        return _parsed(data)
    except etree.XMLSyntaxError as problem:
        if "encoding" in str(problem).lower() or "utf-8" in str(problem).lower():
            return _redecoded(data)
        if "huge" in str(problem).lower() or "excessive depth" in str(problem).lower():
            raise TooMuchContent() from problem
        raise _damaged(problem) from problem


def _redecoded(data: bytes) -> etree._Element:
    """The same with the encoding that the bytes really have."""
    text = decode(data).lstrip()
    if text.startswith("<?xml"):
        text = text.partition("?>")[2]
    try:
        return _parsed(text.encode())
    except etree.XMLSyntaxError as problem:
        raise _damaged(problem) from problem


def _damaged(problem: etree.XMLSyntaxError) -> DamagedFile:
    line = problem.lineno or 1
    return DamagedFile(f"The file is not well-formed XML: it breaks in line {line}.")


def _parsed(data: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        load_dtd=False,
        recover=False,
    )
    return etree.fromstring(data, parser)


class _Writer:
    """Gathers values into lists and writes headings and paragraphs between them."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.title = ""
        self._values: list[str] = []

    def flush(self) -> None:
        """Write the values gathered so far as one list."""
        values, self._values = self._values, []
        self.draft.add("list", "\n".join(values))

    def write(self, element: etree._Element, level: int) -> None:
        """An element and all that is in it."""
        if level > _DEPTH:
            raise TooMuchContent("The file is nested too deeply to be read.")
        name = name_of(element)
        if name in _CODE and _is_running_text(element):
            self.flush()
            self.draft.add("code", "".join(_texts(element)))
        elif _is_running_text(element):
            self._values.extend(_attributes(element, name))
            self._text(element, name)
        else:
            self._container(element, name, level)

    def _text(self, element: etree._Element, name: str) -> None:
        text = one_line("".join(_texts(element)))
        if not text:
            return
        if len(element) or len(text) > 200 or name in _PARAGRAPHS:
            self.flush()
            self.draft.add("paragraph", text)
        else:
            self._values.append(f"{name}: {text}")

    def _container(self, element: etree._Element, name: str, level: int) -> None:
        small = _lines(element)
        if small is not None and level > 1:
            self.flush()
            self.draft.add("list", "\n".join(small))
            return
        title = next((child for child in element if name_of(child) in _TITLES and _is_running_text(child)), None)
        heading = one_line("".join(_texts(title))) if title is not None else ""
        self.flush()
        self._heading(heading, name, level)
        self._values.extend(_attributes(element, name))
        for child in element:
            if child is not title or not heading:
                self.write(child, level + 1)
        self.flush()

    def _heading(self, heading: str, name: str, level: int) -> None:
        if heading:
            self.title = self.title or heading
            self.draft.add("heading", heading, level=min(_DEEPEST_HEADING, level))
        elif 1 < level <= 3:
            self.draft.add("heading", name, level=level)


def _lines(element: etree._Element) -> list[str] | None:
    """A small record as `path: value` lines; None for one that is large or holds running text."""
    found: list[str] = []
    length = 0
    waiting: list[tuple[etree._Element, str]] = [(element, name_of(element))]
    while waiting:
        node, path = waiting.pop()
        if name_of(node) in _PARAGRAPHS or (len(node) and (_is_running_text(node) or name_of(node) in _CODE)):
            return None
        found.extend(_attributes(node, path))
        text = one_line(node.text or "")
        if text and not len(node):
            found.append(f"{path}: {text}")
        length += len(text) + len(path)
        if length > _SMALL_CHARS:
            return None
        named = [child for child in node if name_of(child)]
        waiting.extend((child, f"{path}.{name_of(child)}") for child in reversed(named))
    return found


def _is_running_text(element: etree._Element) -> bool:
    """Whether words stand directly in an element, perhaps with marks around some of them; so has one without parts."""
    if not len(element):
        return True
    own = [element.text or "", *(child.tail or "" for child in element)]
    return sum(len(each.strip()) for each in own) >= _INLINE_LEAST_CHARS


def _texts(element: etree._Element) -> Iterator[str]:
    for node in element.iter():
        if isinstance(node.tag, str):
            yield node.text or ""
        if node is not element:
            yield node.tail or ""


def _attributes(element: etree._Element, path: str) -> Iterator[str]:
    for key, value in element.attrib.items():
        name, text = str(key), one_line(str(value))
        if text and not name.startswith((_XML_SPACE, "{http://www.w3.org/2001/XMLSchema-instance}")):
            yield f"{path} {name.rpartition('}')[2]}: {text}"
