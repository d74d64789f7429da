"""Vectors for passages: from the cache where the same text was embedded before, else from the model, in batches."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from pgvector import HalfVector
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.engine import transaction
from rag_app.errors import ProviderError

Vectors = np.ndarray[Any, np.dtype[np.float32]]
EmbedTexts = Callable[[UUID, str, list[str]], Awaitable[Vectors]]  # workspace, model, texts -> [n, dimensions]
Progress = Callable[[float], Awaitable[None]]
BATCH = 256
UNCACHED = "local/wordllama-256"  # quicker than the cache

_CACHED = text(
    "SELECT content_hash, embedding::text FROM embedding_cache "
    "WHERE workspace_id = :workspace AND model = :model AND content_hash = ANY(:hashes)"
)
_KEEP = text(
    "INSERT INTO embedding_cache (workspace_id, model, content_hash, embedding, created_at) "
    "VALUES (:workspace, :model, :hash, CAST(:embedding AS halfvec), now()) "
    "ON CONFLICT (workspace_id, model, content_hash) DO UPDATE SET embedding = excluded.embedding, created_at = now()"
)


class CachedEmbedder:
    """Embeds passages of one workspace with one model; with `dimensions` only rows of that width are taken."""

    def __init__(
        self, engine: AsyncEngine, embed: EmbedTexts, *, workspace_id: UUID, model: str, dimensions: int = 0
    ) -> None:
        self._engine, self._embed = engine, embed
        self._workspace_id, self._model, self._dimensions = workspace_id, model, dimensions

    async def vectors(self, texts: Sequence[str], progress: Progress) -> Vectors:
        """One row per text. Each batch is kept as soon as it is paid for, so that a restart pays for none twice."""
        rows: list[Vectors] = []
        for start in range(0, len(texts), BATCH):
            rows.append(await self._batch(list(texts[start : start + BATCH])))
            if start + BATCH < len(texts):
                await progress((start + BATCH) / len(texts))
        return np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32)

    async def _batch(self, texts: list[str]) -> Vectors:
        if self._model == UNCACHED:
            return self._checked(await self._embed(self._workspace_id, self._model, texts))
        hashes = [hashlib.sha256(each.encode()).digest() for each in texts]
        known = await self._known(hashes)
        missing = [place for place, each in enumerate(hashes) if each not in known]
        if missing:
            fresh = self._checked(await self._embed(self._workspace_id, self._model, [texts[n] for n in missing]))
            known |= {hashes[place]: row for place, row in zip(missing, fresh, strict=True)}
            await self._keep([(hashes[place], known[hashes[place]]) for place in missing])
        return np.stack([known[each] for each in hashes]).astype(np.float32)

    def _checked(self, rows: Vectors) -> Vectors:
        """What may be kept. Raises ProviderError for rows of another width than those there are."""
        if self._dimensions and rows.shape[1] != self._dimensions:
            widths = f"vectors of {rows.shape[1]} numbers, but here they have {self._dimensions}"
            raise ProviderError(f"{self._model} gave {widths}.")
        return rows

    async def _known(self, hashes: list[bytes]) -> dict[bytes, Vectors]:
        wanted = {"workspace": self._workspace_id, "model": self._model, "hashes": hashes}
        async with transaction(self._engine) as session:
            found = (await session.execute(_CACHED, wanted)).all()
        rows = {bytes(row[0]): np.asarray(HalfVector.from_text(row[1]).to_numpy(), dtype=np.float32) for row in found}
        return {each: row for each, row in rows.items() if self._dimensions in (0, len(row))}

    async def _keep(self, rows: list[tuple[bytes, Vectors]]) -> None:
        values = [
            {
                "workspace": self._workspace_id,
                "model": self._model,
                "hash": content_hash,
                "embedding": HalfVector(vector).to_text(),
            }
            for content_hash, vector in rows
        ]
        async with transaction(self._engine) as session:
            await (await session.connection()).execute(_KEEP, values)
