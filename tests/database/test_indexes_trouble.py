"""What goes wrong while an index is built: providers, disks, broken-off work, and what it must not leave behind."""

import pytest
from sqlalchemy import text

from rag_app.errors import Busy, Conflict, InvalidInput, ProviderError, StorageFull
from rag_app.ingestion import build, index_rows
from rag_app.services.context import Context
from rag_app.services.documents import document_text
from rag_app.services.edits import NewEdit, add_edit
from rag_app.services.indexes import drop_index, use_index
from rag_app.services.ingestion import tend_vector_indexes
from rag_app.services.knowledge import (
    delete_knowledge_base,
)
from rag_app.services.tasks import cancel_task, get_task
from tests.provider_double import Answer, ProviderDouble, server_error
from tests.shelf import MODEL, Shelf, connect_provider, mark


async def test_a_provider_in_trouble_is_waited_for_and_then_given_up(
    context: Context, double: ProviderDouble, small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = await Shelf.fill(context)
    await connect_provider(shelf, double)
    begun = await shelf.begin(embedding_model=MODEL, auto_flip=True)
    double.script(Answer(), Answer(dimensions=32))
    await shelf.work()
    waits = await shelf.card(begun.id)
    assert waits.state == "building" and waits.problem is not None and "32 numbers" in waits.problem.message
    assert 0 < waits.done < waits.total
    assert await shelf.found(mark(3)) == "n3"
    monkeypatch.setattr(index_rows, "MOST_FAILURES", 2)
    double.script(Answer(dimensions=32))
    await shelf.resume()
    failed = await shelf.card(begun.id)
    assert failed.state == "failed" and begun.task_id is not None
    task = await get_task(context, shelf.actor, begun.task_id)
    assert (task.status, task.error and task.error.code) == ("failed", ProviderError.code)
    embedded = await shelf.value(
        "SELECT count(*) FROM embeddings WHERE knowledge_base_id = :kb AND index_id = :id", id=begun.id
    )
    asked = sum(len(each.body["input"]) for each in double.requests)
    await use_index(context, shelf.actor, shelf.base, begun.id)
    await shelf.work()
    assert (await shelf.active()).id == begun.id
    total = await shelf.value("SELECT count(*) FROM passages WHERE knowledge_base_id = :kb")
    assert sum(len(each.body["input"]) for each in double.requests) - asked == total - embedded
    shelf.is_whole()


async def test_a_model_that_does_not_answer_is_refused_at_once(context: Context, double: ProviderDouble) -> None:
    shelf = await Shelf.fill(context, 2)
    await connect_provider(shelf, double)
    double.default = server_error()
    with pytest.raises(ProviderError):
        await shelf.begin(embedding_model=MODEL)
    assert len(await shelf.cards()) == 1


async def test_one_at_a_time_and_only_what_changes_something(context: Context) -> None:
    shelf = await Shelf.fill(context, 2)
    with pytest.raises(Conflict):
        await shelf.begin(passage_tokens=220)
    for wrong in ({"passage_tokens": 20}, {"overlap_tokens": 200}, {"keep_days": -1, "passage_tokens": 100}):
        with pytest.raises(InvalidInput):
            await shelf.begin(**wrong)
    begun = await shelf.begin(passage_tokens=100)
    with pytest.raises(Busy):
        await shelf.begin(passage_tokens=120)
    assert begun.task_id is not None
    assert (await cancel_task(context, shelf.actor, begun.task_id)).status == "cancelled"
    with pytest.raises(Conflict):
        await cancel_task(context, shelf.actor, begun.task_id)
    await shelf.work()
    assert [each.state for each in await shelf.cards()] == ["active"]
    await shelf.begin(passage_tokens=120)


async def test_a_large_index_has_a_table_of_its_own_that_goes_with_it(
    context: Context, small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "HNSW_FROM", 10)
    shelf = await Shelf.fill(context)
    first = await shelf.active()
    index = await shelf.begin(passage_tokens=100, auto_flip=True)
    async with context.transaction() as session:  # what a broken-off build leaves behind
        await session.execute(text(f"CREATE INDEX embeddings_hnsw_{index.id} ON embeddings_default (index_id)"))
        broken = text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(:name)")
        await session.execute(broken, {"name": f"embeddings_hnsw_{index.id}"})
    await shelf.work()
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name) AND CAST(:kb AS uuid) IS NOT NULL"
    assert await shelf.value(valid, name=f"embeddings_hnsw_{index.id}")
    assert await shelf.value("SELECT has_hnsw FROM indexes WHERE id = :id", id=index.id)
    there = "SELECT count(*) FROM pg_class WHERE relname LIKE :name"
    assert await shelf.value(there, name=f"embeddings_{index.id}") == 1
    assert await shelf.value(there, name=f"embeddings_hnsw_{index.id}") == 1
    assert await shelf.found(mark(7)) == "n7"
    await shelf.add(range(30, 32))
    assert await shelf.found(mark(31)) == "n31"
    shelf.is_whole()
    await use_index(context, shelf.actor, shelf.base, first.id)
    await shelf.work()
    await drop_index(context, shelf.actor, shelf.base, index.id)
    await shelf.work()
    assert await shelf.value(there, name=f"embeddings%{index.id}%") == 0
    assert await shelf.found(mark(31)) == "n31"
    shelf.is_whole()


async def test_the_table_of_an_index_goes_with_its_knowledge_base(
    context: Context, small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "HNSW_FROM", 10)
    shelf = await Shelf.fill(context)
    index = await shelf.switch(passage_tokens=100)
    await delete_knowledge_base(context, shelf.actor, shelf.base)
    await tend_vector_indexes(context)
    left = "SELECT count(*) FROM pg_class WHERE relname LIKE :name AND CAST(:kb AS uuid) IS NOT NULL"
    assert await shelf.value(left, name=f"embeddings%{index.id}%") == 0


FULL = """
CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM embeddings WHERE index_id = NEW.index_id) >= 16 THEN
        RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NEW;
END $$
"""


async def test_a_full_disk_is_waited_for(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context)
    async with context.transaction() as session:
        await session.execute(text(FULL))
        await session.execute(
            text("CREATE TRIGGER full_disk BEFORE INSERT ON embeddings FOR EACH ROW EXECUTE FUNCTION disk_full()")
        )
    begun = await shelf.begin(passage_tokens=100, auto_flip=True)
    await shelf.work()
    waits = await shelf.card(begun.id)
    assert waits.state == "building" and waits.problem is not None and waits.problem.code == StorageFull.code
    assert await shelf.found(mark(3)) == "n3"
    async with context.transaction() as session:
        await session.execute(text("DROP TRIGGER full_disk ON embeddings"))
    await shelf.resume()
    assert (await shelf.active()).id == begun.id
    shelf.is_whole()


async def test_what_is_hidden_stays_hidden_however_it_is_cut(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context, 3)
    document = await shelf.value("SELECT id FROM documents WHERE knowledge_base_id = :kb AND external_id = 'n1'")
    shown = (await document_text(context, shelf.actor, document)).text
    begun = await shelf.begin(passage_tokens=100)
    await shelf.work()
    at = shown.index(mark(1))
    await add_edit(context, shelf.actor, document, NewEdit("hide", at, at + len(mark(1))))
    await use_index(context, shelf.actor, shelf.base, begun.id)
    await shelf.work()
    assert (await shelf.active()).id == begun.id
    holding = "SELECT count(*) FROM passages WHERE knowledge_base_id = :kb AND char_from <= :at AND char_to > :at AND "
    assert await shelf.value(holding + "document_id = :id", at=at, id=document) == 0
    shelf.is_whole()
