"""Signing in and out over HTTP: the cookie, who is let in, and when a session dies."""

import asyncio

import httpx
import pytest

from rag_app.api.app import create_api
from rag_app.services import accounts, people, throttle
from rag_app.services.accounts import Caller
from rag_app.services.context import Context, open_context
from rag_app.services.people import PersonChange
from rag_app.services.sessions import COOKIE, SECURE_COOKIE
from rag_app.settings import Settings
from tests.api.cast import ORIGIN, OWNER, PASSWORD, Cast

SESSION = "/api/v1/auth/session"
CREDENTIALS = {"email": OWNER, "password": PASSWORD}
NEW_PASSWORD = "some other unrelated words"


async def status_of(cast: Cast, token: str) -> int:
    """What a browser with this session token is told."""
    return (await (await cast.browser(token)).get(SESSION)).status_code


async def test_sign_in_sets_a_cookie_that_no_script_reads(cast: Cast) -> None:
    browser = await cast.browser()
    answer = await browser.post(SESSION, json=CREDENTIALS)
    assert answer.status_code == 200
    assert answer.json()["email"] == OWNER
    assert answer.json()["role"] == "owner"
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"{COOKIE}=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "secure" not in cookie
    assert (await browser.get(SESSION)).json()["name"] == "Ada"


async def test_over_https_the_cookie_is_bound_to_the_host(cast: Cast) -> None:
    browser = await cast.client({"Origin": "https://testserver"}, base="https://testserver")
    answer = await browser.post(SESSION, json=CREDENTIALS)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{SECURE_COOKIE}=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    token = browser.cookies[SECURE_COOKIE]
    fresh = await cast.client(base="https://testserver")
    assert (await fresh.get(SESSION, headers={"Cookie": f"{SECURE_COOKIE}={token}"})).status_code == 200
    # A neighbour under the same domain can set the plain name, but not the bound one.
    assert (await fresh.get(SESSION, headers={"Cookie": f"{COOKIE}={token}"})).status_code == 401


async def test_token_is_stored_only_as_a_hash(cast: Cast, context: Context) -> None:
    from sqlalchemy import text

    token = await cast.sign_in()
    async with context.transaction() as session:
        rows = (await session.execute(text("SELECT s::text FROM sessions s"))).scalars().all()
    assert rows
    assert not any(token in row or token.encode().hex() in row for row in rows)


async def test_session_is_renewed_at_sign_in(cast: Cast) -> None:
    first = await cast.sign_in()
    browser = await cast.browser(first)
    answer = await browser.post(SESSION, json=CREDENTIALS)
    assert answer.cookies[COOKIE] != first
    assert await status_of(cast, first) == 401
    planted = await cast.browser("rs_planted-by-somebody")
    answer = await planted.post(SESSION, json=CREDENTIALS)
    assert answer.cookies[COOKIE] != "rs_planted-by-somebody"


async def test_sign_out_kills_the_session_and_clears_the_cookie(cast: Cast) -> None:
    token = await cast.sign_in()
    browser = await cast.browser(token)
    answer = await browser.delete(SESSION)
    assert answer.status_code == 204
    assert f'{COOKIE}=""' in answer.headers["set-cookie"]
    assert await status_of(cast, token) == 401
    assert (await browser.delete(SESSION)).status_code == 204


async def test_change_of_password_kills_all_other_sessions(cast: Cast) -> None:
    other, token = await cast.sign_in(), await cast.sign_in()
    browser = await cast.browser(token)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    answer = await browser.post("/api/v1/auth/password", json=body)
    assert answer.status_code == 200, answer.text
    assert await status_of(cast, other) == 401
    assert await status_of(cast, token) == 401
    assert await status_of(cast, answer.cookies[COOKIE]) == 200
    refused = await (await cast.browser()).post(SESSION, json=CREDENTIALS)
    assert refused.status_code == 401
    await cast.sign_in(password=NEW_PASSWORD)


@pytest.mark.parametrize(
    ("current", "new", "status"),
    [
        ("not the password", NEW_PASSWORD, 401),
        (PASSWORD, "short", 422),
        (PASSWORD, "password1234", 422),
        (PASSWORD, OWNER, 422),
    ],
)
async def test_a_bad_change_of_password_changes_nothing(cast: Cast, current: str, new: str, status: int) -> None:
    token = await cast.sign_in()
    body = {"current_password": current, "new_password": new}
    answer = await (await cast.browser(token)).post("/api/v1/auth/password", json=body)
    assert answer.status_code == status
    assert await status_of(cast, token) == 200
    await cast.sign_in()


