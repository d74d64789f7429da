"""What a route may ask for: the context, the actor (one decision for every kind of credential), a page of a list."""

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import HTTPConnection, Request

from rag_app.api.callers import SAFE_METHODS, caller_of, require_same_origin, session_token
from rag_app.errors import NotReady, Unauthenticated
from rag_app.services.accounts import Caller, actor_of_api_key, actor_of_jwt, actor_of_session
from rag_app.services.context import Context
from rag_app.services.paging import DEFAULT_LIMIT, LARGEST_LIMIT, PageRequest
from rag_app.services.permissions import Actor

_NAMES_IN_ADDRESS = frozenset({"access_token", "api_key", "apikey", "key", "token", "authorization", "jwt"})
_LONGEST_CREDENTIAL = 4096


def context_of(connection: HTTPConnection) -> Context:
    """The context of the application. Raises NotReady before it is open."""
    context = getattr(connection.app.state, "context", None)
    if not isinstance(context, Context):
        raise NotReady
    return context


async def current_context(connection: HTTPConnection) -> Context:
    """The same as a dependency; FastAPI would hand one that is not async to a thread, for every request."""
    return context_of(connection)


ContextDep = Annotated[Context, Depends(current_context)]


async def resolve_actor(request: Request, context: Context) -> Actor:
    """Who sends this request, read from the database anew.

    An Authorization header counts alone: if it is wrong no cookie is tried. A cookie needs, for every method that
    changes something, that one of our own pages sent the request. Raises Unauthenticated or Forbidden.
    """
    known = getattr(request.state, "actor", None)
    if isinstance(known, Actor):
        return known
    headers = request.headers.getlist("authorization")
    actor = await (_actor_of_header(context, headers) if headers else _actor_of_cookie(request, context))
    if actor is None:
        raise Unauthenticated(_hint(request))
    request.state.actor = actor
    return actor


async def _actor_of_header(context: Context, headers: list[str]) -> Actor | None:
    kind, _, credential = headers[0].partition(" ")
    credential = credential.strip()
    if len(headers) > 1 or kind.lower() != "bearer" or not 0 < len(credential) <= _LONGEST_CREDENTIAL:
        return None
    if credential.startswith("rk_"):
        return await actor_of_api_key(context, credential)
    return await actor_of_jwt(context, credential)


async def _actor_of_cookie(request: Request, context: Context) -> Actor | None:
    token = session_token(request, context.settings)
    if not token or len(token) > _LONGEST_CREDENTIAL:
        return None
    actor = await actor_of_session(context, token)
    if actor is not None and request.method not in SAFE_METHODS:
        require_same_origin(request, context.settings)
    return actor


def _hint(request: Request) -> str | None:
    if _NAMES_IN_ADDRESS & {name.lower() for name in request.query_params}:
        return "Send the key in the header `Authorization: Bearer …`, never in the address."
    return None


async def current_actor(request: Request, context: ContextDep) -> Actor:
    """The signed-in caller. Raises Unauthenticated or Forbidden."""
    return await resolve_actor(request, context)


async def optional_actor(request: Request, context: ContextDep) -> Actor | None:
    """The caller if they are known; None for anybody else."""
    try:
        return await resolve_actor(request, context)
    except Unauthenticated:
        return None


async def current_caller(request: Request, context: ContextDep) -> Caller:
    """Address and browser of the caller."""
    return caller_of(request, context.settings)


async def own_pages_only(request: Request, context: ContextDep) -> None:
    """Only our own pages may send this. Raises Forbidden."""
    require_same_origin(request, context.settings)


async def current_page(
    limit: Annotated[int, Query(ge=1, le=LARGEST_LIMIT, description="how many items at most")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")] = None,
) -> PageRequest:
    """Which part of a list is wanted."""
    return PageRequest(limit, cursor)


ActorDep = Annotated[Actor, Depends(current_actor)]
OptionalActorDep = Annotated[Actor | None, Depends(optional_actor)]
CallerDep = Annotated[Caller, Depends(current_caller)]
PageDep = Annotated[PageRequest, Depends(current_page)]
