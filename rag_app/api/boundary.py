"""The outermost wrapper of the web server: what no request may do, and what every answer carries."""

import json
import re
import secrets
from dataclasses import dataclass

from rag_app.api.built_pages import BuiltPages
from rag_app.api.connect_limit import ConnectLimit
from rag_app.api.open_sockets import Asgi, Message, OpenSockets, Receive, Scope, Send, session_token_of
from rag_app.errors import InvalidInput, NotFound, RagError, TooLarge
from rag_app.telemetry import log, request_scope

LARGEST_BODY = 1024 * 1024
# These read their bodies in pieces and keep their own, larger limits.
_LARGE_BODIES = re.compile(r"/api/v1/(knowledge-bases/[^/]+/documents|documents/[^/]+/versions)/?")
# Doors of the framework that nothing of ours uses.
_CLOSED = re.compile(r"/(_upload|_all_routes|_health|ping|auth-codespace)(/.*)?", re.IGNORECASE)
_EVENTS = "/_event"
_API_PREFIX = "/api/"
_HOST = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_HASHED = re.compile(r"/assets/.+-[\w-]{6,}\.\w+")
_FILE = re.compile(r"\.(?!html$)\w+$")
_API = re.compile(r"/(api|v1|health|ready|metrics)(/.*)?")
_SHARING = b"access-control-"
_STATUS = {InvalidInput: 400, NotFound: 404, TooLarge: 413}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the operator said about how the server is reached."""

    trusted_proxy_hops: int = 0
    public_url: str = ""


class Boundary:
    """An ASGI application around an ASGI application."""

    def __init__(
        self,
        app: Asgi,
        pages: BuiltPages,
        surroundings: Surroundings,
        *,
        sockets: OpenSockets | None = None,
        api: Asgi | None = None,
    ) -> None:
        """`api` is the part of the application below /api/, when it needs nothing of what lies around it."""
        self._app = app
        self._api = api or app
        self._sockets = sockets or OpenSockets()
        self._limit = ConnectLimit()
        self._pages = pages
        self._surroundings = surroundings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, rewrite, hand on, and complete the answer."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = self._seen_from_outside(scope)
        request_id = secrets.token_hex(12)  # what a caller sends is never taken over
        finish = _Finish(scope, send, request_id, self._pages, self._surroundings)
        with request_scope(request_id):
            problem = self._refusal(scope)
            if problem is not None:
                await _refuse(finish, problem, request_id)
                return
            script = self._pages.env_script(scope["path"], secure=_is_secure(scope), host=_host(scope))
            if script is not None:
                await _answer(finish, 200, script.encode(), b"text/javascript; charset=utf-8")
                return
            path = scope["path"]
            if path in self._pages.folders:
                # The files of a page lie in a folder; answer it here instead of redirecting to the slash.
                scope = {**scope, "path": path + "/", "raw_path": (path + "/").encode()}
            app = self._api if path.startswith(_API_PREFIX) else self._app
            await app(scope, receive if _LARGE_BODIES.fullmatch(path) else _LimitedBody(receive, finish), finish)

    def _refusal(self, scope: Scope) -> RagError | None:
        hosts = _headers(scope, b"host")
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return InvalidInput("The Host header is missing or not a host.")
        path = scope["path"]
        if path.startswith("//") or "\\" in path or "\0" in path or "/../" in path + "/":
            return InvalidInput("The address is not valid.")
        if _CLOSED.fullmatch(path):
            return NotFound()
        length = _header(scope, b"content-length")
        if not _LARGE_BODIES.fullmatch(path) and length.isdigit() and int(length) > LARGEST_BODY:
            return _too_large()
        return None

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = self._seen_from_outside(scope)
        hosts = _headers(scope, b"host")
        good = len(hosts) == 1 and _HOST.fullmatch(hosts[0]) and scope["path"].startswith(_EVENTS)
        reason = self._refused_socket(scope) if good else "host"
        if reason:
            log.warning("websocket_refused", reason=reason)
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        with request_scope(secrets.token_hex(12)):
            await self._sockets.serve(self._app, scope, receive=receive, send=send)

    def _refused_socket(self, scope: Scope) -> str:
        if not self.is_own_origin(scope):
            return "origin"
        address = str((scope.get("client") or ("", 0))[0])
        return "" if self._limit.admits(address, has_session=bool(session_token_of(scope))) else "too_many"

    def is_own_origin(self, scope: Scope) -> bool:
        """True when the page that asks was served by this server, under the address it was asked by."""
        origins = _headers(scope, b"origin")
        if len(origins) != 1:
            return False
        own = {f"http{'s' if _is_secure(scope) else ''}://{_host(scope)}".lower()}
        if self._surroundings.public_url:
            own.add(self._surroundings.public_url.lower())
        return origins[0].lower() in own

    def _seen_from_outside(self, scope: Scope) -> Scope:
        """Scheme and client as the nearest trusted proxy saw them; without trusted proxies headers change nothing."""
        hops = self._surroundings.trusted_proxy_hops
        changed = dict(scope)
        if f"https://{_host(scope)}".lower() == self._surroundings.public_url.lower():
            changed["scheme"] = "wss" if scope["type"] == "websocket" else "https"
        if hops:
            schemes = _list(scope, b"x-forwarded-proto")
            if schemes:
                secure = schemes[max(0, len(schemes) - hops)] == "https"
                changed["scheme"] = (
                    ("wss" if secure else "ws") if scope["type"] == "websocket" else ("https" if secure else "http")
                )
            clients = _list(scope, b"x-forwarded-for")
            if len(clients) >= hops:
                changed["client"] = (clients[-hops], 0)
        return changed


class _Finish:
    """Adds to each answer what every answer carries; what the application set itself stays."""

    def __init__(self, scope: Scope, send: Send, request_id: str, pages: BuiltPages, around: Surroundings) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._pages = pages
        self._around = around
        self._started = False
        self._closed = False

    async def refuse(self, problem: RagError) -> None:
        """Answer with an error, unless an answer has begun; nothing more is sent afterwards."""
        if not self._started and not self._closed:
            await _refuse(self, problem, self._request_id)
        self._closed = True

    async def __call__(self, message: Message) -> None:
        if self._closed:
            return
        if message["type"] == "http.response.start":
            self._started = True
            # The framework names origins of its own that may read answers; here no foreign page may.
            headers = [each for each in message.get("headers", []) if not each[0].lower().startswith(_SHARING)]
            present = {name.lower() for name, _ in headers}
            for name, value in self._always(message["status"]).items():
                if name.encode() not in present:
                    headers.append((name.encode(), value.encode()))
            message = {**message, "headers": headers}
        await self._send(message)

    def _always(self, status: int) -> dict[str, str]:
        path = self._scope["path"]
        found = {
            "x-request-id": self._request_id,
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "x-frame-options": "DENY",
            "content-security-policy": self._policy(path),
            "cache-control": _caching(path, status),
        }
        if _is_secure(self._scope):
            found["strict-transport-security"] = "max-age=31536000"
        return found

    def _policy(self, path: str) -> str:
        # By the path, not by the kind of the answer: a 304 has no kind, and its headers replace those of the page.
        if _API.fullmatch(path) or _FILE.search(path):
            return "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        scripts = " ".join(("'self'", *self._pages.script_hashes(path)))
        socket = f"{'wss' if _is_secure(self._scope) else 'ws'}://{_host(self._scope)}"
        return (
            f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            f"font-src 'self'; connect-src 'self' {socket}; manifest-src 'self'; form-action 'self'; "
            "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
        )


class _LimitedBody:
    """Counts a body while it is read, since its announced length may be absent or wrong."""

    def __init__(self, receive: Receive, finish: _Finish) -> None:
        self._receive = receive
        self._finish = finish
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > LARGEST_BODY:
                # To the application the caller is gone; what it still says is not sent.
                await self._finish.refuse(_too_large())
                return {"type": "http.disconnect"}
        return message


def _caching(path: str, status: int) -> str:
    if status == 200 and _HASHED.fullmatch(path) and "/reflex-env-" not in path:
        return "public, max-age=31536000, immutable"
    return "no-store" if _API.fullmatch(path) or "/reflex-env-" in path else "no-cache"


def _too_large() -> TooLarge:
    return TooLarge(f"The body is larger than {LARGEST_BODY // 1024} KB.", limit_bytes=LARGEST_BODY)


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _header(scope: Scope, name: bytes) -> str:
    found = _headers(scope, name)
    return found[0] if found else ""


def _list(scope: Scope, name: bytes) -> list[str]:
    return [part.strip() for value in _headers(scope, name) for part in value.split(",") if part.strip()]


def _host(scope: Scope) -> str:
    return _header(scope, b"host")


def _is_secure(scope: Scope) -> bool:
    return scope.get("scheme") in ("https", "wss")


async def _refuse(send: Send, problem: RagError, request_id: str) -> None:
    status = _STATUS[type(problem)]
    error = {"code": problem.code, "message": problem.message, "details": problem.details, "request_id": request_id}
    await _answer(send, status, json.dumps({"error": error}).encode(), b"application/json")


async def _answer(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
