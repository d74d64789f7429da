"""Where a search looks, for whom, and how; and the knowledge bases that this person may search."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.retrieval.passages import Mode

Embed = Callable[[list[str]], Awaitable["np.ndarray[Any, np.dtype[np.float32]]"]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What one search may see. `actor_user_id` None and not admin = someone from outside: no restricted ones."""

    workspace_id: UUID
    knowledge_base_ids: Sequence[UUID]
    actor_user_id: UUID | None = None
    is_admin: bool = False
    limit: int = 10
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] = field(default_factory=dict)  # metadata key -> value, or a list that means any
    embed: Embed | None = None
    dense_weight: float = 0.3
    language: str = ""  # of the question, if known
    merge_neighbours: bool = True
    ignore_access: bool = False  # a bot speaks for its owner: its knowledge bases count as open


@dataclass(frozen=True, slots=True)
class Target:
    """A knowledge base that may be searched, and how."""

    knowledge_base_id: UUID
    index_id: int | None
    model: str | None
    dimensions: int
    has_hnsw: bool
    passages_by_language: Mapping[str, int]

    @property
    def passages(self) -> int:
        """How many passages it holds."""
        return sum(self.passages_by_language.values())


ACCESS = """
    k.workspace_id = :workspace_id AND k.id = ANY(CAST(:kbs AS uuid[]))
    AND (:sees_all OR k.access = 'workspace' OR EXISTS (
        SELECT FROM knowledge_base_members m
        WHERE m.knowledge_base_id = k.id AND m.user_id = CAST(:user_id AS uuid)))
"""
"""The condition on `knowledge_bases k` that every search statement carries; `access_values` binds it."""


def access_values(scope: Scope) -> dict[str, Any]:
    """Bound parameters of ACCESS."""
    return {
        "workspace_id": scope.workspace_id,
        "kbs": list(scope.knowledge_base_ids),
        "sees_all": scope.is_admin or scope.ignore_access,
        "user_id": scope.actor_user_id,
    }


async def targets(connection: AsyncConnection, scope: Scope) -> list[Target]:
    """The knowledge bases of the scope that exist and that this person may search."""
    rows = await connection.execute(_TARGETS, access_values(scope))
    grouped: dict[UUID, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row.id, []).append(row)
    return [
        Target(
            knowledge_base_id=each,
            index_id=found[0].active_index_id,
            model=found[0].model,
            dimensions=found[0].dimensions or 0,
            has_hnsw=bool(found[0].has_hnsw),
            passages_by_language={row.language: int(row.passages) for row in found if row.passages > 0},
        )
        for each, found in grouped.items()
    ]


_TARGETS = text(f"""
    SELECT k.id, k.active_index_id, i.model, i.dimensions, i.has_hnsw,
           coalesce(t.language, '') AS language, coalesce(sum(t.passages), 0) AS passages
    FROM knowledge_bases k
    LEFT JOIN indexes i ON i.id = k.active_index_id AND i.knowledge_base_id = k.id
    LEFT JOIN LATERAL (
        SELECT language, passages FROM lexical_totals WHERE knowledge_base_id = k.id
        UNION ALL
        SELECT language, passages FROM lexical_deltas WHERE knowledge_base_id = k.id
    ) t ON true
    WHERE {ACCESS}
    GROUP BY k.id, k.active_index_id, i.model, i.dimensions, i.has_hnsw, t.language
""")  # noqa: S608 -- ACCESS is a constant with bound parameters
