"""Another embedding model or passage size, built beside what is searched, and the way back."""

import asyncio

import pytest
from sqlalchemy import text

from rag_app.errors import Conflict
from rag_app.services.context import Context
from rag_app.services.documents import delete_document, document_passages, document_text
from rag_app.services.edits import NewEdit, add_edit
from rag_app.services.index_comparison import compare_index
from rag_app.services.index_estimate import estimate_index
from rag_app.services.index_jobs import sweep_indexes
from rag_app.services.indexes import NewIndex, drop_index, use_index
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import (
    get_knowledge_base,
)
from rag_app.services.tasks import get_task
from tests.provider_double import ProviderDouble
from tests.shelf import MODEL, Shelf, connect_provider, mark, story


async def test_another_model_takes_the_place_of_the_one_before(
    context: Context, double: ProviderDouble, small_steps: None
) -> None:
    shelf = await Shelf.fill(context)
    await connect_provider(shelf, double)
    before = await shelf.active()
    begun = await shelf.begin(embedding_model=MODEL)
    assert (begun.state, begun.dimensions) == ("building", 64)
    await shelf.work()
    ready = await shelf.card(begun.id)
    assert (ready.state, ready.phase, (await shelf.active()).id) == ("building", "ready", before.id)
    assert begun.task_id is not None
    assert (await get_task(context, shelf.actor, begun.task_id)).phase == "ready"
    await use_index(context, shelf.actor, shelf.base, begun.id)
    await shelf.work()
    assert (await shelf.active()).id == begun.id
    kept = await shelf.card(before.id)
    assert kept.state == "retired" and kept.drop_at is not None
    task = await get_task(context, shelf.actor, begun.task_id)
    assert (task.status, task.progress, task.result["took_the_place_of"]) == ("done", 1.0, before.id)
    assert (await get_knowledge_base(context, shelf.actor, shelf.base)).embedding_model == MODEL
    assert await shelf.found(mark(3)) == "n3"
    shelf.is_whole()


async def test_another_passage_size_takes_the_place_of_the_one_before(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context)
    before = (await get_knowledge_base(context, shelf.actor, shelf.base)).passages
    index = await shelf.switch(passage_tokens=80)
    assert index.state == "active"
    after = (await get_knowledge_base(context, shelf.actor, shelf.base)).passages
    assert after > 2 * before
    both = await shelf.value("SELECT count(*) FROM passages WHERE knowledge_base_id = :kb")
    assert both == before + after
    assert await shelf.found(mark(5)) == "n5"
    shelf.is_whole()


async def test_what_comes_and_goes_meanwhile_is_caught_up_with(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context)
    begun = await shelf.begin(passage_tokens=100)
    await shelf.work()
    assert (await shelf.card(begun.id)).phase == "ready"
    [added] = await shelf.add(range(20, 21))
    gone = await shelf.value("SELECT id FROM documents WHERE knowledge_base_id = :kb AND external_id = 'n2'")
    await delete_document(context, shelf.actor, gone)
    changed = IncomingText(story(33), external_id="n4")
    await add_texts(context, shelf.actor, shelf.base, [changed])
    await use_index(context, shelf.actor, shelf.base, begun.id)
    await shelf.work()
    assert (await shelf.active()).id == begun.id
    assert (await shelf.found(mark(20)), await shelf.found(mark(33))) == ("n20", "n4")
    assert mark(2) not in " ".join(each.text for each in (await shelf.look(mark(2))))
    assert mark(4) not in " ".join(each.text for each in (await shelf.look(mark(4))))
    shown = await document_passages(context, shelf.actor, added)
    assert len(shown) == await shelf.value(
        "SELECT count(*) FROM passages WHERE knowledge_base_id = :kb AND document_id = :id AND cutting_id = :cutting",
        id=added,
        cutting=begun.id,
    )
    shelf.is_whole()


