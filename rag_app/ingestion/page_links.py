"""What a crawler needs of a page without reading it: its links, its canonical address, and whether it has changed.

Pure text search, linear in the size of the page: hostile pages are met here outside the parser's child process.
"""

import hashlib
import re
from dataclasses import dataclass
from html import unescape
from itertools import islice

from rag_app.ingestion.web_address import canonical

MOST_LINKS = 2_000
MOST_TAGS = 20_000  # that are looked at
HEAD_BYTES = 4_096
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_UNSEEN = re.compile(rb"<(script|style|noscript|template)\b", re.IGNORECASE)
_UNSEEN_END = {
    name: re.compile(rb"</" + name + rb"\s{0,100}>", re.IGNORECASE)
    for name in (b"script", b"style", b"noscript", b"template")
}
_TAG = re.compile(rb"<(a|area|link|base|iframe|frame)\s([^<>]{1,4000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([a-z-]{1,20})\s{0,20}=\s{0,20}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s{0,9}=\s{0,9}["']?([\w-]{1,30})""", re.IGNORECASE)
# What differs at each visit although the page is the same: keys against forgery, ids of visits and moments.
_VOLATILE = re.compile(
    rb"""<input[^<>]{0,400}type\s{0,9}=\s{0,9}["']?hidden[^<>]{0,4000}>|<meta[^<>]{0,200}csrf[^<>]{0,1000}>"""
    rb"""|\s(?:nonce|data-csrf|data-nonce|data-request-id|data-timestamp)\s{0,9}=\s{0,9}(?:"[^"]*"|'[^']*'|[^\s>]+)""",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class PageLinks:
    """Where a page leads. All addresses are canonical, each once, in the order of the page."""

    links: tuple[str, ...] = ()
    canonical: str | None = None


def is_html(media_type: str, content: bytes) -> bool:
    """Whether links can be read out of this."""
    if media_type in ("text/html", "application/xhtml+xml"):
        return True
    return not media_type and b"<html" in content[:HEAD_BYTES].lower()


def read_links(content: bytes, address: str) -> PageLinks:
    """The links of a page at this address."""
    encoding, base, wanted = _encoding(content), address, None
    found: dict[str, None] = {}
    for match in islice(_TAG.finditer(_seen(content, b" ")), MOST_TAGS):
        tag = match.group(1).lower()
        given = _attributes(match.group(2), encoding)
        target = given.get("src" if tag in (b"iframe", b"frame") else "href", "")
        if not target:
            continue
        if tag == b"base":
            base = canonical(target, address) or base
        elif tag == b"link":
            kinds = given.get("rel", "").lower().split()
            wanted = canonical(target, base) if "canonical" in kinds and wanted is None else wanted
            if not {"next", "prev"} & set(kinds):
                continue
        made = canonical(target, base) if tag != b"base" and len(found) < MOST_LINKS else None
        if made is not None and made != address:
            found[made] = None
    return PageLinks(tuple(found), wanted)


def fingerprint(content: bytes, media_type: str) -> bytes:
    """A hash that stays the same while what a reader sees stays the same; scripts and tokens do not count."""
    if is_html(media_type, content):
        content = _VOLATILE.sub(b"", _seen(content, b""))
    return hashlib.sha256(content).digest()


def _seen(content: bytes, instead: bytes) -> bytes:
    """The page without comments, scripts and styles; each step begins where the one before ended."""
    content, parts, place = _COMMENT.sub(instead, content), [], 0
    while found := _UNSEEN.search(content, place):
        parts.append(content[place : found.start()])
        opened = content.find(b">", found.end())
        closed = _UNSEEN_END[found.group(1).lower()].search(content, opened) if opened >= 0 else None
        if closed is None:
            return instead.join([*parts, b""])
        place = closed.end()
    return instead.join([*parts, content[place:]])


def _attributes(given: bytes, encoding: str) -> dict[str, str]:
    text = given.decode(encoding, "replace") if not given.isascii() else given.decode("ascii")
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(text):
        found.setdefault(name.lower(), unescape(next((value for value in values if value), "")))
    return found


def _encoding(content: bytes) -> str:
    named = _CHARSET.search(content[:HEAD_BYTES])
    name = named.group(1).decode("ascii") if named else "utf-8"
    try:
        b"".decode(name)
    except (LookupError, ValueError):
        return "utf-8"
    return name
