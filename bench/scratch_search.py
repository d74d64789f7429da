"""A scratch database filled through the product's own cutting and storing, for measurements inside one process."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database import knowledge, people
from rag_app.database.embedded import EmbeddedPostgres
from rag_app.database.engine import open_engine, transaction
from rag_app.database.migration import upgrade
from rag_app.ingestion.chunk import cut
from rag_app.ingestion.names import names_of
from rag_app.ingestion.plain import parse_plain
from rag_app.providers import embeddings, local_embedder
from rag_app.retrieval import store
from rag_app.retrieval.passages import Mode
from rag_app.retrieval.scope import Scope

DENSE_WEIGHT = embeddings.dense_weight(local_embedder.NAME)
_BATCH = 500


@asynccontextmanager
async def scratch_engine(url: str | None = None) -> AsyncIterator[AsyncEngine]:
    """An engine on an empty database of its own, gone afterwards; or on the database at `url`, which has the schema."""
    folder = Path(tempfile.mkdtemp(prefix="rag-bench-"))
    server = None if url else EmbeddedPostgres(folder, durable=False)
    try:
        if server:
            url = await asyncio.to_thread(server.start)
            await asyncio.to_thread(upgrade, url)
        engine = open_engine(url or "")
        yield engine
        await engine.dispose()
    finally:
        if server:
            await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Filled:
    """A knowledge base in the scratch database."""

    workspace_id: UUID
    knowledge_base_id: UUID
    index_id: int
    passages: int

    def scope(self, *, limit: int = 10, mode: Mode = "hybrid", dense_weight: float = DENSE_WEIGHT) -> Scope:
        """A search of all of it by someone who may."""
        return Scope(
            workspace_id=self.workspace_id,
            knowledge_base_ids=[self.knowledge_base_id],
            is_admin=True,
            limit=limit,
            mode=mode,
            embed=embed,
            dense_weight=dense_weight,
        )


async def embed(texts: list[str]) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """The bundled embedder."""
    return local_embedder.embed(texts)


async def fill(engine: AsyncEngine, documents: Iterable[dict[str, Any]], *, name: str, whole: bool = False) -> Filled:
    """A new knowledge base with these documents {id, title, text}; `whole` makes each one passage."""
    async with transaction(engine) as session:
        workspace = people.Workspace(name=name)
        session.add(workspace)
        await session.flush()
        base = knowledge.KnowledgeBase(workspace_id=workspace.id, name=name)
        session.add(base)
        await session.flush()
        index = knowledge.EmbeddingIndex(
            knowledge_base_id=base.id, workspace_id=workspace.id, model=local_embedder.NAME,
            dimensions=local_embedder.DIMENSIONS,
        )  # fmt: skip
        session.add(index)
        await session.flush()
        base.active_index_id = index.id
    made = Filled(workspace.id, base.id, index.id or 0, 0)
    waiting = list(documents)
    count = 0
    for start in range(0, len(waiting), _BATCH):
        count += await _publish(engine, made, waiting[start : start + _BATCH], whole=whole)
    return Filled(workspace.id, base.id, index.id or 0, count)


async def _publish(engine: AsyncEngine, made: Filled, documents: Sequence[dict[str, Any]], *, whole: bool) -> int:
    keys: dict[str, Any] = {"knowledge_base_id": made.knowledge_base_id, "workspace_id": made.workspace_id}
    things: list[list[Any]] = [[], [], []]
    for each in documents:
        document = knowledge.Document(
            **keys, external_id=each["id"], title=each.get("title") or "", document_metadata=each.get("metadata") or {}
        )
        version = knowledge.Version(
            **keys, document_id=document.id, text=each["text"], state="ready", names=list(names_of(each["text"]))
        )
        document.active_version_id = version.id
        things[0].append(document)
        things[1].append(version)
        things[2].extend(_passages(keys, document, version, whole=whole))
    passages = things[2]
    # The context often repeats a heading that the text shows; the embedder sees both, as in the product.
    vectors = local_embedder.embed([f"{passage.context}\n{passage.text}" for passage in passages])
    rows = [
        store.PassageRow(
            made.knowledge_base_id, made.workspace_id, made.index_id, passage.id, passage.text, passage.context,
            passage.language, vector,
        )
        for passage, vector in zip(passages, vectors, strict=True)
    ]  # fmt: skip
    async with transaction(engine) as session:
        for group in things:
            session.add_all(group)
            await session.flush()
        await store.insert(await session.connection(), rows)
    return len(passages)


def _passages(
    keys: dict[str, Any], document: knowledge.Document, version: knowledge.Version, *, whole: bool
) -> list[knowledge.Passage]:
    text = version.text or ""
    parsed = parse_plain(text)
    cuts = cut(parsed) if not whole else []
    spans = [(each.char_from, each.char_to, each.context, each.heading) for each in cuts] or [(0, len(text), "", "")]
    return [
        knowledge.Passage(
            **keys, document_id=document.id, version_id=version.id, ordinal=number, char_from=low, char_to=high,
            text=text[low:high], heading=heading, context=_context(document.title, context), language="en",
        )
        for number, (low, high, context, heading) in enumerate(spans)
    ]  # fmt: skip


def _context(title: str, context: str) -> str:
    return context if context.startswith(title) else f"{title}\n{context}".strip()
