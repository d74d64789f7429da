"""Reads robots.txt by RFC 9309: which paths of a site a crawler may fetch, how fast, and where its sitemaps are."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rag_app.ingestion.web_address import LONGEST_PATTERN, fits

AGENT = "rag_app"  # our product token; groups for it count before those for everybody
MOST_BYTES = 512_000  # the standard asks for at least 500 KiB
MOST_RULES = 2_000
MOST_SITEMAPS = 50
LONGEST_DELAY_S = 60.0


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules that hold for us: (allowed, pattern); the longest pattern that fits decides."""

    rules: tuple[tuple[bool, str], ...] = ()
    delay_s: float = 0.0
    sitemaps: tuple[str, ...] = ()
    is_unknown: bool = False  # the site is in trouble: nothing is allowed for now, and nothing has been said

    def allows(self, address: str) -> bool:
        """Whether a canonical address may be fetched."""
        parts = urlsplit(address)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        best, allowed = -1, True
        for allow, pattern in self.rules:
            length = len(pattern)
            if (length > best or (length == best and allow)) and fits(pattern, path):
                best, allowed = length, allow
        return allowed

    def as_json(self) -> dict[str, Any]:
        """For the row of a run."""
        return {"rules": [list(each) for each in self.rules], "delay_s": self.delay_s, "sitemaps": list(self.sitemaps)}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Robots":
        """Back from the row of a run."""
        rules = tuple((bool(allow), str(pattern)) for allow, pattern in kept["rules"])
        return cls(rules, float(kept["delay_s"]), tuple(kept["sitemaps"]))


UNKNOWN = Robots(rules=((False, "/"),), is_unknown=True)


def read_robots(content: bytes) -> Robots:
    """The rules of a robots.txt for our product token, else those for everybody. What makes no sense is passed over."""
    groups: dict[str, _Group] = {}
    current: list[_Group] = []
    in_names, sitemaps = False, []
    for line in content[:MOST_BYTES].decode("utf-8", "replace").lstrip("\ufeff").splitlines():
        name, _, value = line.partition("#")[0].partition(":")
        name, value = name.strip().lower(), value.strip()
        if name == "user-agent":
            current = (current if in_names else []) + [groups.setdefault(value.lower(), _Group())]
            in_names = True
        elif name == "sitemap":
            sitemaps.append(value)
        elif name in ("allow", "disallow", "crawl-delay"):
            in_names = False
            for group in current:
                group.take(name, value)
    ours = groups.get(AGENT) or groups.get("*") or _Group()
    return Robots(tuple(ours.rules), ours.delay_s, tuple(sitemaps[:MOST_SITEMAPS]))


class _Group:
    """What one kind of visitor is told; several groups of one name are one."""

    def __init__(self) -> None:
        self.rules: list[tuple[bool, str]] = []
        self.delay_s = 0.0

    def take(self, name: str, value: str) -> None:
        """Add one line."""
        if name == "crawl-delay":
            try:
                self.delay_s = min(LONGEST_DELAY_S, max(0.0, float(value)))
            except ValueError:
                return
        elif value and len(value) <= LONGEST_PATTERN and len(self.rules) < MOST_RULES:
            pattern = value if value.startswith(("/", "*")) else f"/{value}"
            self.rules.append((name == "allow", pattern))
