"""The palette finds what a person may see, and nothing else."""

from rag_app.services.bots import NewBot, create_bot
from rag_app.services.context import Context
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base, update_knowledge_base
from rag_app.state.places import find_places
from tests.state.people import join, owner


async def test_titles_are_found_by_all_their_words(context: Context) -> None:
    actor, _ = await owner(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Travel 100% handbook"))
    bot = await create_bot(context, actor, NewBot("Travel guide"))
    [taken] = await add_texts(context, actor, base.id, [IncomingText("words", title="Night trains")])
    found = await find_places(context, actor, "handbook TRAVEL")
    assert [(place.kind, place.href) for place in found] == [("knowledge base", f"/knowledge/{base.id}")]
    assert {place.href for place in await find_places(context, actor, "travel")} == {
        f"/knowledge/{base.id}",
        f"/chat?bot={bot.id}",
    }
    assert [place.href for place in await find_places(context, actor, "night")] == [f"/documents/{taken.id}"]
    assert [place.href for place in await find_places(context, actor, "100%")] == [f"/knowledge/{base.id}"]
    assert await find_places(context, actor, "%_%_%_%_%") == []
    assert "/people" in {place.href for place in await find_places(context, actor, "")}


async def test_what_is_restricted_is_not_found_by_others(context: Context) -> None:
    actor, _ = await owner(context)
    viewer, _ = await join(context, "viewer", "reader@example.com")
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Salaries"))
    await add_texts(context, actor, base.id, [IncomingText("words", title="Salaries of all")])
    assert len(await find_places(context, viewer, "salaries")) == 2
    await update_knowledge_base(context, actor, base.id, changes={"access": "restricted"})
    assert await find_places(context, viewer, "salaries") == []
    assert len(await find_places(context, actor, "salaries")) == 2
    assert "/people" not in {place.href for place in await find_places(context, viewer, "")}
