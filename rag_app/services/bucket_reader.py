"""Visits the objects of an S3 bucket for a run: which there are below a prefix, which have changed, their content."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rag_app.database.files import FileStore
from rag_app.egress import Call, Fetched, Limits
from rag_app.egress import Visit as Stay
from rag_app.errors import DamagedFile, FetchFailed
from rag_app.ingestion.s3_wire import Keys, Listing, listing_query, read_listing, read_refusal, signed
from rag_app.services.frontier import Run, Seeds, Visit, WaitingPage
from rag_app.services.source_files import TOO_LARGE, FileSight, is_wanted, visit_file
from rag_app.services.source_settings import bucket_of

TIMEOUT_S = 60.0
MOST_LISTED_BYTES = 10_000_000  # of one page of a listing
MOST_LISTINGS = 2_000
LISTINGS_WITHIN_S = 300.0
OK, FORBIDDEN, NOT_FOUND, SLOW_DOWN, AWAY = 200, 403, 404, 429, 503
ARCHIVED = "archived"
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_NO_S3 = "endpoint: {host} answered {status} without a word of S3. It does not look like a server that speaks S3."
_ENOUGH = "The run has taken as much as the source allows (max_total_mb); the object was left as it is."
# What S3 and its kin answer -> which field is wrong and what to do.
_ADVICE = {
    "SignatureDoesNotMatch": "secret key: it does not belong to this access key. Enter both again.",
    "InvalidAccessKeyId": "access key: {host} does not know it. Check it, and that the endpoint is the right one.",
    "AccessDenied": "access key: it may not {deed}. Give it {right} for this bucket.",
    "NoSuchBucket": "address: there is no bucket called {bucket} at {host}.",
    "PermanentRedirect": "region: the bucket is in another one than {region}{actual}.",
    "AuthorizationHeaderMalformed": "region: the bucket is in another one than {region}{actual}.",
    "InvalidRegionName": "region: {host} expects another one than {region}{actual}.",
    "RequestTimeTooSkewed": "The clock of this server is wrong, so {host} takes no signature of it.",
    "ExpiredToken": "access key: it has expired. Enter another one.",
    "InvalidObjectState": "The object is in an archive and has to be restored first.",
}


class BucketReader:
    """Reads objects. One is asked for only when its ETag or size is not the one that was read before."""

    at_once = 8
    delay_s = 0.0

    def __init__(self, stay: Stay, files: FileStore, run: Run, *, secret: Mapping[str, str]) -> None:
        self._stay, self._files, self._run = stay, files, run
        self._keys = Keys(secret.get("access_key", ""), secret.get("secret_key", ""))
        self._bucket, self._prefix = bucket_of(run.address, run.settings)
        self._most = run.settings.max_total_mb * 1_000_000
        self._received = int(run.memory.get("bytes", 0))

    @property
    def memory(self) -> Mapping[str, Any]:
        """How much has come in this run."""
        return {"bytes": self._received}

    async def seeds(self) -> Seeds:
        """All objects of kinds that are read, with their marks. Raises FetchFailed that names what is wrong."""
        marks: dict[str, str] = {}
        settings, following, stop_at = self._run.settings, "", time.monotonic() + LISTINGS_WITHIN_S
        for _ in range(MOST_LISTINGS):
            listing = await self._list(following)
            for each in listing.entries:
                if (
                    is_wanted(each.key, settings)
                    and each.key.startswith(self._prefix)
                    and len(marks) <= settings.max_pages
                ):
                    marks[each.key] = ARCHIVED if each.is_archived else each.mark
            if len(marks) > settings.max_pages or not listing.following:
                return Seeds(list(marks), marks=marks, memory=self.memory)
            if listing.following == following or time.monotonic() > stop_at:
                break
            following = listing.following
        return Seeds(list(marks), marks=marks, memory=self.memory, is_truncated=True)

    async def _list(self, following: str) -> Listing:
        found = await self._get(self._bucket.address(query=listing_query(self._prefix, following)), MOST_LISTED_BYTES)
        if found.status != OK:
            raise self._refused(found, "list it", "s3:ListBucket")
        try:
            return await asyncio.to_thread(read_listing, found.body)
        except DamagedFile as problem:
            raise FetchFailed(f"endpoint: {problem.message}", field="endpoint") from problem

    async def read(self, pages: Sequence[WaitingPage]) -> list[Visit]:
        """What became of some objects."""
        return await asyncio.gather(*(self._read(page) for page in pages))

    async def _read(self, page: WaitingPage) -> Visit:
        if page.is_live and page.etag == page.mark:
            return Visit(page, "unchanged")
        size, most = page.mark.partition("-")[0], self._run.settings.max_page_mb * 1_000_000
        if page.mark == ARCHIVED:
            return Visit(page, "skipped", code=ARCHIVED, message=_ADVICE["InvalidObjectState"])
        if int(size) > most:
            return Visit(page, "skipped", code="too_large", message=TOO_LARGE)
        if self._received + int(size) > self._most:
            return Visit(page, "failed", code="too_much_content", message=_ENOUGH)
        self._received += int(size)
        try:
            found = await self._get(self._bucket.address(page.url), most)
        except FetchFailed as problem:
            return Visit(page, "outage", code=problem.code, message=problem.message)
        if found.status != OK:
            return self._missed(page, found)
        self._received += len(found.body) - int(size)  # the listing may have said less
        if self._received > self._most:
            return Visit(page, "failed", code="too_much_content", message=_ENOUGH)
        return await visit_file(self._files, self._run, page, seen=FileSight(found.body, page.mark))

    def _missed(self, page: WaitingPage, found: Fetched) -> Visit:
        problem = self._refused(found, "read objects of it", "s3:GetObject")
        words: dict[str, Any] = {"code": problem.code, "message": problem.message}
        if found.status == NOT_FOUND:
            return Visit(page, "gone" if page.is_live else "failed", code="not_found", message="The object is gone.")
        if found.status in (SLOW_DOWN, AWAY):
            return Visit(page, "later", wait_s=10.0, **words)
        return Visit(page, "outage" if found.status > AWAY or found.status == 500 else "failed", **words)

    async def _get(self, address: str, most: int) -> Fetched:
        headers = signed(address, self._bucket.region, self._keys, moment=datetime.now(UTC))
        return await self._stay.call(Call(address, headers), Limits(most, TIMEOUT_S))

    def _refused(self, found: Fetched, deed: str, right: str) -> FetchFailed:
        said = read_refusal(found.body)
        host = self._bucket.address().partition("://")[2].partition("/")[0]
        actual = said.region or found.headers.get("x-amz-bucket-region", "")
        actual = actual if _REGION.fullmatch(actual) else ""
        advice = _ADVICE.get(said.code)
        if advice is None and not said.code and actual and actual != self._bucket.region:
            advice = _ADVICE["PermanentRedirect"]
        if advice is None and found.status == FORBIDDEN:
            advice = _ADVICE["AccessDenied"]
        if advice is None:
            if not said.code:
                return FetchFailed(_NO_S3.format(host=host, status=found.status), status=found.status, field="endpoint")
            words = said.message or f"status {found.status}"
            return FetchFailed(f"{host} answered: {words}", status=found.status)
        if advice is _ADVICE["AccessDenied"] and not self._keys.access:
            advice = "access key: the bucket is not public. Enter an access key that may {deed} ({right})."
        facts = {"host": host, "deed": deed, "right": right, "bucket": self._bucket.name, "region": self._bucket.region}
        return FetchFailed(advice.format(**facts, actual=f": enter {actual}" if actual else ""), status=found.status)
