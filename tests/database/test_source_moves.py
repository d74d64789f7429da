"""Sources that get another address, and runs that are stopped while a server keeps them waiting."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rag_app.errors import BlockedAddress, Busy, Conflict, Forbidden, InvalidInput
from rag_app.services import crawl, git_reader
from rag_app.services.context import Context
from rag_app.services.source_runs import start_run, stop_run
from rag_app.services.source_watch import read_again
from rag_app.services.sources import NewSource, SourceCard, create_source, get_source, update_source
from tests.crawler import Crawler, figures, open_crawler
from tests.git_server import GitServer, Repository, needs_git
from tests.site import Site
from tests.workspaces import make_actor, work_off

MANY = 22  # with which a run would ask before it removes so many


@pytest.fixture
def site() -> Iterator[Site]:
    """A website with an old part, a new part, and two feeds."""
    with Site() as made:
        for part in ("old", "new"):
            names = [f"/{part}/{number}" for number in range(MANY if part == "old" else 2)]
            made.put(f"/{part}/", f"All {part} pages.", *names)
            for name in names:
                made.put(name, f"This is the text of page {name}.")
            items = "".join(f"<item><link>{made.address}{name}</link></item>" for name in names[:2])
            made.put(f"/{part}.xml", media_type="application/rss+xml")
            made.pages[f"/{part}.xml"].body = f"<rss><channel>{items}</channel></rss>".encode()
        yield made


@pytest.fixture
async def crawler(context: Context, site: Site) -> AsyncIterator[Crawler]:
    """A crawler that may reach the site."""
    async with open_crawler(context, site) as made:
        yield made


async def paths(crawler: Crawler, site: Site) -> list[str]:
    return [each.removeprefix(site.address) for each in await crawler.documents()]


async def test_what_only_the_former_address_gave_goes_with_the_next_run(crawler: Crawler, site: Site) -> None:
    source = await crawler.add("website", f"{site.address}/old/")
    assert (await crawler.run(source)).added == MANY + 1
    site.put("/new/", "All new pages.", "/new/0", "/new/1", "/new/nothing")
    moved = await crawler.change(source, {"address": f"{site.address}/nothing/"})
    assert (moved.address, moved.name) == (f"{site.address}/nothing/", f"{site.host}/nothing")
    failed = await crawler.run(moved)
    assert (failed.status, len(await crawler.documents())) == ("failed", MANY + 1)
    changes: dict[str, object] = {"address": f"{site.address}/new/", "name": "New", "settings": {"max_pages": 2}}
    moved = await crawler.change(source, changes)
    run = await crawler.run(moved)
    assert (run.status, run.is_complete, run.held_back, figures(run)) == ("done", False, 0, (2, 0, 0, MANY + 1, 0))
    assert (moved.name, await paths(crawler, site)) == ("New", ["/new/", "/new/0"])
    assert "page /old/1" not in " ".join(await crawler.finds("text of page /old/1"))


async def test_a_page_that_both_addresses_give_stays_as_it_is(crawler: Crawler, site: Site) -> None:
    source = await crawler.add("website", f"{site.address}/old/", prefix="/")
    site.put("/new/", "All new pages.", "/new/0", "/old/1")
    site.pages["/new/0"] = site.pages["/old/0"]
    await crawler.run(source)
    run = await crawler.run(await crawler.change(source, {"address": f"{site.address}/new/"}))
    assert figures(run) == (2, 0, 1, MANY, 0)
    assert await paths(crawler, site) == ["/new/", "/new/0", "/old/1"]
    assert await crawler.count("SELECT count(*) FROM versions v JOIN documents d ON d.id = v.document_id "
                               "WHERE d.deleted_at IS NULL") == 3  # fmt: skip


async def test_entries_of_a_former_feed_and_a_former_page_go_too(crawler: Crawler, site: Site) -> None:
    feed = await crawler.add("feed", f"{site.address}/old.xml")
    page = await crawler.add("page", f"{site.address}/old/7")
    for each in (feed, page):
        await crawler.run(each)
    assert await paths(crawler, site) == ["/old/0", "/old/1", "/old/7"]

    async def moved(source: SourceCard, path: str) -> tuple[int, ...]:
        return figures(await crawler.run(await crawler.change(source, {"address": f"{site.address}{path}"})))

    assert await moved(feed, "/new.xml") == (2, 0, 0, 2, 0)
    assert await moved(page, "/new/7") == (0, 0, 0, 0, 1)
    assert await paths(crawler, site) == ["/new/0", "/new/1", "/old/7"]
    assert await moved(page, "/old/8") == (1, 0, 0, 1, 0)


async def test_another_address_is_checked_as_the_first_one_was(crawler: Crawler, site: Site, tmp_path: Path) -> None:
    source = await crawler.add("website", f"{site.address}/old/")
    other = await crawler.add("website", f"{site.address}/new/")
    refused = [("http://10.0.0.1/", BlockedAddress), ("file:///etc/", InvalidInput), (other.address, Conflict)]
    for address, problem in refused:
        with pytest.raises(problem):
            await crawler.change(source, {"address": address})
    with pytest.raises(Conflict):
        await crawler.change(await crawler.add("website", other.address, prefix="/new/0"), {"settings": {"prefix": ""}})
    await start_run(crawler.context, crawler.actor, source.id)
    with pytest.raises(Busy):
        await crawler.change(source, {"address": f"{site.address}/elsewhere/"})
    assert await crawler.change(source, {"address": f" {source.address}#top ", "name": "Docs"})
    unmoved = await get_source(crawler.context, crawler.actor, source.id)
    assert (unmoved.address, unmoved.name) == (source.address, "Docs")
    assert await read_again(crawler.context, crawler.actor, str(other.id), wait=False, address=f"{site.address}/more/")
    read = await get_source(crawler.context, crawler.actor, other.id)
    assert (read.address, read.last_run and read.last_run.status) == (f"{site.address}/more/", "queued")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    opened = crawler.context.settings.model_copy(update={"source_folders": str(tmp_path)})
    crawler.context = replace(crawler.context, settings=opened)
    folder = await crawler.add("folder", str(tmp_path / "a"))
    editor = await make_actor(crawler.context, "editor", workspace_id=crawler.actor.workspace_id)
    with pytest.raises(Forbidden):
        await update_source(crawler.context, editor, folder.id, changes={"address": str(tmp_path / "b")})
    with pytest.raises(InvalidInput):
        await crawler.change(folder, {"address": "/etc"})
    assert (await crawler.change(folder, {"address": str(tmp_path / "b")})).address == str(tmp_path / "b")


GIT_LINK = "https://github.com/owner/name/tree/next/manual"


async def test_secrets_go_to_no_other_place_than_they_were_entered_for(crawler: Crawler) -> None:
    async def add(kind: str, address: str, settings: dict[str, str], secret: dict[str, str]) -> SourceCard:
        new = NewSource(kind, address, settings=settings, secret=secret)  # type: ignore[arg-type]  # named by the test
        return await create_source(crawler.context, crawler.actor, crawler.base, new)

    repository = await add("git", "https://github.com/owner/old", {"prefix": "docs"}, {"token": "a-t0ken"})
    bucket = await add("s3", "s3://docs/a/", {}, {"access_key": "AKID", "secret_key": "s"})
    with pytest.raises(InvalidInput, match="token"):
        await crawler.change(repository, {"address": GIT_LINK})
    with pytest.raises(InvalidInput, match="secret_key"):
        await crawler.change(bucket, {"address": "s3://others/a/"})
    assert (await crawler.change(bucket, {"address": "s3://docs/b/"})).has_secret
    kept: dict[str, object] = {
        "address": GIT_LINK,
        "settings": {"prefix": "/docs/", "branch": ""},
        "secret": {"token": "another"},
    }
    moved = await crawler.change(repository, kept)
    assert (moved.address, moved.settings.branch, moved.settings.prefix, moved.has_secret) == (
        "https://github.com/owner/name", "next", "/manual/", True,
    )  # fmt: skip
    with pytest.raises(InvalidInput, match="https"):
        await crawler.change(moved, {"address": "http://github.com/owner/name", "secret": {"token": "another"}})
    bare = await crawler.change(moved, {"address": "https://github.com/owner/more", "secret": {}})
    assert (bare.has_secret, bare.settings.branch, bare.settings.prefix) == (False, "next", "/manual/")


@needs_git
async def test_files_of_a_repository_that_moved_keep_their_documents_and_get_their_new_links(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_reader, "link_of", lambda address, branch, path: f"{address}/{branch}/{path}")
    with GitServer(tmp_path / "served") as server:
        for name in ("old", "new"):
            repository = Repository.make(tmp_path / "served" / name)
            repository.put("salt.md", "# Salt\n\nSalt is mined.")
            repository.put(f"{name}.md", f"# Only\n\nOnly in the {name} one.")
            repository.commit()
        async with open_crawler(context, server) as crawler:
            source = await crawler.add("git", f"{server.address}/old/.git")
            assert figures(await crawler.run(source)) == (2, 0, 0, 0, 0)
            moved = await crawler.change(source, {"address": f"{server.address}/new/.git"})
            assert figures(await crawler.run(moved)) == (1, 0, 1, 1, 0)
            links = [f"{moved.address}/main/{name}" for name in ("new.md", "salt.md")]
            assert await crawler.documents() == links
            assert await crawler.count("SELECT max(number) FROM versions") == 1


async def test_a_run_that_is_stopped_does_not_wait_for_a_slow_server(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def dribble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An answer that would take a day."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000\r\n\r\n")
        asked.set()
        with closing(writer), suppress(OSError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)

    monkeypatch.setattr(crawl, "LOOK_EVERY_S", 0.1)
    async with await asyncio.start_server(dribble, "127.0.0.1", 0) as server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_crawler(context, SimpleNamespace(host=host)) as crawler:
            source = await crawler.add("page", f"http://{host}/")
            run = await start_run(crawler.context, crawler.actor, source.id)
            working = asyncio.create_task(work_off(crawler.context, crawler.workshop))
            await asyncio.wait_for(asked.wait(), timeout=30)
            assert not working.done()
            stopped = await stop_run(crawler.context, crawler.actor, source.id)
            await asyncio.wait_for(working, timeout=10)  # a page may take 30 seconds
            assert (stopped.id, stopped.status) == (run.id, "cancelled")
            assert await crawler.count("SELECT count(*) FROM source_runs WHERE status <> 'cancelled'") == 0
