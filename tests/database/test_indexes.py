"""Another embedding model or passage size, built beside what is searched, and the way back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from rag_app.database.engine import without_driver
from rag_app.errors import Busy, Conflict, InvalidInput, ProviderError, StorageFull
from rag_app.ingestion import build, index_rows
from rag_app.providers.circuit import SWITCHBOARD
from rag_app.providers.library import close_clients
from rag_app.retrieval.passages import Passage
from rag_app.services.context import Context
from rag_app.services.documents import delete_document, document_passages, document_text
from rag_app.services.edits import NewEdit, add_edit
from rag_app.services.index_comparison import compare_index
from rag_app.services.index_estimate import estimate_index
from rag_app.services.index_jobs import sweep_indexes
from rag_app.services.indexes import IndexCard, NewIndex, drop_index, list_indexes, start_index, use_index
from rag_app.services.ingestion import tend_vector_indexes
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import (
    NewKnowledgeBase,
    create_knowledge_base,
    delete_knowledge_base,
    get_knowledge_base,
)
from rag_app.services.models import ProviderEntry, add_provider
from rag_app.services.permissions import Actor
from rag_app.services.search import Query, search_knowledge_base
from rag_app.services.tasks import cancel_task, get_task
from rag_app.settings import get_settings
from tests.provider_double import Answer, ProviderDouble, server_error
from tests.truth import HALF, wrong_statistics
from tests.workspaces import make_actor, open_workshop, work_off

MODEL = "compatible/double-embedder"
WORDS = ("harbour", "lantern", "meadow", "copper", "willow", "granite", "orchard", "signal", "timber", "valley")


@pytest.fixture
async def double(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderDouble]:
    """A provider of embeddings on this machine that the operator has allowed."""
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    with ProviderDouble(dimensions=64) as running:
        yield running
        await close_clients()
    get_settings.cache_clear()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few passages at a time, and no pauses."""
    monkeypatch.setattr(build, "BATCH", 8)
    monkeypatch.setattr(build, "REST_SHARE", 0.0)
    monkeypatch.setattr(index_rows, "FIRST_WAIT_S", 0)


class Shelf:
    """A knowledge base of some texts, with what a test does to it."""

    def __init__(self, context: Context, actor: Actor, base: UUID) -> None:
        self.context, self.actor, self.base = context, actor, base

    @classmethod
    async def fill(cls, context: Context, count: int = 12) -> "Shelf":
        """A knowledge base whose documents each say one word that no other says."""
        actor = await make_actor(context)
        base = await create_knowledge_base(context, actor, NewKnowledgeBase("Shelf"))
        shelf = cls(context, actor, base.id)
        await shelf.add(range(count))
        return shelf

    async def add(self, numbers: range) -> list[UUID]:
        """More documents, searchable at the end."""
        texts = [IncomingText(story(number), external_id=f"n{number}") for number in numbers]
        taken = await add_texts(self.context, self.actor, self.base, texts)
        await self.work()
        return [each.id for each in taken if each.id]

    async def work(self) -> None:
        """Run the queue until nothing waits."""
        async with open_workshop(self.context) as workshop:
            await work_off(self.context, workshop)

    async def begin(self, **wanted: Any) -> IndexCard:
        """Begin to build another index."""
        return await start_index(self.context, self.actor, self.base, NewIndex(**wanted))

    async def switch(self, **wanted: Any) -> IndexCard:
        """Build and use another index."""
        begun = await self.begin(auto_flip=True, **wanted)
        await self.work()
        return await self.card(begun.id)

    async def card(self, index_id: int) -> IndexCard:
        """An index as it is now."""
        return next(each for each in await self.cards() if each.id == index_id)

    async def cards(self) -> tuple[IndexCard, ...]:
        """All indexes."""
        return await list_indexes(self.context, self.actor, self.base)

    async def active(self) -> IndexCard:
        """The one that is searched."""
        [found] = [each for each in await self.cards() if each.state == "active"]
        return found

    async def found(self, word: str) -> str:
        """The external id of the best passage for a word."""
        result = await search_knowledge_base(self.context, self.actor, self.base, Query(word))
        return result.passages[0].external_id or "" if result.passages else ""

    async def look(self, words: str) -> tuple[Passage, ...]:
        """What is found."""
        return (await search_knowledge_base(self.context, self.actor, self.base, Query(words, limit=20))).passages

    async def resume(self) -> None:
        """What the sweeper does in a while, now."""
        async with self.context.transaction() as session:
            await session.execute(text("UPDATE indexes SET updated_at = now() - interval '1 minute'"))
        await sweep_indexes(self.context)
        await self.work()

    async def value(self, statement: str, **values: Any) -> Any:
        """One value from the database."""
        async with self.context.transaction() as session:
            return (await session.execute(text(statement), {"kb": self.base, **values})).scalar_one()

    def is_whole(self) -> None:
        """Each document is searchable with exactly its passages, and the statistics are those of a recount."""
        with psycopg.connect(without_driver(self.context.url), autocommit=True) as connection:
            assert connection.execute(HALF, {"kb": str(self.base)}).fetchall() == []
            assert wrong_statistics(connection, str(self.base)) == []


def mark(number: int) -> str:
    """A word that only one document holds."""
    return "zq" + "".join(chr(ord("a") + int(digit)) for digit in f"{number:05}")


def story(number: int) -> str:
    """Some paragraphs, a few passages long."""
    paragraphs = []
    for place in range(6):
        drawn = (WORDS[(number * 7 + place * 3 + step) % len(WORDS)] for step in range(60))
        paragraphs.append(f"{mark(number)} {' '.join(drawn)}.")
    return "\n\n".join(paragraphs)


async def connect_provider(shelf: Shelf, double: ProviderDouble) -> None:
    entry = ProviderEntry("compatible", api_key="sk-double", base_url=double.base_url)
    await add_provider(shelf.context, shelf.actor, entry)


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


async def test_the_estimate_is_near_what_comes(context: Context, small_steps: None) -> None:
    shelf = await Shelf.fill(context)
    expected = await estimate_index(context, shelf.actor, shelf.base, NewIndex(passage_tokens=100))
    assert expected.cost_microusd == 0 and expected.dimensions == 256
    await shelf.switch(passage_tokens=100)
    card = await get_knowledge_base(context, shelf.actor, shelf.base)
    assert expected.passages == pytest.approx(card.passages, rel=0.1)


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
