"""Gets the web process ready for its first question while nobody waits for it."""

import asyncio

from rag_app.providers import library, local_embedder, local_reranker
from rag_app.services.context import Context
from rag_app.services.models import has_provider


async def warm_up(context: Context) -> None:
    """Map the bundled embedder; load LiteLLM (in the background) only if some provider is set up."""
    await asyncio.to_thread(local_embedder.warm)
    if await has_provider(context):
        library.warm_in_background()


async def cool_down() -> None:
    """Close connections to providers, and end local rerankers."""
    await library.close_clients()
    await local_reranker.close_rerankers()
