"""Knowledge bases: create, list, read, change, share, delete."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.knowledge import EmbeddingIndex, KnowledgeBase
from rag_app.errors import Conflict, InvalidInput, NotFound
from rag_app.providers.embeddings import dimensions, is_local
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.paging import Page, PageRequest, page_of
from rag_app.services.permissions import Actor, permit

LONGEST_NAME = 120
LONGEST_DESCRIPTION = 2000

# The one place that says who sees a knowledge base. Parameters: workspace_id, user_id, sees_all.
VISIBLE = """k.workspace_id = :workspace_id AND (k.access = 'workspace' OR :sees_all OR EXISTS (
    SELECT 1 FROM knowledge_base_members m WHERE m.knowledge_base_id = k.id AND m.user_id = :user_id))"""

# Counted from what is not ready and from what search counts anyway: a large knowledge base is asked about often.
_CARDS = f"""
SELECT k.id, k.name, k.description, k.language, k.access, k.created_at, i.model AS embedding_model,
       c.queued, c.working, t.total - c.queued - c.working - c.failed AS ready, c.failed, t.total,
       coalesce(p.passages, 0) - coalesce(g.passages, 0) AS passages
FROM knowledge_bases k
LEFT JOIN indexes i ON i.id = k.active_index_id
CROSS JOIN LATERAL (
    SELECT count(*) AS total FROM documents d WHERE d.knowledge_base_id = k.id AND d.deleted_at IS NULL
) t
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE v.state = 'queued') AS queued,
           count(*) FILTER (WHERE v.state = 'working') AS working,
           count(*) FILTER (WHERE v.state = 'failed') AS failed
    FROM versions v
    JOIN documents d ON d.knowledge_base_id = v.knowledge_base_id AND d.id = v.document_id
    WHERE v.knowledge_base_id = k.id AND v.state <> 'ready'
      AND d.latest_version_id = v.id AND d.active_version_id IS NULL AND d.deleted_at IS NULL
) c
CROSS JOIN LATERAL (
    SELECT sum(each.passages) AS passages FROM (
        SELECT passages FROM lexical_totals WHERE knowledge_base_id = k.id AND cutting_id = i.cutting_id UNION ALL
        SELECT passages FROM lexical_deltas WHERE knowledge_base_id = k.id AND cutting_id = i.cutting_id
    ) each
) p
CROSS JOIN LATERAL (
    SELECT sum(a.passage_count) AS passages
    FROM documents d
    JOIN versions a ON a.knowledge_base_id = d.knowledge_base_id AND a.id = d.active_version_id
    WHERE d.knowledge_base_id = k.id AND d.deleted_at IS NOT NULL
) g
WHERE {VISIBLE}
"""  # noqa: S608 - made of constants
_LIST = text(
    _CARDS
    + """ AND (CAST(:moment AS timestamptz) IS NULL OR (k.created_at, k.id) < (:moment, :identity))
