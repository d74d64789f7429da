"""Nothing that the websocket offers does anything for somebody who may not do it."""

import os
from typing import Any

import pytest
from sqlalchemy import text
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rag_app.api.open_sockets import SIGNED_OUT
from rag_app.services import accounts
from rag_app.services.context import Context
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from rag_app.services.permissions import is_allowed
from rag_app.state.access import ACCESS, CLOSED, key_of
from tests.state.browser_wire import redirects_of, tab, vars_of
from tests.state.people import join, owner

GARBAGE: list[Any] = ["x", {"name": "x", "query": "x", "title": "x"}, -1, None]


@pytest.fixture(scope="module")
def handlers() -> dict[str, list[str]]:
    """Every event handler that the application has registered, mixins and framework included, with its arguments."""
    os.environ.setdefault("__REFLEX_SKIP_COMPILE", "true")
    from reflex_base.registry import RegistrationContext

    import rag_app.rag_app  # noqa: F401 - registers the states

    found = RegistrationContext.get().event_handlers
    return {name: list(each.handler._parameters)[1:] for name, each in found.items()}


def test_every_handler_stands_in_the_table(handlers: dict[str, list[str]]) -> None:
    assert len(handlers) > 80
    unlisted = {key_of(name) for name in handlers} - set(ACCESS)
    assert {key for key in unlisted if key.rpartition(".")[2] not in CLOSED} == set()


def test_the_table_names_nothing_that_does_not_exist(handlers: dict[str, list[str]]) -> None:
    assert set(ACCESS) - {key_of(name) for name in handlers} == set()


def test_a_name_stands_for_one_handler_only(handlers: dict[str, list[str]]) -> None:
    listed = [key_of(name) for name in handlers if key_of(name) in ACCESS]
    assert sorted(set(listed)) == sorted(listed)


async def test_a_stranger_gets_nothing_from_any_handler(
    handlers: dict[str, list[str]], address: str, web_context: Context
) -> None:
    actor, _ = await owner(web_context)
    await create_knowledge_base(web_context, actor, NewKnowledgeBase("Secret plans"))
    before = await _fingerprint(web_context)
    sent = 0
    async with tab(address, path="/knowledge") as stranger:
        for name, parameters in handlers.items():
            need = ACCESS.get(key_of(name))
            if need == "anyone" and not key_of(name).startswith("session_state"):
                continue
            for value in GARBAGE:
                await stranger.send(name, dict.fromkeys(parameters, value))
                sent += need is not None
        updates = await stranger.updates(quiet_s=2)
    sent_away = redirects_of(updates)
    assert len(sent_away) == sent > 300
    assert {path.partition("?")[0] for path in sent_away} == {"/sign-in"}
    assert not _changes(vars_of(updates))
    assert await _fingerprint(web_context) == before
    assert "Secret plans" not in str(stranger.seen)


def _changes(values: dict[str, Any]) -> dict[str, Any]:
    """What a delta says beyond the address the browser itself has sent."""
    return {name: value for name, value in values.items() if not name.startswith(("rx_router", "is_hydrated"))}


async def _fingerprint(web_context: Context) -> tuple[Any, ...]:
    tables = (
        "users",
        "knowledge_bases",
        "documents",
        "bots",
        "conversations",
        "providers",
        "api_keys",
        "one_time_links",
    )
    async with web_context.transaction() as session:
        counts = [
            (await session.execute(text(f"SELECT count(*), max(xmin::text::bigint) FROM {table}"))).one()
            for table in tables
        ]
    return tuple(tuple(each) for each in counts)


async def test_a_viewer_reaches_no_handler_beyond_the_role(
    handlers: dict[str, list[str]], address: str, web_context: Context
) -> None:
    viewer, signed_in = await join(web_context, "viewer", "viewer@example.com")
    before = await _fingerprint(web_context)
    refused = 0
    async with tab(address, cookie=signed_in.token, path="/people") as wire:
        for name, parameters in handlers.items():
            need = ACCESS.get(key_of(name))
            if need is None or need == "anyone" or need == "signed_in" or is_allowed(viewer, need):
                continue
            for value in GARBAGE:
                await wire.send(name, dict.fromkeys(parameters, value))
            refused += 1
        updates = await wire.updates(quiet_s=2)
    assert refused > 20
    assert not _changes(vars_of(updates))
    assert redirects_of(updates) == []
    assert await _fingerprint(web_context) == before


