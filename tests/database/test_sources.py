"""Sources around the crawl: killed runs, schedules, folders, feeds, deletion, and who goes first."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rag_app.errors import BlockedAddress, Busy, Conflict, Forbidden, InvalidInput, NotFound
from rag_app.services import crawl, source_runs
from rag_app.services.context import Context
from rag_app.services.intake import IncomingFile, add_file
from rag_app.services.paging import PageRequest
from rag_app.services.source_pages import PageFilter, get_page, list_pages, page_diff
from rag_app.services.source_runs import fire_due, get_run, resume_runs, start_run, stop_run
from rag_app.services.source_watch import print_sources
from rag_app.services.sources import NewSource, create_source, delete_source, find_source_id, get_source, list_sources
from rag_app.services.tasks import cancel_task, get_task
from rag_app.services.web_reader import WebReader
from tests.crawler import Crawler, figures, open_crawler
from tests.site import Site
from tests.workspaces import make_actor, work_off


@pytest.fixture
def site() -> Iterator[Site]:
    """A website with a front page and seven more."""
    with Site() as made:
        names = [f"/p/{number}" for number in range(7)]
        made.put("/p/", "All pages.", *names)
        for name in names:
            made.put(name, f"This is the text of page {name}.", "/p/")
        yield made


@pytest.fixture
async def crawler(context: Context, site: Site, tmp_path: Path) -> AsyncIterator[Crawler]:
    """A crawler that may reach the site and a folder."""
    (tmp_path / "open").mkdir()
    async with open_crawler(context, site, source_folders=str(tmp_path / "open")) as made:
        yield made


async def test_a_run_that_is_killed_anywhere_goes_on_and_doubles_nothing(
    crawler: Crawler, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is broken off without a chance to let go, after more and more steps, as by kill -9."""
    monkeypatch.setattr(source_runs, "UNCLAIMED_S", 0.0)
    monkeypatch.setattr(WebReader, "at_once", 2)
    paused = crawl._pause
    source = await crawler.add("website", f"{site.address}/p/", pages_per_second=50.0)
    run = await start_run(crawler.context, crawler.actor, source.id)
    kills = 0
    for steps in (1, 2, 3, 5, 8, 13, 21):
        monkeypatch.setattr(crawl, "_pause", _nothing)
        job = asyncio.create_task(crawl.crawl(crawler.context, crawler.workshop, run.id))
        for _ in range(steps * 15):
            await asyncio.sleep(0.001)
        kills += not job.done()
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job
        await _lose_jobs(crawler.context)
    monkeypatch.setattr(crawl, "_pause", paused)
    await crawler.forgive(run.id)
    status = (await get_run(crawler.context, crawler.actor, run.id)).status
    assert kills and (status == "done" or await resume_runs(crawler.context) == 1)
    await work_off(crawler.context, crawler.workshop)
    ended = await get_run(crawler.context, crawler.actor, run.id)
    assert (ended.status, figures(ended), ended.found, ended.visited) == ("done", (8, 0, 0, 0, 0), 8, 8)
    assert len(await crawler.documents()) == await crawler.count("SELECT count(*) FROM versions") == 8
    assert await crawler.count("SELECT count(*) FROM versions WHERE state <> 'ready'") == 0
    assert await resume_runs(crawler.context) == 0


async def _nothing(*_: Any) -> None:
    """A killed worker does nothing at its end."""


async def _lose_jobs(context: Context) -> None:
    async with context.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs WHERE task_name = 'crawl'"))


async def test_a_persons_file_goes_before_the_pages_of_a_crawl(crawler: Crawler, site: Site) -> None:
    source = await crawler.add("website", f"{site.address}/p/")
    await start_run(crawler.context, crawler.actor, source.id)

    async def content() -> AsyncIterator[bytes]:
        yield b"Just one file."

    await add_file(crawler.context, crawler.actor, crawler.base, IncomingFile("a.txt", content()))
    async with crawler.context.transaction() as session:
        statement = "SELECT task_name FROM procrastinate_jobs WHERE status = 'todo' ORDER BY priority DESC, id"
        assert list((await session.execute(text(statement))).scalars()) == ["ingest", "crawl"]


async def test_schedules_fire_once_however_many_moments_were_missed(crawler: Crawler, site: Site) -> None:
    new = NewSource("page", f"{site.address}/p/1", schedule={"every_minutes": 60})
    source = await create_source(crawler.context, crawler.actor, crawler.base, new)
    assert source.next_run_at and source.next_run_at > datetime.now(UTC) + timedelta(minutes=58)
    assert await fire_due(crawler.context) == 0
    await crawler.execute("UPDATE sources SET next_run_at = now() - interval '5 hours 20 minutes'")
    assert [await fire_due(crawler.context) for _ in range(3)] == [1, 0, 0]
    with pytest.raises(Busy):
        await start_run(crawler.context, crawler.actor, source.id)
    after = await get_source(crawler.context, crawler.actor, source.id)
    assert after.next_run_at and timedelta(0) < after.next_run_at - datetime.now(UTC) <= timedelta(minutes=41)
    await crawler.execute("UPDATE sources SET next_run_at = now() - interval '1 minute'")
    assert await fire_due(crawler.context) == 0  # the run before has not ended
    await work_off(crawler.context, crawler.workshop)
    await crawler.execute("UPDATE sources SET next_run_at = now() - interval '1 minute', state = 'paused'")
    assert await fire_due(crawler.context) == 0
    paused = await crawler.change(source, {"state": "active"})
    assert paused.next_run_at and paused.next_run_at > datetime.now(UTC)
    with pytest.raises(InvalidInput):
        await crawler.change(source, {"schedule": {"cron": "never"}})


