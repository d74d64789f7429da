"""Search in knowledge bases on behalf of a person or a bot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from rag_app.errors import InvalidInput
from rag_app.providers.embeddings import dense_weight
from rag_app.retrieval.passages import Mode, SearchResult
from rag_app.retrieval.scope import Embedder, Scope
from rag_app.retrieval.search import search
from rag_app.services.context import Context
from rag_app.services.embedding import Vectors, embed_texts
from rag_app.services.permissions import Actor, permit
from rag_app.telemetry import search_seconds

LONGEST_QUERY = 4000
MOST_RESULTS = 100


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for."""

    text: str
    limit: int = 10
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] = field(default_factory=dict)


async def search_knowledge_base(context: Context, actor: Actor, knowledge_base_id: UUID, query: Query) -> SearchResult:
    """Passages of one knowledge base, best first. Raises NotFound, InvalidInput."""
    permit(actor, "search")
    check_query(query)
    scope = _scope(context, actor, [knowledge_base_id], query)
    return await _measured(context, query, replace(scope, must_exist=True))


async def search_passages(
    context: Context, actor: Actor, knowledge_base_ids: Sequence[UUID], query: Query
) -> SearchResult:
    """Passages of some knowledge bases. Those that the actor may not see are left out inside the SQL."""
    return await _measured(context, query, _scope(context, actor, knowledge_base_ids, query))


async def _measured(context: Context, query: Query, scope: Scope) -> SearchResult:
    result = await search(context.engine, query.text, scope)
    for leg, took_ms in result.timings_ms.items():
        if took_ms is not None:
            search_seconds.labels(leg).observe(took_ms / 1000)
    return result


def _scope(context: Context, actor: Actor, knowledge_base_ids: Sequence[UUID], query: Query) -> Scope:
    def embedder(model: str) -> Embedder:
        async def embed(texts: list[str]) -> Vectors:
            return await embed_texts(context, actor.workspace_id, model, texts, purpose="query")

        return Embedder(embed, dense_weight(model))

    return Scope(
        workspace_id=actor.workspace_id,
        knowledge_base_ids=knowledge_base_ids,
        actor_user_id=actor.user_id,
        is_admin=actor.sees_all,
        limit=query.limit,
        mode=query.mode,
        filter=query.filter,
        embedder=embedder,
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
