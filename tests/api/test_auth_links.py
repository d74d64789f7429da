"""Links that work once: set-up, invitation, reset."""

import asyncio
import threading

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from rag_app.errors import Conflict, Forbidden, InvalidInput, NotFound
from rag_app.services import invitations, passwords, people, setup
from rag_app.services.context import Context
from rag_app.services.paging import PageRequest
from rag_app.services.people import PersonChange
from rag_app.services.sessions import COOKIE
from tests.api.cast import OWNER, PASSWORD, Cast

SESSION = "/api/v1/auth/session"
SETUP = "/api/v1/auth/setup"
RESET = "/api/v1/auth/reset"
INVITATION = "/api/v1/auth/invitation"
NEW_PASSWORD = "some other unrelated words"


def token_of(url: str | None) -> str:
    """The token behind # of a link."""
    assert url is not None
    return url.partition("#")[2]


async def test_set_up_through_the_printed_link(api: FastAPI, context: Context) -> None:
    older, link = await setup.setup_link(context), await setup.setup_link(context)
    assert link is not None
    assert link.startswith("http://testserver/setup#")
    async with Cast(api, context) as cast:
        browser = await cast.browser()
        assert (await browser.get(SETUP)).json() == {"is_set_up": False}
        body = {"token": token_of(older), "email": OWNER, "password": PASSWORD, "name": "Ada"}
        assert (await browser.post(SETUP, json=body)).status_code == 404
        weak = {**body, "token": token_of(link), "password": "qwertyuiop"}
        assert (await browser.post(SETUP, json=weak)).status_code == 422
        answer = await browser.post(SETUP, json={**body, "token": token_of(link)})
        assert answer.status_code == 201, answer.text
        assert answer.json()["role"] == "owner"
        assert (await browser.get(SESSION)).json()["email"] == OWNER
        assert (await browser.get(SETUP)).json() == {"is_set_up": True}
        again = await browser.post(SETUP, json={**body, "token": token_of(link), "email": "eve@example.com"})
        assert again.status_code == 409
    assert await setup.setup_link(context) is None


async def test_of_two_set_ups_at_once_one_wins(context: Context) -> None:
    token = token_of(await setup.setup_link(context))

    async def attempt(name: str) -> bool:
        try:
            await setup.create_first_owner(
                context, email=f"{name}@example.com", password=PASSWORD, name=name, token=token
            )
        except (Conflict, NotFound):
            return False
        return True

    assert sorted(await asyncio.gather(*(attempt(f"person{n}") for n in range(4)))) == [False, False, False, True]
    async with context.transaction() as session:
        counts = (
            await session.execute(text("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM workspaces)"))
        ).one()
    assert tuple(counts) == (1, 1)


async def test_an_odd_token_is_no_token(cast: Cast) -> None:
    odd: list[object] = [None, "", [], {}, 0, True, "x" * 5000]
    for token in odd:
        await people.reset_link_for(cast.context, OWNER)
        browser = await cast.browser()
        for path, body in [
            (RESET, {"password": NEW_PASSWORD}),
            (INVITATION, {"name": "Eve", "password": NEW_PASSWORD}),
            (SETUP, {"email": "eve@example.com", "password": NEW_PASSWORD}),
        ]:
            assert (await browser.post(path, json={**body, "token": token})).status_code == 422
            assert (await browser.post(path, json=body)).status_code == 422


async def test_an_invited_person_joins_once(cast: Cast, context: Context) -> None:
    owner = await cast.owner()
    browser = await cast.browser(await cast.sign_in())
    made = await browser.post("/api/v1/invitations", json={"email": "Bea@Example.com", "role": "editor"})
    assert made.status_code == 201, made.text
    path = made.json()["link"]["path"]
    assert path.startswith("/invite#")
    assert path.partition("#")[2] not in (await browser.get("/api/v1/invitations")).text
    guest = await cast.browser()
    body = {"token": token_of(path), "name": "Bea", "password": PASSWORD}
    joined = await guest.post(INVITATION, json=body)
    assert joined.status_code == 201, joined.text
    assert (joined.json()["email"], joined.json()["role"]) == ("bea@example.com", "editor")
    assert (await guest.post(INVITATION, json=body)).status_code == 404
    assert not (await invitations.list_invitations(context, owner, PageRequest())).items
    assert (
        await browser.post("/api/v1/invitations", json={"email": "BEA@example.com", "role": "viewer"})
    ).status_code == 409
    await cast.sign_in("bea@EXAMPLE.com")


