"""API keys: shown once, limited by scope and owner, accepted in one place only."""

from sqlalchemy import text

from rag_app.services import api_keys, people
from rag_app.services.context import Context
from rag_app.services.people import PersonChange
from rag_app.services.sessions import COOKIE
from tests.api.cast import Cast

SESSION = "/api/v1/auth/session"
KEYS = "/api/v1/api-keys"


async def test_a_key_is_shown_once_and_kept_as_a_hash(cast: Cast, context: Context) -> None:
    browser = await cast.browser(await cast.sign_in())
    made = await browser.post(KEYS, json={"name": "CI", "scopes": ["knowledge:read", "chat"], "expires_in_days": 30})
    assert made.status_code == 201, made.text
    key = made.json()["key"]
    assert key.startswith("rk_")
    assert len(key) >= 40
    listed = await browser.get(KEYS)
    assert listed.json()["items"][0]["scopes"] == ["chat", "knowledge:read"]
    assert key not in listed.text
    async with context.transaction() as session:
        rows = (await session.execute(text("SELECT k::text FROM api_keys k"))).scalars().all()
    assert not any(key in row or key.encode().hex() in row for row in rows)
    assert (await (await cast.program(key)).get(SESSION)).status_code == 200


async def test_a_key_counts_in_the_authorization_header_alone(cast: Cast) -> None:
    _, key = await cast.key(await cast.owner())
    client = await cast.client()
    places = [
        await client.get(SESSION, params={"access_token": key}),
        await client.get(SESSION, params={"api_key": key}),
        await client.get(SESSION, params={"token": key}),
        await client.get(SESSION, headers={"X-Api-Key": key}),
        await client.get(SESSION, headers={"Authorization": key}),
        await client.get(SESSION, headers={"Authorization": f"Basic {key}"}),
        await client.get(SESSION, headers={"Authorization": f"Bearer {key}x"}),
        await client.get(SESSION, headers={"Authorization": "Bearer " + "x" * 10_000}),
        await client.get(SESSION, headers=[(b"Authorization", "Bearer rk_\xe9".encode("latin-1"))]),
        await client.get(SESSION, headers=[("Authorization", f"Bearer {key}"), ("Authorization", "Bearer x")]),
        await client.get(SESSION, headers={"Cookie": f"{COOKIE}={key}"}),
    ]
    assert [answer.status_code for answer in places] == [401] * len(places)
    assert all(answer.headers["www-authenticate"].startswith("Bearer") for answer in places)
    assert "header" in places[0].json()["error"]["message"]
    assert (await client.get(SESSION, headers={"Authorization": f"bearer {key}"})).status_code == 200


async def test_a_wrong_header_is_not_saved_by_a_good_cookie(cast: Cast) -> None:
    browser = await cast.browser(await cast.sign_in())
    assert (await browser.get(SESSION, headers={"Authorization": "Bearer rk_wrong"})).status_code == 401


async def test_a_made_up_jwt_is_nobody(cast: Cast) -> None:
    for token in ["", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzaWQiOiIxIn0.", "rs_session", "null"]:
        client = await cast.client({"Authorization": f"Bearer {token}"})
        assert (await client.get(SESSION)).status_code == 401


async def test_a_session_token_is_no_bearer_token(cast: Cast) -> None:
    assert (await (await cast.program(await cast.sign_in())).get(SESSION)).status_code == 401


async def test_a_limited_key_cannot_make_keys_or_reach_people(cast: Cast) -> None:
    for scope in ["knowledge:read", "knowledge:write", "chat", "bots:write", "metrics:read"]:
        _, key = await cast.key(await cast.owner(), scope)
        program = await cast.program(key)
        assert (await program.get(SESSION)).status_code == 200
        for method, path, body in [
            ("POST", KEYS, {"name": "more"}),
            ("GET", KEYS, None),
            ("POST", "/api/v1/invitations", {"email": "eve@example.com", "role": "viewer"}),
            ("GET", "/api/v1/invitations", None),
        ]:
            assert (await program.request(method, path, json=body)).status_code == 403, (method, path)


async def test_a_key_follows_the_role_of_its_owner(cast: Cast, context: Context) -> None:
    admin = await cast.join("admin")
    _, key = await cast.key(await cast.actor(admin))
    program = await cast.program(key)
    assert (await program.get("/api/v1/invitations")).status_code == 200
    await people.change_person(context, await cast.owner(), admin.user_id, PersonChange(role="viewer"))
    assert (await program.get("/api/v1/invitations")).status_code == 403
    await people.remove_person(context, await cast.owner(), admin.user_id)
    assert (await program.get(SESSION)).status_code == 401


async def test_a_scope_beyond_the_role_is_not_given(cast: Cast) -> None:
    viewer = await cast.browser((await cast.join("viewer")).token)
    assert (await viewer.post(KEYS, json={"name": "k", "scopes": ["knowledge:write"]})).status_code == 403
    assert (await viewer.post(KEYS, json={"name": "k", "scopes": ["everything"]})).status_code == 422
    assert (await viewer.post(KEYS, json={"name": "k", "scopes": ["chat"]})).status_code == 201
    assert (await viewer.get(KEYS, params={"everyone": True})).status_code == 403


async def test_keys_are_revoked_by_those_who_may(cast: Cast, context: Context) -> None:
    owner_key, _ = await cast.key(await cast.owner())
    viewer = await cast.join("viewer")
    viewer_key, secret = await cast.key(await cast.actor(viewer))
    admin = await cast.browser((await cast.join("admin")).token)
    editor = await cast.browser((await cast.join("editor")).token)
    assert (await editor.delete(f"{KEYS}/{viewer_key}")).status_code == 404
    assert (await admin.delete(f"{KEYS}/{owner_key}")).status_code == 404
    assert (await admin.delete(f"{KEYS}/{viewer_key}")).status_code == 204
    assert (await admin.delete(f"{KEYS}/{viewer_key}")).status_code == 404
    assert (await (await cast.program(secret)).get(SESSION)).status_code == 401


async def test_an_outdated_key_is_dead(cast: Cast, context: Context) -> None:
    owner = await cast.owner()
    _, key = await api_keys.create_key(context, owner, name="short", expires_in_days=1)
    program = await cast.program(key)
    assert (await program.get(SESSION)).status_code == 200
    async with context.transaction() as session:
        await session.execute(text("UPDATE api_keys SET expires_at = now() WHERE name = 'short'"))
    assert (await program.get(SESSION)).status_code == 401
