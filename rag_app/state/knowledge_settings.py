"""The settings of one knowledge base: name, who may use it, removal."""

from typing import Any

import reflex as rx

from rag_app.services.knowledge import (
    delete_knowledge_base,
    get_knowledge_base,
    members,
    set_members,
    update_knowledge_base,
)
from rag_app.services.paging import PageRequest
from rag_app.services.people import list_people
from rag_app.services.permissions import is_allowed
from rag_app.state.rows import Choice
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings


class KnowledgeSettingsState(SessionState):
    """The tab “Settings” of a knowledge base."""

    kb_id: str = ""
    name: str = ""
    description: str = ""
    access: str = "workspace"
    people: list[Choice] = []
    problem: str = ""
    saved: bool = False
    doomed: bool = False
    delete_problem: str = ""

    @rx.event
    async def load(self) -> None:
        """Read the settings."""
        self.problem, self.saved, self.doomed, self.people = "", False, False, []
        self.kb_id = self._segment(1)
        await self._read()

    async def _read(self) -> None:
        async with self._trying("problem"):
            context, actor, kb = surroundings(), await self._actor(), as_id(self.kb_id)
            card = await get_knowledge_base(context, actor, kb)
            self.name, self.description, self.access = card.name, card.description, card.access
            if card.access == "restricted" and is_allowed(actor, "people.read"):
                chosen = set(await members(context, actor, kb))
                found = await list_people(context, actor, PageRequest(limit=200))
                self.people = [Choice(str(each.id), each.name or each.email, each.id in chosen) for each in found.items]

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Change name and description."""
        changes = {"name": as_text(form.get("name")), "description": as_text(form.get("description"))}
        async with self._trying("problem"):
            await update_knowledge_base(surroundings(), await self._actor(), as_id(self.kb_id), changes=changes)
            self.saved = True
            self._say("Saved.")

    @rx.event
    async def set_access(self, access: str) -> None:
        """Open to the workspace, or restricted to named people."""
        async with self._trying("problem"):
            context, actor, kb = surroundings(), await self._actor(), as_id(self.kb_id)
            if access == "restricted":
                await set_members(context, actor, kb, list(await members(context, actor, kb)))
            await update_knowledge_base(context, actor, kb, changes={"access": as_text(access, 20)})
        await self._read()

    @rx.event
    async def toggle_member(self, person_id: str) -> None:
        """Name a person, or no longer."""
        async with self._trying("problem"):
            context, actor, kb = surroundings(), await self._actor(), as_id(self.kb_id)
            named = set(await members(context, actor, kb)) ^ {as_id(person_id)}
            await set_members(context, actor, kb, sorted(named))
        await self._read()

    @rx.event
    def ask_delete(self) -> None:
        """Ask for the name before all is removed."""
        self.doomed, self.delete_problem = True, ""

    @rx.event
    def keep(self) -> None:
        """Do not delete it."""
        self.doomed = False

    @rx.event
    async def delete(self, form: dict[str, Any]) -> Any:
        """Remove the knowledge base when its name was typed."""
        if as_text(form.get("name")).strip() != self.name:
            self.delete_problem = "This is not the name of the knowledge base."
            return None
        target = None
        async with self._trying("delete_problem"):
            await delete_knowledge_base(surroundings(), await self._actor(), as_id(self.kb_id))
            self.doomed = False
            self._say(f"“{self.name}” was deleted.")
            target = rx.redirect("/knowledge")
        return target
