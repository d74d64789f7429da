"""Settings of the web front end's build and of its websocket."""

import reflex as rx

config = rx.Config(
    app_name="rag_app",
    telemetry_enabled=False,
    show_built_with_reflex=False,
    # Only the server's own address may connect; the boundary compares each Origin with the Host of its request.
    cors_allowed_origins=["http://localhost"],
    transport="websocket",
    state_manager_mode="memory",
    redis_token_expiration=1800,
    frozen_lockfile=True,
    frontend_compression_formats=["gzip"],
    default_color_mode="system",
    react_strict_mode=False,
    disable_plugins=[rx.plugins.SitemapPlugin],
)
