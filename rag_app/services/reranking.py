"""Makes the reranker that a bot or a search asks for: a provider's, a local one, or a chat model."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from uuid import UUID

from sqlalchemy import text

from rag_app.chat.listwise import MOST_TOKENS, ranking_request, scores_of
from rag_app.chat.request import EXTRACTIVE
from rag_app.chat.trace import ModelCall
from rag_app.errors import ProviderError, ProviderTimeout
from rag_app.providers import local_reranker
from rag_app.providers.completion_types import CompletionRequest
from rag_app.providers.completions import complete
from rag_app.providers.credentials import Keyring
from rag_app.providers.reranking import rerank
from rag_app.retrieval.rerank import Reranker
from rag_app.services.bots import BotCard
from rag_app.services.context import Context
from rag_app.services.embedding import workspace_keyring
from rag_app.services.retrieval_settings import RerankSettings

CHAT = "chat"
NO_CHAT_MODEL = "rerank: no chat model is configured that could rerank"

_DEFAULT_MODEL = text("SELECT default_chat_model FROM workspaces WHERE id = :id")
Note = Callable[[ModelCall], None]


async def chat_model(context: Context, workspace_id: UUID, bot: BotCard | None) -> str:
    """The model that answers for this bot; without one the default of the workspace."""
    async with context.transaction() as session:
        default = (await session.execute(_DEFAULT_MODEL, {"id": workspace_id})).scalar_one_or_none()
    return (bot.model if bot else None) or default or context.settings.chat_model


def chat_model_of(settings: RerankSettings, chat_model: str) -> str | None:
    """The chat model that reranks: the bot's own for `chat`, another for `chat/…`; None when no chat model does."""
    if settings.model == CHAT:
        return chat_model
    prefix, _, name = settings.model.partition("/")
    return name if prefix == CHAT else None


async def reranker_of(
    context: Context, workspace_id: UUID, settings: RerankSettings | None, *, chat_model: str, note: Note
) -> Reranker | None:
    """The reranker of these settings; None without settings, or when no chat model could do it. `note` gets calls."""
    if settings is None:
        return None
    judge = chat_model_of(settings, chat_model)
    if judge == EXTRACTIVE:
        return None
    keys = await workspace_keyring(context, workspace_id)

    async def score(question: str, texts: list[str]) -> Sequence[float | None]:
        call = ModelCall("rerank", judge or settings.model, ok=False)
        note(call)
        began = time.perf_counter()
        try:
            if judge:
                found = await _by_chat(question, texts, settings=settings, keys=keys, call=call)
            elif local_reranker.is_local(settings.model):
                found = await local_reranker.rerank(
                    question,
                    texts,
                    model=settings.model,
                    data_dir=context.settings.data_dir,
                    timeout_s=settings.timeout_s,
                )
            else:
                found = await rerank(
                    question, texts, model=settings.model, credentials=keys, timeout_s=settings.timeout_s
                )
            call.ok = True
            return found
        finally:
            call.took_ms = round((time.perf_counter() - began) * 1000, 1)

    return Reranker(score, settings.candidates)


async def _by_chat(
    question: str, texts: list[str], *, settings: RerankSettings, keys: Keyring, call: ModelCall
) -> list[float | None]:
    request = CompletionRequest(
        model=call.model,
        messages=ranking_request(question, texts),
        temperature=0.0,
        max_tokens=MOST_TOKENS,
        timeout_s=settings.timeout_s,
    )
    reply = ""
    try:
        async with asyncio.timeout(settings.timeout_s), aclosing(complete(request, keys)) as chunks:
            async for chunk in chunks:
                reply += chunk.text
                call.model = chunk.model or call.model
                if chunk.usage is not None:
                    call.count(chunk.usage)
    except TimeoutError as problem:
        raise ProviderTimeout("The chat model did not rerank in time.") from problem
    scores = scores_of(reply, len(texts))
    if all(each is None for each in scores):
        raise ProviderError("The chat model named no passage.")
    return scores
