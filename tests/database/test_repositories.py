"""Git repositories from the address to the search: what is read, what is left alone, what a hostile server achieves."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from rag_app.egress import Egress, Rules
from rag_app.errors import BlockedAddress, InvalidInput
from rag_app.ingestion import git_remote
from rag_app.ingestion.git_wire import RESULT, packet
from rag_app.services import crawl
from rag_app.services.context import Context
from rag_app.services.paging import PageRequest
from rag_app.services.source_pages import PageFilter, list_pages
from rag_app.services.sources import NewSource, SourceCard, create_source
from tests.crawler import Crawler, figures, open_crawler
from tests.git_server import GitServer, Repository, needs_git

pytestmark = needs_git


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    """A server of repositories below a folder."""
    with GitServer(tmp_path / "served") as made:
        yield made


@pytest.fixture
def repository(tmp_path: Path, server: GitServer) -> Repository:
    """A repository with documentation, code and a picture."""
    made = Repository.make(tmp_path / "served" / "handbook")
    made.put("README.md", "# Handbook\n\nRead the folder docs.")
    made.put("docs/salt.md", "# Salt\n\nSalt is mined in deep caves.")
    made.put("docs/deep/pepper.md", "# Pepper\n\nPepper grows on tall vines.")
    made.put("docs/logo.png", b"\x89PNG\r\n\x1a\n")
    made.put("docs/.hidden.md", "Hidden.")
    made.put("docsore.md", "Beside the folder.")
    made.commit()
    return made


@pytest.fixture
async def crawler(context: Context, server: GitServer) -> AsyncIterator[Crawler]:
    """A crawler that may reach the server."""
    async with open_crawler(context, server) as made:
        yield made


async def add(crawler: Crawler, server: GitServer, token: str = "", **settings: object) -> SourceCard:
    secret = {"token": token} if token else {}
    new = NewSource("git", f"{server.address}/handbook/.git", settings=settings, secret=secret)
    return await create_source(crawler.context, crawler.actor, crawler.base, new)


async def paths(crawler: Crawler) -> list[str]:
    return [each.split("/", 2)[2] for each in await crawler.documents()]


@pytest.mark.parametrize("filters", ["true", "false"])
async def test_a_folder_of_a_repository_is_read_and_kept_up_to_date(
    crawler: Crawler, server: GitServer, repository: Repository, filters: str
) -> None:
    repository.git("config", "uploadpack.allowFilter", filters)
    source = await add(crawler, server, prefix="docs")
    assert (source.settings.prefix, source.has_secret, source.name.endswith("/handbook")) == ("/docs/", False, True)
    run = await crawler.run(source)
    assert (run.status, run.error, figures(run)) == ("done", None, (2, 0, 0, 0, 0))
    assert await paths(crawler) == ["docs/deep/pepper.md", "docs/salt.md"]
    assert "Salt is mined in deep caves." in " ".join(await crawler.finds("where is salt mined?"))
    repository.put("docs/salt.md", "# Salt\n\nSalt is won from the sea.")
    repository.put("docs/new.txt", "A new file.")
    (repository.folder / "docs/deep/pepper.md").unlink()
    repository.commit()
    run = await crawler.run(source)
    assert (run.status, figures(run)) == ("done", (1, 1, 0, 1, 0))
    found = " ".join(await crawler.finds("salt caves sea pepper vines"))
    assert "won from the sea" in found and "caves" not in found and "vines" not in found


async def test_an_unchanged_commit_is_not_even_listed(
    crawler: Crawler, server: GitServer, repository: Repository
) -> None:
    source = await add(crawler, server)
    assert figures(await crawler.run(source)) == (4, 0, 0, 0, 0)
    versions = await crawler.count("SELECT count(*) FROM versions")
    server.posts()
    run = await crawler.run(source)
    assert (run.status, run.found, run.visited, figures(run)) == ("done", 4, 4, (0, 0, 4, 0, 0))
    assert [b"command=ls-refs" in each for each in server.posts()] == [True]
    assert await crawler.count("SELECT count(*) FROM versions") == versions
    await crawler.change(source, {"settings": {"prefix": "/docs/"}})
    assert figures(await crawler.run(source)) == (0, 0, 2, 2, 0)
    await crawler.execute("UPDATE documents SET deleted_at = now() WHERE external_id LIKE '%salt.md'")
    assert figures(await crawler.run(source)) == (1, 0, 1, 0, 0)


async def test_an_unchanged_file_is_not_asked_for_again(
    crawler: Crawler, server: GitServer, repository: Repository
) -> None:
    source = await add(crawler, server)
    await crawler.run(source)
    salt = repository.git("rev-parse", "HEAD:docs/salt.md").encode()
    repository.put("README.md", "# Handbook\n\nAnother text.")
    repository.git("mv", "docsore.md", "moved.md")
    repository.commit()
    readme = repository.git("rev-parse", "HEAD:README.md").encode()
    server.posts()
    assert figures(await crawler.run(source)) == (1, 1, 2, 1, 0)
    posted = b"".join(server.posts())
    assert readme in posted and salt not in posted


async def test_branches_tags_and_other_kinds_of_ids(crawler: Crawler, server: GitServer, tmp_path: Path) -> None:
    repository = Repository.make(tmp_path / "served" / "handbook", "--object-format=sha256")
    repository.put("a.md", "Old text.")
    repository.commit()
    repository.git("tag", "-a", "v1", "-m", "first")
    repository.git("checkout", "-q", "-b", "feature/new")
    repository.put("b.md", "New text.")
    repository.commit()
    repository.git("checkout", "-q", "main")
    assert figures(await crawler.run(await add(crawler, server, branch="v1")))[0] == 1
    assert figures(await crawler.run(await add(crawler, server, branch="feature/new")))[0] == 2
    run = await crawler.run(await add(crawler, server, branch="nothing"))
    assert run.status == "failed" and run.error and "branch" in run.error.message and "nothing" in run.error.message


async def test_documents_lead_to_the_page_of_their_file(
    crawler: Crawler, server: GitServer, repository: Repository
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    place = server.host.replace("127.0.0.1", "github.test")
    egress = Egress(Rules(frozenset({place})), resolve=resolve)
    free = replace(crawler, workshop=replace(crawler.workshop, egress=egress))
    new = NewSource("git", f"http://{place}/handbook/.git", settings={"prefix": "docs"})
    source = await create_source(crawler.context, crawler.actor, crawler.base, new)
    assert figures(await free.run(source)) == (2, 0, 0, 0, 0)
    links = [f"http://{place}/handbook/blob/main/docs/{name}.md" for name in ("deep/pepper", "salt")]
    assert await crawler.documents() == links
    titled = "SELECT count(*) FROM documents WHERE title IN ('Salt', 'Pepper') AND metadata->>'path' LIKE 'docs/%.md'"
    assert await crawler.count(titled) == 2
    assert figures(await free.run(source)) == (0, 0, 2, 0, 0)


async def test_many_files_in_several_slices(
    crawler: Crawler, server: GitServer, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawl, "SLICE_S", 0.05)
    for number in range(100):
        repository.put(f"many/{number:03}.txt", "The same beginning for all of them. " * 20 + str(number))
    repository.commit()
    repository.git("repack", "-adfq")
    source = await add(crawler, server, prefix="many", max_pages=90)
    run = await crawler.run(source)
    assert (run.status, figures(run), run.is_complete) == ("done", (90, 0, 0, 0, 0), False)
    assert await crawler.count("SELECT count(*) FROM versions WHERE state = 'ready'") == 90


async def test_a_private_repository_wants_its_token_and_nobody_sees_it(
    crawler: Crawler, server: GitServer, repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    server.token = "s3cr3t-t0ken"
    run = await crawler.run(await add(crawler, server))
    assert run.status == "failed" and run.error and run.error.message.startswith("token: the repository is private")
    await crawler.execute("DELETE FROM sources")
    run = await crawler.run(await add(crawler, server, token="wr0ng-t0ken"))
    assert run.error and run.error.message.startswith("token: ") and "not accept" in run.error.message
    await crawler.execute("DELETE FROM sources")
    source = await add(crawler, server, token="s3cr3t-t0ken")
    assert source.has_secret and figures(await crawler.run(source))[0] == 4
    assert all("s3cr3t" not in each.line and b"s3cr3t" not in each.body for each in server.asked)
    assert "t0ken" not in caplog.text and "t0ken" not in repr(source)
    for table in ("sources", "source_runs", "source_pages", "tasks", "audit_events", "documents", "procrastinate_jobs"):
        assert await crawler.count(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%t0ken%'") == 0
    changed = await crawler.change(source, {"secret": {}})
    assert not changed.has_secret and (await crawler.run(source)).status == "failed"
    await crawler.execute("UPDATE sources SET secret = '\\x0102030405060708090a0b0c0d0e0f101112'")
    run = await crawler.run(source)
    assert run.error and "cannot be opened" in run.error.message


async def test_no_redirect_leads_to_a_private_network_and_none_takes_the_token_along(
    crawler: Crawler, server: GitServer, repository: Repository
) -> None:
    server.token = "s3cr3t"
    with GitServer(server.root) as other:
        for place in (
            f"{other.address}/handbook/.git/info/refs",
            "http://169.254.169.254/info/refs",
            "file:///etc/passwd",
        ):
            server.answer = partial(_redirect, place)
            run = await crawler.run(await add(crawler, server, token="s3cr3t"))
            assert run.status == "failed" and run.error and run.error.code == "blocked_address"
            await crawler.execute("DELETE FROM sources")
        assert other.asked == []
        egress = Egress(Rules(frozenset({server.host, other.host})))
        free = replace(crawler, workshop=replace(crawler.workshop, egress=egress))
        server.answer = partial(_redirect, f"{other.address}/handbook/.git/info/refs?service=git-upload-pack")
        source = await add(crawler, server, token="s3cr3t")
        run = await free.run(source)
        assert (run.error, figures(run)) == (None, (4, 0, 0, 0, 0))
        assert "authorization" in server.asked[-1].headers and len(other.asked) > 2
        assert not any("authorization" in each.headers for each in other.asked)
        other.answer = lambda line, _: (307, {"Location": server.address}, b"") if line.startswith("POST") else None
        repository.put("README.md", "Another text.")
        repository.commit()
        run = await free.run(source)
        assert run.status == "failed" and run.error and "307" in run.error.message


def _redirect(place: str, *_: object) -> tuple[int, dict[str, str], bytes]:
    return 302, {"Location": place}, b""


async def test_links_and_modules_are_left_alone_and_pointers_are_named(
    crawler: Crawler, server: GitServer, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "secret.md").write_text("Nobody may read this secret.")
    os.symlink(tmp_path / "secret.md", repository.folder / "link.md")
    os.symlink(tmp_path, repository.folder / "up")
    repository.put("big.md", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    repository.put("large.txt", os.urandom(800_000).hex())
    repository.git("add", "-A")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module.md")
    repository.git("commit", "-q", "-m", "odd")
    source = await add(crawler, server, max_page_mb=1)
    run = await crawler.run(source)
    assert (run.status, figures(run), run.skipped) == ("done", (4, 0, 0, 0, 0), 2)
    assert await crawler.finds("nobody may read this secret") == [] or "Nobody" not in str(await crawler.documents())
    pages = await list_pages(
        crawler.context, crawler.actor, source.id, wanted=PageFilter("skipped"), page=PageRequest()
    )
    assert {each.url: each.error.code for each in pages.items if each.error} == {
        "big.md": "stored_elsewhere", "large.txt": "too_large",
    }  # fmt: skip


async def test_a_hostile_tree_leads_nowhere(
    crawler: Crawler, server: GitServer, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that climb out, and a few kilobytes that stand for ten billion files."""
    monkeypatch.setattr(git_remote, "MOST_ENTRIES", 20_000)
    blob = repository.git("hash-object", "-w", "--stdin", content=b"Climbed out.")
    entries = b"".join(
        b"100644 " + name + b"\0" + bytes.fromhex(blob)
        for name in (b"../up.md", b"/etc/passwd.md", b"..", b"a\\b.md", b"bad\xff.md", b"new\nline.md", b"fine.md")
    )
    tree = repository.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", content=entries)
    await _point(repository, tree)
    assert figures(await crawler.run(await add(crawler, server))) == (1, 0, 0, 0, 0)
    assert await paths(crawler) == ["fine.md"]
    for _ in range(10):
        listing = "".join(f"040000 tree {tree}\tfolder{number}\n" for number in range(10))
        tree = repository.git("mktree", content=listing.encode())
    await _point(repository, tree)
    run = await crawler.run(await add(crawler, server, include=["/nothing/*"]))
    assert run.status == "failed" and run.error and "too many folders" in run.error.message


