"""The zip file of an office document: its parts within limits, how they refer to each other, and its metadata."""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO

from lxml import etree

from rag_app.errors import DamagedFile, EncryptedFile, TooMuchContent
from rag_app.ingestion.draft import one_line
from rag_app.ingestion.original import Original

MAX_PART_BYTES = 100_000_000
MAX_STREAM_BYTES = 1_000_000_000
MAX_ENTRIES = 10_000
_PROPERTIES = {
    "title": "title",
    "creator": "author",
    "initial-creator": "author",
    "subject": "subject",
    "created": "created",
    "creation-date": "created",
    "modified": "modified",
    "date": "modified",
    "keywords": "keywords",
    "keyword": "keywords",
    "language": "language",
}
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError)


class Package:
    """Opens the parts of a docx, xlsx, pptx or OpenDocument file.

    Entities are not resolved, nothing is fetched, no part may exceed 100 MB (1 GB when it is read as a stream).
    """

    def __init__(self, path: Original) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as problem:
            raise DamagedFile() from problem
        if len(self._zip.infolist()) > MAX_ENTRIES:
            raise TooMuchContent("The file is made of too many parts.")

    def __enter__(self) -> "Package":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def xml(self, name: str) -> etree._Element | None:
        """Root of one part, None if there is no such part."""
        data = self.read(name)
        if data is None:
            return None
        parser = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
            load_dtd=False,
            recover=False,
        )
        with _readable():
            root = etree.fromstring(data, parser)
        _refuse_definitions(root)
        return root

    def elements(self, name: str, *tags: str) -> Iterator[etree._Element]:
        """Elements of a large part by their local names, as they end; nothing for a part that is not there.

        Each is emptied once the next one is asked for, so that the part never lies in memory as a whole.
        """
        if name not in self._zip.NameToInfo:
            return
        with _readable(), self._opened(name) as part:
            wanted = [f"{{*}}{tag}" for tag in tags]
            walk = etree.iterparse(
                _Limited(part), events=("end",), tag=wanted, resolve_entities=False, no_network=True, load_dtd=False
            )
            for number, (_, element) in enumerate(walk):
                if number == 0:
                    _refuse_definitions(element)
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """What a part refers to inside the file: id -> (last word of the kind, name of the part)."""
        folder, _, base = name.rpartition("/")
        root = self.xml(f"{folder}/_rels/{base}.rels".lstrip("/"))
        found = {}
        for each in root if root is not None else ():
            if attribute(each, "TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, attribute(each, "Target"))).lstrip("/")
                found[attribute(each, "Id")] = (attribute(each, "Type").rpartition("/")[2], target)
        return found

    def metadata(self, name: str = "docProps/core.xml") -> dict[str, str]:
        """Title, author and the like, as far as they are set."""
        try:
            root = self.xml(name)
        except DamagedFile:
            return {}
        found: dict[str, str] = {}
        for child in root.iter() if root is not None else ():
            key, text = _PROPERTIES.get(name_of(child)), one_line(child.text or "")
            if key and text and key not in found:
                found[key] = text[:1000]
        return found

    def read(self, name: str) -> bytes | None:
        """The bytes of one part, None if there is no such part."""
        if name not in self._zip.NameToInfo:
            return None
        with _readable(), self._opened(name) as part:
            data = part.read(MAX_PART_BYTES + 1)
        if len(data) > MAX_PART_BYTES:
            raise TooMuchContent("The file unpacks to more than 100 MB of text: split it into smaller parts.")
        return data

    def _opened(self, name: str) -> IO[bytes]:
        info = self._zip.getinfo(name)
        if info.flag_bits & 1:
            raise EncryptedFile()
        return self._zip.open(info)


class _Limited:
    """A part that is read as a stream, with an end to how far it may unpack."""

    def __init__(self, part: IO[bytes]) -> None:
        self._part = part
        self._left = MAX_STREAM_BYTES

    def read(self, count: int) -> bytes:
        """The next bytes. Raises TooMuchContent."""
        data = self._part.read(count)
        self._left -= len(data)
        if self._left < 0:
            raise TooMuchContent()
        return data


@contextmanager
def _readable() -> Iterator[None]:
    """What may be wrong with a zip or with XML, as errors that a person understands."""
    try:
        yield
    except etree.XMLSyntaxError as problem:
        if "huge" in str(problem).lower() or "excessive depth" in str(problem).lower():
            raise TooMuchContent() from problem
        raise DamagedFile() from problem
    except _BROKEN as problem:
        raise DamagedFile() from problem


def _refuse_definitions(element: etree._Element) -> None:
    if element.getroottree().docinfo.doctype:
        raise DamagedFile("The file holds a document type definition, which no office program writes.")


def name_of(element: etree._Element) -> str:
    """Local name of an element, whichever of the two namespaces it is in; "" for comments and the like."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: etree._Element, name: str) -> str:
    """Value of an attribute by its local name, "" if absent."""
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")
