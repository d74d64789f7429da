"""No address but a public one is ever opened: shown through the real fetch path, with a canary that counts its hits."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.egress import Egress, Fetched, Limits, Rules, is_public, parse_url, resolve_name
from rag_app.errors import BlockedAddress, FetchFailed

PUBLIC = "93.184.216.34"
LIMITS = Limits(max_bytes=100_000, timeout_s=5)
Page = Callable[[str], bytes]


@dataclass
class Web:
    """A server on the loopback that stands for a public one, and the names that lead to it."""

    port: int
    hits: list[str] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)
    names: dict[str, list[Sequence[str]]] = field(default_factory=dict)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """The scripted answers of a name, one after the other; all else is asked of the system."""
        answers = self.names.get(host)
        if answers is None:
            return await resolve_name(host, port)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def egress(self, *private_hosts: str) -> Egress:
        """An egress whose public network is this server."""
        return Egress(Rules(frozenset(private_hosts)), resolve=self.resolve, dial=Street(self))


class Street(httpcore.AnyIOBackend):
    """Leads the public address to the local server; every other address is dialled as it is."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def connect_tcp(self, host: str, port: int, *rest: object, **named: object) -> httpcore.AsyncNetworkStream:
        self._web.dialled.append(host)
        place = ("127.0.0.1", self._web.port) if host == PUBLIC else (host, port)
        return await super().connect_tcp(*place, *rest, **named)  # type: ignore[arg-type] # passed on unread


@asynccontextmanager
async def serving(page: Page) -> AsyncIterator[Web]:
    """Serve `page(path)` as raw HTTP."""
    web = Web(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        web.hits.append(head.decode())
        writer.write(page(head.split(b" ")[1].decode()))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    web.names["public.test"] = [[PUBLIC]]
    async with server:
        yield web


def answer(body: bytes = b"hello", status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content-Type": "text/html", "Content-Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return f"HTTP/1.1 {status}\r\n{chr(10).join(line + chr(13) for line in lines)}\n\r\n".encode() + body


def redirect(target: str, status: str = "302 Found") -> bytes:
    return answer(b"", status, Location=target)


async def refused(web: Web, url: str, *private_hosts: str) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        await web.egress(*private_hosts).fetch(url, LIMITS)
    return caught.value


async def test_a_public_page_is_fetched() -> None:
    async with serving(lambda _: answer(b"<p>text", ETag="7")) as web:
        page: Fetched = await web.egress().fetch("http://public.test/a?b=c", LIMITS, {"x-extra": "1"})
    assert (page.status, page.body, page.media_type, page.headers["etag"]) == (200, b"<p>text", "text/html", "7")
    assert page.url_final == "http://public.test/a?b=c"
    assert web.dialled == [PUBLIC]
    assert "x-extra: 1" in web.hits[0]


PRIVATE = """
127.0.0.1 127.9.8.7 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.1 192.168.0.1 169.254.169.254
100.64.0.1 192.0.0.1 192.0.0.9 192.0.2.1 198.18.0.1 198.19.255.1 198.51.100.7 203.0.113.7 224.0.0.1 239.1.1.1 240.0.0.1
255.255.255.255 192.88.99.1 ::1 :: ::127.0.0.1 fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1 ::ffff:127.0.0.1
::ffff:7f00:1 ::ffff:a9fe:a9fe ::ffff:0:7f00:1 64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b:1::7f00:1 2002:7f00:1::
2002:c0a8:1::1 2001:0:7f00:1:: 2001:db8::1 100::1 5f00::1 3fff::1 0:0:0:0:0:ffff:7f00:0001
"""
SPELLINGS = """
2130706433 0177.0.0.1 0x7f.0.0.1 0x7f000001 127.1 127.0.1 017700000001 localhost LOCALHOST localhost. 127.0.0.1.
127。0。0。1
"""
BLOCKED = [f"[{each}]" if ":" in each else each for each in PRIVATE.split()] + SPELLINGS.split()


@pytest.mark.parametrize("host", BLOCKED)
async def test_no_private_address_is_opened(host: str) -> None:
    async with serving(lambda _: answer()) as web:
        await refused(web, f"http://{host}:{web.port}/canary")
        assert web.hits == []
        assert web.dialled == []


@pytest.mark.parametrize("address", PRIVATE.split())
async def test_no_name_leads_to_a_private_address(address: str) -> None:
    async with serving(lambda _: answer()) as web:
        web.names["inside.test"] = [[address]]
        assert isinstance(await refused(web, f"http://inside.test:{web.port}/"), BlockedAddress)
        assert web.dialled == []


ODD = [
    "http://public.test\\@127.0.0.1:{port}/",
    "http://a\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@public.test/",
    "http://127.0.0.1:{port}#@public.test/",
    "http://127.0.0.1:{port}?@public.test/",
    "http://public.test@127.0.0.1:{port}/",
    "http://public.test:80@127.0.0.1:{port}/",
    "http://public.test%40127.0.0.1:{port}/",
    "http://a%00.127.0.0.1:{port}/",
    "http://127.0.0.1%00.public.test:{port}/",
    "http://127.0.0.1%2f@public.test:{port}/",
    "http://127.0.0.1%23.public.test:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0\r.1:{port}/",
    "http://127.0.0\n.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:////127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "http://;@127.0.0.1:{port}/",
    "http://..;@127.0.0.1:{port}/",
    "http://public.test;@127.0.0.1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127｡0｡0｡1:{port}/",
    "http://127.0．0.1:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[::1:{port}/",
    "http://::1:{port}/",
    "http://[[::1]]:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://127.0.0.1:{port}:80/",
    "http://127.0.0.1:+{port}/",
    "http://127.0.0.1: {port}/",
    "http://127.0.0.1 :{port}/",
    "http:// 127.0.0.1:{port}/",
    "http://127.0.0.1,public.test:{port}/",
    "http://127.0.0.1&public.test:{port}/",
    "http://(127.0.0.1):{port}/",
    "http://127.0.0.1'.public.test:{port}/",
    "http://*:{port}/",
    "http://${{IP}}:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1%20:{port}/",
    "http://127.0.0.1\u00ad:{port}/",
    "http://127.0.0.1\u200b:{port}/",
    "http://0:{port}/",
    "http://127.0.0.01:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127..0.0.1:{port}/",
    "http://.127.0.0.1:{port}/",
    "http://-127.0.0.1:{port}/",
    "http://localhost\u3002:{port}/",
    "http://xn--localhost-:{port}/",
    "http:\\\\127.0.0.1:{port}/",
    "hTTp://127.0.0.1:{port}/",
    "http://user:pass@127.0.0.1:{port}/",
    "http://@127.0.0.1:{port}/",
    "http://:@127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_GET",
    "ftp://127.0.0.1:{port}/",
    "data:text/html,x",
    "javascript:alert(1)",
    "dict://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "unix:///tmp/x",
    "view-source:http://127.0.0.1:{port}/",
    "",
    "http://",
    "http://public.test:22/",
    "http://public.test:0/",
    "http://public.test:65536/",
    "http://public.test:25/",
    "http://" + "a" * 9000,
]


@pytest.mark.parametrize("url", ODD)
async def test_odd_spellings_reach_nothing(url: str) -> None:
    async with serving(lambda _: answer()) as web:
        await refused(web, url.replace("{port}", str(web.port)))
        assert web.hits == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("hops", [1, 3, 5, 10])
async def test_a_redirect_to_a_private_address_is_refused(status: str, hops: int) -> None:
    def page(path: str) -> bytes:
        n = int(path.strip("/"))
        inside = f"http://127.0.0.1:{web.port}/canary"
        return redirect(f"/{n - 1}" if n > 1 else inside, status)

    async with serving(page) as web:
        problem = await refused(web, f"http://public.test/{hops}")
        assert not [hit for hit in web.hits if "canary" in hit]
        assert set(web.dialled) == {PUBLIC}
    assert isinstance(problem, BlockedAddress) == (hops <= 5)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "gopher://x/", "http://[::1]/", "//127.0.0.1/", "http://a b/"]
)
async def test_a_redirect_to_another_scheme_or_a_broken_address_is_refused(target: str) -> None:
    async with serving(lambda _: redirect(target)) as web:
        await refused(web, "http://public.test/")
        assert len(web.hits) == 1


