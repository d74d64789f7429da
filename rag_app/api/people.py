"""People of the workspace and their invitations over REST."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import StringConstraints, model_validator

from rag_app.api.dependencies import ActorDep, ContextDep, PageDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import Listing, PlainText, Shape, View, listing
from rag_app.services import invitations, people
from rag_app.services.links import NewLink
from rag_app.services.permissions import Role

router = APIRouter(tags=["people"], route_class=IdempotentRoute)


class PersonAnswer(View):
    """A person of the workspace."""

    id: UUID
    email: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    last_seen_at: datetime | None


class PersonChange(Shape):
    """What to change; at least one of both."""

    role: Role | None = None
    disabled: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> "PersonChange":
        if self.role is None and self.disabled is None:
            raise ValueError("give role or disabled")
        return self


class Invitation(Shape):
    """Whom to invite."""

    email: Annotated[PlainText, StringConstraints(min_length=3, max_length=254)]
    role: Role


class InvitationAnswer(View):
    """An invitation that waits."""

    id: UUID
    email: str
    role: Role
    created_at: datetime
    expires_at: datetime


class LinkAnswer(View):
    """A one-time link, shown once: `path` on this server, `url` as far as the server knows its own address."""

    path: str
    url: str


class NewInvitationAnswer(InvitationAnswer):
    """An invitation just made, with its link."""

    link: LinkAnswer


@router.get("/people")
async def list_people(context: ContextDep, actor: ActorDep, page: PageDep) -> Listing[PersonAnswer]:
    """The people of the workspace."""
    return listing(await people.list_people(context, actor, page), PersonAnswer.model_validate)


@router.get("/people/{user_id}")
async def read_person(user_id: UUID, context: ContextDep, actor: ActorDep) -> PersonAnswer:
    """One person."""
    return PersonAnswer.model_validate(await people.read_person(context, actor, user_id))


@router.patch("/people/{user_id}")
async def change_person(user_id: UUID, body: PersonChange, context: ContextDep, actor: ActorDep) -> PersonAnswer:
    """Give a person another role, lock them out or let them in again. Their sessions end."""
    change = people.PersonChange(role=body.role, disabled=body.disabled)
    return PersonAnswer.model_validate(await people.change_person(context, actor, user_id, change))


@router.delete("/people/{user_id}", status_code=204)
async def remove_person(user_id: UUID, context: ContextDep, actor: ActorDep) -> None:
    """Delete a person with their sessions, keys and conversations."""
    await people.remove_person(context, actor, user_id)


@router.post("/people/{user_id}/reset-link", status_code=201)
async def make_reset_link(user_id: UUID, context: ContextDep, actor: ActorDep) -> LinkAnswer:
    """A one-time link with which a person sets a new password."""
    return LinkAnswer.model_validate(await people.reset_link(context, actor, user_id))


@router.get("/invitations")
async def list_invitations(context: ContextDep, actor: ActorDep, page: PageDep) -> Listing[InvitationAnswer]:
    """The invitations that wait."""
    found = await invitations.list_invitations(context, actor, page)
    return listing(found, InvitationAnswer.model_validate)


@router.post("/invitations", status_code=201)
async def invite(body: Invitation, context: ContextDep, actor: ActorDep) -> NewInvitationAnswer:
    """Invite a person by a one-time link."""
    made, link = await invitations.invite(context, actor, email=body.email, role=body.role)
    return _with_link(made, link)


@router.delete("/invitations/{invitation_id}", status_code=204)
async def revoke_invitation(invitation_id: UUID, context: ContextDep, actor: ActorDep) -> None:
    """Kill an invitation that waits."""
    await invitations.revoke_invitation(context, actor, invitation_id)


def _with_link(made: invitations.Invitation, link: NewLink) -> NewInvitationAnswer:
    shown = InvitationAnswer.model_validate(made)
    return NewInvitationAnswer(**shown.model_dump(), link=LinkAnswer.model_validate(link))
