"""S3 buckets from the listing to the search: what is read, what is left alone, what a refusal says is to be done."""

from collections.abc import AsyncIterator, Iterator

import pytest

from rag_app.errors import BlockedAddress, InvalidInput
from rag_app.services.context import Context
from rag_app.services.paging import PageRequest
from rag_app.services.source_pages import PageFilter, list_pages
from rag_app.services.source_watch import add_and_read, print_sources
from rag_app.services.sources import NewSource, SourceCard, create_source, delete_source
from tests.crawler import Crawler, figures, open_crawler
from tests.s3_server import ACCESS, REGION, SECRET, S3Server, error
from tests.workspaces import work_off

KEYS = {"access_key": ACCESS, "secret_key": SECRET}
ODD = "hand book/a+b=c&d %41 ü~(1).md"


@pytest.fixture
def server() -> Iterator[S3Server]:
    """A bucket with documents, a picture and names of all kinds."""
    with S3Server() as made:
        made.objects = {
            "handbook/salt.md": b"# Salt\n\nSalt is mined in deep caves.",
            "handbook/deep/pepper.md": b"# Pepper\n\nPepper grows on tall vines.",
            "handbook/logo.png": b"\x89PNG\r\n\x1a\n",
            "handbook/": b"",
            "handbook/../../up.md": b"Climbed out.",
            "handbook//double.md": b"No name between two slashes.",
            "handbook/.hidden.md": b"Hidden.",
            "handbook/line\nbreak\x01.md": b"Control characters.",
            ODD: b"A file with an odd name.",
            "other/beside.md": b"Beside the prefix.",
        }
        yield made


@pytest.fixture
async def crawler(context: Context, server: S3Server) -> AsyncIterator[Crawler]:
    """A crawler that may reach the bucket."""
    async with open_crawler(context, server) as made:
        yield made


async def add(
    crawler: Crawler,
    server: S3Server,
    address: str = "s3://docs/hand",
    *,
    keys: dict[str, str] = KEYS,
    **settings: object,
) -> SourceCard:
    wanted = {"endpoint": server.address, "region": REGION, **settings}
    return await create_source(
        crawler.context, crawler.actor, crawler.base, NewSource("s3", address, "", wanted, {}, keys)
    )


async def names(crawler: Crawler) -> list[str]:
    return sorted(each.split("/", 2)[2] for each in await crawler.documents())


async def test_a_prefix_of_a_bucket_is_read_and_kept_up_to_date(crawler: Crawler, server: S3Server) -> None:
    source = await add(crawler, server)
    assert (source.name, source.has_secret, source.settings.endpoint) == ("docs/hand", True, server.address)
    run = await crawler.run(source)
    assert (run.status, run.error, figures(run)) == ("done", None, (3, 0, 0, 0, 0))
    assert await names(crawler) == sorted([ODD, "handbook/deep/pepper.md", "handbook/salt.md"])
    assert "Salt is mined in deep caves." in " ".join(await crawler.finds("where is salt mined?"))
    server.asked.clear()
    assert figures(await crawler.run(source)) == (0, 0, 3, 0, 0)
    assert all("list-type=2" in each for each in server.asked) and len(server.asked) == 3
    server.objects["handbook/salt.md"] = b"# Salt\n\nSalt is won from the sea."
    server.objects["handbook/new.txt"] = b"A new file."
    del server.objects["handbook/deep/pepper.md"]
    assert figures(await crawler.run(source)) == (1, 1, 1, 1, 0)
    found = " ".join(await crawler.finds("salt caves sea pepper vines"))
    assert "won from the sea" in found and "caves" not in found and "vines" not in found


async def test_a_public_bucket_needs_no_keys(crawler: Crawler, server: S3Server) -> None:
    server.is_public = True
    source = await add(crawler, server, keys={})
    assert not source.has_secret and figures(await crawler.run(source))[0] == 3


