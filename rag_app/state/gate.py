"""The pages before sign-in that come from a link: whether the link still works, before anybody fills in a form."""

from typing import get_args

import reflex as rx

from rag_app.services.links import DEAD, Kind, is_alive
from rag_app.services.setup import is_set_up
from rag_app.state.session import as_text
from rag_app.state.surroundings import surroundings

LONGEST_TOKEN = 200


class GateState(rx.State):
    """What /setup, /invite and /reset show."""

    dead: str = ""
    is_set_up: bool = False

    @rx.event
    async def check(self, kind: str, token: str) -> None:
        """Look whether a link works; it is not used up. What cannot be looked up is left to the form."""
        self.dead, self.is_set_up = "", kind == "setup" and await is_set_up(surroundings())
        wanted: Kind | None = next((each for each in get_args(Kind) if each == kind), None)
        if wanted is not None and token and not await is_alive(surroundings(), wanted, as_text(token, LONGEST_TOKEN)):
            self.dead = DEAD
