"""Visits web pages for a run: where it begins, what robots.txt allows, how fast, and what became of each page."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from rag_app.database.files import FileStore
from rag_app.egress import Fetched, Limits
from rag_app.egress import Visit as Stay
from rag_app.errors import BlockedAddress, DocumentFailed, FetchFailed, InvalidInput, UnsupportedType
from rag_app.ingestion.fetch import filename_of
from rag_app.ingestion.formats import HEAD_BYTES, sniff
from rag_app.ingestion.page_links import fingerprint, is_html, read_links
from rag_app.ingestion.robots import UNKNOWN, Robots, read_robots
from rag_app.ingestion.sitemap import AddressList, is_feed, read_feed, read_sitemap
from rag_app.ingestion.web_address import Scope, canonical, folder_of, may_be_document, origin
from rag_app.services.acceptance import FetchedContent
from rag_app.services.frontier import Run, Seeds, Visit, VisitStatus, WaitingPage

TIMEOUT_S = 30.0
LIST_LIMITS = Limits(max_bytes=20_000_000, timeout_s=TIMEOUT_S)
ROBOTS_LIMITS = Limits(max_bytes=2_000_000, timeout_s=TIMEOUT_S)
MOST_LISTS = 50
LISTS_WITHIN_S = 60.0
LONGEST_WAIT_S = 300.0
OK, NOT_MODIFIED, SLOW_DOWN, AWAY = 200, 304, 429, 503
GONE = frozenset({404, 410})
ACCEPT = "text/html,application/xhtml+xml,application/pdf,text/*;q=0.9,*/*;q=0.5"


class WebReader:
    """Reads pages, websites and feeds."""

    at_once = 8

    def __init__(self, stay: Stay, files: FileStore, run: Run) -> None:
        self._stay, self._files, self._run = stay, files, run
        self._scope = run.scope
        self._robots = {place: Robots.from_json(kept) for place, kept in run.memory.items()}
        self._asking: dict[str, asyncio.Task[Robots]] = {}
        self._free_at: dict[str, float] = {}

    @property
    def memory(self) -> Mapping[str, Any]:
        """The rules of all sites met so far, for the row of the run."""
        return {place: rules.as_json() for place, rules in self._robots.items() if not rules.is_unknown}

    @property
    def delay_s(self) -> float:
        """How long a page of the slowest site takes."""
        asked = max((rules.delay_s for rules in self._robots.values()), default=0.0)
        return max(1.0 / self._run.settings.pages_per_second, asked)

    async def seeds(self) -> Seeds:
        """Where the run begins. Raises FetchFailed, InvalidInput or DocumentFailed: then there is no run."""
        found = await self._seeds()
        self._scope = found.scope
        return found

    async def _seeds(self) -> Seeds:
        run = self._run
        if run.kind == "page":
            return Seeds([run.address], Scope(), self.memory)
        if run.kind == "feed":
            return await self._feed()
        started = await self._stay.fetch(run.address, Limits(run.settings.max_page_mb * 1_000_000, TIMEOUT_S))
        first = canonical(started.url_final)
        if first is None:
            raise FetchFailed("The address leads to one that is too long.")
        prefix = run.settings.prefix or folder_of(first)
        scope = run.settings.scope(hosts=(urlsplit(first).netloc,), prefix=prefix)
        if not urlsplit(first).path.startswith(prefix):
            raise InvalidInput(f"The address leads to {first}, which does not begin with {prefix}.")
        rules = await self._rules(origin(first))
        if rules.is_unknown:
            raise FetchFailed(f"The robots.txt of {urlsplit(first).netloc} cannot be read; no page was asked for.")
        if not rules.allows(first):
            raise FetchFailed(f"The robots.txt of {urlsplit(first).netloc} does not allow this address.")
        listed, truncated = await self._listed(origin(first), rules, scope)
        return Seeds([first, *(each for each in listed if each != first)], scope, self.memory, truncated)

    async def _feed(self) -> Seeds:
        found = await self._stay.fetch(self._run.address, LIST_LIMITS)
        entries = await asyncio.to_thread(read_feed, found.body)
        pages = [made for each in entries.pages if (made := canonical(each, found.url_final))]
        return Seeds(pages, self._run.settings.scope(hosts=(), prefix="/"), self.memory)

    async def _listed(self, place: str, rules: Robots, scope: Scope) -> tuple[list[str], bool]:
        """The pages that sitemaps name and that belong to the source, and whether some were left out."""
        settings = self._run.settings
        if settings.discover == "links":
            return [], False
        waiting = [settings.sitemap] if settings.sitemap else list(rules.sitemaps) or [f"{place}/sitemap.xml"]
        pages: dict[str, None] = {}
        read, stop_at, truncated = set[str](), time.monotonic() + LISTS_WITHIN_S, False
        while waiting:
            listing = waiting.pop(0)
            if listing in read:
                continue
            if len(read) >= MOST_LISTS or time.monotonic() > stop_at or len(pages) > settings.max_pages:
                truncated = True
                break
            read.add(listing)
            found = await self._read_list(listing, is_wanted=bool(settings.sitemap) and len(read) == 1)
            waiting += found.lists
            made = (canonical(each) for each in found.pages)
            pages |= {each: None for each in made if each and scope.holds(each) and may_be_document(each)}
        if settings.discover == "sitemap" and not pages:
            raise FetchFailed("No sitemap names a page of this source.")
        return list(pages), truncated

    async def _read_list(self, place: str, *, is_wanted: bool) -> AddressList:
        """A sitemap; one that nobody asked for by name may be missing or damaged."""
        try:
            found = await self._stay.fetch(place, LIST_LIMITS)
            listing = await asyncio.to_thread(read_feed if is_feed(found.body) else read_sitemap, found.body)
        except (FetchFailed, DocumentFailed):
            if is_wanted:
                raise
            return AddressList()
        return listing

    async def read(self, pages: Sequence[WaitingPage]) -> list[Visit]:
        """Visit some pages, each when it is its turn."""
        return await asyncio.gather(*(self._read(page) for page in pages))

    async def _read(self, page: WaitingPage) -> Visit:
        rules = await self._rules(origin(page.url))
        if rules.is_unknown:
            words = "The robots.txt of the site cannot be read, so the page was left alone."
            return Visit(page, "outage", links=page.links, code="fetch_failed", message=words)
        if not rules.allows(page.url):
            return Visit(page, "skipped", code="robots", message="The robots.txt of the site does not allow this page.")
        await self._turn(origin(page.url), rules)
        sent = {"accept": ACCEPT}
        if page.is_live and page.content_hash:
            sent |= {"if-none-match": page.etag} if page.etag else {}
            sent |= {"if-modified-since": page.last_modified} if page.last_modified else {}
        try:
            limits = Limits(self._run.settings.max_page_mb * 1_000_000, TIMEOUT_S)
            found = await self._stay.fetch(page.url, limits, sent)
        except BlockedAddress as problem:
            return Visit(page, "skipped", code=problem.code, message=problem.message)
        except FetchFailed as problem:
            return _refused(page, problem)
        return await self._received(page, found)

    async def _received(self, page: WaitingPage, found: Fetched) -> Visit:
        if found.status == NOT_MODIFIED:
            return Visit(page, "unchanged", links=page.links)
        if found.status != OK:
            return Visit(page, "failed", code="fetch_failed", message=f"The site answered {found.status}.")
        final = canonical(found.url_final)
        if final != page.url:
            if final and self._scope.holds(final):
                return Visit(page, "alias", target=final, message=f"leads to {final}")
            return Visit(page, "skipped", code="outside", message="The page leads to an address outside this source.")
        marks: dict[str, Any] = {"etag": _mark(found, "etag"), "last_modified": _mark(found, "last-modified")}
        digest = await asyncio.to_thread(fingerprint, found.body, found.media_type)
        if page.is_live and page.content_hash == digest:
            return Visit(page, "unchanged", links=page.links, content_hash=digest, **marks)
        return await self._fresh(page, found, digest, marks)

    async def _fresh(self, page: WaitingPage, found: Fetched, digest: bytes, marks: dict[str, Any]) -> Visit:
        name = filename_of(found, found.media_type)
        try:
            sniff(name, found.media_type or None, found.body[:HEAD_BYTES])
            stored = await self._files.put_bytes(self._run.workspace_id, found.body, limit=len(found.body))
        except (UnsupportedType, DocumentFailed) as problem:
            return Visit(page, "skipped", code=problem.code, message=problem.message)
        links, wanted = await self._leads(page, found)
        content = FetchedContent(page.url, page.url, name, found.media_type, stored)
        status: VisitStatus = "changed" if page.is_live else "added"
        if wanted:
            return Visit(page, "alias", target=wanted, links=links, content=content, content_hash=digest, **marks)
        return Visit(page, status, links=links, content=content, content_hash=digest, **marks)

    async def _leads(self, page: WaitingPage, found: Fetched) -> tuple[list[str], str | None]:
        """Links inside the source, and the canonical address if it is another one of the source."""
        if not is_html(found.media_type, found.body):
            return [], None
        leads = await asyncio.to_thread(read_links, found.body, page.url)
        scope = self._scope
        links = [each for each in leads.links if scope.holds(each) and may_be_document(each)]
        wanted = leads.canonical
        # A site that names its home page as the canonical address of every page has made a mistake.
        if wanted in (None, page.url) or not scope.holds(wanted or "") or urlsplit(wanted or "").path in ("", "/"):
            wanted = None
        return links, wanted if self._run.kind == "website" else None

    async def _turn(self, place: str, rules: Robots) -> None:
        """Wait until a site may be asked again."""
        delay = max(1.0 / self._run.settings.pages_per_second, rules.delay_s)
        moment = max(time.monotonic(), self._free_at.get(place, 0.0))
        self._free_at[place] = moment + delay
        await asyncio.sleep(moment - time.monotonic())

    async def _rules(self, place: str) -> Robots:
        """The robots.txt of a site, asked for once in a run."""
        if place not in self._robots:
            if place not in self._asking:
                self._asking[place] = asyncio.create_task(self._ask_rules(place))
            self._robots[place] = await self._asking[place]
        return self._robots[place]

    async def _ask_rules(self, place: str) -> Robots:
        try:
            found = await self._stay.fetch(f"{place}/robots.txt", ROBOTS_LIMITS)
        except BlockedAddress:
            return Robots()  # the page itself is refused in the same way, with the reason
        except FetchFailed as problem:
            status = int(problem.details.get("status") or AWAY)
            # By the standard: what is not there allows everything, a site in trouble allows nothing for now.
            return Robots() if 400 <= status < 500 and status != SLOW_DOWN else UNKNOWN
        return read_robots(found.body)


def _refused(page: WaitingPage, problem: FetchFailed) -> Visit:
    status = problem.details.get("status")
    words: dict[str, Any] = {"code": problem.code, "message": problem.message, "links": page.links}
    if status in GONE:
        return Visit(page, "gone" if page.is_live else "failed", **(words | {"links": ()}))
    if status in (SLOW_DOWN, AWAY):
        return Visit(page, "later", wait_s=_seconds(str(problem.details.get("retry_after", ""))), **words)
    if status is None or int(status) >= 500:
        return Visit(page, "outage", **words)
    return Visit(page, "failed", **words)


def _seconds(retry_after: str) -> float:
    return min(LONGEST_WAIT_S, float(retry_after)) if re.fullmatch(r"\d{1,6}", retry_after.strip()) else 10.0


def _mark(found: Fetched, name: str) -> str:
    """A header that is sent back at the next visit; an odd one is better forgotten."""
    value = found.headers.get(name, "")
    return value if len(value) <= 200 and value.isascii() and value.isprintable() else ""