async def test_the_way_back_brings_along_what_came_since_and_the_old_one_leaves_nothing(
    context: Context, small_steps: None
) -> None:
    shelf = await Shelf.fill(context)
    first = await shelf.active()
    second = await shelf.switch(passage_tokens=100)
    await shelf.add(range(20, 23))
    await use_index(context, shelf.actor, shelf.base, first.id)
    await shelf.work()
    assert (await shelf.active()).id == first.id
    assert await shelf.found(mark(21)) == "n21"
    shelf.is_whole()
    with pytest.raises(Conflict):
        await drop_index(context, shelf.actor, shelf.base, first.id)
    await drop_index(context, shelf.actor, shelf.base, second.id)
    await shelf.work()
    assert [each.id for each in await shelf.cards()] == [first.id]
    for table in ("passages", "lexical", "lexical_counts", "lexical_totals", "lexical_deltas"):
        left = f"SELECT count(*) FROM {table} WHERE knowledge_base_id = :kb AND cutting_id <> 0"
        assert await shelf.value(left) == 0, table
    others = "SELECT count(*) FROM embeddings WHERE knowledge_base_id = :kb AND index_id <> :id"
    assert await shelf.value(others, id=first.id) == 0
    assert await shelf.found(mark(21)) == "n21"
    shelf.is_whole()


async def test_a_kept_index_is_used_again_instead_of_being_built_anew(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context, 3)
    first = await shelf.active()
    await shelf.switch(passage_tokens=100)
    back = await shelf.switch(passage_tokens=first.passage_tokens)
    assert (back.id, back.state) == (first.id, "active")


async def test_an_index_that_was_kept_long_enough_goes_by_itself(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context, 3)
    second = await shelf.switch(passage_tokens=100, keep_days=0)
    await sweep_indexes(context)
    await shelf.work()
    assert [each.id for each in await shelf.cards()] == [second.id]
    shelf.is_whole()


async def test_searches_never_see_two_cuttings_at_once(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context)
    seen: set[int] = set()
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            ids = [each.id for each in await shelf.look("harbour lantern")]
            async with context.transaction() as session:
                of = text("SELECT DISTINCT cutting_id FROM passages WHERE id = ANY(:ids)")
                cuttings = set((await session.execute(of, {"ids": ids})).scalars())
            assert ids and len(cuttings) == 1
            seen.update(cuttings)

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        first = await shelf.active()
        index = await shelf.switch(passage_tokens=100)
        await shelf.look("harbour")
        await use_index(context, shelf.actor, shelf.base, first.id)
        await shelf.work()
        done.set()
    assert seen == {0, index.id}


async def test_the_estimate_is_near_what_comes(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context)
    for number in range(4):  # what is hidden in the middle of a passage makes two of it
        [document] = await shelf.add(range(20 + number, 21 + number))
        place = (await document_text(context, shelf.actor, document)).text.index(mark(20 + number), 20) + 200
        await add_edit(context, shelf.actor, document, NewEdit("hide", place, place + 7))
    await shelf.work()
    for tokens in (100, 70):  # the second one from another cutting than that with which the documents came
        expected = await estimate_index(context, shelf.actor, shelf.base, NewIndex(passage_tokens=tokens))
        now = (await get_knowledge_base(context, shelf.actor, shelf.base)).passages
        assert (expected.cost_microusd, expected.dimensions, expected.passages_now) == (0, 256, now)
        await shelf.switch(passage_tokens=tokens)
        came = (await get_knowledge_base(context, shelf.actor, shelf.base)).passages
        assert expected.passages == came > now  # all of them were cut for it


async def test_two_indexes_are_compared_on_questions(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context)
    begun = await shelf.begin(passage_tokens=100)
    with pytest.raises(Conflict):
        await compare_index(context, shelf.actor, shelf.base, begun.id, ["harbour"])
    await shelf.work()
    found = await compare_index(context, shelf.actor, shelf.base, begun.id, [mark(3), "harbour lantern"])
    assert found.figures["questions"] == 2 and 0 < found.figures["overlap_at_10"] <= 1
    assert found.questions[0].question == mark(3) and found.questions[0].is_first_same
    places = [each.new_place for each in found.questions[0].passages if each.new_place]
    assert places == list(range(1, len(places) + 1))
    assert (await shelf.card(begun.id)).comparison["source"] == "given"
