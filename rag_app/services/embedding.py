"""Vectors with the keys of a workspace: for its documents and for its questions."""

from typing import Any
from uuid import UUID

import numpy as np
from sqlmodel import col, select

from rag_app.database.people import Provider
from rag_app.providers.credentials import Credentials, Keyring, keyring
from rag_app.providers.embeddings import Purpose, embed, is_local
from rag_app.services.context import Context

Vectors = np.ndarray[Any, np.dtype[np.float32]]


def secret_place(provider_id: UUID) -> str:
    """The name to which the sealed key of a provider is bound."""
    return f"providers/{provider_id}"


async def workspace_keyring(context: Context, workspace_id: UUID) -> Keyring:
    """The keys of a workspace's providers, opened. They go into the providers room and nowhere else."""
    async with context.transaction() as session:
        rows = (await session.exec(select(Provider).where(col(Provider.workspace_id) == workspace_id))).all()
    return keyring(
        Credentials(
            provider=row.provider,
            api_key=context.keys.open(row.secret, bound_to=secret_place(row.id)) if row.secret else None,
            base_url=row.base_url or None,
        )
        for row in rows
    )


async def embed_texts(
    context: Context, workspace_id: UUID, model: str, texts: list[str], *, purpose: Purpose
) -> Vectors:
    """One row per text. Raises ProviderError."""
    keys: Keyring = {} if is_local(model) else await workspace_keyring(context, workspace_id)
    return await embed(texts, model=model, credentials=keys, purpose=purpose)