async def _point(repository: Repository, tree: str) -> None:
    commit = repository.git("commit-tree", tree, "-m", "odd")
    repository.git("update-ref", "refs/heads/main", commit)


def _fetches(answer: bytes) -> Callable[[str, bytes], tuple[int, dict[str, str], bytes] | None]:
    """Answers every fetch so."""
    return lambda _, body: (200, {"Content-Type": RESULT}, answer) if b"command=fetch" in body else None


PACKFILE = packet("packfile\n")
HOSTILE = {
    "says what is wrong": (packet("ERR \x1b[31mupload-pack: not our ref"), "not our ref"),
    "fails on the way": (PACKFILE + b"0009\x03away", "away"),
    "sends a web page": (b"<html>hello</html>", "not one of Git"),
    "sends nothing": (b"0000", "nothing"),
    "sends no pack": (PACKFILE + b"0009\x01junk0000", "no pack"),
    "sends without end": (
        PACKFILE + b"fff0\x01" + b"x" * 65_515 + (b"fff0\x01" + b"x" * 65_515) * 20,
        "more than the 1 MB",
    ),
    "promises too much": (PACKFILE + b"0011\x01PACK\0\0\0\2\xff\xff\xff\xff", "more than 500,000 objects"),
}


async def test_a_hostile_server_ends_the_run_with_a_reason(
    crawler: Crawler, server: GitServer, repository: Repository
) -> None:
    source = await add(crawler, server)
    await crawler.run(source)
    await crawler.change(source, {"settings": {"max_total_mb": 1}})
    for deed, (answer, words) in HOSTILE.items():
        server.answer = _fetches(answer)
        run = await crawler.run(source)
        assert run.status == "failed" and run.error and words in run.error.message, deed
        assert "\x1b" not in run.error.message and len(await crawler.documents()) == 4


