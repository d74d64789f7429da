"""The one way out: every address given by a person, a page or a model is resolved, checked and opened here.

The socket connects to the very address that was checked, so a name that changes its answer between the check and the
call gains nothing; every redirect is checked anew. Private hosts are reached only when a setting names them.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import httpcore
import httpx

from rag_app.content_coding import ACCEPTED, Unpacker
from rag_app.errors import BlockedAddress, FetchFailed
from rag_app.settings import get_settings

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_REDIRECTS = 5
LONGEST_URL = 8192
CONNECT_TIMEOUT_S = 10.0
USER_AGENT = "Mozilla/5.0 (compatible; rag_app)"
_PRIVILEGED_PORTS = frozenset({80, 443})  # below 1024 nothing else is a web server
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.:-]*[a-z0-9_.:])?|::[a-z0-9.:]*")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

# The special-purpose registries of IANA, written out because the answer of `ipaddress` differs between versions.
# fmt: off
_CLOSED_V4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)
_CLOSED_V6 = ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
_CLOSED = tuple(ipaddress.ip_network(each) for each in _CLOSED_V4 + _CLOSED_V6)
# fmt: on
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")  # all that is given out; the rest of IPv6 is special or reserved
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be opened besides the public internet: private hosts as `host` or `host:port`, in lower case."""

    private_hosts: frozenset[str] = frozenset()

    def names(self, host: str, port: int) -> bool:
        """True when this private host was allowed by name."""
        plain = host.rstrip(".")
        return bool(self.private_hosts & {plain, f"{plain}:{port}", f"[{plain}]", f"[{plain}]:{port}"})


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back: the last address after redirects, its status, its headers (lower case) and the decoded body."""

    url_final: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an answer is wanted. `allowed_types` are media types, or families such as `text/`."""

    max_bytes: int
    timeout_s: float
    allowed_types: Iterable[str] | None = None
    on_bytes: Callable[[int, int], None] | None = None  # told how many have come, and of how many; 0 = unknown


@dataclass(frozen=True, slots=True)
class Call:
    """A request other than a plain visit. `take` gets the body of a good answer piece by piece instead of `Fetched`."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # None = GET, else POST
    take: Callable[[bytes], object] | None = None


def is_public(address: str | IpAddress) -> bool:
    """True when the address belongs to the public internet; addresses that carry an IPv4 one are judged by that."""
    try:
        ip = ipaddress.ip_address(str(address).split("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        elif ip not in _PUBLIC_V6:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in closed for closed in _CLOSED)


def parse_url(url: str | httpx.URL) -> httpx.URL:
    """Read a URL once, for the check and for the call alike. Raises FetchFailed or BlockedAddress with the reason."""
    text = str(url).strip() if isinstance(url, str) else str(url)
    if len(text) > LONGEST_URL:
        raise FetchFailed("The address is too long.")
    if _UNSAFE.search(text):
        raise FetchFailed("The address holds a space, a backslash or a control character.")
    try:
        parsed = httpx.URL(text)
        host = parsed.raw_host.decode("ascii").lower()
    except (httpx.InvalidURL, UnicodeError, ValueError) as problem:
        raise FetchFailed("This is not a valid web address.") from problem
    if parsed.scheme not in ("http", "https"):
        raise BlockedAddress("Only addresses that begin with http:// or https:// are opened.")
    if parsed.userinfo:
        raise FetchFailed("The address must not hold a user name or a password.")
    if not _HOST.fullmatch(host):
        raise FetchFailed("This is not a valid web address.")
    port = parsed.port if parsed.port is not None else (443 if parsed.scheme == "https" else 80)
    if not (port in _PRIVILEGED_PORTS or 1024 <= port <= 65535):
        raise BlockedAddress(f"Port {port} is not one of a web server.")
    return parsed


async def resolve_name(host: str, port: int) -> list[str]:
    """All addresses of a name, as the system resolves it. Raises OSError or UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens a socket only to an address that passed the check."""

    def __init__(
        self, rules: Rules, *, resolve: Resolve = resolve_name, dial: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._rules, self._resolve = rules, resolve
        self._dial = dial or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the host that answers. Raises BlockedAddress if any of them is private."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self.addresses(host, port)
        except TimeoutError as problem:
            raise httpcore.ConnectTimeout(f"the name {host} could not be resolved in time") from problem
        problem_met: Exception = httpcore.ConnectError(f"no address of {host} answers")
        for address in addresses:
            try:
                return await self._dial.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as problem:
                problem_met = problem
        raise problem_met

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """The checked addresses of a host. Raises BlockedAddress, or httpcore.ConnectError when there are none."""
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as problem:
            raise httpcore.ConnectError(f"the name {host} is not known") from problem
        if not found:
            raise httpcore.ConnectError(f"the name {host} is not known")
        if not self._rules.names(host, port) and not all(is_public(each) for each in found):
            raise BlockedAddress(_refusal(host, port, found))
        return found

    async def sleep(self, seconds: float) -> None:
        """Wait, for the retries of the connection pool."""
        await asyncio.sleep(seconds)


def _refusal(host: str, port: int, found: Sequence[str]) -> str:
    reason = f"{host} leads to a private or reserved network, which this server does not open."
    if any(ipaddress.ip_address(each.split("%")[0]).is_link_local for each in found):
        return reason  # where clouds keep the secrets of a machine: nothing to be advised
    return f"{reason} An operator can allow it with RAG_ALLOWED_PRIVATE_HOSTS={host}:{port}."


def refuse_private_literal(url: str, rules: Rules) -> None:
    """Refuse at once an address that is a private number. Raises BlockedAddress, FetchFailed."""
    parsed = parse_url(url)
    host = parsed.raw_host.decode("ascii").strip("[]")
    port = parsed.port if parsed.port is not None else (443 if parsed.scheme == "https" else 80)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    if not is_public(host) and not rules.names(host, port):
        raise BlockedAddress(_refusal(host, port, [host]))


class GuardedTransport(httpx.AsyncBaseTransport):
    """A transport for any httpx client, through the guarded sockets. It takes no proxy from the environment."""

    def __init__(self, backend: GuardedBackend, *, refuse_redirects: bool = False) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=_tls())
        # httpx has no public way to hand its pool a network backend.
        self._inner._pool = httpcore.AsyncConnectionPool(
            ssl_context=_tls(),
            max_connections=1000,
            max_keepalive_connections=20,
            keepalive_expiry=30,
            network_backend=backend,
        )
        self._refuse_redirects = refuse_redirects

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check the address, then send. Raises FetchFailed or BlockedAddress besides httpx's own errors."""
        parse_url(request.url)
        response = await self._inner.handle_async_request(request)
        if self._refuse_redirects and response.status_code in _REDIRECTS:
            await response.aclose()
            raise FetchFailed(f"{request.url.host} redirects elsewhere; enter the final address instead.")
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


