"""Stands before every event of the websocket and drops what the authorization table does not allow."""

import hashlib
from typing import TYPE_CHECKING

import reflex as rx
from reflex.event import Event
from reflex.state import BaseState, StateUpdate

from rag_app.errors import RagError
from rag_app.services.permissions import is_allowed
from rag_app.state.access import ACCESS, key_of
from rag_app.state.identity import actor_of_headers, session_token
from rag_app.state.session import SessionState, way_to_sign_in
from rag_app.state.surroundings import surroundings
from rag_app.telemetry import log

if TYPE_CHECKING:
    from reflex.app import App


# How the framework begins a tab: when its page is loaded in full, and after a lost connection.
FRESH = frozenset({"state.hydrate", "state.hydrate_and_load"})


class Guard(rx.Middleware):
    """Deny by default. The session is read from the database for each event, so a revoked one ends at once."""

    async def preprocess(self, app: "App", state: BaseState, event: Event) -> StateUpdate | None:
        """None lets the event through; an update replaces it."""
        del app
        key = key_of(event.name)
        need = ACCESS.get(key)
        if need is None:
            log.warning("event_refused", event=event.name, reason="not in the table")
            return StateUpdate()
        await _bind(state)
        if key in FRESH:
            await _open_anew(state)
        if need == "anyone":
            return None
        try:
            headers = state.router.headers
            actor = await actor_of_headers(surroundings(), headers.cookie, headers.origin)
        except RagError:
            return StateUpdate(events=Event.from_event_type(way_to_sign_in(state.router.url.path)))
        if need != "signed_in" and not is_allowed(actor, need):
            log.warning("event_refused", event=event.name, reason="role")
            return StateUpdate()
        return None


async def _open_anew(state: BaseState) -> None:
    """What was announced on the page before is not announced again."""
    session = await state.get_state(SessionState)
    if session.notices:
        session.notices = []


async def _bind(state: BaseState) -> None:
    """The token of a tab is no credential: when another session comes with it, the memory of the tab is wiped."""
    session = await state.get_state(SessionState)
    token = session_token(state.router.headers.cookie, state.router.headers.origin)
    owner = hashlib.sha256(token.encode()).hexdigest() if token else "nobody"
    if session._bound_to != owner:
        if session._bound_to:
            state._get_root_state().reset()
        session._bound_to = owner
