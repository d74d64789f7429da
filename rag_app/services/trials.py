"""Other settings tried on a question that was asked: what the search finds with them, beside what it finds now."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from rag_app.chat.answer import SAY_NO_BELOW, SAY_NO_BELOW_WITH_MODEL, probability
from rag_app.chat.parts import parts_of
from rag_app.chat.pooling import pool
from rag_app.chat.prompt import fit_passages
from rag_app.chat.request import EXTRACTIVE
from rag_app.chat.trace import AnswerTrace
from rag_app.retrieval.passages import Passage
from rag_app.services.answering import BotSearch
from rag_app.services.bots import get_bot
from rag_app.services.context import Context
from rag_app.services.permissions import Actor, permit
from rag_app.services.reranking import chat_model
from rag_app.services.retrieval_settings import RetrievalSettings, as_json, settings_of, with_changes
from rag_app.services.traces import TraceView, read_trace


@dataclass(frozen=True, slots=True)
class Tried:
    """What one set of settings finds for the question."""

    settings: RetrievalSettings
    queries: tuple[str, ...]
    passages: tuple[Passage, ...]
    probability: float  # that they answer the question
    bar: float
    warnings: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    cost_microusd: int | None = None

    @property
    def says_no(self) -> bool:
        """Whether an answer would say that the documents hold none."""
        return not self.passages or self.probability < self.bar


@dataclass(frozen=True, slots=True)
class Trial:
    """The settings of the bot as they are, and changed."""

    before: Tried
    after: Tried


async def try_settings(context: Context, actor: Actor, message_id: UUID, changes: Mapping[str, Any]) -> Trial:
    """Search again for an answer of one's own, with the bot's settings and with changed ones; nothing is stored.

    The model of the bot is asked nothing, except when it reranks; another reranker takes the right to change bots.
    Raises NotFound, Conflict, InvalidInput, Forbidden.
    """
    permit(actor, "chat")
    trace = await read_trace(context, actor, message_id)
    bot = await get_bot(context, actor, trace.bot_id)
    changed = settings_of(with_changes(as_json(bot.retrieval), changes))
    if changed.rerank and changed.rerank != bot.retrieval.rerank:
        permit(actor, "bot.edit")  # calls of models cost money
    model = await chat_model(context, actor.workspace_id, bot)
    found = []
    for settings in (bot.retrieval, changed):
        notes = AnswerTrace()
        search = BotSearch(context, actor, bot, model, notes)
        found.append(await _tried(search, settings, queries_of(trace, settings, bot.retrieval)))
    return Trial(*found)


def queries_of(trace: TraceView, settings: RetrievalSettings, current: RetrievalSettings) -> tuple[str, ...]:
    """What was searched then; the parts are drawn anew by the rule when that is what changes."""
    if settings.split == current.split and trace.queries:
        return tuple(query.text for query in trace.queries)
    whole = next((query.text for query in trace.queries if query.why == "rewritten"), trace.question)
    return parts_of(whole) if settings.split else (whole,)


async def _tried(search: BotSearch, settings: RetrievalSettings, queries: Sequence[str]) -> Tried:
    results = await asyncio.gather(*(search.find(query, settings) for query in queries))
    pooled = pool(results, limit=settings.limit)
    with_model = search.model != EXTRACTIVE
    passages = fit_passages(pooled.passages, settings.context_tokens) if with_model else pooled.passages
    likely = [
        await asyncio.to_thread(probability, query, result) for query, result in zip(queries, results, strict=True)
    ]
    default = SAY_NO_BELOW_WITH_MODEL if with_model else SAY_NO_BELOW
    search.trace.warn(pooled.warnings)
    return Tried(
        settings=settings,
        queries=tuple(queries),
        passages=passages,
        probability=max(likely, default=0.0),
        bar=default if settings.minimum_evidence is None else settings.minimum_evidence,
        warnings=tuple(search.trace.warnings),
        timings_ms=pooled.timings_ms,
        cost_microusd=search.trace.usage().cost_microusd,
    )