async def test_large_archived_and_excess_objects_are_named(crawler: Crawler, server: S3Server) -> None:
    server.objects |= {"handbook/large.txt": b"x" * 1_000_001, "handbook/cold.md": b"Cold."}
    server.archived = {"handbook/cold.md"}
    source = await add(crawler, server, max_page_mb=1)
    run = await crawler.run(source)
    assert (run.status, figures(run), run.skipped) == ("done", (3, 0, 0, 0, 0), 2)
    assert not any("large.txt" in each or "cold.md" in each for each in server.asked)
    found = await list_pages(
        crawler.context, crawler.actor, source.id, wanted=PageFilter("skipped"), page=PageRequest()
    )
    assert {each.url: each.error.code for each in found.items if each.error} == {
        "handbook/cold.md": "archived", "handbook/large.txt": "too_large",
    }  # fmt: skip
    server.objects |= {f"handbook/{number}.txt": b"z" * 400_000 for number in range(5)}
    run = await crawler.run(await add(crawler, server, "docs/handbook/", max_total_mb=1, include=["/handbook/?.txt"]))
    assert run.status == "done"
    run = await crawler.run(await add(crawler, server, "docs/handbook/", max_total_mb=1, exclude=["/handbook/large*"]))
    assert run.status == "done" and run.failed == 3
    run = await crawler.run(await add(crawler, server, "s3://docs/hand", exclude=["/x"], max_pages=2))
    assert (run.status, run.added, run.is_complete) == ("done", 2, False)


REFUSALS = [
    ({**KEYS, "secret_key": "wrong"}, {}, "secret key: it does not belong"),
    ({**KEYS, "access_key": "WRONG"}, {}, "access key: "),
    (KEYS, {"region": "us-west-2"}, f"region: the bucket is in another one than us-west-2: enter {REGION}"),
    ({}, {}, "access key: the bucket is not public"),
    (KEYS, {"address": "s3://nothing"}, "address: there is no bucket called nothing"),
]


async def test_a_refusal_names_the_field_and_what_to_do(crawler: Crawler, server: S3Server) -> None:
    for keys, other, words in REFUSALS:
        address = other.get("address", "s3://docs/hand")
        region = other.get("region", REGION)
        source = await add(crawler, server, address, keys=keys, region=region)
        run = await crawler.run(source)
        await delete_source(crawler.context, crawler.actor, source.id, with_documents=True)
        assert run.status == "failed" and run.error and run.error.message.startswith(words)
        assert SECRET not in run.error.message
    assert await crawler.documents() == []


async def test_what_does_not_speak_s3_is_said_to_be_none(crawler: Crawler, server: S3Server) -> None:
    server.canned = (404, b"<html><body>Not found</body></html>")
    source = await add(crawler, server)
    run = await crawler.run(source)
    assert run.status == "failed" and run.error and "does not look like a server that speaks S3" in run.error.message
    server.canned = (500, error("InternalError"))
    again = (await crawler.run(source)).error
    assert again and "speaks S3" not in again.message


async def test_a_server_in_trouble_is_asked_again_and_nothing_is_lost(crawler: Crawler, server: S3Server) -> None:
    salt, pepper = "handbook/salt.md", "handbook/deep/pepper.md"
    server.faults = {salt: [500], pepper: [503]}
    source = await add(crawler, server)
    run = await crawler.run(source)
    assert (run.status, run.added, run.failed) == ("running", 1, 0)  # it was told to wait
    await crawler.execute("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")
    await work_off(crawler.context, crawler.workshop)
    assert len(await names(crawler)) == 3 and server.faults == {salt: [], pepper: []}
    server.objects |= {salt: b"Salt, again.", pepper: b"Pepper, again."}
    server.faults = {salt: [500, 500], pepper: [404]}
    run = await crawler.run(source)
    assert (run.status, figures(run)) == ("done", (0, 0, 1, 1, 1))
    assert await names(crawler) == sorted([ODD, salt])


BOMB = b"<!DOCTYPE b [<!ENTITY a 'aaaaaaaaaa'>" + b"".join(
    f"<!ENTITY {chr(98 + level)} '{f'&{chr(97 + level)};' * 10}'>".encode() for level in range(9)
)
STRANGE = {
    "bomb": BOMB + b"]><ListBucketResult><Contents><Key>&j;</Key><Size>1</Size></Contents></ListBucketResult>",
    "file": b"<!DOCTYPE b [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><ListBucketResult><Contents><Key>&x;.md</Key>"
    b"<Size>1</Size></Contents></ListBucketResult>",
    "page": b"<html><body>hello</body></html>",
    "no xml": b"hello",
    "deep": b"<ListBucketResult>" + b"<a>" * 100_000,
    "too much": b" " * 10_000_001,
}