async def test_refresh_is_not_followed() -> None:
    body = b'<meta http-equiv="refresh" content="0; url=http://127.0.0.1/canary">'
    async with serving(lambda _: answer(body, Refresh="0; url=http://127.0.0.1/canary")) as web:
        page = await web.egress().fetch("http://public.test/", LIMITS)
        assert page.body == body
        assert len(web.hits) == 1


async def test_a_good_redirect_is_followed_and_secrets_stay_at_the_first_host() -> None:
    def page(path: str) -> bytes:
        return redirect("http://other.test/end") if path == "/" else answer(b"end")

    async with serving(page) as web:
        web.names["other.test"] = [[PUBLIC]]
        found = await web.egress().fetch("http://public.test/", LIMITS, {"authorization": "secret"})
    assert (found.url_final, found.body) == ("http://other.test/end", b"end")
    assert ["secret" in hit for hit in web.hits] == [True, False]


async def test_a_name_with_one_private_address_is_refused() -> None:
    async with serving(lambda _: answer()) as web:
        web.names["mixed.test"] = [[PUBLIC, "127.0.0.1"]]
        assert isinstance(await refused(web, f"http://mixed.test:{web.port}/"), BlockedAddress)
        assert web.dialled == []


async def test_a_name_that_changes_after_the_check_gains_nothing() -> None:
    """The second answer is private: it is never used, because the socket goes to the address that was checked."""
    async with serving(lambda _: answer(b"public")) as web:
        web.names["rebind.test"] = [[PUBLIC], ["127.0.0.1"]]
        page = await web.egress().fetch(f"http://rebind.test:{web.port}/", LIMITS)
        assert page.body == b"public"
        assert web.dialled == [PUBLIC]
        assert isinstance(await refused(web, f"http://rebind.test:{web.port}/"), BlockedAddress)
        assert web.dialled == [PUBLIC]


