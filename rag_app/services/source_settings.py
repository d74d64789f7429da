"""What may be set about a source: its kind, its limits, its schedule; checked once, kept as JSON."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from rag_app.errors import InvalidInput
from rag_app.ingestion.forges import read_link
from rag_app.ingestion.s3_wire import Bucket
from rag_app.ingestion.web_address import LONGEST_ADDRESS, LONGEST_PATTERN, Scope, canonical
from rag_app.settings import Settings

SourceKind = Literal["page", "website", "feed", "git", "s3", "folder"]
KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
Discover = Literal["both", "links", "sitemap"]
MOST_PAGES = 50_000
MOST_DEPTH = 100
MOST_PAGE_MB = 100
MOST_TOTAL_MB = 10_000
FASTEST_PER_S = 50.0
SLOWEST_PER_S = 0.02
MOST_PATTERNS = 50
LONGEST_NAME = 120
USUAL_REGION = "us-east-1"
_BRANCH = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]{0,200}")
_REGION = re.compile(r"[a-z0-9-]{0,40}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """What is read of a source, and how much. Patterns are paths in which `*` stands for anything."""

    prefix: str = ""  # only paths that begin so; "" = the folder of the address, or all of a repository
    discover: Discover = "both"  # how pages of a website are found
    sitemap: str = ""  # address of a sitemap; "" = what robots.txt names, else /sitemap.xml
    max_depth: int = 20  # links from the address
    max_pages: int = 2_000
    max_page_mb: int = 10
    pages_per_second: float = 5.0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_total_mb: int = 500  # that one run may take from a repository or bucket
    branch: str = ""  # or tag of a repository; "" = its main branch
    region: str = ""  # of a bucket; "" = us-east-1
    endpoint: str = ""  # address of a server that speaks S3; "" = AWS

    @property
    def place(self) -> tuple[object, ...]:
        """What tells two sources of one address apart: another part of it is read, or from another server."""
        return self.branch, self.prefix, self.endpoint, self.sitemap, self.include, self.exclude

    def as_json(self) -> dict[str, Any]:
        """For the row of a source."""
        return {**asdict(self), "include": list(self.include), "exclude": list(self.exclude)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "SourceSettings":
        """From a row or a request. Raises InvalidInput that names the field."""
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in kept.items() if name in known and value is not None}
        for name in ("include", "exclude"):
            values[name] = _patterns(name, values.get(name, ()))
        made = cls(**values)
        _within("max_depth", made.max_depth, 0, MOST_DEPTH)
        _within("max_pages", made.max_pages, 1, MOST_PAGES)
        _within("max_page_mb", made.max_page_mb, 1, MOST_PAGE_MB)
        _within("max_total_mb", made.max_total_mb, 1, MOST_TOTAL_MB)
        _within("pages_per_second", made.pages_per_second, SLOWEST_PER_S, FASTEST_PER_S)
        if made.discover not in get_args(Discover):
            raise InvalidInput("discover: expected both, links or sitemap", field="discover")
        if made.prefix and not made.prefix.startswith("/"):
            raise InvalidInput("prefix: a path that begins with / is expected", field="prefix")
        if made.sitemap and canonical(made.sitemap) is None:
            raise InvalidInput("sitemap: this is not a web address", field="sitemap")
        made._check_places()
        for name in ("prefix", "sitemap"):
            if len(getattr(made, name)) > LONGEST_PATTERN:
                raise InvalidInput(f"{name}: at most {LONGEST_PATTERN} characters are expected", field=name)
        return made

    def _check_places(self) -> None:
        if not _BRANCH.fullmatch(self.branch) or self.branch.startswith("-") or ".." in self.branch:
            raise InvalidInput("branch: the name of a branch or tag is expected", field="branch")
        if not _REGION.fullmatch(self.region):
            raise InvalidInput("region: a name such as eu-central-1 is expected", field="region")
        if self.endpoint and (canonical(self.endpoint) is None or "?" in self.endpoint):
            raise InvalidInput("endpoint: a web address such as https://s3.example.com is expected", field="endpoint")

    def scope(self, *, hosts: tuple[str, ...], prefix: str) -> Scope:
        """What belongs to the source once its host and folder are known."""
        return Scope(hosts, prefix, self.include, self.exclude)


def clean_address(kind: SourceKind, address: str, settings: Settings) -> str:
    """The address of a source in one spelling. Raises InvalidInput when it is none for this kind."""
    if kind == "folder":
        return str(allowed_folder(address, settings))
    if kind == "s3":
        return _bucket_address(address)
    made = canonical(address if "://" in address else f"https://{address}")
    if made is None:
        example = "https://github.com/owner/name" if kind == "git" else "https://example.com/docs/"
        raise InvalidInput(f"address: a web address such as {example} is expected", field="address")
    return made.partition("?")[0] if kind == "git" else made


def fitted(kind: SourceKind, address: str, given: Mapping[str, Any]) -> tuple[str, SourceSettings]:
    """Address and settings as the kind wants them: a link to a folder of a repository says branch and folder too.

    Raises InvalidInput that names the field.
    """
    if kind != "git":
        return address, SourceSettings.from_json(given)
    settings = SourceSettings.from_json({**given, "prefix": f"/{given.get('prefix') or ''}".replace("//", "/")})
    link = read_link(address, settings.branch)
    folder = settings.prefix.strip("/") or link.folder.strip("/")
    return link.address, replace(
        settings, branch=settings.branch or link.branch, prefix=f"/{folder}/" if folder else ""
    )


def refitted(
    kind: SourceKind, address: str, *, kept: SourceSettings, given: Mapping[str, Any]
) -> tuple[str, SourceSettings]:
    """As `fitted`, for a source that has settings: a link's branch and folder go before those kept, not those given."""
    values = {**kept.as_json(), **given}
    if kind == "git" and (link := read_link(address)).branch:
        if values["prefix"] == kept.prefix:
            values["prefix"] = ""
        if values["branch"] == kept.branch and f"/{kept.branch}/" not in f"{address}/":
            values["branch"] = link.branch
    return fitted(kind, address, values)


