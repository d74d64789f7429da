"""The words of S3's wire format: signed requests for a listing or an object, and what the answers say. No network.

Signatures are AWS Signature Version 4 as published in the API reference of Amazon S3; requests without keys are those
of an anonymous visitor, whom public buckets let in.
"""

import hashlib
import hmac
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote_plus, urlsplit

from lxml import etree

from rag_app.errors import DamagedFile

EMPTY_HASH = hashlib.sha256(b"").hexdigest()
LONGEST_KEY = 1024
_METHOD = "AWS4-HMAC-SHA256"
_AT_ONCE = 1000
_LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a bucket is. `endpoint` "" = AWS, by region; any other is asked for /bucket/key."""

    name: str
    region: str
    endpoint: str = ""

    def address(self, key: str = "", query: Mapping[str, str] | None = None) -> str:
        """The address of the bucket or of an object in it, escaped as the signature wants it."""
        if self.endpoint:
            root = f"{self.endpoint.rstrip('/')}/{quote(self.name, safe='')}"
        elif "." in self.name:  # no certificate of AWS fits such a host
            root = f"https://s3.{self.region}.amazonaws.com/{self.name}"
        else:
            root = f"https://{self.name}.s3.{self.region}.amazonaws.com"
        return f"{root}/{quote(key, safe='/~')}" + (f"?{_query(query)}" if query else "")


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key and its secret."""

    access: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing. `mark` changes whenever its content does."""

    key: str
    size: int
    mark: str
    is_archived: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a listing and the word that asks for the next; "" = the last."""

    entries: Sequence[Entry]
    following: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server says is wrong. `region`: where it says the bucket is, if it does."""

    code: str
    message: str
    region: str = ""


def listing_query(prefix: str, following: str) -> dict[str, str]:
    """The question of ListObjectsV2."""
    asked = {"list-type": "2", "encoding-type": "url", "max-keys": str(_AT_ONCE), "prefix": prefix}
    return asked | ({"continuation-token": following} if following else {})


def signed(
    address: str, region: str, keys: Keys, *, moment: datetime, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The headers of a GET of this address (path and query escaped already), signed unless there are no keys.

    `moment` is in UTC. `extra` are further headers that are signed along.
    """
    parts = urlsplit(address)
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    headers = {"x-amz-content-sha256": EMPTY_HASH, "x-amz-date": stamp, **(extra or {})}
    if not keys.access:
        return dict(extra or {})
    named = dict(sorted({**headers, "host": parts.netloc}.items()))
    names = ";".join(named)
    lines = [f"{name}:{value.strip()}" for name, value in named.items()]
    request = "\n".join(["GET", parts.path or "/", parts.query, *lines, "", names, EMPTY_HASH])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join([_METHOD, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    made = f"{_METHOD} Credential={keys.access}/{scope},SignedHeaders={names},Signature={signature}"
    return {**headers, "authorization": made}


def _query(values: Mapping[str, str]) -> str:
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in values.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def read_listing(content: bytes) -> Listing:
    """The answer to ListObjectsV2. Raises DamagedFile when it is none."""
    root = _read(content)
    if _name(root) != "listbucketresult":
        raise DamagedFile("The server sent no listing of a bucket: is the endpoint one of S3?")
    values = _texts(root)
    is_escaped = values.get("encodingtype") == "url"
    entries = []
    for element in root:
        if _name(element) == "contents":
            entry = _entry(_texts(element), is_escaped=is_escaped)
            if entry is not None:
                entries.append(entry)
    following = values.get("nextcontinuationtoken", "") if values.get("istruncated") == "true" else ""
    return Listing(entries, following)


def _entry(values: Mapping[str, str], *, is_escaped: bool) -> Entry | None:
    key, size = values.get("key", ""), values.get("size", "")
    key = unquote_plus(key, errors="surrogateescape") if is_escaped else key
    if not key or len(key) > LONGEST_KEY or not size.isdecimal() or len(size) > 18:
        return None
    mark = values.get("etag", "").strip('"') or values.get("lastmodified", "")
    archived = values.get("storageclass", "") in ("GLACIER", "DEEP_ARCHIVE")
    return Entry(key, int(size), f"{int(size)}-{mark[:100]}", archived)


def read_refusal(content: bytes) -> Refusal:
    """What the body of an error says; empty words when it is not one of S3."""
    try:
        root = _read(content)
    except DamagedFile:
        return Refusal("", "")
    values = _texts(root) if _name(root) == "error" else {}
    return Refusal(
        _plain(values.get("code", ""))[:100],
        _plain(values.get("message", ""))[:_LONGEST_WORDS],
        _plain(values.get("region", ""))[:40],
    )


def _plain(words: str) -> str:
    return "".join(each for each in " ".join(words.split()) if each.isprintable())


def _read(content: bytes) -> Any:
    """The first element of an XML answer, read without entities and without network. Raises DamagedFile."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        tree = etree.parse(io.BytesIO(content), parser)
    except etree.XMLSyntaxError as problem:
        raise DamagedFile("The server sent an answer that is not valid XML.") from problem
    if tree.docinfo.doctype:
        raise DamagedFile("The server sent an answer that is not one of S3.")
    return tree.getroot()


def _texts(element: Any) -> dict[str, str]:
    return {_name(child): child.text or "" for child in element}


def _name(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""