async def test_a_name_that_turns_private_after_saving_is_refused_when_used() -> None:
    async with serving(lambda _: answer()) as web:
        web.names["turns.test"] = [[PUBLIC], ["10.0.0.1"]]
        await web.egress().check("http://turns.test/hook")
        assert isinstance(await refused(web, "http://turns.test/hook"), BlockedAddress)
        with pytest.raises(BlockedAddress):
            await web.egress().check("http://turns.test/hook")


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.1:{port}"])
async def test_a_private_host_named_by_the_operator_is_opened(allowed: str) -> None:
    async with serving(lambda _: answer(b"inside")) as web:
        page = await web.egress(allowed.format(port=web.port)).fetch(f"http://127.0.0.1:{web.port}/", LIMITS)
        assert page.body == b"inside"


async def test_allowing_one_host_or_port_opens_no_other() -> None:
    async with serving(lambda _: answer()) as web:
        await refused(web, f"http://127.0.0.1:{web.port}/", "127.0.0.1:1", "localhost", "0.0.1")
        await refused(web, f"http://localhost:{web.port}/", f"127.0.0.1:{web.port}")
        assert web.hits == []


async def test_size_type_status_and_time_are_limited() -> None:
    async def problem(page: Page, limits: Limits) -> str:
        async with serving(page) as web:
            with pytest.raises(FetchFailed) as caught:
                await web.egress().fetch("http://public.test/", limits)
        return caught.value.message

    big = b"x" * 100_001
    assert "more than" in await problem(lambda _: answer(big), LIMITS)
    assert "more than" in await problem(lambda _: b"HTTP/1.1 200 OK\r\n\r\n" + big, LIMITS)
    bomb = gzip.compress(b"0" * 5_000_000)
    assert "more than" in await problem(lambda _: answer(bomb, Content_Encoding="gzip"), LIMITS)
    assert "text/html" in await problem(lambda _: answer(), Limits(100, 5, ("application/pdf", "image/")))
    assert "404" in await problem(lambda _: answer(status="404 Not Found"), LIMITS)
    assert "cannot be read" in await problem(lambda _: answer(b"broken", Content_Encoding="gzip"), LIMITS)
    assert "broke off" in await problem(lambda _: b"", LIMITS)
    assert "broke off" in await problem(lambda _: answer(Content_Length="99"), LIMITS)


async def test_an_answer_that_never_ends_is_given_up() -> None:
    quiet = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await quiet.wait()
        writer.close()

    async with serving(lambda _: answer()) as web, await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        web.port = server.sockets[0].getsockname()[1]
        with pytest.raises(FetchFailed, match="within"):
            await web.egress().fetch("http://public.test/", Limits(100, 0.2))
        quiet.set()


async def test_an_unknown_name_and_a_closed_port_have_plain_words() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError(f"{host}:{port}")

    with pytest.raises(FetchFailed, match="the name is not known"):
        await Egress(resolve=unknown).fetch("http://nowhere.test/", LIMITS)
    async with serving(lambda _: answer()) as web:
        port = web.port
    with pytest.raises(FetchFailed, match="nothing answers there"):
        await Egress(Rules(frozenset({"127.0.0.1"}))).fetch(f"http://127.0.0.1:{port}/", LIMITS)


async def test_the_transport_for_other_clients_is_guarded_too() -> None:
    async with serving(lambda path: redirect("/x") if path == "/r" else answer()) as web:
        transport = web.egress().transport(refuse_redirects=True)
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            with pytest.raises(BlockedAddress):
                await client.get(f"http://127.0.0.1:{web.port}/canary")
            assert web.hits == []
            assert (await client.get("http://public.test/")).text == "hello"
            with pytest.raises(FetchFailed, match="redirects elsewhere"):
                await client.get("http://public.test/r")


@pytest.mark.parametrize("address", ["1.1.1.1", PUBLIC, "2606:4700::1111", "64:ff9b::1.1.1.1", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}"]))
def test_an_address_inside_another_is_judged_by_itself(inner: IPv4Address, form: str) -> None:
    assert is_public(form.format(inner)) == is_public(inner)


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_public(address: IPv4Address | IPv6Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_loopback:
        nat64 = address.version == 6 and address in IPv6Network("64:ff9b::/96")
        mapped = address.ipv4_mapped is not None if isinstance(address, IPv6Address) else False
        assert nat64 or mapped or not is_public(address)


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "http://public.test/", "http://public.test"]))
def test_any_text_is_read_or_refused_never_crashes(rest: str, start: str) -> None:
    try:
        parsed = parse_url(start + rest)
    except FetchFailed:
        return
    assert parsed.scheme in ("http", "https")
    assert parsed.host
    assert not parsed.userinfo
