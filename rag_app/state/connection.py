"""Whether the browser behind a tab's token is still connected, so that nobody works for a closed tab."""

from reflex_base.registry import RegistrationContext


async def is_connected(token: str) -> bool:
    """False once the tab is closed or has lost its connection."""
    namespace = RegistrationContext.get().app.event_namespace
    return namespace is not None and bool(await namespace._token_manager.is_token_connected(token))
