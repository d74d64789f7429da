"""Liveness, readiness and figures for Prometheus."""

import ipaddress
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from rag_app.api.dependencies import ContextDep, OptionalActorDep
from rag_app.api.shapes import View
from rag_app.errors import NotReady, Unauthenticated
from rag_app.services.figures import all_figures
from rag_app.services.health import readiness
from rag_app.services.permissions import permit

router = APIRouter(tags=["health"])
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Alive(View):
    """The process answers."""

    status: str = "ok"


class Ready(View):
    """The server can do its work; details only for people who are signed in."""

    status: str = "ready"
    details: dict[str, Any] | None = None


@router.get("/health")
async def health() -> Alive:
    """The process answers."""
    return Alive()


@router.get("/ready", response_model=Ready)
async def ready(context: ContextDep, actor: OptionalActorDep) -> Response:
    """Database, schema and queue are as they should be; 503 if not."""
    state = await readiness(context)
    if not state.is_ready:
        raise NotReady
    details = {"workers": state.workers, "waiting_jobs": state.waiting_jobs} if actor else None
    return JSONResponse(Ready(details=details).model_dump(exclude_none=True))


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "The figures", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request, context: ContextDep, actor: OptionalActorDep) -> Response:
    """Figures in Prometheus' text format, for this machine or with the scope `metrics:read`."""
    if not _is_local(request):
        if actor is None:
            raise Unauthenticated
        permit(actor, "metrics.read")
    return Response(await all_figures(context), media_type="text/plain; version=0.0.4; charset=utf-8")


def _is_local(request: Request) -> bool:
    """From loopback, asked for by a name of this machine, and not handed on by a proxy.

    The name matters: a foreign page can make a browser on this machine ask under its own name.
    """
    handed_on = any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip"))
    if handed_on or request.url.hostname not in _LOCAL_NAMES:
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