@pytest.mark.parametrize("change", [PersonChange(role="viewer"), PersonChange(disabled=True)])
async def test_change_of_role_and_lock_out_kill_every_credential(
    cast: Cast, context: Context, change: PersonChange
) -> None:
    editor = await cast.join("editor")
    jwt, _ = await accounts.issue_token(
        context, email="editor@example.com", password=PASSWORD, caller=Caller("203.0.113.9", "test")
    )
    program = await cast.program(jwt)
    assert (await program.get(SESSION)).status_code == 200
    await people.change_person(context, await cast.owner(), editor.user_id, change)
    assert (await program.get(SESSION)).status_code == 401
    assert await status_of(cast, editor.token) == 401


async def test_a_disabled_person_is_out_by_every_way(cast: Cast, context: Context) -> None:
    editor = await cast.join("editor")
    _, key = await cast.key(await cast.actor(editor))
    program = await cast.program(key)
    assert (await program.get(SESSION)).status_code == 200
    owner = await cast.owner()
    await people.change_person(context, owner, editor.user_id, PersonChange(disabled=True))
    assert (await program.get(SESSION)).status_code == 401
    refused = await (await cast.browser()).post(SESSION, json={"email": "editor@example.com", "password": PASSWORD})
    unknown = await (await cast.browser()).post(SESSION, json={"email": "nobody@example.com", "password": PASSWORD})
    assert refused.status_code == unknown.status_code == 401
    assert refused.json()["error"]["message"] == unknown.json()["error"]["message"]
    await people.change_person(context, owner, editor.user_id, PersonChange(disabled=False))
    await cast.sign_in("editor@example.com")


async def test_nobody_learns_which_accounts_exist(cast: Cast) -> None:
    browser = await cast.browser()
    wrong = await browser.post(SESSION, json={"email": OWNER, "password": "not the password"})
    unknown = await browser.post(SESSION, json={"email": "nobody@example.com", "password": "not the password"})
    assert wrong.status_code == unknown.status_code == 401
    one, other = wrong.json()["error"], unknown.json()["error"]
    assert {**one, "request_id": ""} == {**other, "request_id": ""}
    assert set(wrong.headers) == set(unknown.headers)


async def test_guessing_at_an_account_is_throttled_from_one_address(cast: Cast) -> None:
    browser = await cast.browser()
    guesses = [
        await browser.post(SESSION, json={"email": OWNER, "password": f"guess number {n}"})
        for n in range(throttle.PER_ACCOUNT_AND_ADDRESS)
    ]
    assert {guess.status_code for guess in guesses} == {401}
    blocked = await browser.post(SESSION, json=CREDENTIALS)
    assert blocked.status_code == 429
    assert blocked.json()["error"]["code"] == "rate_limited"
    assert 1 <= int(blocked.headers["retry-after"]) <= 15 * 60 + 1
    # The owner, somewhere else, is not locked out by it.
    await cast.sign_in(ip="203.0.113.50")


async def test_guesses_at_the_same_time_are_all_counted(cast: Cast) -> None:
    browser = await cast.browser()

    async def guess(n: int) -> int:
        answer = await browser.post("/api/v1/auth/token", json={"email": OWNER, "password": f"guess number {n}"})
        return answer.status_code

    statuses = await asyncio.gather(*(guess(n) for n in range(throttle.PER_ACCOUNT_AND_ADDRESS + 5)))
    assert statuses.count(401) == throttle.PER_ACCOUNT_AND_ADDRESS
    assert statuses.count(429) == 5


async def test_an_unknown_account_is_throttled_alike(cast: Cast) -> None:
    browser = await cast.browser()
    body = {"email": "nobody@example.com", "password": "not the password"}
    for _ in range(throttle.PER_ACCOUNT_AND_ADDRESS):
        assert (await browser.post(SESSION, json=body)).status_code == 401
    assert (await browser.post(SESSION, json=body)).status_code == 429


async def test_a_network_of_ipv6_counts_as_one_address(context: Context, cast: Cast) -> None:
    for n in range(throttle.PER_ACCOUNT_AND_ADDRESS):
        await throttle.attempt(context, account=OWNER, ip=f"2001:db8:1:2::{n:x}")
    blocked = await cast.browser(ip="2001:db8:1:2:ffff::1")
    assert (await blocked.post(SESSION, json=CREDENTIALS)).status_code == 429
    await cast.sign_in(ip="2001:db8:1:3::1")


async def test_success_forgives_the_failures_before(cast: Cast) -> None:
    browser = await cast.browser()
    for _ in range(2):
        for n in range(throttle.PER_ACCOUNT_AND_ADDRESS - 1):
            await browser.post(SESSION, json={"email": OWNER, "password": f"guess number {n}"})
        assert (await browser.post(SESSION, json=CREDENTIALS)).status_code == 200


