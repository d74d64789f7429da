"""Websites from the address to the search: what is visited, what is left alone, what is removed."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from rag_app.services.context import Context
from rag_app.services.documents import DocumentFilter, get_document, list_documents
from rag_app.services.paging import PageRequest
from rag_app.services.source_pages import source_of_document
from rag_app.services.source_runs import list_runs
from rag_app.services.versions import document_versions, restore_version
from tests.crawler import Crawler, figures, open_crawler
from tests.site import Answer, Site
from tests.workspaces import make_actor, work_off


@pytest.fixture
def site() -> Iterator[Site]:
    """A website of the test's own."""
    with Site() as made:
        yield made


@pytest.fixture
async def crawler(context: Context, site: Site) -> AsyncIterator[Crawler]:
    """A crawler that may reach the site."""
    async with open_crawler(context, site) as made:
        yield made


def small_site(site: Site) -> None:
    """Three pages under /docs/ and one beside it."""
    site.put("/docs/", "Welcome to the handbook.", "/docs/salt.html", "pepper.html?utm_source=x#top", "/news.html")
    site.put("/docs/salt.html", "Salt is mined in deep caves.", "/docs/", "mailto:a@example.com", "/docs/logo.png")
    site.put("/docs/pepper.html", "Pepper grows on tall vines.", "salt.html", "missing.html")
    site.put("/news.html", "Nothing of this belongs to the handbook.")


async def test_a_website_is_read_within_its_folder(crawler: Crawler, site: Site) -> None:
    small_site(site)
    source = await crawler.add("website", f"{site.address}/docs/")
    run = await crawler.run(source)
    assert (run.status, run.error) == ("done", None)
    assert figures(run) == (3, 0, 0, 0, 1)
    assert await crawler.documents() == [f"{site.address}/docs/{each}" for each in ("", "pepper.html", "salt.html")]
    assert site.asked["/news.html"] == site.asked["/docs/logo.png"] == 0
    assert "Salt is mined in deep caves." in " ".join(await crawler.finds("where is salt mined?"))
    assert [each.id for each in (await list_runs(crawler.context, crawler.actor, source.id, PageRequest())).items] == [
        run.id
    ]


@pytest.mark.parametrize("has_etag", [True, False])
async def test_a_second_run_over_an_unchanged_site_reads_and_embeds_nothing(
    crawler: Crawler, site: Site, has_etag: bool
) -> None:
    small_site(site)
    for path, page in site.pages.items():
        site.pages[path] = replace(page, has_etag=has_etag)
    source = await crawler.add("website", f"{site.address}/docs/")
    await crawler.run(source)
    versions = await crawler.count("SELECT count(*) FROM versions")
    attempts = await crawler.count("SELECT sum(attempt) FROM versions")
    vectors = await crawler.count("SELECT count(*) FROM embedding_cache")
    run = await crawler.run(source)
    assert (run.status, figures(run)) == ("done", (0, 0, 3, 0, 1))
    assert await crawler.count("SELECT count(*) FROM versions") == versions
    assert await crawler.count("SELECT sum(attempt) FROM versions") == attempts
    assert await crawler.count("SELECT count(*) FROM embedding_cache") == vectors


async def test_changed_pages_are_read_again_and_vanished_ones_removed(crawler: Crawler, site: Site) -> None:
    small_site(site)
    site.put("/docs/salt.html", "Salt is mined in deep caves.", "/docs/old.html")
    site.put("/docs/old.html", "This page will only be unlinked.")
    source = await crawler.add("website", f"{site.address}/docs/")
    await crawler.run(source)
    site.put("/docs/salt.html", "Salt is won from the sea.")
    del site.pages["/docs/pepper.html"]
    run = await crawler.run(source)
    assert (run.status, figures(run)) == ("done", (0, 1, 1, 2, 0))
    assert await crawler.documents() == [f"{site.address}/docs/", f"{site.address}/docs/salt.html"]
    found = " ".join(await crawler.finds("salt caves sea pepper vines unlinked"))
    assert "won from the sea" in found
    assert "caves" not in found and "vines" not in found and "unlinked" not in found
    site.put("/docs/pepper.html", "Pepper grows on tall vines.")
    assert figures(await crawler.run(source)) == (1, 0, 2, 0, 0)


