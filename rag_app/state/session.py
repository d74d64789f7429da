"""Who is signed in on this tab, what the navigation needs, and the notices at the edge of the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import reflex as rx

from rag_app.errors import NotFound, ProviderError, RagError, Unauthenticated
from rag_app.services.permissions import Actor, is_allowed
from rag_app.state.access import PLACES
from rag_app.state.identity import actor_of_headers
from rag_app.state.places import find_places
from rag_app.state.rows import Notice, PlaceRow
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import said
from rag_app.telemetry import log

MOST_NOTICES = 4
LONGEST_INPUT = 20_000


class SessionState(rx.State):
    """What every page knows. The states of the pages are children of this one."""

    signed_in: bool = False
    name: str = ""
    email: str = ""
    role: str = ""
    may_edit: bool = False
    may_manage: bool = False
    may_see: bool = True
    notices: list[Notice] = []
    found: list[PlaceRow] = []
    _bound_to: str = ""

    @rx.event
    async def enter(self) -> Any:
        """Runs when a page that needs a person is opened."""
        try:
            actor = await self._recognise()
        except RagError:
            return way_to_sign_in(self.router.url.path)
        need = PLACES.get(self._segment(0))
        self.may_see = need is None or is_allowed(actor, need)
        return None

    @rx.event
    def dismiss(self, key: str) -> None:
        """Take a notice away."""
        self.notices = [notice for notice in self.notices if notice.key != key]

    @rx.event
    async def search_places(self, words: str) -> None:
        """Fill the palette."""
        self.found = await find_places(surroundings(), await self._actor(), str(words)[:200])

    @rx.event
    def go(self, href: str) -> Any:
        """Open a place that the palette offered."""
        if any(place.href == href for place in self.found):
            return rx.redirect(href)
        return None

    # For the states of the pages. The underscore keeps the framework from offering these to the browser as events.

    async def _actor(self) -> Actor:
        """Who acts, read from the database now. Raises Unauthenticated."""
        headers = self.router.headers
        return await actor_of_headers(surroundings(), headers.cookie, headers.origin)

    async def _recognise(self) -> Actor:
        """Read who is signed in and show it. Raises Unauthenticated."""
        actor = await self._actor()
        self.signed_in = True
        self.name = actor.name or actor.email
        self.email = actor.email
        self.role = actor.role
        self.may_edit = is_allowed(actor, "document.add")
        self.may_manage = is_allowed(actor, "people.manage")
        return actor

    def _say(self, text: str, tone: str = "") -> None:
        """Show a notice; tone “bad” for what went wrong."""
        self.notices = [*self.notices[1 - MOST_NOTICES :], Notice(uuid4().hex[:8], text, tone)]

    def _segment(self, place: int) -> str:
        """One part of the path: of /knowledge/ID the part 1 is ID."""
        parts = [part for part in self.router.url.path.split("/") if part]
        return parts[place] if len(parts) > place else ""

    def _segment_id(self, place: int) -> UUID:
        """A part of the path as an id. Raises NotFound."""
        return as_id(self._segment(place))

    @asynccontextmanager
    async def _trying(self, problem_var: str = "") -> AsyncIterator[None]:
        """Turn an error of a service into words: in the named var, or as a notice."""
        if problem_var:
            setattr(self, problem_var, "")
        try:
            yield
        except RagError as problem:
            if isinstance(problem, Unauthenticated):
                self.signed_in = False
            # Which provider failed, and how, is for those who can change it.
            hidden = isinstance(problem, ProviderError) and not self.may_manage
            words = "The model cannot be reached." if hidden else said(problem)
            if problem_var:
                setattr(self, problem_var, words)
            else:
                self._say(words, "bad")
        except Exception:
            log.exception("event_failed", state=type(self).__name__)
            sentence = "Something went wrong on the server; it is in its log. Try again."
            if problem_var:
                setattr(self, problem_var, sentence)
            else:
                self._say(sentence, "bad")


def way_to_sign_in(path: str) -> Any:
    """To the sign-in page, and back to this path afterwards."""
    return rx.redirect(f"/sign-in?next={quote(path or '/')}")


def as_id(text: Any) -> UUID:
    """An id that came from the browser. Raises NotFound when it is none."""
    try:
        return UUID(str(text))
    except ValueError as problem:
        raise NotFound from problem


def as_text(value: Any, limit: int = LONGEST_INPUT) -> str:
    """A text that came from the browser: anything else becomes "", too long is cut."""
    return value[:limit] if isinstance(value, str) else ""