@dataclass(frozen=True, slots=True)
class Egress:
    """One set of rules with the means to reach the network; the means are replaced only in tests."""

    rules: Rules = field(default_factory=Rules)
    resolve: Resolve = resolve_name
    dial: httpcore.AsyncNetworkBackend | None = None

    def transport(self, *, refuse_redirects: bool = False) -> GuardedTransport:
        """A fresh transport; it belongs to one client in one event loop."""
        backend = GuardedBackend(self.rules, resolve=self.resolve, dial=self.dial)
        return GuardedTransport(backend, refuse_redirects=refuse_redirects)

    async def check(self, url: str) -> None:
        """Refuse an address before it is saved. It is checked again whenever it is opened."""
        parsed = parse_url(url)
        port = parsed.port if parsed.port is not None else (443 if parsed.scheme == "https" else 80)
        try:
            await GuardedBackend(self.rules, resolve=self.resolve).addresses(parsed.raw_host.decode("ascii"), port)
        except httpcore.ConnectError as problem:
            raise FetchFailed(f"The name {parsed.host} is not known.") from problem

    async def fetch(self, url: str, limits: Limits, headers: Mapping[str, str] | None = None) -> Fetched:
        """GET an address and follow up to five redirects; `limits.timeout_s` holds for all of it.

        Raises BlockedAddress, or FetchFailed with a sentence a person understands.
        """
        async with self.visit() as visit:
            return await visit.fetch(url, limits, headers)

    @asynccontextmanager
    async def visit(self) -> AsyncIterator["Visit"]:
        """A stay at one or a few sites: several fetches that share connections."""
        async with httpx.AsyncClient(transport=self.transport()) as client:
            yield Visit(client)


