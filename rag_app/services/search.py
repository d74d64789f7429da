"""Search in knowledge bases on behalf of a person or a bot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from rag_app.errors import InvalidInput
from rag_app.providers.embeddings import dense_weight
from rag_app.retrieval.passages import Mode, SearchResult
from rag_app.retrieval.rerank import Reranker
from rag_app.retrieval.scope import Embedder, Scope
from rag_app.retrieval.search import search
from rag_app.services.bots import own_bot
from rag_app.services.context import Context
from rag_app.services.embedding import Vectors, embed_texts
from rag_app.services.permissions import Actor, permit
from rag_app.services.reranking import chat_model, reranker_of
from rag_app.services.retrieval_settings import RerankSettings
from rag_app.telemetry import search_seconds

LONGEST_QUERY = 4000
MOST_RESULTS = 100
NO_RERANKER = "rerank: no reranker is configured"


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for."""

    text: str
    limit: int = 10
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] = field(default_factory=dict)
    dense_weight: float | None = None  # None = that of the embedding model
    reranker: Reranker | None = None
    explain: bool = False


async def search_knowledge_base(
    context: Context, actor: Actor, knowledge_base_id: UUID, query: Query, *, rerank: bool | RerankSettings = False
) -> SearchResult:
    """Passages of one knowledge base, best first. Raises NotFound, InvalidInput.

    `rerank` True takes the reranker of the knowledge base's own bot; where there is none, a warning says so. To name
    another one takes the right to change bots, because calls of models cost money.
    """
    permit(actor, "search")
    if isinstance(rerank, RerankSettings):
        permit(actor, "bot.edit")
    check_query(query)
    warnings: list[str] = []
    if rerank:
        reranker = await _reranker(context, actor, knowledge_base_id, None if rerank is True else rerank)
        query = replace(query, reranker=reranker)
        warnings = [] if reranker else [NO_RERANKER]
    scope = scope_of(context, actor, [knowledge_base_id], query)
    found = await _measured(context, query, replace(scope, must_exist=True))
    return replace(found, warnings=(*found.warnings, *warnings)) if warnings else found


async def _reranker(
    context: Context, actor: Actor, knowledge_base_id: UUID, wanted: RerankSettings | None
) -> Reranker | None:
    bot = await own_bot(context, actor, knowledge_base_id)
    settings = wanted or (bot.retrieval.rerank if bot else None)
    model = await chat_model(context, actor.workspace_id, bot)
    return await reranker_of(context, actor.workspace_id, settings, chat_model=model, note=lambda _: None)


async def search_passages(
    context: Context, actor: Actor, knowledge_base_ids: Sequence[UUID], query: Query
) -> SearchResult:
    """Passages of some knowledge bases. Those that the actor may not see are left out inside the SQL."""
    return await _measured(context, query, scope_of(context, actor, knowledge_base_ids, query))


async def _measured(context: Context, query: Query, scope: Scope) -> SearchResult:
    result = await search(context.engine, query.text, scope)
    for leg, took_ms in result.timings_ms.items():
        if took_ms is not None:
            search_seconds.labels(leg).observe(took_ms / 1000)
    return result


def scope_of(context: Context, actor: Actor, knowledge_base_ids: Sequence[UUID], query: Query) -> Scope:
    """Where this person searches, and how."""

    def embedder(model: str) -> Embedder:
        async def embed(texts: list[str]) -> Vectors:
            return await embed_texts(context, actor.workspace_id, model, texts, purpose="query")

        return Embedder(embed, dense_weight(model) if query.dense_weight is None else query.dense_weight)

    return Scope(
        workspace_id=actor.workspace_id,
        knowledge_base_ids=knowledge_base_ids,
        actor_user_id=actor.user_id,
        is_admin=actor.sees_all,
        limit=query.limit,
        mode=query.mode,
        filter=query.filter,
        embedder=embedder,
        reranker=query.reranker,
        explain=query.explain,
    )


def check_query(query: Query) -> None:
    """Raise InvalidInput when the question is empty or too long, or the filter is not flat."""
    if not query.text.strip() or len(query.text) > LONGEST_QUERY:
        raise InvalidInput(f"query: between 1 and {LONGEST_QUERY} characters are expected", field="query")
    if "\0" in query.text or "\0" in str(query.filter):
        raise InvalidInput("query: NUL characters are not allowed", field="query")
    if not 1 <= query.limit <= MOST_RESULTS:
        raise InvalidInput(f"limit: a number between 1 and {MOST_RESULTS} is expected", field="limit")
    for key, value in query.filter.items():
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(each, str | int | float | bool) for each in values):
            raise InvalidInput(
                f"filter: “{key[:50]}” must be a text, a number, true, false, or a list of these", field="filter"
            )
