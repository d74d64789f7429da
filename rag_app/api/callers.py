"""Where a request comes from: its address, whether it is encrypted, and whether it is from our own pages."""

import re
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from rag_app.errors import Forbidden
from rag_app.services.accounts import Caller
from rag_app.services.sessions import token_in_cookies
from rag_app.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def client_ip(connection: HTTPConnection, settings: Settings) -> str:
    """The address of the caller. X-Forwarded-For counts only as far as RAG_TRUSTED_PROXY_HOPS proxies wrote it."""
    peer = connection.client.host if connection.client else ""
    hops = settings.trusted_proxy_hops
    if hops == 0:
        return peer
    named = [each.strip() for each in ",".join(connection.headers.getlist("x-forwarded-for")).split(",")]
    named = [each for each in named if each]
    return named[-hops] if len(named) >= hops else peer


def is_encrypted(connection: HTTPConnection, settings: Settings) -> bool:
    """True when the browser speaks https, as seen here, by a trusted proxy, or by the address set as RAG_PUBLIC_URL."""
    if connection.url.scheme in ("https", "wss"):
        return True
    if settings.trusted_proxy_hops:
        forwarded = connection.headers.get("x-forwarded-proto", "").split(",")[-1].strip()
        if forwarded:
            return forwarded == "https"
    public = urlsplit(settings.public_url)
    return public.scheme == "https" and _place("https", _host(connection)) == _place("https", public.netloc)


def is_same_origin(connection: HTTPConnection, settings: Settings) -> bool:
    """True when the browser says that one of our own pages sent this. Nothing said counts as no.

    A page may be at the host of the request itself or at RAG_PUBLIC_URL; an https page may speak to a server that
    sees http (behind a proxy), an http page never to one that is encrypted.
    """
    site = connection.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origins = connection.headers.getlist("origin")
    if not origins:
        return site == "same-origin"
    if len(origins) > 1:
        return False
    return _is_own(origins[0], connection, settings)


def _is_own(origin: str, connection: HTTPConnection, settings: Settings) -> bool:
    given = urlsplit(origin)
    if given.scheme not in _DEFAULT_PORTS or given.path or given.query or given.fragment or "@" in given.netloc:
        return False
    if settings.public_url and _origin(settings.public_url) == (given.scheme, *_place(given.scheme, given.netloc)):
        return True
    if given.scheme == "http" and is_encrypted(connection, settings):
        return False
    host = _host(connection)
    return bool(host) and _place(given.scheme, given.netloc) == _place(given.scheme, host)


def require_same_origin(connection: HTTPConnection, settings: Settings) -> None:
    """Raise Forbidden unless one of our own pages sent this."""
    if not is_same_origin(connection, settings):
        raise Forbidden("This request does not come from one of this server's own pages.")


def session_token(connection: HTTPConnection, settings: Settings) -> str | None:
    """The session token that the browser sent."""
    header = "; ".join(connection.headers.getlist("cookie"))
    return token_in_cookies(header, encrypted=is_encrypted(connection, settings))


def caller_of(connection: HTTPConnection, settings: Settings) -> Caller:
    """Address and browser of the caller."""
    return Caller(client_ip(connection, settings), connection.headers.get("user-agent", ""))


def local_path(target: str, fallback: str = "/") -> str:
    """The target of a redirect if it is a path on this server, else the fallback."""
    return target if _LOCAL_PATH.fullmatch(target) else fallback


def _host(connection: HTTPConnection) -> str:
    hosts = connection.headers.getlist("host")
    return hosts[0] if len(hosts) == 1 and re.fullmatch(r"[\w.:\[\]-]+", hosts[0]) else ""


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return (parts.scheme, *_place(parts.scheme, parts.netloc))


def _place(scheme: str, netloc: str) -> tuple[str, int | None]:
    parts = urlsplit(f"//{netloc}")
    try:
        port = parts.port
    except ValueError:
        return "", None
    return (parts.hostname or "").lower(), port or _DEFAULT_PORTS.get(scheme)
