"""The thread of one conversation: ask, follow the answer, stop, make it anew, judge it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import reflex as rx

from rag_app.errors import NotFound, RagError
from rag_app.services import answers
from rag_app.services.conversations import Opinion, get_conversation, list_messages, rate_message
from rag_app.services.namesakes import told_apart
from rag_app.services.paging import PageRequest
from rag_app.state.chat_rows import answered_row, message_row, namesakes, without_sources
from rag_app.state.chat_targets import (
    TargetChoice,
    bot_of_target,
    has_knowledge,
    suggestions_of,
    target_of_bot,
    targets,
)
from rag_app.state.connection import is_connected
from rag_app.state.gathered import Gathered
from rag_app.state.passage_view import PassageViewState
from rag_app.state.rows import Choice, CitationRow, MessageRow
from rag_app.state.session import as_id, as_text
from rag_app.state.surroundings import surroundings
from rag_app.telemetry import log

FLUSH_EVERY_S = 0.05
CHECK_EVERY_S = 1.0
MOST_SHOWN = 100
BEGINNING = "One moment…"


class ChatState(PassageViewState):
    """What the thread of /chat shows."""

    loaded: bool = False
    conversation: str = ""
    targets: list[Choice] = []
    target: str = ""
    suggestions: list[str] = []
    grounded: bool = False
    messages: list[MessageRow] = []
    running: bool = False
    sent: int = 0
    run: str = ""
    partial: str = ""
    partial_citations: list[CitationRow] = []
    phase: str = ""
    problem: str = ""
    announcement: str = ""
    last_question: str = ""
    last_answer: str = ""
    judged: str = ""

    _arriving: str = ""
    _follower: int = 0

    @rx.event
    async def load(self) -> Any:
        """Open a conversation, or an empty thread."""
        wanted, self.judged = self._segment(1), ""
        arriving, self._arriving = self._arriving, ""
        if wanted and wanted == arriving and self.loaded:
            return None  # the address has followed a first question; a reload reads everything anew
        self._clear()
        target = None
        async with self._trying("problem"):
            await self._recognise()
            await self._choose_targets()
            if wanted:
                target = await self._open(wanted)
        self.loaded = True
        return target

    def _clear(self) -> None:
        self.conversation, self.messages, self.problem, self.announcement = "", [], "", ""
        self.running, self.run, self.partial, self.partial_citations, self.phase = False, "", "", [], ""
        self.last_question, self.last_answer, self.judged = "", "", ""
        self._close_view()

    async def _choose_targets(self) -> None:
        context, actor = surroundings(), await self._actor()
        self.targets = await targets(context, actor)
        asked = self.router.url.query_parameters
        wanted = f"kb:{asked['kb']}" if "kb" in asked else f"bot:{asked['bot']}" if "bot" in asked else self.target
        known = {choice.id for choice in self.targets}
        self.target = wanted if wanted in known else (self.targets[0].id if self.targets else "")
        await self._describe()

    async def _describe(self) -> None:
        context, actor = surroundings(), await self._actor()
        self.suggestions = await suggestions_of(context, actor, self.target) if self.target else []
        self.grounded = bool(self.target) and await has_knowledge(context, actor, self.target)

    async def _open(self, wanted: str) -> Any:
        context, actor, identity = surroundings(), await self._actor(), as_id(wanted)
        conversation = await get_conversation(context, actor, identity)
        self.conversation = wanted
        await self._choose(await target_of_bot(context, actor, conversation.bot_id))
        await self._read_messages(identity)
        return ChatState.follow_run if self.running else None

    async def _choose(self, choice: TargetChoice) -> None:
        if choice.id not in {each.id for each in self.targets}:
            self.targets = [*self.targets, Choice(choice.id, choice.label)]
        self.target = choice.id
        await self._describe()

    async def _read_messages(self, conversation: UUID) -> None:
        found = await list_messages(surroundings(), await self._actor(), conversation, PageRequest(limit=MOST_SHOWN))
        rows = [message_row(each, operator=self.may_manage) for each in reversed(found.items)]
        under_way = next((row for row in rows if row.status == "running"), None)
        self.running, self.run = under_way is not None, under_way.id if under_way else ""
        await self._tell_apart(rows)
        self._show([row for row in rows if row.status != "running"])

    async def _tell_apart(self, rows: Sequence[MessageRow]) -> None:
        """Sources of one title say what tells them apart."""
        if wanted := namesakes(rows):
            found = await told_apart(surroundings(), await self._actor(), wanted)
            for each in (each for row in rows for each in row.citations if UUID(each.document_id) in wanted):
                each.apart = found.get(UUID(each.document_id), "")

    def _show(self, rows: list[MessageRow]) -> None:
        self.messages = rows
        self.last_question = next((row.text for row in reversed(rows) if row.role == "user"), "")
        self.last_answer = next((row.id for row in reversed(rows) if row.role == "assistant"), "")

    @rx.event
    def start_over(self) -> Any:
        """An empty thread."""
        self._clear()
        self.loaded = True

    @rx.event
    async def choose_target(self, target: str) -> Any:
        """Ask another bot or knowledge base: that is another conversation."""
        if target not in {choice.id for choice in self.targets}:
            return None
        had = self.conversation
        self._clear()
        self.target, self.loaded = target, True
        async with self._trying("problem"):
            await self._describe()
        return rx.redirect("/chat") if had else None

    @rx.event
    async def ask(self, question: str) -> Any:
        """Send a question; the answer is followed in the background."""
        question = as_text(question).strip()
        if self.running or not question or not self.target:
            return
        self.problem, self.announcement, self.running, self.phase = "", "", True, BEGINNING
        self.sent += 1
        self._show([*self.messages, MessageRow(id=f"asked-{len(self.messages)}", role="user", text=question)])
        yield
        fresh = not self.conversation
        async with self._trying("problem"):
            context, actor = surroundings(), await self._actor()
            bot_id = await bot_of_target(context, actor, self.target)
            conversation = None if fresh else as_id(self.conversation)
            started = await answers.ask(context, actor, bot_id, answers.Question(question, conversation))
            self.conversation, self.run = str(started.conversation_id), str(started.message_id)
            yield ChatState.follow_run
            if fresh:
                self._arriving = self.conversation
                yield rx.redirect(f"/chat/{self.conversation}", replace=True)
        if self.problem:
            self.running = False

    @rx.event
    async def regenerate(self) -> Any:
        """Make the last answer anew."""
        if self.running or not self.last_answer:
            return None
        target = None
        async with self._trying("problem"):
            self._close_view()
            started = await answers.regenerate(surroundings(), await self._actor(), as_id(self.last_answer))
            self._show([row for row in self.messages if row.id != self.last_answer])
            self.running, self.run, self.phase = True, str(started.message_id), BEGINNING
            self.sent += 1
            target = ChatState.follow_run
        return target

    @rx.event
    async def stop(self) -> None:
        """End the answer; what was said stays."""
        async with self._trying():
            if self.run:
                await answers.stop(surroundings(), await self._actor(), as_id(self.run))

    @rx.event(background=True)
    async def follow_run(self) -> None:
        """Show the answer while it is written; ends with it, with the tab, or when another one is opened."""
        async with self:
            run, token, self.partial, self.partial_citations = self.run, self.router.session.client_token, "", []
            self._follower += 1
            follower = self._follower
            try:
                actor = await self._actor()
            except RagError:
                return
        gathered = Gathered()
        reader = asyncio.create_task(gathered.read(answers.follow(surroundings(), actor, as_id(run))))
        try:
            await self._follow(run, token, gathered=gathered, reader=reader)
        except RagError as problem:
            log.info("follow_ended", code=problem.code)
        except Exception:
            log.exception("follow_failed")
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        async with self:
            if self.run == run and self._follower == follower:  # else a reloaded page follows it by now
                await self._settle(gathered.done)

    async def _follow(self, run: str, token: str, *, gathered: Gathered, reader: "asyncio.Task[None]") -> None:
        checked = time.monotonic()
        while not reader.done() or gathered.news.is_set():
            await gathered.wait(reader, timeout_s=CHECK_EVERY_S)
            if check := time.monotonic() - checked >= CHECK_EVERY_S:
                checked = time.monotonic()
                if not await is_connected(token):
                    return
            async with self:
                if self.run != run:
                    return
                if check:
                    await self._actor()  # a session that has ended sees nothing more
                self._take_over(gathered)
            if not reader.done():
                await asyncio.sleep(FLUSH_EVERY_S)
        await reader

    def _take_over(self, gathered: Gathered) -> None:
        if gathered.news.is_set():
            gathered.news.clear()
            self.partial, self.phase = gathered.text, gathered.phase or self.phase
            if len(gathered.citations) != len(self.partial_citations):
                self.partial_citations = list(gathered.citations)

    async def _settle(self, done: dict[str, Any] | None) -> None:
        """Put the answer among the messages: as its run ended, or as the database has it."""
        async with self._trying("problem"):
            if done is not None:
                row = answered_row(done)
                await self._tell_apart([row])
                self._show([*self.messages, row])
            else:
                await self._read_ended()
            last = self.messages[-1] if self.messages else None
            if last is not None and last.role == "assistant":
                self.announcement = f"Answer: {without_sources(last.text)}"
        self.running, self.run, self.partial, self.partial_citations, self.phase = False, "", "", [], ""

    async def _read_ended(self) -> None:
        for _ in range(20):  # the last event is seen a moment before the message itself is written
            await self._read_messages(as_id(self.conversation))
            if not self.running:
                return
            await asyncio.sleep(0.1)

    @rx.event
    async def rate(self, message_id: str, rating: int) -> None:
        """Thumbs up or down; for down a comment may follow."""
        wanted = 1 if rating == 1 else -1
        async with self._trying():
            await rate_message(surroundings(), await self._actor(), as_id(message_id), Opinion(wanted))
            self._show([_rated(row, wanted) if row.id == message_id else row for row in self.messages])
            self.judged = message_id if wanted < 0 else ""

    @rx.event
    async def comment(self, form: dict[str, Any]) -> None:
        """Say what was wrong."""
        judged, self.judged = self.judged, ""
        text = as_text(form.get("comment"), 2000).strip()
        async with self._trying():
            if text:
                actor = await self._actor()
                await rate_message(surroundings(), actor, as_id(judged), Opinion(-1, text))
            self._say("Thank you.")

    @rx.event
    def close_comment(self) -> None:
        """No comment."""
        self.judged = ""

    @rx.event
    async def open_citation(self, message_id: str, n: int) -> None:
        """Open the passage behind a chip."""
        shown = self.partial_citations if message_id == self.run else []
        for row in self.messages:
            if row.id == message_id:
                shown = row.citations
        citation = next((each for each in shown if each.n == n), None)
        if citation is None:
            raise NotFound
        await self._open_view(message_id, citation)


def _rated(row: MessageRow, rating: int) -> MessageRow:
    row.rating = rating
    return row