async def test_forwarded_addresses_count_only_behind_trusted_proxies(
    cast: Cast, settings: Settings, context: Context
) -> None:
    browser = await cast.browser()
    for n in range(throttle.PER_ACCOUNT_AND_ADDRESS):
        headers = {"X-Forwarded-For": f"203.0.113.{n}"}
        await browser.post(SESSION, json={"email": OWNER, "password": "not the password"}, headers=headers)
    assert (await browser.post(SESSION, json=CREDENTIALS)).status_code == 429
    behind = settings.model_copy(update={"trusted_proxy_hops": 1})
    async with open_context(behind) as other, Cast(create_api(other), other) as proxied:
        client = await proxied.browser()
        spoofed = {"X-Forwarded-For": "198.51.100.7, 203.0.113.77"}
        assert (await client.post(SESSION, json=CREDENTIALS, headers=spoofed)).status_code == 200


async def test_a_cookie_counts_only_on_our_own_pages(cast: Cast) -> None:
    for headers in [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://evil.example/testserver"},
        {"Origin": "http://testserver:8001"},
        {"Origin": "http://user@testserver"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ]:
        client = await cast.client(headers)
        client.cookies.set(COOKIE, await cast.sign_in())
        for method, path, body in [
            ("POST", "/api/v1/api-keys", {"name": "stolen"}),
            ("POST", SESSION, CREDENTIALS),
            ("DELETE", SESSION, None),
            ("PATCH", "/api/v1/auth/account", {"name": "Eve"}),
        ]:
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 403, (method, path)
            assert "access-control-allow-origin" not in answer.headers
        assert (await client.get(SESSION)).json()["name"] == "Ada"


@pytest.mark.parametrize("headers", [{"Origin": ORIGIN}, {"Sec-Fetch-Site": "same-origin"}])
async def test_either_word_of_the_browser_is_enough(cast: Cast, headers: dict[str, str]) -> None:
    client = await cast.client(headers)
    client.cookies.set(COOKIE, await cast.sign_in())
    assert (await client.patch("/api/v1/auth/account", json={"name": "Ada L"})).json()["name"] == "Ada L"


async def test_an_http_page_does_not_speak_for_an_https_server(cast: Cast) -> None:
    client = await cast.client({"Origin": "http://other"}, base="https://other")
    assert (await client.post(SESSION, json=CREDENTIALS)).status_code == 403


async def test_unknown_fields_are_refused(cast: Cast) -> None:
    for extra in ["id", "role", "workspace_id", "is_admin", "password_hash", "disabled_at"]:
        browser = await cast.browser(await cast.sign_in())
        for method, path, body in [
            ("POST", SESSION, CREDENTIALS),
            ("POST", "/api/v1/auth/token", CREDENTIALS),
            ("POST", "/api/v1/auth/setup", {**CREDENTIALS, "token": "x"}),
            ("POST", "/api/v1/auth/invitation", {"token": "x", "name": "Eve", "password": PASSWORD}),
            ("POST", "/api/v1/auth/reset", {"token": "x", "password": PASSWORD}),
            ("POST", "/api/v1/auth/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}),
            ("PATCH", "/api/v1/auth/account", {"name": "Eve"}),
            ("POST", "/api/v1/api-keys", {"name": "k"}),
        ]:
            answer = await browser.request(method, path, json={**body, extra: "owner"})
            assert answer.status_code == 422, (method, path)
            assert answer.json()["error"]["code"] == "validation_error"


async def test_own_sessions_are_listed_and_ended(cast: Cast) -> None:
    other, token = await cast.sign_in(), await cast.sign_in()
    stranger = await cast.join("editor")
    browser = await cast.browser(token)
    items = (await browser.get("/api/v1/auth/sessions")).json()["items"]
    assert [item["current"] for item in items] == [True, False]
    assert (await browser.delete(f"/api/v1/auth/sessions/{items[1]['id']}")).status_code == 204
    assert await status_of(cast, other) == 401
    assert (await browser.delete(f"/api/v1/auth/sessions/{items[1]['id']}")).status_code == 404
    assert (await browser.delete(f"/api/v1/auth/sessions/{stranger.session_id}")).status_code == 404
    assert await status_of(cast, stranger.token) == 200


async def test_a_name_with_a_broken_character_is_refused(cast: Cast) -> None:
    browser = await cast.browser(await cast.sign_in())
    bad = [b'{"name": "a\\u0000b"}', b'{"name": "\\ud800"}', b'{"name": "\xff"}', b'{"name": ' + b"9" * 5000 + b"}"]
    for content in bad:
        answer = await browser.patch(
            "/api/v1/auth/account", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, content[:20]


async def test_every_answer_has_an_id(cast: Cast) -> None:
    client = await cast.client()
    answers: list[httpx.Response] = [
        await client.get(SESSION),
        await client.get("/api/v1/nothing"),
        await client.get("/api/v1/auth/setup"),
        await client.put(SESSION),
        await client.get("/api/v1/auth/setup?x=%00"),
    ]
    assert [answer.status_code for answer in answers] == [401, 404, 200, 405, 422]
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)
    for answer in answers:
        if answer.status_code >= 400:
            assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
    assert answers[3].headers["allow"] == "DELETE, GET, POST"
