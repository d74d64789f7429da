"""What a tab is told when its page opens: no old notice, no page that the role does not open, no dead link."""

from uuid import uuid4

import pytest

from rag_app.services import invitations
from rag_app.services.context import Context
from rag_app.services.links import DEAD
from tests.state.browser_wire import HYDRATE, tab, vars_of
from tests.state.people import CALLER, PASSWORD, join, owner

PREFIX = "reflex___state____state.rag_app___state___session____session_state."


@pytest.mark.parametrize(("path", "open_to_them"), [("/people", False), ("/models", True), ("/bots", True)])
async def test_a_page_says_when_the_role_does_not_open_it(
    address: str, web_context: Context, path: str, open_to_them: bool
) -> None:
    _, signed_in = await join(web_context, "viewer", f"{uuid4().hex}@example.com")
    async with tab(address, cookie=signed_in.token, path=path) as wire:
        updates = await wire.fire(f"{PREFIX}enter")
        assert vars_of([*wire.seen, *updates])["may_see"] is open_to_them


async def test_a_notice_is_not_told_again_when_the_page_is_loaded_anew(address: str, web_context: Context) -> None:
    _, signed_in = await owner(web_context)
    token = str(uuid4())
    save = f"{PREFIX}rag_app___state___account____account_state.save_name"
    async with tab(address, cookie=signed_in.token, path="/account", token=token) as wire:
        told = vars_of(await wire.fire(save, {"form": {"name": "Ada"}}))["notices"]
        assert [each["text"] for each in told] == ["Saved."]
        assert vars_of(await wire.fire(HYDRATE))["notices"] == []


async def test_a_server_that_is_set_up_says_so_to_whoever_opens_the_setup(address: str, web_context: Context) -> None:
    await owner(web_context)
    check = "reflex___state____state.rag_app___state___gate____gate_state.check"
    async with tab(address, path="/setup") as wire:
        told = vars_of([*wire.seen, *await wire.fire(check, {"kind": "setup", "token": ""})])
        assert (told["is_set_up"], told["dead"]) == (True, "")


async def test_a_link_that_was_used_is_known_before_the_form_is_filled_in(address: str, web_context: Context) -> None:
    first, _ = await owner(web_context)
    _, link = await invitations.invite(web_context, first, email="eve@example.com", role="viewer")
    check = "reflex___state____state.rag_app___state___gate____gate_state.check"
    async with tab(address, path="/invite") as wire:
        fresh = vars_of([*wire.seen, *await wire.fire(check, {"kind": "invite", "token": link.token})])
        assert fresh["dead"] == ""
        for _ in range(2):  # looking does not use it up
            await wire.fire(check, {"kind": "invite", "token": link.token})
        await invitations.accept_invitation(web_context, token=link.token, name="Eve", password=PASSWORD, caller=CALLER)
        used = vars_of(await wire.fire(check, {"kind": "invite", "token": link.token}))
        assert used["dead"] == DEAD
