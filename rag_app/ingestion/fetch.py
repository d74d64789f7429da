"""Fetches one web page through the guarded client and stores what came back."""

from urllib.parse import unquote, urlsplit

from rag_app.database.files import FileStore
from rag_app.egress import Egress, Limits
from rag_app.egress import Fetched as Response
from rag_app.errors import EmptyFile, FetchFailed
from rag_app.ingestion.formats import sniff
from rag_app.ingestion.versions import Claimed, Fetched

TIMEOUT_S = 30.0
OK = 200
HTML = ("text/html", "application/xhtml+xml")
_ENDING = {"text/html": ".html", "application/xhtml+xml": ".html", "text/markdown": ".md", "text/plain": ".txt"}


async def fetch_page(egress: Egress, files: FileStore, claimed: Claimed, *, max_bytes: int) -> Fetched:
    """The page of a version, durable in the file store.

    Raises FetchFailed or BlockedAddress with a reason a person understands, EmptyFile, UnsupportedType.
    """
    if claimed.url is None:
        raise FetchFailed("This document has no address.")
    response = await egress.fetch(claimed.url, Limits(max_bytes, TIMEOUT_S))
    if response.status != OK:
        raise FetchFailed(f"The server of this page answered with status {response.status}.")
    if not response.body:
        raise EmptyFile("The page is empty.")
    media_type = response.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    filename = filename_of(response, media_type)
    sniff(filename, media_type or None, response.body[:8192])
    stored = await files.put_bytes(claimed.workspace_id, response.body, limit=max_bytes)
    return Fetched(stored.key, stored.sha256, stored.byte_count, media_type, filename)


def filename_of(response: Response, media_type: str) -> str:
    """A name for what came back, with an ending that fits its media type."""
    name = unquote(urlsplit(response.url_final).path).rsplit("/", 1)[-1][-120:] or "page"
    ending = _ENDING.get(media_type, "")
    if media_type in HTML and not name.lower().endswith((".html", ".htm", ".xhtml")):
        return name + ".html"
    return name if "." in name else name + ending
