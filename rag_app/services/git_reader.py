"""Visits the files of a Git repository for a run: which there are, which have another content, and that content."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rag_app.database.files import FileStore
from rag_app.egress import Visit as Stay
from rag_app.errors import FetchFailed
from rag_app.ingestion.forges import link_of
from rag_app.ingestion.git_remote import Credentials, Place, Remote, Wanted
from rag_app.services.frontier import Run, Seeds, Visit, WaitingPage
from rag_app.services.source_files import TOO_LARGE, FileSight, is_wanted, visit_file

AGAIN_AFTER_S = 2.0
BRANCHES = "refs/heads/"
_POINTER = b"version https://git-lfs.github.com/spec/"
_STORED_ELSEWHERE = "The file is kept in Git LFS; only a pointer to it is in the repository."
_ENOUGH = "The run has taken as much as the source allows (max_total_mb); the file was left as it is."


class GitReader:
    """Reads files of one branch. A file is asked for only when its blob is not the one that was read before."""

    at_once = 32  # files asked for in one request
    delay_s = 0.0

    def __init__(
        self, stay: Stay, files: FileStore, run: Run, *, secret: Mapping[str, str], state_before: str = ""
    ) -> None:
        self._files, self._run, self._state_before = files, run, state_before
        self._memory: dict[str, Any] = dict(run.memory)
        credentials = Credentials(secret.get("token", ""), secret.get("user", ""))
        self._most = run.settings.max_total_mb * 1_000_000
        self._before = int(self._memory.get("bytes", 0))
        self._remote = Remote(stay, run.address, credentials, most_bytes=max(1, self._most - self._before))

    @property
    def memory(self) -> Mapping[str, Any]:
        """Where the repository is, which commit is read, how much has come."""
        return {**self._memory, "bytes": self._before + self._remote.received}

    async def seeds(self) -> Seeds:
        """All files of kinds that are read, with their blobs. Raises FetchFailed, InvalidInput, DocumentFailed."""
        settings = self._run.settings
        place = await self._remote.open()
        ref = await self._remote.find(place, settings.branch)
        shown = (ref.target or ref.name).removeprefix(BRANCHES).removeprefix("refs/tags/")
        limits = json.dumps([self._run.address, settings.as_json()], sort_keys=True)
        state = f"{ref.oid} {hashlib.sha256(limits.encode()).hexdigest()[:16]}"
        self._memory |= {**place.as_json(), "branch": shown, "state": state}
        if self._state_before == state:
            return Seeds((), is_unchanged=True, memory=self.memory)
        wanted = Wanted(settings.prefix.lstrip("/"), partial(is_wanted, settings=settings), settings.max_pages)
        found = await self._remote.files(place, ref.oid, wanted)
        return Seeds(list(found), marks=found, memory=self.memory)

    async def read(self, pages: Sequence[WaitingPage]) -> list[Visit]:
        """What became of some files; those that are new or have changed are asked for together."""
        asked = [page for page in pages if not (page.is_live and page.etag == page.mark)]
        visits = [Visit(page, "unchanged") for page in pages if page not in asked]
        if self._before + self._remote.received >= self._most:
            return visits + [Visit(page, "failed", code="too_much_content", message=_ENOUGH) for page in asked]
        got = await self._contents(sorted({page.mark for page in asked})) if asked else {}
        return visits + await asyncio.gather(*(self._read(page, got.get(page.mark)) for page in asked))

    async def _contents(self, oids: Sequence[str]) -> dict[str, bytes]:
        place, largest = Place.from_json(self._memory), self._run.settings.max_page_mb * 1_000_000
        try:
            return await self._remote.contents(place, oids, largest=largest)
        except FetchFailed:  # a connection may break; a second time it is trouble
            await asyncio.sleep(AGAIN_AFTER_S)
            return await self._remote.contents(place, oids, largest=largest)

    async def _read(self, page: WaitingPage, content: bytes | None) -> Visit:
        if content is None:
            return Visit(page, "skipped", code="too_large", message=TOO_LARGE)
        if content.startswith(_POINTER):
            return Visit(page, "skipped", code="stored_elsewhere", message=_STORED_ELSEWHERE)
        url = link_of(self._run.address, str(self._memory.get("branch", "")), page.url)
        return await visit_file(self._files, self._run, page, seen=FileSight(content, page.mark, url))
