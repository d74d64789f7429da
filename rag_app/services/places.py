"""Finds things by their title across everything a person may see: bots, knowledge bases, documents, conversations."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import text

from rag_app.services.context import Context
from rag_app.services.knowledge import VISIBLE, visibility
from rag_app.services.permissions import Actor, permit

Kind = Literal["bot", "knowledge base", "document", "chat"]
LONGEST_WORDS = 200

_FIND = text(f"""
(SELECT 'bot' AS kind, b.id, b.name AS title FROM bots b WHERE b.workspace_id = :workspace_id
   AND b.implicit_knowledge_base_id IS NULL AND b.name ILIKE ALL (:like) ORDER BY b.created_at DESC LIMIT :most)
UNION ALL
(SELECT 'knowledge base', k.id, k.name FROM knowledge_bases k
 WHERE {VISIBLE} AND k.name ILIKE ALL (:like) ORDER BY k.created_at DESC LIMIT :most)
UNION ALL
(SELECT 'chat', c.id, c.title FROM conversations c WHERE c.workspace_id = :workspace_id AND c.user_id = :user_id
   AND c.archived_at IS NULL AND c.title ILIKE ALL (:like) ORDER BY c.updated_at DESC LIMIT :most)
UNION ALL
(SELECT 'document', d.id, d.title FROM documents d JOIN knowledge_bases k ON k.id = d.knowledge_base_id
 WHERE d.deleted_at IS NULL AND {VISIBLE} AND d.title ILIKE ALL (:like) ORDER BY d.created_at DESC LIMIT :most)
""")  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Found:
    """One thing with that title."""

    kind: Kind
    id: UUID
    title: str


async def find_by_title(context: Context, actor: Actor, words: str, *, most: int = 5) -> list[Found]:
    """Up to `most` things of each kind whose title holds every word; the newest of all for no words."""
    permit(actor, "knowledge.read")
    escaped = words[:LONGEST_WORDS].replace("\0", "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    like = [f"%{word}%" for word in escaped.split()] or ["%"]
    async with context.transaction() as session:
        rows = (await session.execute(_FIND, {**visibility(actor), "like": like, "most": most})).all()
    return [Found(row.kind, row.id, row.title) for row in rows]
