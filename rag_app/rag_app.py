"""Door 1, the web: builds the Reflex app, mounts the API, wraps both in the boundary. Wiring only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import reflex as rx
from starlette.types import ASGIApp

from rag_app.api.app import create_api
from rag_app.api.boundary import Boundary, Surroundings
from rag_app.api.built_pages import read_built_pages
from rag_app.api.open_sockets import OpenSockets
from rag_app.components.browser import Safe
from rag_app.components.shell import gate_page
from rag_app.pages import (
    account,
    bots,
    chat,
    document,
    documents,
    gates,
    home,
    knowledge_list,
    models,
    people,
    source,
    why,
)
from rag_app.services.context import open_context
from rag_app.services.warmup import cool_down, warm_up
from rag_app.settings import get_settings
from rag_app.state.guard import Guard
from rag_app.state.session import SessionState
from rag_app.state.surroundings import provide
from rag_app.telemetry import log

BUILT = Path(".web/build/client")
PAGES = (
    *home.PAGES,
    *gates.PAGES,
    *chat.PAGES,
    *bots.PAGES,
    *knowledge_list.PAGES,
    *documents.PAGES,
    *document.PAGES,
    *source.PAGES,
    *models.PAGES,
    *people.PAGES,
    *account.PAGES,
    *why.PAGES,
)
_OPEN_ROUTES = frozenset(page.route for page in gates.PAGES)

api = create_api()
sockets = OpenSockets()


class WebApp(rx.App):
    """Reflex with the boundary around everything it serves."""

    def __call__(self) -> ASGIApp:
        """The ASGI application."""
        settings = get_settings()
        inner = super().__call__()
        around = Surroundings(settings.trusted_proxy_hops, settings.public_url)
        return Boundary(inner, read_built_pages(BUILT), around, sockets=sockets, api=api)


@asynccontextmanager
async def surroundings() -> AsyncIterator[None]:
    """Open the context of the services for as long as the web process serves."""
    async with open_context(get_settings()) as context:
        provide(context)
        api.state.context = context
        watch = asyncio.create_task(sockets.watch(context))
        warming = asyncio.create_task(warm_up(context))
        living = asyncio.create_task(context.claim.keep())
        try:
            yield
        finally:
            watch.cancel()
            warming.cancel()
            living.cancel()
            await cool_down()
            provide(None)
            api.state.context = None


def _failed(exception: Exception) -> None:
    """An event ended with an error that nobody expected: it goes to the log, the page says so where it can."""
    log.error("event_failed", error=type(exception).__name__)


def _broke(exception: Exception) -> None:
    """A browser reports that a page broke there; what it says is the browser's own, so only that much is kept."""
    log.warning("page_broke", problem=str(exception)[:200])


def _missing() -> rx.Component:
    return gate_page(
        "Nothing here", rx.el.a("Back to the start", href="/", class_name="btn"), text="This page does not exist."
    )


app = WebApp(
    toaster=None,
    stylesheets=["/app.css", "/why.css"],
    html_lang="en",
    app_wraps={(55, "Safe"): lambda _stateful: Safe.create()},
    api_transformer=[api],
    backend_exception_handler=_failed,
    frontend_exception_handler=_broke,
    head_components=[
        rx.el.link(rel="icon", href="/icon.svg", type="image/svg+xml"),
        rx.el.meta(name="color-scheme", content="light dark"),
    ],
)
app.add_middleware(Guard())
app.register_lifespan_task(surroundings)
if app.sio is not None:
    # The boundary has compared Origin and Host already, and knows about proxies; the list of the framework is fixed.
    app.sio.eio.cors_allowed_origins = []
for page in PAGES:
    first = () if page.route in _OPEN_ROUTES else (SessionState.enter,)
    app.add_page(page.content, route=page.route, title=page.title, on_load=[*first, *page.on_load])
app.add_page(_missing, route="404", title="Nothing here · rag_app")
