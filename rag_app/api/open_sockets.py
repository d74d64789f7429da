"""The websockets that are open in this process, and the end of those whose session has ended."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import psycopg

from rag_app.database.engine import without_driver
from rag_app.errors import RagError
from rag_app.services.accounts import actor_of_session
from rag_app.services.context import Context
from rag_app.services.sessions import CHANNEL, token_in_cookies
from rag_app.telemetry import log

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

SIGNED_OUT = 4401  # websocket close code: the session has ended
CHECK_EVERY_S = 60.0  # also without a notification, should the listening connection have been away
RECONNECT_S = 2.0
# Who changes a password gets a new cookie with the answer; it should be there before the browser connects again.
GRACE_S = 1.0


@dataclass(eq=False)
class _Open:
    token: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class OpenSockets:
    """Runs the application for a websocket, and can take it away from it."""

    def __init__(self) -> None:
        self._open: set[_Open] = set()

    async def serve(self, app: Asgi, scope: Scope, *, receive: Receive, send: Send) -> None:
        """Serve one websocket until it or its session ends."""
        entry = _Open(session_token_of(scope))
        closed = False

        async def receive_or_end() -> Message:
            nonlocal closed
            waiting = asyncio.ensure_future(receive())
            ending = asyncio.ensure_future(entry.ended.wait())
            try:
                await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    return waiting.result()
            finally:
                ending.cancel()
                if not waiting.done():
                    waiting.cancel()
                    await asyncio.wait({waiting})  # the server closes no socket on which it still waits
            if not closed:
                closed = True
                await send({"type": "websocket.close", "code": SIGNED_OUT})
            return {"type": "websocket.disconnect", "code": SIGNED_OUT}

        async def send_while_open(message: Message) -> None:
            if not closed:
                await send(message)

        self._open.add(entry)
        try:
            await app(_bound_to_session(scope, entry.token), receive_or_end, send_while_open)
        finally:
            self._open.discard(entry)

    async def end_where_session_ended(self, context: Context) -> int:
        """Close every socket whose session is over; how many. Sockets of strangers have none and stay."""
        tokens = {entry.token for entry in self._open if entry.token}
        over = {token for token in tokens if await actor_of_session(context, token) is None}
        ending = [entry for entry in self._open if entry.token in over]
        for entry in ending:
            entry.ended.set()
        if ending:
            log.info("sockets_ended", count=len(ending))
        return len(ending)

    async def watch(self, context: Context) -> None:
        """Close sockets as soon as the database says that a session has ended; until cancelled."""
        while True:
            try:
                await self._listen(context)
            except (psycopg.Error, OSError, RagError) as problem:
                log.warning("session_watch_failed", error=type(problem).__name__)
                await asyncio.sleep(RECONNECT_S)

    async def _listen(self, context: Context) -> None:
        address = without_driver(context.settings.database_direct_url or context.url)
        async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            await self.end_where_session_ended(context)
            while True:
                async for _ in connection.notifies(timeout=CHECK_EVERY_S, stop_after=1):
                    await asyncio.sleep(GRACE_S)
                await self.end_where_session_ended(context)


def session_token_of(scope: Scope) -> str:
    """The session token in the cookies of a handshake, "" when there is none."""
    cookies = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"cookie")
    return token_in_cookies(cookies, encrypted=scope.get("scheme") in ("https", "wss")) or ""


def _bound_to_session(scope: Scope, session_token: str) -> Scope:
    """The token of a tab finds the memory of that tab, so it counts only together with the session it came with.

    Whoever else brings it, from a log or a copied address, gets a memory of their own and none of the updates.
    """
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
    bound = [
        (name, hashlib.sha256(f"{session_token}\0{value}".encode()).hexdigest() if name == "token" else value)
        for name, value in query
    ]
    return {**scope, "query_string": urlencode(bound).encode()}