async def test_a_strange_listing_ends_the_run_and_removes_nothing(crawler: Crawler, server: S3Server) -> None:
    source = await add(crawler, server)
    await crawler.run(source)
    for deed, content in STRANGE.items():
        server.canned = (200, content)
        run = await crawler.run(source)
        assert (run.status, run.error and run.error.code) == ("failed", "fetch_failed"), deed
    server.canned = (500, error("InternalError"))
    assert (await crawler.run(source)).status == "failed"
    assert len(await crawler.documents()) == 3


async def test_a_listing_without_end_ends(crawler: Crawler, server: S3Server) -> None:
    server.canned = (
        200,
        b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>"
        b"<Contents><Key>a.md</Key><Size>99999999999999999999</Size></Contents></ListBucketResult>",
    )
    run = await crawler.run(await add(crawler, server))
    assert (run.status, run.found, run.is_complete) == ("done", 0, False) and len(server.asked) == 2


async def test_keys_are_sealed_and_go_to_no_other_endpoint(crawler: Crawler, server: S3Server) -> None:
    source = await add(crawler, server)
    assert await crawler.count(f"SELECT count(*) FROM sources s WHERE s::text LIKE '%{SECRET[:12]}%'") == 0
    with pytest.raises(InvalidInput, match="another endpoint"):
        await crawler.change(source, {"settings": {"endpoint": "https://elsewhere.example.com"}})
    with pytest.raises(BlockedAddress):
        await crawler.change(source, {"settings": {"endpoint": "http://10.0.0.1"}, "secret": KEYS})
    changed = await crawler.change(source, {"settings": {"endpoint": "https://s3.example.com"}, "secret": KEYS})
    assert changed.settings.endpoint == "https://s3.example.com" and changed.has_secret


REFUSED: list[tuple[str, dict[str, object], dict[str, str], type[Exception]]] = [
    ("s3://a", {}, {}, InvalidInput),
    ("s3://under..score/x", {}, {}, InvalidInput),
    ("https://example.com/x", {}, {}, InvalidInput),
    ("s3://docs", {"endpoint": "ftp://example.com"}, {}, InvalidInput),
    ("s3://docs", {"endpoint": "http://169.254.169.254"}, {}, BlockedAddress),
    ("s3://docs", {"region": "eu/../x"}, {}, InvalidInput),
    ("s3://docs", {}, {"access_key": "only"}, InvalidInput),
    ("s3://docs", {}, {"token": "t"}, InvalidInput),
]


async def test_what_cannot_be_a_bucket_is_refused(crawler: Crawler) -> None:
    for address, settings, secret, problem in REFUSED:
        new = NewSource("s3", address, settings=settings, secret=secret)
        with pytest.raises(problem):
            await create_source(crawler.context, crawler.actor, crawler.base, new)


async def test_the_command_line_adds_a_bucket(
    crawler: Crawler, server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {
        "kind": "s3", "address": "s3://docs/hand", "cron": "", "time_zone": "UTC", "user": ACCESS, "secret": SECRET,
        "settings": [f"endpoint={server.address}", f"region={REGION}", "max_pages=50", "exclude=/handbook/deep/*"],
    }  # fmt: skip
    assert await add_and_read(crawler.context, crawler.actor, "Site", asked=asked, wait=False)
    await work_off(crawler.context, crawler.workshop)
    assert await names(crawler) == sorted([ODD, "handbook/salt.md"])
    assert await print_sources(crawler.context, crawler.actor, "Site")
    assert "docs/hand" in (said := capsys.readouterr().out) and SECRET not in said
    for wrong in ("nothing=1", "max_pages=many", "branch"):
        with pytest.raises(InvalidInput):
            await add_and_read(crawler.context, crawler.actor, "Site", asked={**asked, "settings": [wrong]}, wait=False)
