"""Who may change whom: roles, the last owner, other workspaces, what is told when a session ends."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from rag_app.database.engine import without_driver
from rag_app.errors import Conflict, Forbidden, InvalidInput, NotFound
from rag_app.services import api_keys, invitations, models, people, sessions
from rag_app.services.context import Context
from rag_app.services.models import ProviderChange, ProviderEntry
from rag_app.services.paging import PageRequest
from rag_app.services.people import PersonChange
from rag_app.services.permissions import PERMISSIONS, ROLES, SCOPES, Actor, Role, is_allowed
from tests.api.cast import Cast
from tests.workspaces import make_actor

SESSION = "/api/v1/auth/session"
NOBODY = uuid4()

# What each service of this room asks for, tried with every role. Whoever is allowed meets NotFound or success.
CALLS: dict[str, Callable[[Context, Actor], Awaitable[Any]]] = {
    "people.read": lambda context, actor: people.read_person(context, actor, NOBODY),
    "people.manage": lambda context, actor: people.change_person(context, actor, NOBODY, PersonChange(role="viewer")),
    "people.manage (remove)": lambda context, actor: people.remove_person(context, actor, NOBODY),
    "people.manage (reset)": lambda context, actor: people.reset_link(context, actor, NOBODY),
    "people.manage (invite)": lambda context, actor: invitations.invite(
        context, actor, email="bea@example.com", role="viewer"
    ),
    "people.manage (withdraw)": lambda context, actor: invitations.revoke_invitation(context, actor, NOBODY),
    "people.read (invitations)": lambda context, actor: invitations.list_invitations(context, actor, PageRequest()),
    "people.manage (all keys)": lambda context, actor: api_keys.list_keys(context, actor, PageRequest(), everyone=True),
    "key.manage": lambda context, actor: api_keys.create_key(context, actor, name="mine"),
    "key.manage (list)": lambda context, actor: api_keys.list_keys(context, actor, PageRequest()),
    "key.manage (revoke)": lambda context, actor: api_keys.revoke_key(context, actor, NOBODY),
    "model.read": lambda context, actor: models.list_providers(context, actor),
    "model.manage": lambda context, actor: models.add_provider(context, actor, ProviderEntry("openai", "sk-test")),
    "model.manage (change)": lambda context, actor: models.change_provider(context, actor, NOBODY, ProviderChange()),
    "model.manage (remove)": lambda context, actor: models.remove_provider(context, actor, NOBODY),
    "model.manage (try)": lambda context, actor: models.try_model(context, actor, models.EXTRACTIVE),
    "model.manage (defaults)": lambda context, actor: models.set_defaults(context, actor, chat_model=""),
}


@pytest.mark.parametrize("name", CALLS)
async def test_every_service_asks_the_one_table(context: Context, name: str) -> None:
    action = name.partition(" ")[0]
    owner = await make_actor(context)
    for role in ROLES:
        actor = await make_actor(context, role, workspace_id=owner.workspace_id)
        may = action in {str(each) for each in PERMISSIONS[role]}
        try:
            await CALLS[name](context, actor)
            allowed = True
        except NotFound:
            allowed = True
        except Conflict:
            allowed = True
        except Forbidden:
            allowed = False
        assert allowed is may, role


async def test_a_key_without_the_scope_may_not(context: Context) -> None:
    owner = await make_actor(context)
    for scope in SCOPES:
        limited = Actor(owner.user_id, owner.workspace_id, "owner", api_key_id=uuid4(), scopes=(scope,))
        for name, call in CALLS.items():
            try:
                await call(context, limited)
            except Forbidden:
                continue
            pytest.fail(f"{name} with {scope}")


@pytest.mark.parametrize("role", ["admin", "editor", "viewer"])
async def test_only_owners_reach_owners(context: Context, role: Role) -> None:
    owner = await make_actor(context)
    other = await make_actor(context, "owner", workspace_id=owner.workspace_id)
    actor = await make_actor(context, role, workspace_id=owner.workspace_id)
    for attempt in (
        people.change_person(context, actor, other.user_id, PersonChange(role="viewer")),
        people.change_person(context, actor, other.user_id, PersonChange(disabled=True)),
        people.remove_person(context, actor, other.user_id),
        people.reset_link(context, actor, other.user_id),
        people.change_person(context, actor, actor.user_id, PersonChange(role="owner")),
        invitations.invite(context, actor, email="bea@example.com", role="owner"),
    ):
        with pytest.raises(Forbidden):
            await attempt
    assert (await people.change_person(context, owner, other.user_id, PersonChange(role=role))).role == role


async def test_the_last_owner_stays(context: Context) -> None:
    owner = await make_actor(context)
    disabled = await make_actor(context, "owner", workspace_id=owner.workspace_id)
    await people.change_person(context, owner, disabled.user_id, PersonChange(disabled=True))
    for attempt in (
        people.change_person(context, owner, owner.user_id, PersonChange(role="admin")),
        people.change_person(context, owner, owner.user_id, PersonChange(disabled=True)),
        people.remove_person(context, owner, owner.user_id),
    ):
        with pytest.raises(Conflict):
            await attempt
    await people.remove_person(context, owner, disabled.user_id)


async def test_two_owners_cannot_remove_each_other(context: Context) -> None:
    one = await make_actor(context)
    other = await make_actor(context, "owner", workspace_id=one.workspace_id)
    found = await asyncio.gather(
        people.remove_person(context, one, other.user_id),
        people.remove_person(context, other, one.user_id),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in found) == ["Conflict", "NoneType"]


async def test_people_of_another_workspace_are_not_there(context: Context) -> None:
    owner, stranger = await make_actor(context), await make_actor(context)
    key, _ = await api_keys.create_key(context, stranger, name="theirs")
    invitation, _ = await invitations.invite(context, stranger, email="bea@example.com", role="viewer")
    provider = await models.add_provider(context, stranger, ProviderEntry("openai", "sk-theirs-0123456789"))
    for attempt in (
        people.read_person(context, owner, stranger.user_id),
        people.change_person(context, owner, stranger.user_id, PersonChange(role="viewer")),
        people.remove_person(context, owner, stranger.user_id),
        people.reset_link(context, owner, stranger.user_id),
        invitations.revoke_invitation(context, owner, invitation.id),
        api_keys.revoke_key(context, owner, key.id),
        models.change_provider(context, owner, provider.id, ProviderChange(name="mine")),
        models.remove_provider(context, owner, provider.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert [each.id for each in (await people.list_people(context, owner, PageRequest())).items] == [owner.user_id]
    assert not await models.list_providers(context, owner)
    assert not (await api_keys.list_keys(context, owner, PageRequest(), everyone=True)).items


async def test_a_list_of_people_is_stable_while_people_come(context: Context) -> None:
    owner = await make_actor(context)
    ids = [(await make_actor(context, "viewer", workspace_id=owner.workspace_id)).user_id for _ in range(5)]
    first = await people.list_people(context, owner, PageRequest(limit=3))
    await make_actor(context, "viewer", workspace_id=owner.workspace_id)
    second = await people.list_people(context, owner, PageRequest(limit=3, cursor=first.next_cursor))
    assert [each.id for each in (*first.items, *second.items)] == [*reversed(ids), owner.user_id]
    assert second.next_cursor is None


async def test_a_cursor_that_is_not_ours_is_refused(cast: Cast) -> None:
    for cursor in ["x", "AAAA", "é", "MjAyNi0wMS0wMXx4", "%00", "=" * 40]:
        browser = await cast.browser(await cast.sign_in())
        answer = await browser.get("/api/v1/people", params={"cursor": cursor})
        assert answer.status_code == 422


async def test_there_are_four_roles(cast: Cast) -> None:
    editor = await cast.join("editor")
    browser = await cast.browser(await cast.sign_in())
    wrong: list[object] = ["", "root", "Owner", 1, ["owner"]]
    for role in wrong:
        answer = await browser.patch(f"/api/v1/people/{editor.user_id}", json={"role": role})
        assert answer.status_code == 422
    with pytest.raises(InvalidInput):
        await people.change_person(cast.context, await cast.owner(), editor.user_id, PersonChange(role="root"))


async def test_people_over_rest(cast: Cast) -> None:
    editor = await cast.join("editor")
    browser = await cast.browser(await cast.sign_in())
    listed = (await browser.get("/api/v1/people")).json()
    assert [person["role"] for person in listed["items"]] == ["editor", "owner"]
    assert "password_hash" not in json.dumps(listed)
    path = f"/api/v1/people/{editor.user_id}"
    assert (await browser.patch(path, json={})).status_code == 422
    assert (await browser.patch(path, json={"email": "eve@example.com"})).status_code == 422
    changed = await browser.patch(path, json={"role": "viewer", "disabled": True})
    assert changed.json()["role"] == "viewer"
    assert changed.json()["disabled_at"] is not None
    assert (await browser.delete(path)).status_code == 204
    assert (await browser.get(path)).status_code == 404


async def test_the_end_of_a_session_is_told_to_all_processes(context: Context, cast: Cast, database_url: str) -> None:
    editor = await cast.join("editor")
    async with await psycopg.AsyncConnection.connect(without_driver(database_url), autocommit=True) as listener:
        await listener.execute(f"LISTEN {sessions.CHANNEL}")
        token = await cast.sign_in()
        await (await cast.browser(token)).delete(SESSION)
        await people.change_person(context, await cast.owner(), editor.user_id, PersonChange(role="viewer"))
        told = [json.loads(each.payload) async for each in listener.notifies(timeout=10, stop_after=2)]
    assert set(told[0]) == {"session_id"}
    assert told[1] == {"user_id": str(editor.user_id)}


def test_a_role_never_has_less_than_the_one_below() -> None:
    for higher, lower in itertools.pairwise(ROLES):
        assert PERMISSIONS[lower] <= PERMISSIONS[higher]


def test_scopes_never_widen_a_role() -> None:
    every = tuple(SCOPES)
    for role in ROLES:
        actor = Actor(UUID(int=1), UUID(int=2), role, scopes=every)
        assert not [action for action in PERMISSIONS["owner"] - PERMISSIONS[role] if is_allowed(actor, action)]