async def test_a_page_whose_menu_changed_but_not_its_text_is_unchanged(crawler: Crawler, site: Site) -> None:
    menu = "<html><head><title>{}</title></head><body><nav>{}</nav><main><h1>{}</h1><p>{}</p></main></body></html>"

    def put(name: str, body: str, *links: str) -> None:
        anchors = "".join(f'<a href="{each}">{each}</a>' for each in links)
        site.pages[f"/docs/{name}"] = Answer(menu.format(name or "home", anchors, name or "home", body).encode())

    def put_all(*names: str) -> None:
        for name in names:
            put(name, "Salt is mined in deep caves." if name == "salt.html" else f"This page is about {name}.", *names)

    put_all("", "salt.html", "pepper.html")
    source = await crawler.add("website", f"{site.address}/docs/")
    await crawler.run(source)
    versions = await crawler.count("SELECT count(*) FROM versions")
    put_all("", "salt.html", "pepper.html", "mint.html")
    assert figures(await crawler.run(source)) == (1, 0, 3, 0, 0)
    assert await crawler.count("SELECT count(*) FROM versions") == versions + 1
    reads = await crawler.count("SELECT sum(attempt) FROM versions")
    assert figures(await crawler.run(source)) == (0, 0, 4, 0, 0)  # the new fingerprints were kept
    assert await crawler.count("SELECT sum(attempt) FROM versions") == reads
    put("salt.html", "Salt is won from the sea.", "pepper.html")
    put("pepper.html", "This page is about pepper.html.", "salt.html")
    put("", "This page is about .", "salt.html")
    assert figures(await crawler.run(source)) == (0, 1, 2, 1, 0)  # mint is linked from nowhere any more
    assert "won from the sea" in " ".join(await crawler.finds("where does salt come from?"))


async def test_a_page_with_another_structure_or_title_has_changed(crawler: Crawler, site: Site) -> None:
    page = "<html><head><title>{}</title></head><body><main><{}>Salt</{}><p>It is mined.</p></main></body></html>"
    site.pages["/docs/"] = Answer(page.format("One", "h1", "h1").encode())
    source = await crawler.add("page", f"{site.address}/docs/")
    await crawler.run(source)
    site.pages["/docs/"] = Answer(page.format("Two", "h1", "h1").encode())
    assert figures(await crawler.run(source)) == (0, 1, 0, 0, 0)
    site.pages["/docs/"] = Answer(page.format("Two", "h2", "h2").encode())
    assert figures(await crawler.run(source)) == (0, 1, 0, 0, 0)
    site.pages["/docs/"] = Answer(page.format("Two", "h2 class=x", "h2").encode())
    assert figures(await crawler.run(source)) == (0, 0, 1, 0, 0)


async def test_a_page_that_was_not_read_to_its_end_is_taken_again(crawler: Crawler, site: Site) -> None:
    site.put("/docs/", "Salt is mined.")
    source = await crawler.add("page", f"{site.address}/docs/")
    await crawler.run(source)
    await crawler.execute("UPDATE versions SET state = 'failed'")
    site.pages["/docs/"] = Answer(site.pages["/docs/"].body.replace(b"<p>", b"<p class='x'>"))
    assert figures(await crawler.run(source)) == (0, 1, 0, 0, 0)


async def test_what_a_person_brought_back_is_no_reading_of_the_page(crawler: Crawler, site: Site) -> None:
    site.put("/docs/", "Salt is mined.")
    source = await crawler.add("page", f"{site.address}/docs/")
    await crawler.run(source)
    site.put("/docs/", "Salt is won from the sea.")
    await crawler.run(source)
    found = await list_documents(
        crawler.context, crawler.actor, crawler.base, wanted=DocumentFilter(), page=PageRequest()
    )
    document = found.items[0].id
    first = (await document_versions(crawler.context, crawler.actor, document))[-1]
    await restore_version(crawler.context, crawler.actor, document, first.id)
    await work_off(crawler.context, crawler.workshop)
    site.pages["/docs/"] = Answer(site.pages["/docs/"].body.replace(b"<p>", b"<p class='x'>"))
    assert figures(await crawler.run(source)) == (0, 0, 1, 0, 0)
    versions = await document_versions(crawler.context, crawler.actor, document)
    assert [each.number for each in versions if each.is_active] == [3]
    card = await get_document(crawler.context, crawler.actor, document)
    assert await source_of_document(crawler.context, crawler.actor, card) == (source.id, source.name)
    assert await source_of_document(crawler.context, await make_actor(crawler.context), card) is None
    person = versions[0].created_by
    assert [(each.source_id, each.created_by) for each in versions] == [
        (None, person), (source.id, source.name), (source.id, source.name)
    ]  # fmt: skip
    assert person not in ("", source.name)


