"""The list of chats through the websocket: whose they are, and which of them programs began."""

from rag_app.services import answers
from rag_app.services.bots import NewBot, create_bot
from rag_app.services.context import Context
from tests.state.browser_wire import tab, vars_of
from tests.state.people import owner

STATE = "reflex___state____state.rag_app___state___session____session_state.rag_app___state___talks____talks_state."


async def test_what_programs_asked_stands_apart_and_each_chat_names_its_bot(address: str, web_context: Context) -> None:
    actor, signed_in = await owner(web_context)
    bot = await create_bot(web_context, actor, NewBot("Helper", knowledge_base_ids=[]))
    for message, via in (("By hand", "console"), ("By a program", "api"), ("By a script", "cli")):
        question = answers.Question(message, via=via)  # type: ignore[arg-type]  # of a tuple of literals
        await answers.finished(web_context, actor, await answers.ask(web_context, actor, bot.id, question))
    async with tab(address, cookie=signed_in.token, path="/chat") as wire:
        shown = vars_of(await wire.fire(f"{STATE}load"))["rows"]
        assert [(row["title"], row["bot"]) for row in shown] == [("By hand", "Helper")]
        shown = vars_of(await wire.fire(f"{STATE}toggle_programs"))["rows"]
        assert {row["title"] for row in shown} == {"By a program", "By a script"}
