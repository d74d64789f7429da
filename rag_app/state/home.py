"""The first steps: where a person goes after signing in, and the sample documents."""

from typing import Any

import reflex as rx

from rag_app.services.knowledge import list_knowledge_bases
from rag_app.services.paging import PageRequest
from rag_app.services.samples import load_samples
from rag_app.state.session import SessionState
from rag_app.state.surroundings import surroundings


class HomeState(SessionState):
    """What / and /welcome show."""

    loading_samples: bool = False
    has_knowledge: bool = False
    problem: str = ""

    @rx.event
    async def start(self) -> Any:
        """From / to the chat, or to the first steps while there is nothing to ask."""
        target = None
        async with self._trying("problem"):
            actor = await self._recognise()
            found = await list_knowledge_bases(surroundings(), actor, PageRequest(limit=1))
            target = rx.redirect("/chat" if found.items else "/welcome", replace=True)
        return target

    @rx.event
    async def load(self) -> None:
        """Open the first steps."""
        async with self._trying("problem"):
            actor = await self._recognise()
            found = await list_knowledge_bases(surroundings(), actor, PageRequest(limit=1))
            self.has_knowledge = bool(found.items)

    @rx.event
    async def load_samples(self) -> Any:
        """Take in the sample documents, make their bot, and open it in the chat."""
        if self.loading_samples:
            return
        self.loading_samples = True
        yield
        async with self._trying("problem"):
            loaded = await load_samples(surroundings(), await self._actor())
            yield rx.redirect(f"/chat?bot={loaded.bot_id}")
        self.loading_samples = False
