"""What folder, repository and bucket have in common: which names are read, and what becomes of the bytes of a file."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from rag_app.database.files import FileStore
from rag_app.errors import DocumentFailed, UnsupportedType
from rag_app.ingestion.formats import HEAD_BYTES, SUPPORTED, sniff
from rag_app.ingestion.web_address import LONGEST_ADDRESS, fits, loose
from rag_app.services.acceptance import FetchedContent
from rag_app.services.frontier import Run, Visit, VisitStatus, WaitingPage
from rag_app.services.source_settings import SourceSettings

LONGEST_PATH = LONGEST_ADDRESS - 60
TOO_LARGE = "The file is larger than the source allows."
# Control characters, and those that turn the direction of what is read: `exe.md` would look like `dm.exe`.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\\\\]")
_ENDINGS = frozenset(ending for row in SUPPORTED for ending in row.extensions)


@dataclass(frozen=True, slots=True)
class FileSight:
    """A file as it was met: its bytes, the fingerprint under which it is known, and where people can open it."""

    content: bytes
    mark: str
    url: str | None = None


def is_wanted(path: str, settings: SourceSettings) -> bool:
    """Whether a file of this path, relative and with slashes, is of a kind that is read and belongs to the source.

    Hidden files, names that no database can hold and paths that lead nowhere or elsewhere do not.
    """
    parts = path.split("/")
    if any(not each or each.startswith(".") for each in parts) or _UNSAFE.search(path):
        return False
    if PurePosixPath(parts[-1]).suffix.lower() not in _ENDINGS or len(path) >= LONGEST_PATH or not _is_storable(path):
        return False
    rooted = f"/{path}"
    if not rooted.startswith(settings.prefix) or any(fits(each, rooted) for each in settings.exclude):
        return False
    return not settings.include or any(fits(each, rooted) for each in settings.include)


def _is_storable(path: str) -> bool:
    try:
        path.encode()
        loose(path)
    except ValueError:  # half a character, or what looks like a broken address
        return False
    return True


async def visit_file(files: FileStore, run: Run, page: WaitingPage, *, seen: FileSight) -> Visit:
    """What a file that was opened comes to: unchanged, or stored as new content, or left out with the reason."""
    digest = hashlib.sha256(seen.content).digest()
    is_same = page.is_live and page.content_hash == digest
    if is_same and not seen.url:
        return Visit(page, "unchanged", content_hash=digest, etag=seen.mark)
    name = PurePosixPath(page.url).name
    try:
        sniff(name, None, seen.content[:HEAD_BYTES])
    except (UnsupportedType, DocumentFailed) as problem:
        return Visit(page, "skipped", code=problem.code, message=problem.message, etag=seen.mark)
    stored = await files.put_bytes(run.workspace_id, seen.content, limit=len(seen.content))
    known_as = f"{run.kind}/{run.source_id}/{page.url}"
    made = FetchedContent(known_as, seen.url, name, "", stored, {"path": page.url})
    # What is as it was may stand at another address now, and is brought again for its link.
    status: VisitStatus = "unchanged" if is_same else "changed" if page.is_live else "added"
    return Visit(page, status, content=made, content_hash=digest, etag=seen.mark)
