"""Reads lists of pages that sites publish for programs: sitemaps, indexes of sitemaps, RSS and Atom feeds."""

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from rag_app.errors import DamagedFile, TooMuchContent

MOST_UNPACKED_BYTES = 60_000_000  # the standard allows 50 MB
MOST_ADDRESSES = 50_000
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class AddressList:
    """What a list names: pages, and further lists."""

    pages: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


def read_sitemap(content: bytes) -> AddressList:
    """The addresses of a sitemap (XML, an index of sitemaps, or plain text; packed or not).

    Raises DamagedFile when it is none of these, TooMuchContent when it unpacks to too much.
    """
    content = unpacked(content)
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
        return AddressList(tuple(line for line in lines if line.startswith(("http://", "https://")))[:MOST_ADDRESSES])
    pages: list[str] = []
    lists: list[str] = []
    for element in _elements(content, {"url", "sitemap"}):
        place = next((child.text for child in element if _name(child) == "loc" and child.text), None)
        if place and len(pages) + len(lists) < MOST_ADDRESSES:
            (lists if _name(element) == "sitemap" else pages).append(place.strip())
    return AddressList(tuple(pages), tuple(lists))


def read_feed(content: bytes) -> AddressList:
    """The pages of the entries of a feed (RSS 0.9–2.0, RDF, Atom), newest first as the feed has them.

    Raises DamagedFile when it is not a feed.
    """
    content = unpacked(content)
    if not is_feed(content):
        raise DamagedFile("This is not a feed: neither RSS nor Atom.")
    pages: list[str] = []
    for element in _elements(content, {"item", "entry"}):
        place = _entry_link(element)
        if place and len(pages) < MOST_ADDRESSES:
            pages.append(place.strip())
    return AddressList(tuple(pages))


def is_feed(content: bytes) -> bool:
    """Whether the first element is that of a feed."""
    head = content[:2_000].lower()
    return any(mark in head for mark in (b"<rss", b"<feed", b"<rdf:rdf"))


def unpacked(content: bytes) -> bytes:
    """The content itself, or what is packed in it. Raises TooMuchContent, DamagedFile."""
    if not content.startswith(_GZIP):
        return content
    out = io.BytesIO()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            while piece := packed.read(_CHUNK):
                out.write(piece)
                if out.tell() > MOST_UNPACKED_BYTES:
                    raise TooMuchContent("The list of pages unpacks to more than 60 MB.")
    except (OSError, EOFError, zlib.error) as problem:
        raise DamagedFile("The packed list of pages is damaged.") from problem
    return out.getvalue()


def _elements(content: bytes, wanted: set[str]) -> Iterator[Any]:
    """The wanted elements one after the other; each is emptied when the next is asked for."""
    is_list = False
    try:
        steps = etree.iterparse(
            io.BytesIO(content),
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            recover=True,
            huge_tree=False,
        )
        for event, element in steps:
            if not is_list and _name(element) not in ("urlset", "sitemapindex", "rss", "feed", "rdf"):
                raise DamagedFile("This is neither a sitemap nor a feed.")
            is_list = True
            if event == "end" and _name(element) in wanted:
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
    except etree.XMLSyntaxError as problem:
        if not is_list:
            raise DamagedFile("The list of pages is not valid XML.") from problem
    if not is_list:
        raise DamagedFile("The list of pages is empty.")


def _entry_link(entry: Any) -> str | None:
    """The page of an entry: Atom's link to the alternate, RSS's link, or a guid that is an address."""
    links = [child for child in entry if _name(child) == "link"]
    for link in links:
        if link.get("href") and link.get("rel", "alternate") == "alternate":
            return str(link.get("href"))
    for child in [*links, *(child for child in entry if _name(child) == "guid")]:
        text = (child.text or "").strip()
        if text.startswith(("http://", "https://")):
            return text
    return None


def _name(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""
