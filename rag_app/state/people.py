"""People of the workspace: invite by link, change roles, disable, remove, reset links."""

from typing import Any

import reflex as rx

from rag_app.services.invitations import invite, list_invitations, revoke_invitation
from rag_app.services.links import NewLink
from rag_app.services.paging import PageRequest
from rag_app.services.people import Person, PersonChange, change_person, list_people, remove_person, reset_link
from rag_app.state.rows import InvitationRow, PersonRow
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings

MOST = PageRequest(limit=200)


class PeopleState(SessionState):
    """What /people shows."""

    rows: list[PersonRow] = []
    invitations: list[InvitationRow] = []
    loaded: bool = False
    problem: str = ""
    form_open: bool = False
    form_problem: str = ""
    link: str = ""
    link_text: str = ""
    doomed_id: str = ""
    doomed_name: str = ""

    @rx.event
    async def load(self) -> None:
        """Read people and open invitations."""
        self.link, self.form_open, self.doomed_id = "", False, ""
        async with self._trying("problem"):
            await self._recognise()
            await self._read()

    async def _read(self) -> None:
        context, actor = surroundings(), await self._actor()
        found = await list_people(context, actor, MOST)
        self.rows = [person_row(each, own=each.id == actor.user_id) for each in found.items]
        open_ones = await list_invitations(context, actor, MOST)
        self.invitations = [
            InvitationRow(str(each.id), each.email, each.role, each.expires_at.isoformat()) for each in open_ones.items
        ]
        self.loaded = True

    def _show(self, link: NewLink, text: str) -> None:
        address = self.router.url.origin
        self.link, self.link_text = (f"{address}{link.path}" if address else link.url), text

    @rx.event
    def open_form(self) -> None:
        """Ask whom to invite."""
        self.form_open, self.form_problem = True, ""

    @rx.event
    def close_form(self) -> None:
        """Never mind."""
        self.form_open = False

    @rx.event
    def hide_link(self) -> None:
        """The link was copied; it is not shown again."""
        self.link = ""

    @rx.event
    async def send_invitation(self, form: dict[str, Any]) -> None:
        """Make an invitation and show its link once."""
        async with self._trying("form_problem"):
            email, role = as_text(form.get("email"), 300), as_text(form.get("role"), 20)
            _, link = await invite(surroundings(), await self._actor(), email=email, role=role)
            self.form_open = False
            self._show(link, f"Give this link to {email.strip()}. It works once, for seven days.")
            await self._read()

    @rx.event
    async def withdraw(self, invitation_id: str) -> None:
        """Take an invitation back."""
        async with self._trying():
            await revoke_invitation(surroundings(), await self._actor(), as_id(invitation_id))
            await self._read()

    @rx.event
    async def set_role(self, person_id: str, role: str) -> None:
        """Give a person another role."""
        async with self._trying():
            change = PersonChange(role=as_text(role, 20))
            await change_person(surroundings(), await self._actor(), as_id(person_id), change)
            self._say("The role was changed; the person signs in again.")
        async with self._trying():
            await self._read()

    @rx.event
    async def toggle_disabled(self, person_id: str) -> None:
        """Keep a person out, or let them in again."""
        row = next((row for row in self.rows if row.id == person_id), None)
        async with self._trying():
            change = PersonChange(disabled=not (row and row.disabled))
            await change_person(surroundings(), await self._actor(), as_id(person_id), change)
            await self._read()

    @rx.event
    async def make_reset_link(self, person_id: str) -> None:
        """Make a link with which a person chooses a new password."""
        async with self._trying():
            link = await reset_link(surroundings(), await self._actor(), as_id(person_id))
            self._show(link, "Give this link to the person. It works once, for 24 hours.")

    @rx.event
    def ask_remove(self, person_id: str) -> None:
        """Ask before a person is removed."""
        row = next((row for row in self.rows if row.id == person_id), None)
        self.doomed_id, self.doomed_name = (row.id, row.name) if row else ("", "")

    @rx.event
    def keep(self) -> None:
        """Do not remove them."""
        self.doomed_id = ""

    @rx.event
    async def remove(self) -> None:
        """Remove the person that was asked about."""
        doomed, self.doomed_id = self.doomed_id, ""
        async with self._trying():
            await remove_person(surroundings(), await self._actor(), as_id(doomed))
            await self._read()


def person_row(person: Person, *, own: bool) -> PersonRow:
    """A person as the list shows them."""
    return PersonRow(
        id=str(person.id),
        name=person.name or person.email,
        email=person.email,
        role=person.role,
        is_self=own,
        disabled=person.disabled_at is not None,
        last_seen_at=person.last_seen_at.isoformat() if person.last_seen_at else "",
    )