ORDER BY k.created_at DESC, k.id DESC LIMIT :limit"""
)
_ONE = text(_CARDS + " AND k.id = :id")
_BY_NAME = text(_CARDS + " AND lower(k.name) = lower(:name)")
_IDS = text(f"SELECT k.id FROM knowledge_bases k WHERE {VISIBLE} AND k.id = ANY(:ids)")  # noqa: S608 - made of constants
_JOIN = text(
    "INSERT INTO knowledge_base_members (knowledge_base_id, user_id) VALUES (:id, :user) ON CONFLICT DO NOTHING"
)
_LOCK_DOCUMENTS = text("SELECT id FROM documents WHERE knowledge_base_id = :id ORDER BY id FOR UPDATE")
_MEMBERS = text("SELECT user_id FROM knowledge_base_members WHERE knowledge_base_id = :id ORDER BY user_id")


@dataclass(frozen=True, slots=True)
class DocumentCounts:
    """How many documents are in which state."""

    queued: int
    working: int
    ready: int
    failed: int
    total: int


@dataclass(frozen=True, slots=True)
class KnowledgeBaseCard:
    """What people see of a knowledge base."""

    id: UUID
    name: str
    description: str
    language: str
    access: str
    embedding_model: str
    documents: DocumentCounts
    passages: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewKnowledgeBase:
    """What is asked for."""

    name: str
    description: str = ""
    language: str = ""
    embedding_model: str | None = None


def visibility(actor: Actor) -> dict[str, Any]:
    """The parameters of VISIBLE."""
    return {"workspace_id": actor.workspace_id, "user_id": actor.user_id, "sees_all": actor.sees_all}


def _card(row: RowMapping) -> KnowledgeBaseCard:
    counts = DocumentCounts(row["queued"], row["working"], row["ready"], row["failed"], row["total"])
    return KnowledgeBaseCard(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        language=row["language"],
        access=row["access"],
        embedding_model=row["embedding_model"] or "",
        documents=counts,
        passages=int(row["passages"]),
        created_at=row["created_at"],
    )


async def create_knowledge_base(context: Context, actor: Actor, new: NewKnowledgeBase) -> KnowledgeBaseCard:
    """Make an empty knowledge base with its index. Raises Conflict when the name is taken."""
    permit(actor, "knowledge.create")
    name = clean_name(new.name)
    try:
        async with context.transaction() as session:
            knowledge_base = KnowledgeBase(
                workspace_id=actor.workspace_id,
                name=name,
                description=new.description.strip()[:LONGEST_DESCRIPTION],
                language=new.language,
                created_by=actor.user_id,
            )
            session.add(knowledge_base)
            await session.flush()
            model = new.embedding_model or await _default_embedding_model(context, session, actor)
            check_embedding_model(model)
            index = EmbeddingIndex(
                knowledge_base_id=knowledge_base.id,
                workspace_id=actor.workspace_id,
                model=model,
                dimensions=dimensions(model) or 0,
            )
            session.add(index)
            await session.flush()
            knowledge_base.active_index_id = index.id
            record(session, actor, "knowledge_base_created", knowledge_base.id)
    except IntegrityError as problem:
        raise Conflict(f"name: there is already a knowledge base called “{name}”", field="name") from problem
    return await get_knowledge_base(context, actor, knowledge_base.id)


def check_embedding_model(model: str) -> None:
    """Raise InvalidInput for what cannot be the name of an embedding model."""
    if model.startswith("local/") and not is_local(model):
        raise InvalidInput(f"embedding_model: “{model}” is not bundled with this server", field="embedding_model")
    if "/" not in model:
        raise InvalidInput("embedding_model: expected provider/model, or local/wordllama-256", field="embedding_model")


async def _default_embedding_model(context: Context, session: AsyncSession, actor: Actor) -> str:
    found = await session.execute(
        text("SELECT default_embedding_model FROM workspaces WHERE id = :id"), {"id": actor.workspace_id}
    )
    return found.scalar_one_or_none() or context.settings.default_embedding_model


def clean_name(name: str) -> str:
    """The name without space around it. Raises InvalidInput when it is empty or too long."""
    cleaned = " ".join(name.split())
    if not cleaned or len(cleaned) > LONGEST_NAME:
        raise InvalidInput(f"name: between 1 and {LONGEST_NAME} characters are expected", field="name")
    return cleaned


async def list_knowledge_bases(context: Context, actor: Actor, page: PageRequest) -> Page[KnowledgeBaseCard]:
    """The knowledge bases the actor may see, newest first."""
    permit(actor, "knowledge.read")
    moment, identity = page.place()
    async with context.transaction() as session:
        found = await session.execute(
            _LIST, {**visibility(actor), "moment": moment, "identity": identity, "limit": page.limit + 1}
        )
        cards = [_card(row) for row in found.mappings()]
    return page_of(cards, page.limit, lambda card: (card.created_at, card.id))


async def get_knowledge_base(context: Context, actor: Actor, knowledge_base_id: UUID) -> KnowledgeBaseCard:
    """One knowledge base. Raises NotFound."""
    permit(actor, "knowledge.read")
    async with context.transaction() as session:
        found = await session.execute(_ONE, {**visibility(actor), "id": knowledge_base_id})
        row = found.mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such knowledge base, or it is not yours.")
    return _card(row)


async def find_knowledge_base(context: Context, actor: Actor, name: str) -> KnowledgeBaseCard | None:
    """The knowledge base of this name, if there is one."""
    permit(actor, "knowledge.read")
    async with context.transaction() as session:
        found = await session.execute(_BY_NAME, {**visibility(actor), "name": name.strip()})
        row = found.mappings().one_or_none()
    return _card(row) if row else None


async def visible_ids(session: AsyncSession, actor: Actor, ids: list[UUID]) -> list[UUID]:
    """Those of the ids that the actor may see."""
    found = await session.execute(_IDS, {**visibility(actor), "ids": ids})
    return list(found.scalars())


async def require_visible(session: AsyncSession, actor: Actor, knowledge_base_id: UUID) -> None:
    """Raise NotFound unless the actor may see the knowledge base."""
    if not await visible_ids(session, actor, [knowledge_base_id]):
        raise NotFound("There is no such knowledge base, or it is not yours.")


async def update_knowledge_base(
    context: Context, actor: Actor, knowledge_base_id: UUID, *, changes: Mapping[str, str]
) -> KnowledgeBaseCard:
    """Change name, description, language or access. Raises NotFound, Conflict, InvalidInput."""
    permit(actor, "knowledge.edit")
    if "access" in changes:
        permit(actor, "knowledge.share")
        if changes["access"] not in ("workspace", "restricted"):
            raise InvalidInput("access: expected “workspace” or “restricted”", field="access")
    try:
        async with context.transaction() as session:
            await require_visible(session, actor, knowledge_base_id)
            knowledge_base = await session.get_one(KnowledgeBase, knowledge_base_id)
            for field, value in changes.items():
                setattr(knowledge_base, field, clean_name(value) if field == "name" else value.strip())
            if changes.get("access") == "restricted":  # whoever closes the door stays inside
                await session.execute(_JOIN, {"id": knowledge_base_id, "user": actor.user_id})
            record(session, actor, "knowledge_base_changed", knowledge_base_id, fields=sorted(changes))
    except IntegrityError as problem:
        raise Conflict("name: another knowledge base has this name", field="name") from problem
    return await get_knowledge_base(context, actor, knowledge_base_id)


async def members(context: Context, actor: Actor, knowledge_base_id: UUID) -> tuple[UUID, ...]:
    """The people named for a restricted knowledge base."""
    permit(actor, "knowledge.share")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        return tuple((await session.execute(_MEMBERS, {"id": knowledge_base_id})).scalars())


async def set_members(context: Context, actor: Actor, knowledge_base_id: UUID, user_ids: list[UUID]) -> None:
    """Name the people who may use a restricted knowledge base; the actor stays in."""
    permit(actor, "knowledge.share")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        await session.execute(
            text("DELETE FROM knowledge_base_members WHERE knowledge_base_id = :id"), {"id": knowledge_base_id}
        )
        await session.execute(
            text(
                "INSERT INTO knowledge_base_members (knowledge_base_id, user_id) "
                "SELECT :id, u.id FROM users u WHERE u.id = ANY(:people) AND u.workspace_id = :workspace_id"
            ),
            {"id": knowledge_base_id, "people": [*user_ids, actor.user_id], "workspace_id": actor.workspace_id},
        )
        record(session, actor, "knowledge_base_shared", knowledge_base_id, people=len(user_ids))


async def delete_knowledge_base(context: Context, actor: Actor, knowledge_base_id: UUID) -> None:
    """Remove a knowledge base and all it holds; it is gone from search at once. Originals are collected later."""
    permit(actor, "knowledge.delete")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        # In the order of a flip (documents, then the rest), so that the two wait for each other instead of locking up.
        await session.execute(_LOCK_DOCUMENTS, {"id": knowledge_base_id})
        await session.execute(text("DELETE FROM knowledge_bases WHERE id = :id"), {"id": knowledge_base_id})
        record(session, actor, "knowledge_base_deleted", knowledge_base_id)
        await context.queue.defer("collect", {}, session=session)