async def test_a_folder_is_read_and_nothing_outside_it(crawler: Crawler, tmp_path: Path) -> None:
    root = tmp_path / "open"
    (tmp_path / "secret.txt").write_text("Nobody may read this.")
    (root / "deep").mkdir()
    (root / "deep" / "salt.md").write_text("# Salt\n\nSalt is white.")
    (root / "pepper.txt").write_text("Pepper is black.")
    (root / ".hidden.txt").write_text("Hidden.")
    (root / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    os.symlink(tmp_path / "secret.txt", root / "link.txt")
    os.symlink(tmp_path, root / "up")
    source = await crawler.add("folder", str(root))
    run = await crawler.run(source)
    assert (run.status, figures(run), run.skipped) == ("done", (2, 0, 0, 0, 0), 1)
    assert "Nobody" not in " ".join(await crawler.finds("nobody may read this secret"))
    (root / "pepper.txt").write_text("Pepper is red, too.")
    (root / "deep" / "salt.md").unlink()
    assert figures(await crawler.run(source)) == (0, 1, 0, 1, 0)
    for place in (tmp_path, root / "up", root / "..", root / "nothing"):
        with pytest.raises(InvalidInput):
            await crawler.add("folder", str(place))
    editor = await make_actor(crawler.context, "editor", workspace_id=crawler.actor.workspace_id)
    with pytest.raises(Forbidden):
        await create_source(crawler.context, editor, crawler.base, NewSource("folder", str(root)))


async def test_entries_that_drop_out_of_a_feed_stay(crawler: Crawler, site: Site) -> None:
    site.put("/feed.xml", media_type="application/rss+xml")
    for names in (("/p/1", "/p/2"), ("/p/2", "/p/3")):
        items = "".join(f"<item><link>{site.address}{name}</link></item>" for name in names)
        site.pages["/feed.xml"].body = f"<rss><channel>{items}</channel></rss>".encode()
        if names[0] == "/p/1":
            source = await crawler.add("feed", f"{site.address}/feed.xml")
            assert figures(await crawler.run(source)) == (2, 0, 0, 0, 0)
    assert figures(await crawler.run(source)) == (1, 0, 1, 0, 0)
    assert len(await crawler.documents()) == 3


async def test_pages_say_what_became_of_them_and_what_changed(crawler: Crawler, site: Site) -> None:
    source = await crawler.add("website", f"{site.address}/p/")
    await crawler.run(source)
    site.put("/p/1", "This is the new text of page one.", "/p/")
    del site.pages["/p/2"]
    await crawler.run(source)
    context, actor = crawler.context, crawler.actor

    async def pages(**wanted: Any) -> list[str]:
        found = await list_pages(context, actor, source.id, wanted=PageFilter(**wanted), page=PageRequest())
        return [each.url.removeprefix(site.address) for each in found.items]

    assert await pages(status="changed") == ["/p/1"] and await pages(status="removed") == ["/p/2"]
    [gone] = (await list_pages(context, actor, source.id, wanted=PageFilter("removed"), page=PageRequest())).items
    assert (gone.title, gone.document_id) == ("/p/2", None) and await pages(status="removed", q="/p/2") == ["/p/2"]
    await work_off(context, crawler.workshop)
    assert (await pages())[:2] in (["/p/1", "/p/2"], ["/p/2", "/p/1"]) and await pages(q="p/3") == ["/p/3"]
    first = (await list_pages(context, actor, source.id, wanted=PageFilter(), page=PageRequest(3))).next_cursor
    rest = await list_pages(context, actor, source.id, wanted=PageFilter(), page=PageRequest(50, first))
    assert len(rest.items) == 5
    [page] = (await list_pages(context, actor, source.id, wanted=PageFilter("changed"), page=PageRequest())).items
    assert (await get_page(context, actor, source.id, page.id)).links == (f"{site.address}/p/",)
    diff = (await page_diff(context, actor, source.id, page.id)).diff
    words = {kind: " ".join(s.text for h in diff.hunks for s in h.segments if s.kind == kind) for kind in ("added",)}
    assert "new" in words["added"]
    [other] = (await list_pages(context, actor, source.id, wanted=PageFilter(q="p/3"), page=PageRequest())).items
    with pytest.raises(Conflict):
        await page_diff(context, actor, source.id, other.id)
    with pytest.raises(NotFound):
        await get_page(context, await make_actor(context), source.id, page.id)


@pytest.mark.parametrize("with_documents", [True, False])
async def test_a_deleted_source_takes_its_documents_along_or_not(
    crawler: Crawler, site: Site, with_documents: bool
) -> None:
    source = await crawler.add("website", f"{site.address}/p/")
    shared = await crawler.add("page", f"{site.address}/p/1")
    await crawler.run(source)
    await crawler.run(shared)
    assert len(await crawler.documents()) == 8
    removed = await delete_source(crawler.context, crawler.actor, source.id, with_documents=with_documents)
    assert removed == (7 if with_documents else 0) and len(await crawler.documents()) == 8 - removed
    if with_documents:
        assert "page /p/3" not in " ".join(await crawler.finds("text of page /p/3"))
    await work_off(crawler.context, crawler.workshop)
    left = (await list_sources(crawler.context, crawler.actor, crawler.base, PageRequest())).items
    assert [each.id for each in left] == [shared.id]
    assert await crawler.count("SELECT count(*) FROM passages") == len(await crawler.documents())


async def test_a_run_can_be_stopped_by_itself_and_by_its_task(crawler: Crawler, site: Site) -> None:
    source = await crawler.add("website", f"{site.address}/p/")
    for by_task in (False, True):
        run = await start_run(crawler.context, crawler.actor, source.id)
        assert run.task_id
        if by_task:
            await cancel_task(crawler.context, crawler.actor, run.task_id)
        else:
            await stop_run(crawler.context, crawler.actor, source.id)
        await work_off(crawler.context, crawler.workshop)
        ended = await get_run(crawler.context, crawler.actor, run.id)
        assert ended.status == "cancelled" and ended.error and ended.error.code == "cancelled"
        assert (await get_task(crawler.context, crawler.actor, run.task_id)).status == "cancelled"
        with pytest.raises(Conflict):
            await stop_run(crawler.context, crawler.actor, source.id)
    assert await crawler.documents() == []


async def test_the_same_place_is_no_source_twice(crawler: Crawler, site: Site) -> None:
    first = await crawler.add("website", f"{site.address}/p/")
    for address, wanted in ((f"{site.address}/p/", {}), (f"{site.address}/p/#top", {"max_pages": 7})):
        with pytest.raises(Conflict, match=first.name) as refused:
            await crawler.add("website", address, **wanted)
        assert refused.value.details == {"source_id": str(first.id)}
    await crawler.add("website", f"{site.address}/p/", prefix="/p/1")
    await crawler.add("page", f"{site.address}/p/")
    results = await asyncio.gather(
        *(crawler.add("page", f"{site.address}/p/1") for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(each, Conflict) for each in results) == 2
    await delete_source(crawler.context, crawler.actor, first.id, with_documents=False)
    assert (await crawler.add("website", f"{site.address}/p/")).id != first.id


async def test_the_command_line_shows_ids_whole_and_takes_their_beginning(
    crawler: Crawler, site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    sources = [await crawler.add("page", f"{site.address}/p/{number}") for number in range(2)]
    assert await print_sources(crawler.context, crawler.actor, "Site")
    shown = capsys.readouterr().out
    assert all(str(each.id) in shown for each in sources)
    first, second = (str(each.id) for each in sources)
    beginning = next(second[: end + 1] for end in range(36) if first[end] != second[end])
    assert await find_source_id(crawler.context, crawler.actor, beginning.upper()) == sources[1].id
    assert await find_source_id(crawler.context, crawler.actor, first) == sources[0].id
    with pytest.raises(InvalidInput):
        await find_source_id(crawler.context, crawler.actor, first[:4])
    for nothing in ("", "%", "____", first[:3], "ffffffff", f"{first}0"):
        with pytest.raises(NotFound):
            await find_source_id(crawler.context, crawler.actor, nothing)
    stranger = await make_actor(crawler.context)
    with pytest.raises(NotFound):
        await find_source_id(crawler.context, stranger, first)


REFUSED: list[tuple[str, str, dict[str, Any], type[Exception]]] = [
    ("website", "http://10.0.0.1/docs/", {}, BlockedAddress),
    ("page", "http://169.254.169.254/latest", {}, BlockedAddress),
    ("website", "file:///etc/", {}, InvalidInput),
    ("nonsense", "https://example.com/", {}, InvalidInput),
    ("website", "https://example.com/", {"max_pages": 0}, InvalidInput),
    ("website", "https://example.com/", {"pages_per_second": 1000}, InvalidInput),
    ("website", "https://example.com/", {"prefix": "docs"}, InvalidInput),
    ("website", "https://example.com/", {"exclude": ["x" * 301]}, InvalidInput),
]


async def test_what_cannot_be_a_source_is_refused(crawler: Crawler) -> None:
    for kind, address, wanted, problem in REFUSED:
        with pytest.raises(problem):
            await crawler.add(kind, address, **wanted)
    assert await crawler.count("SELECT count(*) FROM sources") == 0
