"""Builds knowledge bases with searchable documents for the tests of retrieval, with the bundled embedder."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database import knowledge, people
from rag_app.database.columns import new_id
from rag_app.database.engine import transaction
from rag_app.providers import local_embedder
from rag_app.retrieval import store
from rag_app.retrieval.passages import SearchResult
from rag_app.retrieval.scope import Scope
from rag_app.retrieval.search import search

GAP = "\n\n"


async def embed(texts: list[str]) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """The bundled embedder."""
    return local_embedder.embed(texts)


@dataclass(frozen=True)
class Published:
    """A document and its active version."""

    document_id: UUID
    version_id: UUID
    text: str
    passage_ids: list[UUID] = field(default_factory=list)


@dataclass(frozen=True)
class Library:
    """One workspace."""

    engine: AsyncEngine
    workspace_id: UUID

    @classmethod
    async def open(cls, engine: AsyncEngine) -> "Library":
        """A new workspace."""
        async with transaction(engine) as session:
            workspace = people.Workspace(name="Library")
            session.add(workspace)
        return cls(engine, workspace.id)

    async def base(self, *, access: str = "workspace", model: str | None = local_embedder.NAME) -> UUID:
        """A new knowledge base; without a model it has no embedding index."""
        async with transaction(self.engine) as session:
            base = knowledge.KnowledgeBase(workspace_id=self.workspace_id, name=str(new_id()), access=access)
            session.add(base)
            await session.flush()
            if model:
                index = knowledge.EmbeddingIndex(
                    knowledge_base_id=base.id,
                    workspace_id=self.workspace_id,
                    model=model,
                    dimensions=local_embedder.DIMENSIONS,
                )
                session.add(index)
                await session.flush()
                base.active_index_id = index.id
        return base.id

    async def member(self, knowledge_base_id: UUID) -> UUID:
        """A new person who may use that knowledge base."""
        async with transaction(self.engine) as session:
            user = people.User(
                workspace_id=self.workspace_id, email=f"{new_id()}@example.com", role="viewer", password_hash="x"
            )
            session.add(user)
            await session.flush()
            session.add(knowledge.KnowledgeBaseMember(knowledge_base_id=knowledge_base_id, user_id=user.id))
        return user.id

    async def publish(
        self,
        base: UUID,
        *texts: str,
        title: str = "",
        language: str = "en",
        metadata: dict[str, Any] | None = None,
        names: list[str] | None = None,
    ) -> Published:
        """A document of these passages, joined by blank lines."""
        body = GAP.join(texts)
        async with transaction(self.engine) as session:
            index_id = (
                await session.execute(text("SELECT active_index_id FROM knowledge_bases WHERE id = :id"), {"id": base})
            ).scalar_one()
            document = knowledge.Document(
                knowledge_base_id=base, workspace_id=self.workspace_id, title=title, document_metadata=metadata or {}
            )
            session.add(document)
            await session.flush()
            version = knowledge.Version(
                knowledge_base_id=base, workspace_id=self.workspace_id, document_id=document.id, text=body,
                state="ready", names=names or [],
            )  # fmt: skip
            session.add(version)
            await session.flush()
            rows, start = [], 0
            for ordinal, each in enumerate(texts):
                passage = knowledge.Passage(
                    knowledge_base_id=base,
                    workspace_id=self.workspace_id,
                    document_id=document.id,
                    version_id=version.id,
                    ordinal=ordinal,
                    char_from=start,
                    char_to=start + len(each),
                    text=each,
                    context=title,
                    language=language,
                )
                start += len(each) + len(GAP)
                session.add(passage)
                vector = local_embedder.embed([f"{title}\n{each}"])[0] if index_id is not None else None
                rows.append(
                    store.PassageRow(base, self.workspace_id, index_id, passage.id, each, title, language, vector)
                )
            await session.flush()
            await store.insert(await session.connection(), rows)
        return Published(document.id, version.id, body, [row.passage_id for row in rows])

    async def unpublish(self, base: UUID, published: Published) -> None:
        """Take a document's version out of the search and delete its passages."""
        async with transaction(self.engine) as session:
            await store.delete(await session.connection(), base, published.version_id)
            await session.execute(
                text("DELETE FROM passages WHERE knowledge_base_id = :kb AND version_id = :version"),
                {"kb": base, "version": published.version_id},
            )

    def scope(self, *bases: UUID, **changes: Any) -> Scope:
        """A search of these knowledge bases by an administrator, unless changed."""
        values: dict[str, Any] = {"is_admin": True, "embed": embed, "limit": 10} | changes
        return Scope(workspace_id=self.workspace_id, knowledge_base_ids=list(bases), **values)

    async def ask(self, question: str, *bases: UUID, **changes: Any) -> SearchResult:
        """Search."""
        return await search(self.engine, question, self.scope(*bases, **changes))

    async def found(self, question: str, *bases: UUID, **changes: Any) -> list[UUID]:
        """The documents found, best first."""
        result = await self.ask(question, *bases, **changes)
        return [passage.document_id for passage in result.passages]
