"""Reads e-books (.epub): their chapters in order, each under its name in the table of contents."""

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote, urldefrag

from lxml import etree

from rag_app.errors import DamagedFile, EmptyFile, EncryptedFile, NoText, RagError
from rag_app.ingestion.assembly import Assembly
from rag_app.ingestion.draft import one_line
from rag_app.ingestion.encoding import decode
from rag_app.ingestion.html import parse_html
from rag_app.ingestion.office_package import Package, attribute, name_of
from rag_app.ingestion.original import Original
from rag_app.ingestion.parsed import ParsedDocument

_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")  # obfuscated, not locked
_FIELDS = {"creator": "author", "language": "language", "date": "created", "publisher": "publisher"}
_PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")
_LONGEST_NAME = 200


def parse_epub(original: Original) -> ParsedDocument:
    """The book. Raises DamagedFile, EncryptedFile (copy protection), NoText, TooMuchContent."""
    with Package(original) as package:
        _refuse_protection(package)
        place = _package_file(package)
        root = _xml(package, place)
        if root is None:
            raise DamagedFile("The file is not an e-book: its list of contents is missing.")
        names = _names(package, root, place)
        book = Assembly()
        for path in _chapters(root, place):
            _add(book, package, path, names.get(path, ""))
    if not len(book):
        raise NoText("The e-book holds no text.")
    metadata = _metadata(root)
    return book.finish(title=metadata.pop("title", ""), metadata=metadata)


def _add(book: Assembly, package: Package, path: str, name: str) -> None:
    data = package.read(path)
    if data is None:
        book.warn(f"The chapter “{name or path}” is missing from the file.")
        return
    try:
        parsed = parse_html(decode(data, html=True))
    except (NoText, EmptyFile):  # a cover
        return
    except RagError as problem:
        book.warn(f"The chapter “{name or path}” was left out: {problem.message}")
        return
    first = next((each for each in parsed.blocks if each.kind == "heading"), None)
    is_named = first is not None and first.char_from < 200
    book.add(parsed, part=name, heading="" if is_named else name, level=0 if is_named else 1)


def _refuse_protection(package: Package) -> None:
    root = _xml(package, "META-INF/encryption.xml")
    methods = [attribute(each, "Algorithm") for each in root.iter("{*}EncryptionMethod")] if root is not None else []
    if any(method not in _FONTS for method in methods):
        raise EncryptedFile("The e-book is copy-protected, so it cannot be read here.")


def _package_file(package: Package) -> str:
    root = _xml(package, "META-INF/container.xml")
    for each in root.iter("{*}rootfile") if root is not None else ():
        return attribute(each, "full-path")
    raise DamagedFile("The file is not an e-book: its list of contents is missing.")


def _xml(package: Package, name: str) -> etree._Element | None:
    """A part of the book's frame. It may name a document type, but nothing of it is loaded or resolved."""
    data = package.read(name)
    if not data:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as problem:
        raise DamagedFile() from problem


def _chapters(root: etree._Element, place: str) -> Iterator[str]:
    files = {
        attribute(each, "id"): _path(place, attribute(each, "href"))
        for each in root.iter("{*}item")
        if attribute(each, "media-type") in _PAGES and "nav" not in attribute(each, "properties").split()
    }
    order = [attribute(each, "idref") for each in root.iter("{*}itemref")]
    yield from dict.fromkeys(files[each] for each in order if each in files)


def _names(package: Package, root: etree._Element, place: str) -> dict[str, str]:
    """Chapter -> what the table of contents calls it (EPUB 3 and 2); the first name of a file counts."""
    found: dict[str, str] = {}
    for item in root.iter("{*}item"):
        path = _path(place, attribute(item, "href"))
        is_nav = "nav" in attribute(item, "properties").split()
        if not is_nav and attribute(item, "media-type") != "application/x-dtbncx+xml":
            continue
        try:
            toc = _xml(package, path)
        except DamagedFile:
            continue
        for target, name in _entries(toc) if toc is not None else ():
            if name:
                found.setdefault(_path(path, target), name[:_LONGEST_NAME])
    return found


def _entries(toc: etree._Element) -> Iterator[tuple[str, str]]:
    for link in toc.iter("{*}a"):
        yield attribute(link, "href"), one_line("".join(link.itertext()))
    for point in toc.iter("{*}navPoint"):
        label = point.find("{*}navLabel/{*}text")
        content = point.find("{*}content")
        if label is not None and content is not None:
            yield attribute(content, "src"), one_line(label.text or "")


def _path(base: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(urldefrag(target).url)))


def _metadata(root: etree._Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in root.iter("{http://purl.org/dc/elements/1.1/}*"):
        name, text = name_of(each), one_line(each.text or "")
        key = "title" if name == "title" else _FIELDS.get(name)
        if key and text:
            found.setdefault(key, text[:1000])
    if "language" in found:
        found["language"] = found["language"][:2].lower()
    return found