async def test_a_site_that_is_down_retires_nothing(crawler: Crawler, site: Site) -> None:
    small_site(site)
    source = await crawler.add("website", f"{site.address}/docs/")
    await crawler.run(source)
    site.is_down = True
    run = await crawler.run(source)
    assert run.status == "failed" and run.error and "502" in run.error.message
    assert len(await crawler.documents()) == 3
    site.is_down = False
    site.pages["/docs/salt.html"] = Answer(b"broken", 500)
    run = await crawler.run(source)
    assert (run.status, figures(run)) == ("done", (0, 0, 2, 0, 2))
    assert len(await crawler.documents()) == 3


async def test_robots_txt_is_respected(crawler: Crawler, site: Site) -> None:
    small_site(site)
    rules = "User-agent: rag_app\nDisallow: /docs/pepper\nSitemap: /map.xml"
    site.pages["/robots.txt"] = Answer(rules.encode(), media_type="text/plain")
    source = await crawler.add("website", f"{site.address}/docs/")
    run = await crawler.run(source)
    assert (run.status, figures(run), run.skipped) == ("done", (2, 0, 0, 0, 0), 1)
    assert site.asked["/docs/pepper.html"] == 0
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /", media_type="text/plain")
    run = await crawler.run(source)
    assert run.status == "failed" and run.error and "robots.txt" in run.error.message
    site.pages["/robots.txt"] = Answer(b"trouble", 503)
    run = await crawler.run(source)
    assert run.status == "failed" and run.error and "robots.txt" in run.error.message
    assert len(await crawler.documents()) == 2


async def test_one_page_has_one_document_however_it_is_spelt(crawler: Crawler, site: Site) -> None:
    site.put("/a/", "Start.", "/a/one", "/a/one/", "/a/moved", "/a/two?sort=1", "/a/two?sort=2", "/a/outside")
    site.put("/a/one", "The same page.")
    site.pages["/a/one/"] = site.pages["/a/one"]
    site.pages["/a/moved"] = Answer(b"", 301, headers={"Location": "/a/new"})
    site.pages["/a/outside"] = Answer(b"", 302, headers={"Location": "/elsewhere"})
    site.put("/elsewhere", "Not of this source.")
    site.put("/a/new", "It stands here now.")
    two = b'<html><head><link rel="canonical" href="/a/two"></head><body><p>Sorted somehow.</p></body></html>'
    for each in ("/a/two?sort=1", "/a/two?sort=2", "/a/two"):
        site.pages[each] = Answer(two)
    source = await crawler.add("website", f"{site.address}/a/")
    expected = [f"{site.address}/a/{each}" for each in ("", "new", "two")]
    for _ in range(2):
        run = await crawler.run(source)
        found = await crawler.documents()
        assert run.status == "done" and [each for each in found if "one" not in each] == expected
        assert len(found) == 4 and run.removed == 0


async def test_pages_are_found_through_sitemaps(crawler: Crawler, site: Site) -> None:
    small_site(site)
    site.put("/docs/hidden.html", "No page links here.")
    site.pages["/sitemap.xml"] = Answer(
        f"<sitemapindex><sitemap><loc>{site.address}/map.xml</loc></sitemap></sitemapindex>".encode()
    )
    names = ("/docs/hidden.html", "/news.html", "/docs/salt.html")
    listed = "".join(f"<url><loc>{site.address}{name}</loc></url>" for name in names)
    site.pages["/map.xml"] = Answer(f"<urlset>{listed}</urlset>".encode())
    run = await crawler.run(await crawler.add("website", f"{site.address}/docs/", discover="sitemap"))
    assert (run.status, figures(run)) == ("done", (3, 0, 0, 0, 0))
    assert f"{site.address}/docs/hidden.html" in await crawler.documents()


