"""Reads who is behind a websocket from the cookie of its handshake, from the database each time."""

from rag_app.errors import Unauthenticated
from rag_app.services.accounts import actor_of_session
from rag_app.services.context import Context
from rag_app.services.permissions import Actor
from rag_app.services.sessions import token_in_cookies


def session_token(cookie_header: str, origin: str) -> str:
    """The token of the session cookie, "" when there is none. `origin` tells whether the page came over https."""
    return token_in_cookies(cookie_header or "", encrypted=origin.startswith("https:")) or ""


async def actor_of_headers(context: Context, cookie_header: str, origin: str) -> Actor:
    """Who the cookie belongs to, now. Raises Unauthenticated."""
    actor = await actor_of_session(context, session_token(cookie_header, origin))
    if actor is None:
        raise Unauthenticated
    return actor