def _bucket_address(address: str) -> str:
    name, _, prefix = address.strip().removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(name) or ".." in name or len(prefix) > LONGEST_ADDRESS:
        raise InvalidInput("address: a bucket such as s3://name or s3://name/folder/ is expected", field="address")
    return f"s3://{name}/{prefix}"


def bucket_of(address: str, settings: SourceSettings) -> tuple[Bucket, str]:
    """The bucket of a source of kind s3, and what the keys that belong to it begin with."""
    name, _, prefix = address.removeprefix("s3://").partition("/")
    return Bucket(name, settings.region or USUAL_REGION, settings.endpoint), prefix


def asked_address(kind: SourceKind, address: str, settings: SourceSettings) -> str:
    """The first web address that is opened for a source; "" for a folder."""
    if kind == "folder":
        return ""
    return bucket_of(address, settings)[0].address() if kind == "s3" else address


def default_name(kind: SourceKind, address: str) -> str:
    """A name for a source that was given none: host and path, or the folder."""
    if kind == "folder":
        return Path(address).name[:LONGEST_NAME] or "folder"
    parts = urlsplit(address)
    return (parts.netloc + unquote(parts.path)).rstrip("/").removesuffix(".git").rstrip("/")[:LONGEST_NAME]


def allowed_folder(address: str, settings: Settings) -> Path:
    """A folder of the server, resolved, that lies under a root which the operator has opened. Raises InvalidInput."""
    if not settings.source_roots:
        raise InvalidInput(
            "address: no folder of this server is open to sources; an operator can name roots in RAG_SOURCE_FOLDERS",
            field="address",
        )
    path = Path(address.strip()).resolve()
    if not any(path == root or root in path.parents for root in settings.source_roots) or not path.is_dir():
        raise InvalidInput("address: this is not a folder below those that RAG_SOURCE_FOLDERS names", field="address")
    return path


def _patterns(name: str, given: Any) -> tuple[str, ...]:
    patterns = tuple(str(each).strip() for each in given if str(each).strip())
    if len(patterns) > MOST_PATTERNS or any(len(each) > LONGEST_PATTERN for each in patterns):
        raise InvalidInput(f"{name}: at most {MOST_PATTERNS} patterns of {LONGEST_PATTERN} characters", field=name)
    return tuple(each if each.startswith(("/", "*")) else f"*{each}" for each in patterns)


def _within(name: str, value: float, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidInput(f"{name}: between {least:g} and {most:g} is expected", field=name)
