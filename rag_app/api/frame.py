"""The frame around every request to the API: its id, its figures, and an answer even when our own code fails."""

import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_app.api.errors import error_response, translate
from rag_app.errors import InvalidInput
from rag_app.telemetry import current_request_id, log, request_scope, request_seconds, requests_total

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OWN = ("/api/", "/v1/")


def new_request_id() -> str:
    """A fresh id; what a caller sends is never taken over into the logs."""
    return secrets.token_hex(12)


class Frame:
    """ASGI middleware. Takes over the request id of an outer layer if there is one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with request_scope(current_request_id() or new_request_id()):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = current_request_id()
                if scope["path"].startswith(_OWN):
                    headers.setdefault("Cache-Control", "no-store")
                    headers.setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        try:
            if _is_unreadable(scope):
                refusal = InvalidInput("The address holds a character that is not allowed.")
                await error_response(refusal)(scope, receive, send_marked)
            else:
                await self._app(scope, receive, send_marked)
        except ClientDisconnect:  # who has sent half a body and left needs no answer
            log.info("caller_left", method=scope["method"], route=_route_of(scope))
        except Exception as problem:
            log.exception("request_crashed", method=scope["method"], route=_route_of(scope))
            if status:  # too late for an answer: the cut connection says it
                raise
            await error_response(translate(problem))(scope, receive, send_marked)
        finally:
            _count(scope, status, time.perf_counter() - started)


def _is_unreadable(scope: Scope) -> bool:
    return b"%00" in scope.get("query_string", b"") or "\x00" in scope["path"]


def _route_of(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "")) or "unknown"


def _count(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    route = _route_of(scope)
    requests_total.labels(method, route, str(status)).inc()
    request_seconds.labels(method, route).observe(seconds)
