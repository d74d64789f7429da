"""API keys over REST."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints

from rag_app.api.dependencies import ActorDep, ContextDep, PageDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import Listing, PlainText, Shape, View, listing
from rag_app.services import api_keys

router = APIRouter(prefix="/api-keys", tags=["api-keys"], route_class=IdempotentRoute)
Scope = Annotated[PlainText, StringConstraints(min_length=1, max_length=50)]


class NewKey(Shape):
    """What the key is called and may do; no scopes: all that you may do."""

    name: Annotated[PlainText, StringConstraints(min_length=1, max_length=100)]
    scopes: list[Scope] = Field(default_factory=list, max_length=20)
    expires_in_days: int | None = Field(None, ge=1, le=3650)


class KeyAnswer(View):
    """An API key as lists show it."""

    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    owner_id: UUID
    owner_email: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


class NewKeyAnswer(KeyAnswer):
    """An API key just made; `key` is shown this once."""

    key: str


@router.post("", status_code=201)
async def create_key(body: NewKey, context: ContextDep, actor: ActorDep) -> NewKeyAnswer:
    """Make a key for yourself."""
    view, key = await api_keys.create_key(
        context, actor, name=body.name, scopes=body.scopes, expires_in_days=body.expires_in_days
    )
    return NewKeyAnswer(**KeyAnswer.model_validate(view).model_dump(), key=key)


@router.get("")
async def list_keys(
    context: ContextDep,
    actor: ActorDep,
    page: PageDep,
    everyone: Annotated[bool, Query(description="those of all people; for admins and owners")] = False,
) -> Listing[KeyAnswer]:
    """Your live keys."""
    found = await api_keys.list_keys(context, actor, page, everyone=everyone)
    return listing(found, KeyAnswer.model_validate)


@router.delete("/{key_id}", status_code=204)
async def revoke_key(key_id: UUID, context: ContextDep, actor: ActorDep) -> None:
    """Kill a key."""
    await api_keys.revoke_key(context, actor, key_id)