async def test_a_run_takes_no_more_than_it_may(crawler: Crawler, server: GitServer, repository: Repository) -> None:
    for number in range(40):
        repository.put(f"many/{number:02}.docx", os.urandom(40_000))  # none is one, so nothing is read
    repository.commit()
    source = await add(crawler, server, prefix="many", max_total_mb=1)
    run = await crawler.run(source)
    assert (run.status, run.skipped, run.failed) == ("done", 32, 8)
    await crawler.change(source, {"settings": {"max_total_mb": 100}})
    run = await crawler.run(source)
    assert (run.status, run.skipped, run.failed) == ("done", 40, 0)


REFUSED: list[tuple[str, dict[str, object], dict[str, str], type[Exception]]] = [
    ("https://10.0.0.1/a/b", {}, {}, BlockedAddress),
    ("ssh://git@example.com/a/b", {}, {}, InvalidInput),
    ("https://user:word@example.com/a/b", {}, {}, InvalidInput),
    ("http://example.com/a/b", {}, {"token": "t"}, InvalidInput),
    ("https://example.com/a/b", {"branch": "a b"}, {}, InvalidInput),
    ("https://example.com/a/b", {"branch": "-x"}, {}, InvalidInput),
    ("https://example.com/a/b", {"max_total_mb": 0}, {}, InvalidInput),
    ("https://example.com/a/b", {}, {"access_key": "t"}, InvalidInput),
    ("https://example.com/a/b", {}, {"user": "only"}, InvalidInput),
    ("https://example.com/a/b", {}, {"token": "t\r\nX: y"}, InvalidInput),
]


async def test_what_cannot_be_a_repository_is_refused(crawler: Crawler) -> None:
    for address, settings, secret, problem in REFUSED:
        new = NewSource("git", address, settings=settings, secret=secret)
        with pytest.raises(problem):
            await create_source(crawler.context, crawler.actor, crawler.base, new)
    made = await create_source(
        crawler.context, crawler.actor, crawler.base, NewSource("git", "github.com/owner/name/tree/main/docs/en?x=1")
    )
    assert (made.address, made.settings.branch, made.settings.prefix) == (
        "https://github.com/owner/name", "main", "/docs/en/",
    )  # fmt: skip
