"""Addresses of pages: one spelling for each, which belong to a site, and patterns of paths."""

import re
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from rag_app.egress import parse_url
from rag_app.errors import FetchFailed

LONGEST_ADDRESS = 500
LONGEST_PATTERN = 300
# What visitors are followed with; it never tells two pages apart.
_TRACKING = re.compile(
    r"utm_\w+|gclid|gbraid|wbraid|dclid|fbclid|msclkid|yclid|twclid|igshid|mc_[ce]id|_ga|_gl|_hs\w+|mkt_tok|ref_src|"
    r"pk_\w+|mtm_\w+|vero_\w+|oly_\w+|srsltid|phpsessid|jsessionid",
    re.IGNORECASE,
)
_SESSION_IN_PATH = re.compile(r";(?:jsessionid|phpsessid)=[^/?#]*", re.IGNORECASE)
_INDEX = re.compile(r"/(?:index|default)\.(?:html?|php|aspx?|jsp)$", re.IGNORECASE)
# What no document can be made of, told by its name before it is asked for.
_NO_DOCUMENT = re.compile(
    r"\.(?:css|m?js|map|json5|png|jpe?g|gif|svg|webp|avif|ico|bmp|tiff?|woff2?|ttf|eot|otf|mp[34]|m4[av]|webm|og[gv]|wav|"
    r"flac|avi|mov|mkv|iso|dmg|exe|msi|deb|rpm|apk|jar|whl|gem|so|dll|bin|gz|tgz|bz2|xz|zst|7z|rar|zip|tar|wasm|torrent)$",
    re.IGNORECASE,
)


def canonical(address: str, base: str = "") -> str | None:
    """The one spelling of an address, relative ones joined to `base`; None for what is not a web page.

    Scheme and host in lower case, no default port, no fragment, no tracking parameters, no dot segments.
    """
    try:
        parsed = parse_url(urljoin(base, address.strip()) if base else address.strip())
    except (FetchFailed, ValueError):
        return None
    path = _SESSION_IN_PATH.sub("", parsed.raw_path.decode("ascii").partition("?")[0]) or "/"
    query = parsed.query.decode("ascii")
    kept = "&".join(each for each in query.split("&") if each and not _TRACKING.fullmatch(each.partition("=")[0]))
    host = parsed.raw_host.decode("ascii").lower()
    place = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parsed.scheme]
    port = f":{parsed.port}" if parsed.port not in (None, usual) else ""
    made = f"{parsed.scheme}://{place}{port}{path}" + (f"?{kept}" if kept else "")
    return made if len(made) <= LONGEST_ADDRESS else None


def loose(address: str) -> str:
    """An address without what seldom tells two pages apart: scheme, www, case, index page, slash at the end."""
    parts = urlsplit(address)
    path = _INDEX.sub("/", parts.path).rstrip("/").lower()
    return parts.netloc.removeprefix("www.") + path + (f"?{parts.query}" if parts.query else "")


def origin(address: str) -> str:
    """Scheme, host and port of a canonical address."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def folder_of(address: str) -> str:
    """The path of an address up to its last slash: what a site begins with when nothing else was said."""
    return urlsplit(address).path.rpartition("/")[0] + "/"


def may_be_document(address: str) -> bool:
    """False for pictures, scripts, archives and programs, told by the name."""
    return _NO_DOCUMENT.search(urlsplit(address).path) is None


def fits(pattern: str, path: str) -> bool:
    """Whether a path begins like the pattern; `*` stands for anything, `$` at the end for the end of the path.

    The rules of RFC 9309 (robots.txt). Linear in the length of the path however many stars there are.
    """
    anchored = pattern.endswith("$")
    head, *rest = (pattern[:-1] if anchored else pattern).split("*")
    if not path.startswith(head):
        return False
    place = len(head)
    if not rest:
        return not anchored or place == len(path)
    *middle, last = rest
    for piece in middle:
        found = path.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    return path.endswith(last) and len(path) - len(last) >= place if anchored else path.find(last, place) >= 0


@dataclass(frozen=True, slots=True)
class Scope:
    """What belongs to a source. `hosts` empty = any host, as for a feed."""

    hosts: tuple[str, ...] = ()
    prefix: str = "/"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def holds(self, address: str) -> bool:
        """Whether a canonical address belongs to the source."""
        parts = urlsplit(address)
        if self.hosts and parts.netloc not in self.hosts:
            return False
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not path.startswith(self.prefix):
            return False
        if self.include and not any(fits(each, path) for each in self.include):
            return False
        return not any(fits(each, path) for each in self.exclude)
