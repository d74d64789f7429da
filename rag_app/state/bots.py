"""Bots: the list, and the form that makes or changes one."""

from typing import Any

import reflex as rx

from rag_app.errors import InvalidInput
from rag_app.services.bots import BotCard, NewBot, create_bot, delete_bot, get_bot, list_bots, update_bot
from rag_app.services.knowledge import list_knowledge_bases
from rag_app.services.models import read_models
from rag_app.services.paging import PageRequest
from rag_app.services.retrieval_settings import RetrievalSettings
from rag_app.state.retrieval_form import RetrievalForm, changes_from, form_of
from rag_app.state.rows import BotRow, Choice
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import model_label

MOST = PageRequest(limit=200)


class BotsState(SessionState):
    """What /bots shows."""

    rows: list[BotRow] = []
    loaded: bool = False
    problem: str = ""
    form_open: bool = False
    form_problem: str = ""
    edited_id: str = ""
    name: str = ""
    instructions: str = ""
    model: str = ""
    models: list[Choice] = []
    suggestions: str = ""
    memory: bool = True
    retrieval: RetrievalForm = RetrievalForm()
    knowledge: list[Choice] = []
    doomed_id: str = ""
    doomed_name: str = ""

    @rx.event
    async def load(self) -> None:
        """Read the list."""
        self.form_open, self.doomed_id = False, ""
        async with self._trying("problem"):
            await self._recognise()
            await self._read()

    async def _read(self) -> None:
        context, actor = surroundings(), await self._actor()
        names = {card.id: card.name for card in (await list_knowledge_bases(context, actor, MOST)).items}
        cards = (await list_bots(context, actor, MOST)).items
        self.rows = [bot_row(card, [names[kb] for kb in card.knowledge_base_ids if kb in names]) for card in cards]
        self.loaded = True

    @rx.event
    async def open_form(self, bot_id: str) -> None:
        """Open the form, empty for "" or filled with a bot."""
        async with self._trying():
            context, actor = surroundings(), await self._actor()
            card = await get_bot(context, actor, as_id(bot_id)) if bot_id else None
            chosen = set(card.knowledge_base_ids) if card else set()
            found = (await list_knowledge_bases(context, actor, MOST)).items
            self.knowledge = [Choice(str(kb.id), kb.name, kb.id in chosen) for kb in found]
            self.edited_id = bot_id if card else ""
            self.name, self.instructions = (card.name, card.instructions) if card else ("", "")
            self.model, self.memory = (card.model or "", card.memory) if card else ("", True)
            self.retrieval = form_of(card.retrieval if card else RetrievalSettings())
            named = (await read_models(context, actor)).chat_models
            self.models = [Choice(each, model_label(each)) for each in dict.fromkeys([*named, self.model]) if each]
            self.suggestions = "\n".join(card.suggested_questions) if card else ""
            self.form_open, self.form_problem = True, ""

    @rx.event
    def close_form(self) -> None:
        """Never mind."""
        self.form_open = False

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Make or change the bot."""
        async with self._trying("form_problem"):
            context, actor = surroundings(), await self._actor()
            current = (await get_bot(context, actor, as_id(self.edited_id))).retrieval if self.edited_id else None
            wanted = self._wanted(form) | {"retrieval": changes_from(form, current or RetrievalSettings())}
            if self.edited_id:
                await update_bot(context, actor, as_id(self.edited_id), wanted)
            else:
                await create_bot(context, actor, NewBot(**wanted))
            self.form_open = False
            self._say("Saved.")
            await self._read()

    def _wanted(self, form: dict[str, Any]) -> dict[str, Any]:
        name = as_text(form.get("name")).strip()
        if not name:
            raise InvalidInput("Give the bot a name.")
        lines = as_text(form.get("suggestions"), 4000).splitlines()
        return {
            "name": name,
            "instructions": as_text(form.get("instructions")),
            "model": as_text(form.get("other"), 200).strip() or as_text(form.get("model"), 200).strip() or None,
            "memory": bool(form.get("memory")),
            "suggested_questions": [line.strip() for line in lines if line.strip()][:8],
            "knowledge_base_ids": [as_id(kb.id) for kb in self.knowledge if form.get(f"kb-{kb.id}")],
        }

    @rx.event
    def ask_delete(self, bot_id: str) -> None:
        """Ask before a bot is deleted."""
        row = next((row for row in self.rows if row.id == bot_id), None)
        self.doomed_id, self.doomed_name = (row.id, row.name) if row else ("", "")

    @rx.event
    def keep(self) -> None:
        """Do not delete it."""
        self.doomed_id = ""

    @rx.event
    async def delete(self) -> None:
        """Delete the bot that was asked about."""
        doomed, self.doomed_id = self.doomed_id, ""
        async with self._trying():
            await delete_bot(surroundings(), await self._actor(), as_id(doomed))
            self._say(f"“{self.doomed_name}” was deleted.")
            await self._read()


def bot_row(card: BotCard, knowledge: list[str]) -> BotRow:
    """A bot as the list shows it."""
    return BotRow(
        id=str(card.id),
        name=card.name,
        slug=card.slug,
        model=card.model or "default model",
        knowledge=", ".join(knowledge) or "no knowledge base",
        instructions=card.instructions[:160],
    )
