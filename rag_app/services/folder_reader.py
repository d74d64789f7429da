"""Visits the files of a folder of this server for a run. Links are not followed out of it."""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rag_app.database.files import FileStore
from rag_app.errors import DocumentFailed, InvalidInput, UnsupportedType
from rag_app.ingestion.formats import HEAD_BYTES, SUPPORTED, sniff
from rag_app.ingestion.web_address import LONGEST_ADDRESS, Scope, fits
from rag_app.services.acceptance import FetchedContent
from rag_app.services.frontier import Run, Seeds, Visit, VisitStatus, WaitingPage
from rag_app.services.source_settings import SourceSettings, allowed_folder
from rag_app.settings import Settings

_ENDINGS = frozenset(ending for row in SUPPORTED for ending in row.extensions)


class FolderReader:
    """Reads files below a folder that the operator has opened to sources."""

    delay_s = 0.0
    robots: Mapping[str, Any] = {}

    def __init__(self, settings: Settings, files: FileStore, run: Run) -> None:
        self._settings, self._files, self._run = settings, files, run

    async def seeds(self) -> Seeds:
        """All files of kinds that can be read. Raises InvalidInput when the folder is not (or no longer) allowed."""
        root = allowed_folder(self._run.address, self._settings)
        names = await asyncio.to_thread(_names, root, self._run.settings)
        return Seeds(names, Scope())

    async def read(self, page: WaitingPage) -> Visit:
        """Look at one file; it is opened only when its time or size has changed."""
        try:
            path = self._path(page.url)
            stat = await asyncio.to_thread(path.stat)
            mark = f"{stat.st_mtime_ns}-{stat.st_size}"
            if page.is_live and page.etag == mark:
                return Visit(page, "unchanged")
            if stat.st_size > self._run.settings.max_page_mb * 1_000_000:
                return Visit(page, "skipped", code="too_large", message="The file is larger than the source allows.")
            content = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            return Visit(page, "gone" if page.is_live else "failed", code="not_found", message="The file is gone.")
        except (OSError, InvalidInput) as problem:
            return Visit(page, "skipped", code="unreadable", message=f"The file cannot be opened: {problem}")
        return await self._fresh(page, content, mark)

    async def _fresh(self, page: WaitingPage, content: bytes, mark: str) -> Visit:
        digest = hashlib.sha256(content).digest()
        if page.is_live and page.content_hash == digest:
            return Visit(page, "unchanged", content_hash=digest, etag=mark)
        name = PurePosixPath(page.url).name
        try:
            sniff(name, None, content[:HEAD_BYTES])
        except (UnsupportedType, DocumentFailed) as problem:
            return Visit(page, "skipped", code=problem.code, message=problem.message, etag=mark)
        stored = await self._files.put_bytes(self._run.workspace_id, content, limit=len(content))
        known_as = f"folder/{self._run.source_id}/{page.url}"
        made = FetchedContent(known_as, None, name, "", stored, {"path": page.url})
        status: VisitStatus = "changed" if page.is_live else "added"
        return Visit(page, status, content=made, content_hash=digest, etag=mark)

    def _path(self, name: str) -> Path:
        """The file of this name, which must really lie in the folder. Raises InvalidInput, FileNotFoundError."""
        root = allowed_folder(self._run.address, self._settings)
        path = (root / name).resolve(strict=True)
        if root not in path.parents:
            raise InvalidInput("it leads out of the folder")
        return path


def _names(root: Path, settings: SourceSettings) -> list[str]:
    found: list[str] = []
    for folder, folders, files in os.walk(root, followlinks=False):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(files):
            relative = (Path(folder) / name).relative_to(root).as_posix()
            if not name.startswith(".") and Path(name).suffix.lower() in _ENDINGS and _is_wanted(relative, settings):
                found.append(relative)
        if len(found) > settings.max_pages:
            break
    return found


def _is_wanted(relative: str, settings: SourceSettings) -> bool:
    path = f"/{relative}"
    try:
        path.encode()
    except UnicodeEncodeError:
        return False  # a name that no database can hold
    if len(path) > LONGEST_ADDRESS - 60 or (settings.prefix and not path.startswith(settings.prefix)):
        return False
    if settings.include and not any(fits(each, path) for each in settings.include):
        return False
    return not any(fits(each, path) for each in settings.exclude)
