"""What a call costs, in micro-dollars; a price that is not known stays unknown."""

import math
from typing import Any

from rag_app.providers.catalogue import PROVIDERS
from rag_app.providers.credentials import Route


def cost_microusd(litellm: Any, route: Route, usage: Any) -> int | None:
    """The price of one call by LiteLLM's list, rounded up to a whole micro-dollar; None when it is not known.

    `usage` is LiteLLM's usage object, so that cached and reasoning tokens count at their own price. A server with an
    address of its own has no list price, whatever its models are called; one that runs here costs nothing.
    """
    known = PROVIDERS.get(route.provider)
    if known is not None and known.runs_here:
        return 0
    if route.base_url or usage is None:
        return None
    model = route.litellm_model.partition("/")[2]
    listed = litellm.model_cost.get(f"{route.provider}/{model}") or litellm.model_cost.get(model) or {}
    if "input_cost_per_token" not in listed:
        return None
    try:
        prompt, completion = litellm.cost_per_token(
            model=model,
            custom_llm_provider=route.provider,
            prompt_tokens=usage.prompt_tokens or 0,
            completion_tokens=usage.completion_tokens or 0,
            usage_object=usage,
        )
    except (litellm.exceptions.ModelNotMappedError, litellm.exceptions.NotFoundError, ValueError, KeyError, TypeError):
        return None
    return math.ceil(round((float(prompt) + float(completion)) * 1_000_000, 6))


def embedding_cost_microusd(litellm: Any, route: Route, tokens: int) -> int | None:
    """The price of embedding so many tokens by LiteLLM's list, rounded up; None when it is not known."""
    known = PROVIDERS.get(route.provider)
    if known is not None and known.runs_here:
        return 0
    model = route.litellm_model.partition("/")[2]
    listed = litellm.model_cost.get(f"{route.provider}/{model}") or litellm.model_cost.get(model) or {}
    each = listed.get("input_cost_per_token")
    if route.base_url or not isinstance(each, int | float):
        return None
    return math.ceil(round(tokens * float(each) * 1_000_000, 6))
