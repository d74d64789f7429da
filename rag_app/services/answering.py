"""Binds an answer to its bot: the model, the search with the bot's settings, the reranker, the keys, the trace."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from rag_app.chat.answer import answer
from rag_app.chat.events import Event
from rag_app.chat.history import Turn
from rag_app.chat.request import EXTRACTIVE, AnswerRequest, Engine
from rag_app.chat.trace import AnswerTrace
from rag_app.providers.completion_types import CompletionChunk, CompletionRequest
from rag_app.providers.completions import complete
from rag_app.providers.local_embedder import NAME as BUNDLED
from rag_app.retrieval.passages import SearchResult
from rag_app.services.bots import BotCard
from rag_app.services.context import Context
from rag_app.services.correctors import with_correctors
from rag_app.services.embedding import Vectors, embed_texts, workspace_keyring
from rag_app.services.exact_pages import with_exact_pages
from rag_app.services.permissions import Actor
from rag_app.services.reranking import NO_CHAT_MODEL, chat_model, reranker_of
from rag_app.services.retrieval_settings import RetrievalSettings, as_json
from rag_app.services.search import Query, search_passages

# What neither Postgres nor UTF-8 can hold, though a model may say it.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, and what was said before it."""

    question: str
    history: tuple[Turn, ...] = ()
    language: str = ""


async def events_of(
    context: Context, actor: Actor, bot: BotCard, asked: Asked, *, trace: AnswerTrace
) -> AsyncGenerator[Event, None]:
    """The events of one answer of this bot to this person; the trace is filled in on the way."""
    model = await chat_model(context, actor.workspace_id, bot)
    settings = bot.retrieval
    trace.settings = as_json(settings)
    request = AnswerRequest(
        question=asked.question,
        history=asked.history,
        instructions=bot.instructions,
        model=model,
        fallback_model=bot.fallback_model,
        temperature=bot.temperature,
        language=asked.language,
        has_knowledge=bot.has_knowledge,
        memory=bot.memory,
        limit=settings.limit,
        context_tokens=settings.context_tokens,
        split=settings.split,
        hops=settings.hops,
        minimum_evidence=settings.minimum_evidence,
    )
    search = BotSearch(context, actor, bot, model, trace)
    engine = await _engine(context, actor, search)
    answered = with_correctors(context, with_exact_pages(context, answer(request, engine, trace=trace)))
    async with context.runs.turn(actor.user_id), aclosing(answered) as events:
        async for event in events:
            yield event


@dataclass(frozen=True, slots=True)
class BotSearch:
    """The search of one bot for one person, with what the bot is set to."""

    context: Context
    actor: Actor
    bot: BotCard
    model: str
    trace: AnswerTrace

    async def find(self, query: str, settings: RetrievalSettings) -> SearchResult:
        """What these settings find; every candidate says what became of it."""
        reranker = await reranker_of(
            self.context,
            self.actor.workspace_id,
            settings.rerank,
            chat_model=self.model,
            note=self.trace.calls.append,
        )
        if settings.rerank and reranker is None:
            self.trace.warn([NO_CHAT_MODEL])
        wanted = Query(
            text=query,
            limit=settings.limit,
            mode=settings.mode,
            filter=settings.filter,
            dense_weight=settings.dense_weight,
            reranker=reranker,
            explain=True,
        )
        return await search_passages(self.context, self.actor, self.bot.knowledge_base_ids, wanted)


async def _engine(context: Context, actor: Actor, search: BotSearch) -> Engine:
    async def look_up(query: str, limit: int) -> SearchResult:
        return await search.find(query, replace(search.bot.retrieval, limit=limit))

    async def embed(texts: list[str]) -> Vectors:
        # Hundreds of words and sentences per answer: always the bundled model, never a provider's.
        return await embed_texts(context, actor.workspace_id, BUNDLED, texts, purpose="query")

    if search.model == EXTRACTIVE:
        return Engine(look_up, None, embed)
    keys = await workspace_keyring(context, actor.workspace_id)

    async def write(request: CompletionRequest) -> AsyncGenerator[CompletionChunk, None]:
        async with aclosing(complete(request, keys)) as chunks:
            async for chunk in chunks:
                yield replace(chunk, text=_UNSTORABLE.sub("\ufffd", chunk.text)) if chunk.text else chunk

    return Engine(look_up, write, embed)