async def test_of_two_acceptances_at_once_one_wins(cast: Cast, context: Context) -> None:
    _, link = await invitations.invite(context, await cast.owner(), email="bea@example.com", role="viewer")
    guest = await cast.browser()
    body = {"token": link.token, "name": "Bea", "password": PASSWORD}
    answers = await asyncio.gather(*(guest.post(INVITATION, json=body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 404, 404, 404]


async def test_invitations_die(cast: Cast, context: Context) -> None:
    owner = await cast.owner()
    admin = await cast.join("admin")
    acting = await cast.actor(admin)
    _, replaced = await invitations.invite(context, owner, email="bea@example.com", role="editor")
    view, revoked = await invitations.invite(context, owner, email="bea@example.com", role="editor")
    await invitations.revoke_invitation(context, owner, view.id)
    _, orphaned = await invitations.invite(context, acting, email="cleo@example.com", role="admin")
    _, outdated = await invitations.invite(context, owner, email="dora@example.com", role="editor")
    await people.change_person(context, owner, admin.user_id, PersonChange(role="viewer"))
    async with context.transaction() as session:
        await session.execute(
            text("UPDATE one_time_links SET expires_at = now() WHERE email = 'dora@example.com' AND used_at IS NULL")
        )
    guest = await cast.browser()
    for link in (replaced, revoked, orphaned, outdated):
        answer = await guest.post(INVITATION, json={"token": link.token, "name": "Bea", "password": PASSWORD})
        assert answer.status_code == 404


async def test_a_link_works_only_for_its_own_purpose(cast: Cast, context: Context) -> None:
    reset = await people.reset_link_for(context, OWNER)
    _, invite = await invitations.invite(context, await cast.owner(), email="bea@example.com", role="owner")
    guest = await cast.browser()
    crossed = await guest.post(INVITATION, json={"token": reset.token, "name": "Eve", "password": PASSWORD})
    other = await guest.post(RESET, json={"token": invite.token, "password": NEW_PASSWORD})
    assert (crossed.status_code, other.status_code) == (404, 404)


async def test_the_locked_out_owner_gets_back_in(cast: Cast, context: Context) -> None:
    token = await cast.sign_in()
    older = await people.reset_link_for(context, OWNER)
    link = await people.reset_link_for(context, OWNER.upper())
    browser = await cast.browser()
    for n in range(12):
        await browser.post(SESSION, json={"email": OWNER, "password": f"guess number {n}"})
    assert (await browser.post(RESET, json={"token": older.token, "password": NEW_PASSWORD})).status_code == 404
    assert (await browser.post(RESET, json={"token": link.token, "password": "password123"})).status_code == 422
    assert (await browser.post(RESET, json={"token": link.token, "password": OWNER})).status_code == 422
    answer = await browser.post(RESET, json={"token": link.token, "password": NEW_PASSWORD})
    assert answer.status_code == 200, answer.text
    assert (await browser.get(SESSION)).json()["email"] == OWNER
    assert (await (await cast.browser(token)).get(SESSION)).status_code == 401
    assert (await browser.post(RESET, json={"token": link.token, "password": NEW_PASSWORD})).status_code == 404
    with pytest.raises(NotFound):
        await people.reset_link_for(context, "nobody@example.com")


async def test_a_reset_link_does_not_open_a_disabled_account(cast: Cast, context: Context) -> None:
    editor = await cast.join("editor")
    owner = await cast.owner()
    before = await people.reset_link(context, owner, editor.user_id)
    await people.change_person(context, owner, editor.user_id, PersonChange(disabled=True))
    after = await people.reset_link(context, owner, editor.user_id)
    browser = await cast.browser()
    assert (await browser.post(RESET, json={"token": before.token, "password": NEW_PASSWORD})).status_code == 404
    refused = await browser.post(RESET, json={"token": after.token, "password": NEW_PASSWORD})
    assert refused.status_code == 401
    assert COOKIE not in browser.cookies


async def test_links_name_the_address_of_the_settings_not_of_the_request(cast: Cast) -> None:
    browser = await cast.browser(await cast.sign_in())
    editor = await cast.join("editor")
    headers = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    answer = await browser.post(f"/api/v1/people/{editor.user_id}/reset-link", headers=headers)
    assert answer.status_code == 201
    assert answer.json()["url"].startswith("http://testserver/reset#")


async def test_setting_up_on_the_server_needs_no_link(context: Context) -> None:
    with pytest.raises(InvalidInput):
        await setup.create_first_owner(context, email="not an address", password=PASSWORD)
    await setup.create_first_owner(context, email=OWNER, password=PASSWORD)
    with pytest.raises(Conflict):
        await setup.create_first_owner(context, email="eve@example.com", password=PASSWORD)


async def test_a_password_is_not_changed_through_an_api_key(cast: Cast, context: Context) -> None:
    _, key = await cast.key(await cast.owner())
    program = await cast.program(key)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert (await program.post("/api/v1/auth/password", json=body)).status_code == 403
    with pytest.raises(Forbidden):
        await people.reset_link(context, await cast.actor(await cast.join("editor")), (await cast.owner()).user_id)


async def test_a_dead_link_costs_no_slow_hash(api: FastAPI, context: Context) -> None:
    """Who has no link cannot keep those who sign in waiting: with all hashing threads taken it is refused."""
    async with Cast(api, context) as cast:
        browser = await cast.browser()
        dead = "x" * 43
        bodies = {
            SETUP: {"token": dead, "email": "eve@example.com", "password": PASSWORD},
            INVITATION: {"token": dead, "name": "Eve", "password": PASSWORD},
            RESET: {"token": dead, "password": PASSWORD},
        }
        release = threading.Event()
        taken = [passwords._pool.submit(release.wait) for _ in range(8)]
        try:
            async with asyncio.timeout(20):
                answers = [(await browser.post(path, json=body)).status_code for path, body in bodies.items()]
        finally:
            release.set()
        assert answers == [404, 404, 404]
        assert all(each.result(5) for each in taken)
