"""What a crawler takes from a page without reading it; hostile pages cost it no more than others."""

import pytest

from rag_app.ingestion.page_links import MOST_LINKS, fingerprint, read_links

PAGE = b"""<title>Salt</title><base href="/docs/"><link rel=canonical href="/docs/salt"><meta charset="utf-8">
<script src=a.js>var a = '<a href="/hidden">'</script ><STYLE>p {}</style><!-- <a href="/comment"> -->
<a href="pepper.html">Pepper</a> <a class=x href='https://other.example/'>Other</a> <a href="#top">Top</a>"""


def test_links_and_the_address_of_a_page() -> None:
    found = read_links(PAGE, "https://a.example/salt")
    assert found.links == ("https://a.example/docs/pepper.html", "https://other.example/", "https://a.example/docs/")
    assert found.canonical == "https://a.example/docs/salt"


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ((b"var a", b"var b"), True),
        ((b"p {}", b"p {color: red}"), True),
        ((b"/comment", b"/another"), True),
        ((b"<title>", b'<input type="hidden" name=key value=123><title>'), True),
        ((b'<a href="pepper', b'<a nonce="1" href="pepper'), True),
        ((b"Pepper", b"Paprika"), False),
    ],
)
def test_what_nobody_sees_does_not_change_a_page(change: tuple[bytes, bytes], is_same: bool) -> None:
    changed = PAGE.replace(*change)
    assert changed != PAGE
    assert (fingerprint(changed, "text/html") == fingerprint(PAGE, "text/html")) is is_same


@pytest.mark.parametrize(
    "page",
    [
        b"<script " * 1_000_000,
        b"<script>x" * 800_000,
        b"<style>a</style " * 500_000,
        b"<!--" * 2_000_000,
        b"<input type" + b" " * 2_000_000,
        b" nonce=" * 1_000_000,
        b"<meta charset=" + b" " * 4_060 + "<a href=/é>".encode() * 100_000,
        b"<a href=" * 900_000,
        b"".join(b"<a href=mailto:%d>" % number for number in range(300_000)),
    ],
    ids=range(9),
)
def test_hostile_pages_end(page: bytes) -> None:
    """Each of these once took minutes or hours."""
    fingerprint(page, "text/html")
    assert len(read_links(page, "https://a.example/").links) <= MOST_LINKS
