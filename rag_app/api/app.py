"""Puts the API together: routers, error handlers, documentation, the frame."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import compile_path

from rag_app.api import (
    api_keys,
    auth,
    bots,
    chat,
    conversations,
    documents,
    edits,
    health,
    indexes,
    knowledge_bases,
    messages,
    models,
    originals,
    people,
    search,
    sources,
    tasks,
    traces,
    versions,
)
from rag_app.api.description import DescribedApi, reference_page
from rag_app.api.errors import install_error_handlers
from rag_app.api.frame import Frame
from rag_app.errors import NotFound
from rag_app.services.context import Context, open_context
from rag_app.settings import get_settings

PREFIX = "/api/v1"
# Each noun has one module; its router carries paths below the prefix.
# The framework tries them one after the other, so what is asked most stands first.
ROUTERS: tuple[APIRouter, ...] = (
    search.router,
    auth.router,
    people.router,
    api_keys.router,
    knowledge_bases.router,
    indexes.router,
    documents.router,
    originals.router,
    versions.router,
    edits.router,
    sources.router,
    bots.router,
    chat.router,
    messages.router,
    traces.router,
    conversations.router,
    tasks.router,
    models.router,
    health.router,
)
# Load balancers look at the root.
ROOT_ROUTES = ("/health", "/ready", "/metrics")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def create_api(context: Context | None = None) -> FastAPI:
    """The API as an application of its own, or for the host app to mount.

    Without a context its lifespan opens one. A host app that does not run this lifespan sets `state.context` itself.
    """
    api = DescribedApi(
        title="rag_app",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    api.state.context = context
    for router in ROUTERS:
        api.include_router(router, prefix=PREFIX)
    for route in health.router.routes:
        if isinstance(route, APIRoute) and route.path in ROOT_ROUTES:
            api.add_api_route(route.path, route.endpoint, include_in_schema=False)
    api.add_api_route(f"{PREFIX}/docs", reference_page, include_in_schema=False)
    api.add_api_route("/api/{rest:path}", _nothing_here, methods=_METHODS, include_in_schema=False)
    install_error_handlers(api)
    api.add_middleware(Frame)
    return api


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    if api.state.context is not None:
        yield
        return
    async with open_context(get_settings()) as context:
        api.state.context = context
        try:
            yield
        finally:
            api.state.context = None


async def _nothing_here(request: Request) -> None:
    """Answers for addresses under /api that do not exist; without it they would fall through to the console."""
    allowed: set[str] = set()
    for router in ROUTERS:
        for route in router.routes:
            pattern = compile_path(PREFIX + getattr(route, "path", ""))[0]
            if pattern.match(request.scope["path"]):
                allowed |= getattr(route, "methods", None) or set()
    if allowed:
        raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
    raise NotFound
