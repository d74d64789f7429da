"""Where a search looks, for whom, and how; and the knowledge bases that this person may search."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from rag_app.retrieval.passages import Mode
from rag_app.retrieval.reader import Reader, integers, uuids

if TYPE_CHECKING:
    from rag_app.retrieval.rerank import Reranker

Embed = Callable[[list[str]], Awaitable["np.ndarray[Any, np.dtype[np.float32]]"]]


@dataclass(frozen=True, slots=True)
class Embedder:
    """An embedding model ready for questions, and its share in the fusion, 0..1."""

    embed: Embed
    dense_weight: float


@dataclass(frozen=True, slots=True)
class Scope:
    """What one search may see. `actor_user_id` None and not admin = someone from outside: no restricted ones."""

    workspace_id: UUID
    knowledge_base_ids: Sequence[UUID]
    actor_user_id: UUID | None = None
    is_admin: bool = False
    limit: int = 10
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] = field(default_factory=dict)  # field -> value, or a list that means any, see filters.py
    embed: Embed | None = None
    dense_weight: float = 0.3
    embedder: Callable[[str], Embedder] | None = None  # the embedder of a model; replaces `embed` and `dense_weight`
    language: str = ""  # of the question, if known
    merge_neighbours: bool = True
    ignore_access: bool = False  # a bot speaks for its owner: its knowledge bases count as open
    index_id: int | None = None  # search this index instead of the active one; for one knowledge base
    must_exist: bool = False  # NotFound when this person may see none of the knowledge bases
    reranker: "Reranker | None" = None
    explain: bool = False  # also say what became of the candidates that are not shown


@dataclass(frozen=True, slots=True)
class Target:
    """A knowledge base that may be searched, and how."""

    knowledge_base_id: UUID
    index_id: int | None
    model: str | None
    dimensions: int
    has_hnsw: bool
    passages_by_language: Mapping[str, int]
    cutting_id: int = 0  # its passages are those of this cutting

    @property
    def passages(self) -> int:
        """How many passages it holds."""
        return sum(self.passages_by_language.values())


ACCESS = """
    k.workspace_id = %(workspace_id)s AND k.id = ANY(CAST(%(kbs)s AS uuid[]))
    AND (%(sees_all)s OR k.access = 'workspace' OR EXISTS (
        SELECT FROM knowledge_base_members m
        WHERE m.knowledge_base_id = k.id AND m.user_id = CAST(%(user_id)s AS uuid)))
"""
"""The condition on `knowledge_bases k` that search statements carry; `access_values` binds it."""


def access_values(scope: Scope) -> dict[str, Any]:
    """Bound parameters of ACCESS."""
    return {
        "workspace_id": scope.workspace_id,
        "kbs": uuids(scope.knowledge_base_ids),
        "sees_all": scope.is_admin or scope.ignore_access,
        "user_id": scope.actor_user_id,
        "index_id": scope.index_id,
    }


@dataclass(frozen=True, slots=True)
class Resolved:
    """The knowledge bases of a scope that exist and that this person may search, and how often terms stand in them."""

    targets: list[Target]
    frequency: dict[int, int]  # hashed term -> passages; only those asked for and found


async def resolve(reader: Reader, scope: Scope, terms: Collection[int]) -> Resolved:
    """One statement for both; pending statistics are counted."""
    grouped: dict[UUID, list[Any]] = {}
    frequency: dict[int, int] = {}
    for row in await reader.rows(_RESOLVE, access_values(scope) | {"terms": integers(terms)}):
        if row[0] is None:
            frequency[row[7]] = row[6]
        else:
            grouped.setdefault(row[0], []).append(row)
    targets = [
        Target(
            knowledge_base_id=each,
            index_id=found[0][1],
            model=found[0][2],
            dimensions=found[0][3] or 0,
            has_hnsw=bool(found[0][4]),
            passages_by_language={row[5]: row[6] for row in found if row[6] > 0},
            cutting_id=found[0][8],
        )
        for each, found in grouped.items()
    ]
    return Resolved(targets, {term: passages for term, passages in frequency.items() if passages > 0})


_RESOLVE = f"""
    WITH allowed AS MATERIALIZED (
        SELECT k.id, i.id AS index_id, i.model, i.dimensions, i.has_hnsw, coalesce(i.cutting_id, 0) AS cutting_id
        FROM knowledge_bases k LEFT JOIN indexes i ON i.knowledge_base_id = k.id
            AND i.id = coalesce(CAST(%(index_id)s AS bigint), k.active_index_id)
        WHERE {ACCESS}
    )
    SELECT a.id, a.index_id, a.model, a.dimensions, a.has_hnsw, coalesce(t.language, '') AS language,
           coalesce(sum(t.passages), 0)::bigint AS passages, NULL::integer AS term, a.cutting_id
    FROM allowed a
    LEFT JOIN LATERAL (
        SELECT language, passages FROM lexical_totals WHERE knowledge_base_id = a.id AND cutting_id = a.cutting_id
        UNION ALL
        SELECT language, passages FROM lexical_deltas WHERE knowledge_base_id = a.id AND cutting_id = a.cutting_id
    ) t ON true
    GROUP BY a.id, a.index_id, a.model, a.dimensions, a.has_hnsw, a.cutting_id, t.language
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, sum(passages)::bigint, term, NULL FROM (
        SELECT c.term, c.passages FROM lexical_counts c
        WHERE (c.knowledge_base_id, c.cutting_id) IN (SELECT id, cutting_id FROM allowed)
          AND c.knowledge_base_id = ANY(ARRAY(SELECT id FROM allowed)) AND c.term = ANY(CAST(%(terms)s AS integer[]))
        UNION ALL
        SELECT each.term, each.passages
        FROM lexical_deltas d CROSS JOIN LATERAL unnest(d.terms, d.counts) AS each (term, passages)
        WHERE (d.knowledge_base_id, d.cutting_id) IN (SELECT id, cutting_id FROM allowed)
          AND d.knowledge_base_id = ANY(ARRAY(SELECT id FROM allowed)) AND each.term = ANY(CAST(%(terms)s AS integer[]))
    ) AS every GROUP BY term
""".encode()  # noqa: S608 -- ACCESS is a constant with bound parameters
