"""“Why this answer” through the websocket: what is shown, why a document is missing, settings tried and applied."""

from uuid import UUID

from sqlalchemy import text

from rag_app.services import answers
from rag_app.services.bots import NewBot, create_bot, get_bot
from rag_app.services.context import Context
from rag_app.services.permissions import Actor
from tests.retrieval_library import Library
from tests.state.browser_wire import redirects_of, tab, vars_of
from tests.state.people import join, owner

STATE = "reflex___state____state.rag_app___state___session____session_state.rag_app___state___why____why_state."
CHAT = (
    STATE.partition("rag_app___state___why")[0]
    + "rag_app___state___passage_view____passage_view_state.rag_app___state___chat____chat_state."
)
FIELDS = {"limit": "1", "mode": "hybrid", "split": True, "hops": "1", "context_tokens": "6000"}


async def asked(context: Context, actor: Actor) -> tuple[UUID, UUID]:
    """The answer of a new bot to one question, and the bot."""
    library = Library(context.engine, actor.workspace_id)
    base = await library.base()
    await library.publish(base, "The refund is paid to the original card within five working days.", title="Refunds")
    await library.publish(base, "A refund takes longer for the card of another person.", title="Other cards")
    await library.publish(base, "The shop opens at nine.", title="Opening hours")
    bot = await create_bot(context, actor, NewBot("Helper", knowledge_base_ids=[base]))
    started = await answers.ask(context, actor, bot.id, answers.Question("When is the refund paid to the card?"))
    await answers.finished(context, actor, started)
    return started.message_id, bot.id


async def test_the_page_of_an_answer(address: str, web_context: Context) -> None:
    actor, signed_in = await owner(web_context)
    message_id, bot_id = await asked(web_context, actor)
    async with tab(address, cookie=signed_in.token, path=f"/why/{message_id}") as wire:
        shown = vars_of([*wire.seen, *await wire.fire(f"{STATE}load")])
        assert shown["problem"] == "" and shown["loaded"] is True
        assert shown["question"] == "When is the refund paid to the card?"
        assert "original card within five working days" in shown["answer"]
        assert shown["sources"][0]["title"] == "Refunds" and shown["limit"] == 8
        [search] = shown["searches"]
        assert search["candidates"][0]["title"] == "Refunds"
        assert search["candidates"][0]["fate"] == "cited in the answer"
        assert shown["likely"] > shown["bar"] == 25
        assert shown["may_apply"] is True
        why = vars_of(await wire.fire(f"{STATE}ask_about", {"form": {"document": "opening"}}))
        assert why["absence"]["title"] == "Opening hours" and why["absence"]["sentence"]
        tried = vars_of(await wire.fire(f"{STATE}try_fields", {"form": FIELDS}))
        assert tried["tried"] is True and tried["trying"] is False
        assert len(tried["before"]["passages"]) > len(tried["after"]["passages"]) == 1
        assert tried["after"]["passages"][0]["moved"] == "same place"
        assert (await get_bot(web_context, actor, bot_id)).retrieval.limit == 8
        await wire.fire(f"{STATE}apply")
        assert (await get_bot(web_context, actor, bot_id)).retrieval.limit == 1
        wrong = vars_of(await wire.fire(f"{STATE}try_fields", {"form": {**FIELDS, "limit": "many"}}))
        assert "number" in wrong["trial_problem"]


async def test_documents_of_one_title_are_told_apart_by_file_and_version(address: str, web_context: Context) -> None:
    actor, signed_in = await owner(web_context)
    library = Library(web_context.engine, actor.workspace_id)
    base = await library.base()
    for words, title in (("The refund is paid in five days.", "Policy"), ("The refund is paid in nine days.", "Policy"),
                        ("A refund needs the receipt.", "Receipts")):  # fmt: skip
        await library.publish(base, words, title=title)
    async with web_context.transaction() as session:
        in_use = (
            "UPDATE documents d SET active_version_id = v.id, url = 'https://example.com/terms/' || "
            "substr(md5(v.text), 1, 4) FROM versions v WHERE v.document_id = d.id"
        )
        await session.execute(text(in_use))
    bot = await create_bot(web_context, actor, NewBot("Helper", knowledge_base_ids=[base]))
    started = await answers.ask(web_context, actor, bot.id, answers.Question("When is the refund paid?"))
    await answers.finished(web_context, actor, started)
    async with tab(address, cookie=signed_in.token, path=f"/why/{started.message_id}") as wire:
        shown = vars_of([*wire.seen, *await wire.fire(f"{STATE}load")])
    async with tab(address, cookie=signed_in.token, path=f"/chat/{started.conversation_id}") as wire:
        thread = vars_of([*wire.seen, *await wire.fire(f"{CHAT}load")])
    sources = [each for row in thread["messages"] for each in row["citations"]]
    assert len({each["apart"] for each in sources}) == 2 and {len(each["apart"]) for each in sources} == {4}
    [search] = shown["searches"]
    assert {each["page"].rpartition(" · ")[2] for each in shown["sources"]} == {"version 1"}
    apart = {each["title"]: (each["apart"], bool(each["since"])) for each in search["candidates"]}
    assert apart["Policy"][0].endswith("version 1") and apart["Policy"][1]
    assert apart["Receipts"] == ("", False)


async def test_nobody_else_sees_it_and_a_viewer_applies_nothing(address: str, web_context: Context) -> None:
    actor, _ = await owner(web_context)
    message_id, _ = await asked(web_context, actor)
    viewer, signed_in = await join(web_context, "viewer", "why@example.com")
    async with tab(address, cookie=signed_in.token, path=f"/why/{message_id}") as wire:
        shown = vars_of([*wire.seen, *await wire.fire(f"{STATE}load")])
        assert shown["problem"] and "Refunds" not in str(wire.seen)
    own, bot_id = await asked_of_theirs(web_context, actor, viewer)
    async with tab(address, cookie=signed_in.token, path=f"/why/{own}") as wire:
        shown = vars_of([*wire.seen, *await wire.fire(f"{STATE}load")])
        assert shown["problem"] == "" and shown["may_apply"] is False
        await wire.fire(f"{STATE}try_fields", {"form": FIELDS})
        updates = await wire.fire(f"{STATE}apply")
        assert redirects_of(updates) == []
        assert (await get_bot(web_context, actor, bot_id)).retrieval.limit == 8


async def asked_of_theirs(context: Context, actor: Actor, viewer: Actor) -> tuple[UUID, UUID]:
    """An answer to a viewer from a bot of the owner."""
    _, bot_id = await asked(context, actor)
    started = await answers.ask(context, viewer, bot_id, answers.Question("When is the refund paid to the card?"))
    await answers.finished(context, viewer, started)
    return started.message_id, bot_id