async def test_a_limit_of_pages_retires_nothing_that_was_not_reached(crawler: Crawler, site: Site) -> None:
    small_site(site)
    source = await crawler.add("website", f"{site.address}/docs/")
    await crawler.run(source)
    limited = await crawler.change(source, {"settings": {"max_pages": 1}})
    run = await crawler.run(limited)
    assert (run.status, figures(run), run.is_complete) == ("done", (0, 0, 1, 0, 0), False)
    assert len(await crawler.documents()) == 3


async def test_very_many_vanished_pages_wait_for_a_word(crawler: Crawler, site: Site) -> None:
    names = [f"/many/{number}" for number in range(24)]
    site.put("/many/", "All of them.", *names)
    for name in names:
        site.put(name, f"This is page {name}.")
    source = await crawler.add("website", f"{site.address}/many/")
    assert figures(await crawler.run(source)) == (25, 0, 0, 0, 0)
    site.put("/many/", "None of them.")
    run = await crawler.run(source)
    assert (run.status, figures(run), run.held_back) == ("done", (0, 1, 0, 0, 0), 24)
    assert len(await crawler.documents()) == 25
    run = await crawler.run(source, confirmed=True)
    assert (figures(run), run.held_back) == ((0, 0, 1, 24, 0), 0)
    assert await crawler.documents() == [f"{site.address}/many/"]


HOSTILE = """<html><head><link rel="canonical" href="{secret}/docs/canary"><base href="{site}/docs/">
<meta http-equiv="refresh" content="0; url={secret}/docs/canary"><link rel="stylesheet" href="{secret}/docs/style.css">
</head><body><p>Links.</p><a href="{secret}/docs/canary">a</a><a href="//{host}/docs/canary">b</a><a href="jump">c</a>
<a href="file:///etc/passwd">d</a><a href="gopher://{host}/">e</a><a href="ftp://{host}/">f</a>
<a href="data:text/html,x">g</a>
<a href="http://10.0.0.1/docs/">h</a><a href="http://[::1]/docs/">i</a><iframe src="{secret}/docs/canary"></iframe>
<img src="{secret}/docs/canary.png"></body></html>"""


async def test_a_private_address_is_not_reached_from_a_page(crawler: Crawler, site: Site) -> None:
    """Line 05 of the table of server-side requests: page, canonical, iframe, picture, robots.txt, sitemap, redirect."""
    with Site() as secret:
        secret.put("/docs/canary", "Nobody may read this.")
        page = HOSTILE.format(secret=secret.address, host=secret.host, site=site.address)
        site.pages["/docs/"] = Answer(page.encode())
        site.pages["/docs/jump"] = Answer(b"", 302, headers={"Location": f"{secret.address}/docs/canary"})
        listed = (
            f"<urlset><url><loc>{secret.address}/docs/x</loc></url><url><loc>file:///etc/passwd</loc></url></urlset>"
        )
        site.pages["/map.xml"] = Answer(listed.encode())
        rules = f"Sitemap: {secret.address}/docs/canary\nSitemap: {site.address}/map.xml\nSitemap: file:///etc/passwd"
        site.pages["/robots.txt"] = Answer(rules.encode(), media_type="text/plain")
        run = await crawler.run(await crawler.add("website", f"{site.address}/docs/"))
        assert (run.status, run.added, run.skipped) == ("done", 1, 1)
        site.put("/feed.xml", media_type="text/xml")
        items = "".join(
            f"<item><link>{each}</link></item>" for each in (f"{secret.address}/docs/canary", "file:///etc")
        )
        site.pages["/feed.xml"].body = f"<rss><channel>{items}</channel></rss>".encode()
        run = await crawler.run(await crawler.add("feed", f"{site.address}/feed.xml"))
        assert (run.status, run.added, run.skipped) == ("done", 0, 1)
        assert not secret.asked