class Visit:
    """Fetches that share connections, each under all the rules."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def fetch(self, url: str, limits: Limits, headers: Mapping[str, str] | None = None) -> Fetched:
        """As Egress.fetch."""
        current = parse_url(url)
        return await _told(current, limits, self._follow(current, _sent(headers or {}), limits))

    async def call(self, call: Call, limits: Limits) -> Fetched:
        """Send one request and take its answer as it is: no redirect is followed, an error status is an answer too.

        Raises as `fetch` does for what is no answer: nobody there, too much, too late.
        """
        current = parse_url(call.url)
        return await _told(current, limits, self._send(current, call, limits))

    async def _send(self, current: httpx.URL, call: Call, limits: Limits) -> Fetched:
        method = "GET" if call.body is None else "POST"
        timeout = httpx.Timeout(limits.timeout_s, connect=min(CONNECT_TIMEOUT_S, limits.timeout_s))
        request = self._client.build_request(
            method, current, headers=_sent(call.headers), content=call.body, timeout=timeout
        )
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            return await _receive(response, limits, call)
        finally:
            await response.aclose()

    async def _follow(self, first: httpx.URL, headers: Mapping[str, str], limits: Limits) -> Fetched:
        current, sent = first, dict(headers)
        timeout = httpx.Timeout(limits.timeout_s, connect=min(CONNECT_TIMEOUT_S, limits.timeout_s))
        for _ in range(MAX_REDIRECTS + 1):
            request = self._client.build_request("GET", current, headers=sent, timeout=timeout)
            response = await self._client.send(request, stream=True, follow_redirects=False)
            try:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or not location:
                    return await _receive(response, limits)
            finally:
                await response.aclose()
            target = parse_url(current.join(location))
            if (target.scheme, target.host, target.port) != (current.scheme, current.host, current.port):
                sent = _sent({"user-agent": sent["user-agent"]})
            current = target
        raise FetchFailed(f"{first.host} redirects more than {MAX_REDIRECTS} times.")


async def fetch(
    url: str,
    *,
    max_bytes: int,
    timeout_s: float,
    allowed_types: Iterable[str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Fetched:
    """GET an address under the rules of the settings; see Egress.fetch."""
    rules = Rules(get_settings().private_hosts)
    return await Egress(rules).fetch(url, Limits(max_bytes, timeout_s, allowed_types), headers)


async def _told(asked: httpx.URL, limits: Limits, work: Awaitable[Fetched]) -> Fetched:
    """The answer within its time; what goes wrong on the way in words that a person understands."""
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await work
    except (TimeoutError, httpx.TimeoutException) as problem:
        raise FetchFailed(f"{asked.host} did not answer within {limits.timeout_s:g} seconds.") from problem
    except httpx.TransportError as problem:
        raise FetchFailed(f"{asked.host} could not be reached: {_cause(problem)}.") from problem
    except (httpx.DecodingError, httpx.InvalidURL) as problem:
        raise FetchFailed(f"{asked.host} sent an answer that cannot be read.") from problem


def _sent(headers: Mapping[str, str]) -> dict[str, str]:
    given = {name.lower(): value for name, value in headers.items() if name.lower() != "host"}
    return {"user-agent": USER_AGENT, "accept": "*/*", **given, "accept-encoding": ACCEPTED}


async def _receive(response: httpx.Response, limits: Limits, call: Call | None = None) -> Fetched:
    host = response.url.host
    if response.status_code >= 400 and call is None:
        words = f"{host} answered {response.status_code} {response.reason_phrase}.".replace(" .", ".")
        raise FetchFailed(words, status=response.status_code, retry_after=response.headers.get("retry-after", ""))
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_page = response.status_code != 304 and (call is None or response.status_code == 200)
    if is_page and limits.allowed_types is not None and not _allowed(media_type, limits):
        raise FetchFailed(f"{host} sent {media_type or 'no media type'}, which cannot be read.")
    too_much = FetchFailed(f"{host} sent more than the {limits.max_bytes:,} bytes that are allowed.")
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.max_bytes:
        raise too_much
    body, size = bytearray(), 0
    take = call.take if call is not None and call.take is not None and response.status_code == 200 else body.extend
    unpacker = Unpacker(response.headers.get("content-encoding", ""), host)
    async for packed in response.aiter_raw():
        for chunk in unpacker.pieces(packed):
            size += len(chunk)
            if size > limits.max_bytes:
                raise too_much
            take(chunk)
        if limits.on_bytes:
            limits.on_bytes(size, int(declared) if declared.isdigit() else 0)
    return Fetched(str(response.url), response.status_code, dict(response.headers), bytes(body), media_type)


def _allowed(media_type: str, limits: Limits) -> bool:
    whole = media_type.partition("/")[0] + "/"
    return any(each in (media_type, whole) for each in limits.allowed_types or ())


def _cause(problem: httpx.TransportError) -> str:
    deepest: BaseException = problem
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    if isinstance(deepest, ssl.SSLError):
        return "its certificate or encryption is not valid"
    if isinstance(problem, httpx.ConnectError):
        return "the name is not known" if "not known" in str(problem) else "nothing answers there"
    return "the connection broke off"


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
