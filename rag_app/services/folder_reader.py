"""Visits the files of a folder of this server for a run. Links are not followed out of it."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_app.database.files import FileStore
from rag_app.errors import InvalidInput
from rag_app.ingestion.web_address import Scope
from rag_app.services.frontier import Run, Seeds, Visit, WaitingPage
from rag_app.services.source_files import TOO_LARGE, FileSight, is_wanted, visit_file
from rag_app.services.source_settings import SourceSettings, allowed_folder
from rag_app.settings import Settings


class FolderReader:
    """Reads files below a folder that the operator has opened to sources."""

    at_once = 8
    delay_s = 0.0
    memory: Mapping[str, Any] = {}

    def __init__(self, settings: Settings, files: FileStore, run: Run) -> None:
        self._settings, self._files, self._run = settings, files, run

    async def seeds(self) -> Seeds:
        """All files of kinds that can be read. Raises InvalidInput when the folder is not (or no longer) allowed."""
        root = allowed_folder(self._run.address, self._settings)
        names = await asyncio.to_thread(_names, root, self._run.settings)
        return Seeds(names, Scope())

    async def read(self, pages: Sequence[WaitingPage]) -> list[Visit]:
        """Look at some files; each is opened only when its time or size has changed."""
        return await asyncio.gather(*(self._read(page) for page in pages))

    async def _read(self, page: WaitingPage) -> Visit:
        try:
            path = self._path(page.url)
            stat = await asyncio.to_thread(path.stat)
            mark = f"{stat.st_mtime_ns}-{stat.st_size}"
            if page.is_live and page.etag == mark:
                return Visit(page, "unchanged")
            if stat.st_size > self._run.settings.max_page_mb * 1_000_000:
                return Visit(page, "skipped", code="too_large", message=TOO_LARGE)
            content = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            return Visit(page, "gone" if page.is_live else "failed", code="not_found", message="The file is gone.")
        except (OSError, InvalidInput) as problem:
            return Visit(page, "skipped", code="unreadable", message=f"The file cannot be opened: {problem}")
        return await visit_file(self._files, self._run, page, seen=FileSight(content, mark))

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
            if is_wanted(relative, settings):
                found.append(relative)
        if len(found) > settings.max_pages:
            break
    return found
