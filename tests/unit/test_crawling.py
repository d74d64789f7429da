"""What a crawler makes of addresses, robots.txt, pages, sitemaps and feeds, hostile ones among them."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.errors import DamagedFile, TooMuchContent
from rag_app.ingestion import sitemap
from rag_app.ingestion.page_links import fingerprint, read_links
from rag_app.ingestion.robots import Robots, read_robots
from rag_app.ingestion.sitemap import is_feed, read_feed, read_sitemap
from rag_app.ingestion.web_address import Scope, canonical, fits, folder_of, loose, may_be_document

SITE = "https://example.com"


@pytest.mark.parametrize(
    ("address", "base", "expected"),
    [
        ("HTTPS://Example.COM:443/A/b", "", f"{SITE}/A/b"),
        (SITE, "", f"{SITE}/"),
        (f"{SITE}/a?utm_source=x&b=1&gclid=2#part", "", f"{SITE}/a?b=1"),
        (f"{SITE}/a;jsessionid=12AB?x=1", "", f"{SITE}/a?x=1"),
        (f"{SITE}/a/../b/./c", "", f"{SITE}/b/c"),
        ("../c?d#e", f"{SITE}/a/b/index.html", f"{SITE}/a/c?d"),
        ("//other.com/x", f"{SITE}/", "https://other.com/x"),
        ("http://[2606:4700::1111]:8080/x", "", "http://[2606:4700::1111]:8080/x"),
        ("/für", f"{SITE}/", f"{SITE}/f%C3%BCr"),
        ("mailto:a@example.com", f"{SITE}/", None),
        ("javascript:alert(1)", f"{SITE}/", None),
        ("file:///etc/passwd", "", None),
        ("data:text/html,x", f"{SITE}/", None),
        ("http://user:word@example.com/", "", None),
        ("http://example.com:22/", "", None),
        (f"{SITE}/{'x' * 600}", "", None),
    ],
)
def test_an_address_has_one_spelling(address: str, base: str, expected: str | None) -> None:
    assert canonical(address, base) == expected


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_none(text: str) -> None:
    made = canonical(text, f"{SITE}/a/")
    assert made is None or (made.startswith(("http://", "https://")) and canonical(made) == made)


def test_spellings_that_seldom_differ_are_loosely_the_same() -> None:
    same = {loose(f"{each}") for each in (f"{SITE}/A/", "http://www.example.com/a", f"{SITE}/a/index.html")}
    assert len(same) == 1 and loose(f"{SITE}/a?x=1") not in same


def test_a_source_ends_at_its_host_its_folder_and_its_patterns() -> None:
    scope = Scope(("example.com",), "/docs/", (), ("/docs/old/*", "*print$"))
    inside = [f"{SITE}/docs/", f"{SITE}/docs/a?b=1", "http://example.com/docs/a"]
    outside = [f"{SITE}/news", "https://evil.com/docs/", f"{SITE}/docs/old/a", f"{SITE}/docs/a?view=print"]
    assert [scope.holds(each) for each in inside + outside] == [True] * 3 + [False] * 4
    assert folder_of(f"{SITE}/docs/a.html?x") == "/docs/"
    assert Scope(include=("/a/*.html$",)).holds(f"{SITE}/a/b.html") and not Scope(include=("/a/",)).holds(f"{SITE}/b")
    assert may_be_document(f"{SITE}/a.pdf") and not may_be_document(f"{SITE}/a.PNG?size=2")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/fish", "/fish.html", True), ("/fish", "/Fish", False), ("/fish*", "/fishing", True),
        ("/fish/", "/fish", False), ("/*.php", "/a/b.php?x", True), ("/*.php$", "/a.php?x", False),
        ("/*.php$", "/a.php", True), ("/fish*.php", "/fishheads/a.php", True), ("/$", "/", True), ("/$", "/a", False),
        ("*", "/", True), ("/a*b*c$", "/a-b-b-c", True), ("/a*b*c$", "/a-c-b", False), ("/ab*b$", "/ab", False),
    ],
)  # fmt: skip
def test_patterns_of_paths(pattern: str, path: str, expected: bool) -> None:
    assert fits(pattern, path) == expected


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not fits("/" + "*a" * 150 + "$", "/" + "a" * 5_000 + "b")


ROBOTS = b"""\xef\xbb\xbf# a file with everything
User-agent: other
User-agent: rag_app   # ours
Disallow: /private
Allow: /private/open
Disallow: /*.pdf$
Crawl-delay: 2.5

User-agent: *
Disallow: /
Sitemap: https://example.com/map.xml
nonsense without a colon
Disallow
"""


def test_the_group_for_us_counts_and_the_longest_rule_decides() -> None:
    found = read_robots(ROBOTS)
    assert (found.delay_s, found.sitemaps) == (2.5, (f"{SITE}/map.xml",))
    asked = {"/": True, "/private/x": False, "/private/open/x": True, "/a.pdf": False, "/a.pdf?x": True}
    assert {path: found.allows(SITE + path) for path in asked} == asked
    assert Robots.from_json(found.as_json()) == found
    assert not read_robots(b"User-agent: *\nDisallow: /").allows(f"{SITE}/")
    assert read_robots(b"User-agent: *\nDisallow:\n").allows(f"{SITE}/")
    assert read_robots(b"User-agent: rag_app\nCrawl-delay: 1e9").delay_s == 60


@given(st.binary(max_size=300))
def test_any_robots_file_is_read(content: bytes) -> None:
    read_robots(content).allows(f"{SITE}/a")


PAGE = b"""<!doctype html><html><head><meta charset="iso-8859-1"><base href="/docs/">
<link rel="canonical" href="https://example.com/docs/a?utm_medium=y"><link rel=stylesheet href=style.css>
<link rel="next" href="b.html"><script>var x = '<a href="/script.html">'</script><!-- <a href="/comment.html"> -->
</head><body><a class="x" href='c.html#part'>c</a> <A HREF=d.html>d</A> <a href="caf\xe9.html">e</a>
<a href="?page=2&amp;x=1">more</a> <a href="javascript:go()">no</a> <a href="file:///etc/passwd">no</a>
<a href="gopher://x/">no</a> <a name="here">no</a> <iframe src="frame.html"></iframe> <a href="a">itself</a>"""


def test_links_of_a_page_are_found_without_reading_it() -> None:
    found = read_links(PAGE, f"{SITE}/docs/a")
    assert found.canonical == f"{SITE}/docs/a"
    names = ["b.html", "c.html", "d.html", "caf%C3%A9.html", "?page=2&x=1", "frame.html"]
    assert list(found.links) == [f"{SITE}/docs/{name}" for name in names]


@given(st.binary(max_size=400))
def test_any_bytes_have_links_or_none(content: bytes) -> None:
    read_links(b"<a href=" + content, f"{SITE}/")
    fingerprint(content, "text/html")


def test_a_hostile_page_takes_no_time() -> None:
    for piece in (b"<a " * 200_000, b"<!--" * 200_000, b"<script>" * 100_000, b"<input type=hidden " * 50_000):
        read_links(piece, f"{SITE}/")
        fingerprint(piece, "text/html")


def test_scripts_and_tokens_do_not_make_a_page_another_one() -> None:
    one = (
        b'<html nonce="1"><script nonce="a">1</script><!-- 1 --><input type="hidden" name="csrf" value="1"><p>Text</p>'
    )
    two = (
        b'<html nonce="2"><script nonce="b">2</script><!-- 2 --><input type="hidden" name="csrf" value="2"><p>Text</p>'
    )
    assert fingerprint(one, "text/html") == fingerprint(two, "text/html")
    assert fingerprint(one, "text/html") != fingerprint(one.replace(b"Text", b"text"), "text/html")
    assert fingerprint(one, "text/plain") != fingerprint(two, "text/plain")


MAP = b"""<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
<url><loc> https://example.com/a </loc><lastmod>2026-01-01</lastmod></url><url><loc>https://example.com/b</loc></url>
<url><lastmod>no address</lastmod></url></urlset>"""
INDEX = b'<sitemapindex xmlns="x"><sitemap><loc>https://example.com/1.xml.gz</loc></sitemap></sitemapindex>'


def test_sitemaps_are_read_in_all_their_forms() -> None:
    assert read_sitemap(MAP).pages == read_sitemap(gzip.compress(MAP)).pages == (f"{SITE}/a", f"{SITE}/b")
    assert read_sitemap(INDEX).lists == (f"{SITE}/1.xml.gz",)
    assert read_sitemap(b"https://example.com/a\nnot one\nhttps://example.com/b\n").pages == (f"{SITE}/a", f"{SITE}/b")


@pytest.mark.parametrize("content", [b"<html><body>Not found</body></html>", b"<", b"\x1f\x8bbroken"])
def test_what_is_no_sitemap_is_damaged(content: bytes) -> None:
    with pytest.raises(DamagedFile):
        read_sitemap(content)


def test_a_sitemap_neither_unpacks_to_everything_nor_reads_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MOST_UNPACKED_BYTES", 1_000_000)
    with pytest.raises(TooMuchContent):
        read_sitemap(gzip.compress(b" " * 3_000_000))
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    found = read_sitemap(laughs + b"<urlset><url><loc>https://example.com/&b;&f;</loc></url></urlset>")
    assert not [each for each in found.pages if "root" in each or "haha" in each]


RSS = b"""<rss version="2.0"><channel><link>https://example.com/</link>
<item><title>One</title><link>https://example.com/1</link></item>
<item><title>Two</title><guid isPermaLink="true">https://example.com/2</guid></item>
<item><title>None</title><guid>urn:x</guid></item></channel></rss>"""
ATOM = b"""<feed xmlns="http://www.w3.org/2005/Atom"><link href="https://example.com/"/><entry><link rel="self"
href="https://example.com/self"/><link rel="alternate" href="https://example.com/3"/></entry></feed>"""


def test_feeds_name_the_pages_of_their_entries() -> None:
    assert read_feed(RSS).pages == (f"{SITE}/1", f"{SITE}/2")
    assert read_feed(ATOM).pages == (f"{SITE}/3",)
    assert is_feed(RSS) and is_feed(ATOM) and not is_feed(MAP)
    with pytest.raises(DamagedFile):
        read_feed(b"<html></html>")