async def test_an_open_tab_is_cut_off_when_its_session_ends(address: str, web_context: Context) -> None:
    actor, signed_in = await owner(web_context)
    await create_knowledge_base(web_context, actor, NewKnowledgeBase("Still here"))
    load = _name("knowledge_list_state.load")
    async with tab(address, cookie=signed_in.token, path="/knowledge") as wire:
        assert "Still here" in str(await wire.fire(load))
        await accounts.sign_out(web_context, signed_in.token)
        await create_knowledge_base(web_context, actor, NewKnowledgeBase("Made later"))
        with pytest.raises(ConnectionClosed) as closed:
            await wire.updates(quiet_s=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == SIGNED_OUT
    assert "Made later" not in str(wire.seen)


async def test_a_tab_that_kept_an_ended_session_is_sent_away(address: str, web_context: Context) -> None:
    _, signed_in = await owner(web_context)
    await accounts.sign_out(web_context, signed_in.token)
    async with tab(address, cookie=signed_in.token, path="/knowledge") as wire:
        updates = await wire.fire(_name("knowledge_list_state.load"))
    assert redirects_of(updates) == ["/sign-in?next=/knowledge"]
    assert "Still here" not in str(wire.seen)


async def test_other_sessions_stay_open_when_one_ends(address: str, web_context: Context) -> None:
    actor, first = await owner(web_context)
    _, second = await owner(web_context)
    await create_knowledge_base(web_context, actor, NewKnowledgeBase("Seen by the other session"))
    async with tab(address, cookie=second.token, path="/knowledge") as wire:
        await accounts.sign_out(web_context, first.token)
        await wire.updates(quiet_s=1)
        assert "Seen by the other session" in str(await wire.fire(_name("knowledge_list_state.load")))


async def test_the_token_of_a_tab_does_not_give_its_memory_to_another_person(
    address: str, web_context: Context
) -> None:
    actor, signed_in = await owner(web_context)
    await create_knowledge_base(web_context, actor, NewKnowledgeBase("For the owner alone"))
    async with tab(address, cookie=signed_in.token, path="/knowledge") as wire:
        assert "For the owner alone" in str(await wire.fire(_name("knowledge_list_state.load")))
        stolen = wire.token
    async with tab(address, token=stolen, path="/") as thief:
        assert "For the owner alone" not in str(thief.seen)
        assert "ada@example.com" not in str(thief.seen)


async def test_the_token_of_a_tab_does_not_route_what_is_under_way_to_another_person(
    address: str, web_context: Context
) -> None:
    """Updates go to whom the server knows under a token, also before the first event: it must be another name."""
    _, signed_in = await owner(web_context)
    async with tab(address, cookie=signed_in.token, path="/knowledge", token="known-to-a-thief") as wire:
        name = vars_of(wire.seen)["rx_router_session"]["client_token"]
    async with tab(address, cookie=signed_in.token, path="/knowledge", token="known-to-a-thief") as again:
        assert vars_of(again.seen)["rx_router_session"]["client_token"] == name
    async with tab(address, token="known-to-a-thief") as thief:
        assert vars_of(thief.seen)["rx_router_session"]["client_token"] not in (name, "known-to-a-thief")


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", "http://127.0.0.1"])
async def test_a_foreign_page_cannot_connect(address: str, web_context: Context, origin: str | None) -> None:
    _, signed_in = await owner(web_context)
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        async with tab(address, cookie=signed_in.token, origin=origin):
            pass


def _name(key: str) -> str:
    from reflex_base.registry import RegistrationContext

    return next(name for name in RegistrationContext.get().event_handlers if key_of(name) == key)
