"""Who may make which call: every call against every kind of caller, and against things of somebody else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from rag_app.api.app import PREFIX
from rag_app.services import people
from rag_app.services.context import Context
from rag_app.services.permissions import PERMISSIONS, SCOPES, Role
from tests.api.calls import TABLE, Call, made_up, send
from tests.api.cast import Cast
from tests.workspaces import make_actor

ROLES: tuple[Role, ...] = ("viewer", "editor", "admin", "owner")
CLOSED = (401, 403)


@dataclass(frozen=True)
class Visitor:
    """Somebody who calls, and what the tables of roles and scopes say of them; no role = not known."""

    client: httpx.AsyncClient
    role: Role | None = None
    scopes: tuple[str, ...] = ()
    is_key: bool = True

    def refusal(self, call: Call) -> int | None:
        """The status with which this call must be refused; None = it must not be."""
        if call.need == "anyone":
            return None
        if self.role is None:
            return 401
        if call.need == "names":  # who may share or manage may know the names of people
            allowed = {"people.read", "knowledge.share"} & PERMISSIONS[self.role] and not self.scopes
            return None if allowed else 403
        if call.need in ("known", "self", "person"):
            limited = call.need != "known" and self.scopes
            return 403 if limited or (call.need == "person" and self.is_key) else None
        allowed = call.need in PERMISSIONS[self.role]
        if self.scopes:
            allowed = allowed and any(call.need in SCOPES[scope] for scope in self.scopes)
        return None if allowed else 403


async def _visitors(cast: Cast) -> dict[str, Visitor]:
    found = {"nobody": Visitor(await cast.client())}
    for role in ROLES:
        signed_in = await cast.join(role, f"{role}.x@example.com")
        actor = await cast.actor(signed_in)
        found[f"browser of {role}"] = Visitor(await cast.browser(signed_in.token), role, is_key=False)
        found[f"key of {role}"] = Visitor(await cast.program((await cast.key(actor))[1]), role)
    for scope in SCOPES:
        _, key = await cast.key(await cast.owner(), scope)
        found[f"key for {scope}"] = Visitor(await cast.program(key), "owner", (scope,))
    gone = await cast.join("admin", "gone@example.com")
    _, key = await cast.key(await cast.actor(gone))
    await people.change_person(cast.context, await cast.owner(), gone.user_id, people.PersonChange(disabled=True))
    found["disabled key"] = Visitor(await cast.program(key))
    found["disabled browser"] = Visitor(await cast.browser(gone.token))
    found["no key at all"] = Visitor(await cast.program("rk_" + "A" * 43))
    return found


def test_every_call_stands_in_the_table(api: FastAPI) -> None:
    calls = {
        f"{method.upper()} {path.removeprefix(PREFIX)}"
        for path, operations in api.openapi()["paths"].items()
        for method in operations
    }
    assert calls == set(TABLE)


def test_every_name_in_an_address_is_in_its_call() -> None:
    for call, entry in TABLE.items():
        assert {part[1:-1] for part in call.split("/") if part.startswith("{")} <= set(entry.names), call


async def test_every_caller_gets_what_the_tables_say(cast: Cast) -> None:
    wrong: list[str] = []
    for name, visitor in (await _visitors(cast)).items():
        for call, entry in TABLE.items():
            if name.startswith("browser") and call == "POST /auth/session":
                continue  # tried by nobody; a browser would lose its own session
            cookies = dict(visitor.client.cookies)
            answer = await send(visitor.client, call, made_up())
            visitor.client.cookies.update(cookies)
            expected = visitor.refusal(entry)
            if entry.need == "anyone" or (call == "POST /auth/password" and expected is None):
                good = answer.status_code < 500
            elif expected is None:
                good = answer.status_code < 500 and answer.status_code not in CLOSED
            else:
                good = answer.status_code == expected
            if call == "DELETE /auth/session" and name.startswith("browser"):
                visitor = Visitor(await cast.browser(await cast.sign_in(_address(name))), visitor.role, is_key=False)
            if not good:
                wrong.append(f"{name}: {call}: {answer.status_code}, expected {expected or 'no refusal'}")
    assert not wrong, "\n".join(wrong)


def _address(name: str) -> str:
    return f"{name.removeprefix('browser of ')}.x@example.com"


# --- things of somebody else ------------------------------------------------------------------------------------


async def _things(owner: httpx.AsyncClient, *, restricted: bool) -> dict[str, str]:
    """One thing of every kind, all of the owner."""
    base = (await owner.post(f"{PREFIX}/knowledge-bases", json={"name": "Secret plans"})).json()["id"]
    if restricted:
        answer = await owner.patch(f"{PREFIX}/knowledge-bases/{base}", json={"access": "restricted"})
        assert answer.status_code == 200
    added = await owner.post(f"{PREFIX}/knowledge-bases/{base}/documents", files={"files": ("a.txt", b"Plan seven.")})
    [item] = added.json()["items"]
    version = (await owner.get(f"{PREFIX}/documents/{item['id']}")).json()["version_id"]
    said = (await owner.post(f"{PREFIX}/knowledge-bases/{base}/chat", json={"message": "hello"})).json()
    talks = (await owner.get(f"{PREFIX}/conversations")).json()["items"]
    [index] = (await owner.get(f"{PREFIX}/knowledge-bases/{base}/indexes")).json()["items"]
    wanted = {"kind": "page", "address": "https://plans.example.com/", "run": False}
    source = (await owner.post(f"{PREFIX}/knowledge-bases/{base}/sources", json=wanted)).json()
    return {
        "knowledge_base_id": base,
        "index_id": str(index["id"]),
        "document_id": item["id"],
        "task_id": item["task_id"],
        "version_id": version,
        "from_version": version,
        "to_version": version,
        "edit_id": str(uuid4()),
        "source_id": source["id"],
        "page_id": str(uuid4()),
        "bot_id": next(each["bot_id"] for each in talks if each["id"] == said["conversation_id"]),
        "message_id": said["message_id"],
        "conversation_id": said["conversation_id"],
    }


async def _more_things(cast: Cast, owner: httpx.AsyncClient) -> dict[str, str]:
    """What belongs to the whole workspace."""
    invited = await owner.post(f"{PREFIX}/invitations", json={"email": "new@example.com", "role": "viewer"})
    provider = await owner.post(f"{PREFIX}/providers", json={"provider": "openai", "api_key": "sk-0123456789abcdef"})
    actor = await cast.owner()
    joined = await cast.join("viewer", "joined@example.com")
    return {
        "invitation_id": invited.json()["id"],
        "provider_id": provider.json()["id"],
        "user_id": str(actor.user_id),
        "session_id": str(joined.session_id),
        "key_id": str((await cast.key(actor))[0]),
    }


async def _fingerprint(context: Context) -> dict[str, Any]:
    """All rows that somebody could have changed, without those that every call writes."""
    found: dict[str, Any] = {}
    tables = ("knowledge_bases", "knowledge_base_members", "documents", "versions", "bots", "bot_knowledge_bases",
              "conversations", "messages", "feedback", "tasks", "sources", "source_runs", "edits",
              "indexes", "users", "one_time_links", "providers")  # fmt: skip
    async with context.transaction() as session:
        for table in tables:
            rows = await session.execute(text(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"))
            found[table] = rows.scalar_one()
        live = await session.execute(text("SELECT count(*) FROM sessions WHERE revoked_at IS NULL"))
        found["sessions"] = live.scalar_one()
        keys = await session.execute(text("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"))
        found["api_keys"] = keys.scalar_one()
    return found


async def _all_are_missing(client: httpx.AsyncClient, names: Mapping[str, str]) -> list[str]:
    wrong = []
    for call, entry in TABLE.items():
        if entry.names and set(entry.names) <= set(names):
            answer = await send(client, call, names)
            if answer.status_code != 404:
                wrong.append(f"{call}: {answer.status_code} {answer.text[:200]}")
    return wrong


@pytest.fixture
async def owner(cast: Cast) -> httpx.AsyncClient:
    """A program of the owner."""
    return await cast.program((await cast.key(await cast.owner()))[1])


async def test_another_workspace_is_not_there(cast: Cast, owner: httpx.AsyncClient) -> None:
    things = await _things(owner, restricted=False) | await _more_things(cast, owner)
    assert {name for call in TABLE.values() for name in call.names} == set(things)
    stranger = await make_actor(cast.context, "owner")
    client = await cast.program((await cast.key(stranger))[1])
    before = await _fingerprint(cast.context)
    assert await _all_are_missing(client, things) == []
    assert await _fingerprint(cast.context) == before
    for path in ("knowledge-bases", "bots", "conversations", "tasks", "providers", "invitations"):
        assert (await client.get(f"{PREFIX}/{path}")).json()["items"] == [], path
    assert len((await client.get(f"{PREFIX}/people")).json()["items"]) == 1
    bots = await client.post(f"{PREFIX}/bots", json={"name": "x", "knowledge_base_ids": [things["knowledge_base_id"]]})
    assert bots.status_code == 404


async def test_a_restricted_knowledge_base_is_not_there_for_others(cast: Cast, owner: httpx.AsyncClient) -> None:
    things = await _things(owner, restricted=True)
    editor = await cast.program((await cast.key(await cast.actor(await cast.join("editor"))))[1])
    before = await _fingerprint(cast.context)
    assert await _all_are_missing(editor, things) == []
    assert await _fingerprint(cast.context) == before
    for path in ("knowledge-bases", "bots", "conversations", "tasks"):
        assert (await editor.get(f"{PREFIX}/{path}")).json()["items"] == [], path
    admin = await cast.program((await cast.key(await cast.actor(await cast.join("admin"))))[1])
    assert (await admin.get(f"{PREFIX}/documents/{things['document_id']}")).status_code == 200


async def test_named_people_may_use_a_restricted_knowledge_base(cast: Cast, owner: httpx.AsyncClient) -> None:
    things = await _things(owner, restricted=True)
    joined = await cast.join("viewer")
    viewer = await cast.program((await cast.key(await cast.actor(joined)))[1])
    address = f"{PREFIX}/knowledge-bases/{things['knowledge_base_id']}"
    assert (await viewer.get(address)).status_code == 404
    named = await owner.put(f"{address}/members", json={"user_ids": [str(joined.user_id)]})
    assert str(joined.user_id) in named.json()["user_ids"]
    assert (await viewer.get(address)).status_code == 200
    assert (await viewer.post(f"{address}/chat", json={"message": "hello"})).status_code == 200
    await owner.put(f"{address}/members", json={"user_ids": []})
    assert (await viewer.get(address)).status_code == 404


async def test_an_editor_who_closes_a_knowledge_base_stays_inside(cast: Cast) -> None:
    editor = await cast.program((await cast.key(await cast.actor(await cast.join("editor"))))[1])
    base = (await editor.post(f"{PREFIX}/knowledge-bases", json={"name": "Mine"})).json()["id"]
    closed = await editor.patch(f"{PREFIX}/knowledge-bases/{base}", json={"access": "restricted"})
    assert (closed.status_code, closed.json()["access"]) == (200, "restricted")
    assert (await editor.get(f"{PREFIX}/knowledge-bases/{base}")).status_code == 200


async def test_what_a_person_said_is_theirs_alone(cast: Cast, owner: httpx.AsyncClient) -> None:
    things = await _things(owner, restricted=False)
    mine = {name: things[name] for name in ("message_id", "conversation_id")}
    for role in ("viewer", "admin", "owner"):
        signed_in = await cast.join(role, f"{role}.y@example.com")
        other = await cast.program((await cast.key(await cast.actor(signed_in)))[1])
        assert await _all_are_missing(other, mine) == [], role
        foreign = {"message": "hello", "conversation_id": things["conversation_id"]}
        answer = await other.post(f"{PREFIX}/knowledge-bases/{things['knowledge_base_id']}/chat", json=foreign)
        assert answer.status_code == 404


# --- more than was asked for ------------------------------------------------------------------------------------

SMUGGLED = ("id", "workspace_id", "user_id", "owner_id", "role_id", "is_admin", "created_by", "public_id", "scopes_")


async def test_no_body_takes_a_field_that_is_not_offered(cast: Cast, owner: httpx.AsyncClient) -> None:
    names = await _things(owner, restricted=False) | await _more_things(cast, owner)
    browser = await cast.browser(await cast.sign_in())
    before = await _fingerprint(cast.context)
    tried = 0
    for call, entry in TABLE.items():
        if entry.body is None:
            continue
        for field in SMUGGLED:
            client = browser if call.startswith("POST /auth/") else owner
            answer = await send(client, call, names, {field: "00000000-0000-0000-0000-000000000000"})
            assert answer.status_code == 422, (call, field, answer.text[:200])
            assert answer.json()["error"]["code"] == "validation_error"
            tried += 1
    assert tried > 150 and await _fingerprint(cast.context) == before
