"""Hidden and corrected passages from the door to the search, on the real queue and database."""

import random
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from rag_app.errors import Conflict, InvalidInput, NotFound
from rag_app.ingestion.embed import Vectors
from rag_app.services.conflict_places import conflict_counts, places_now
from rag_app.services.conflicts import Resolution, resolve
from rag_app.services.context import Context
from rag_app.services.documents import delete_document, document_passages, document_text, get_document
from rag_app.services.edit_cards import EditCard, document_edits, list_conflicts, note_origin
from rag_app.services.edits import NewEdit, add_edit, undo_edit
from rag_app.services.ingestion import merge_all_statistics
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import KnowledgeBaseCard, NewKnowledgeBase, create_knowledge_base
from rag_app.services.paging import PageRequest
from rag_app.services.permissions import Actor
from rag_app.services.search import Query, search_knowledge_base
from tests.edit_texts import Paragraph, revised, some_text
from tests.truth import COUNTS, RECOUNTED
from tests.workspaces import make_actor, open_workshop, work_off

GUIDE = (
    "Goods may be returned within thirty days of delivery. Ask the desk for a label.\n\n"
    "The refund is paid to the original card within five working days. The override code is zebra nine.\n\n"
    "A gift voucher is valid for three years from the day it was bought."
)
SECRET = "The override code is zebra nine."


class Desk:
    """A knowledge base with one document, and somebody who edits it."""

    def __init__(self, context: Context, actor: Actor, base: KnowledgeBaseCard) -> None:
        self.context, self.actor, self.base = context, actor, base
        self.document = base.id

    async def put(self, body: str, external_id: str = "guide") -> None:
        """Add the document, or a new version of it, and work everything off."""
        [taken] = await add_texts(self.context, self.actor, self.base.id, [IncomingText(body, external_id, "Guide")])
        assert taken.id
        self.document = taken.id
        await self.work()

    async def work(self) -> None:
        """Do all that is in the queue."""
        async with open_workshop(self.context) as workshop:
            await work_off(self.context, workshop)

    async def edit(self, quote: str, correction: str = "") -> EditCard:
        """Hide a quote, or correct it."""
        shown = await document_text(self.context, self.actor, self.document)
        start = shown.text.index(quote)
        kind = "correct" if correction else "hide"
        new = NewEdit(kind, start, start + len(quote), correction)  # type: ignore[arg-type]  # one of the two
        return await add_edit(self.context, self.actor, self.document, new)

    async def found(self, question: str) -> str:
        """Everything a search shows, with titles and headings."""
        result = await search_knowledge_base(self.context, self.actor, self.base.id, Query(question, limit=50))
        return "\n".join(f"{each.title} {each.heading} {each.text}" for each in result.passages)

    async def conflicts(self) -> list[EditCard]:
        """The list of conflicts."""
        return list((await list_conflicts(self.context, self.actor, self.base.id, PageRequest())).items)

    async def check(self) -> None:
        """The kept statistics and counts are those of a recount."""
        await merge_all_statistics(self.context)
        async with self.context.transaction() as session:
            connection = await session.connection()
            values = {"kb": self.base.id}
            kept, counted = [
                (await connection.exec_driver_sql(query, values)).fetchall() for query in (COUNTS, RECOUNTED)
            ]
            assert sorted(tuple(each)[:2] for each in kept) == sorted(tuple(each)[:2] for each in counted)
            wrong = await session.execute(
                text(
                    "SELECT d.title FROM documents d JOIN versions v ON v.id = d.active_version_id "
                    "WHERE d.deleted_at IS NULL AND v.passage_count <> (SELECT count(*) FROM passages p "
                    "WHERE p.version_id = v.id)"
                )
            )
            assert list(wrong.scalars()) == []


@pytest.fixture
async def desk(context: Context) -> Desk:
    """A knowledge base that holds the guide."""
    actor = await make_actor(context)
    made = Desk(context, actor, await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook")))
    await made.put(GUIDE)
    return made


async def test_a_hidden_stretch_is_gone_at_once_and_the_rest_of_its_passage_stays(desk: Desk) -> None:
    assert "zebra" in await desk.found("what is the override code?")
    card = await desk.edit(SECRET)
    assert (card.state, card.quote, card.kind) == ("applied", SECRET, "hide")
    assert "zebra" not in await desk.found("what is the override code?")
    await desk.check()
    waiting = await get_document(desk.context, desk.actor, desk.document)
    assert waiting.status == "ready" and waiting.update and waiting.update.status == "queued"
    await desk.work()
    assert (await get_document(desk.context, desk.actor, desk.document)).update is None
    shown = await desk.found("override code refund voucher")
    assert "zebra" not in shown and "five working days" in shown and "three years" in shown
    await desk.check()
    passages = await document_passages(desk.context, desk.actor, desk.document)
    whole = await document_text(desk.context, desk.actor, desk.document)
    assert all(whole.text[each.char_from : each.char_to] == each.text for each in passages)


async def test_a_hidden_stretch_stays_hidden_in_a_new_version_and_comes_back_when_it_is_undone(desk: Desk) -> None:
    card = await desk.edit(SECRET)
    await desk.put("A new first paragraph about opening hours.\n\n" + GUIDE.replace("thirty", "sixty"))
    shown = await desk.found("override code opening hours sixty days")
    assert "zebra" not in shown and "opening hours" in shown and "sixty" in shown
    [kept] = await document_edits(desk.context, desk.actor, desk.document)
    assert kept.id == card.id and kept.char_from and kept.char_from > (card.char_from or 0)
    await undo_edit(desk.context, desk.actor, card.id)
    await desk.work()
    assert "zebra" in await desk.found("override code") and await desk.conflicts() == []
    await desk.check()


async def test_an_edit_whose_words_are_gone_is_a_conflict_until_they_come_back(desk: Desk) -> None:
    await desk.edit(SECRET)
    await desk.put("Everything was rewritten.")
    [conflict] = await desk.conflicts()
    assert (conflict.reason, conflict.quote, conflict.version_id) == ("not_found", SECRET, None)
    assert "rewritten" in await desk.found("what was rewritten?")
    await desk.put(GUIDE + "\n\nThe end.")
    assert await desk.conflicts() == [] and "zebra" not in await desk.found("override code")


async def test_a_corrected_stretch_is_answered_from_its_note(desk: Desk) -> None:
    card = await desk.edit("five working days", "two working days")
    assert card.text == "The refund is paid to the original card within two working days." and card.note_id
    assert card.quote == "The refund is paid to the original card within five working days."
    assert "five working" not in await desk.found("how long does a refund take?")
    await desk.work()
    result = await search_knowledge_base(desk.context, desk.actor, desk.base.id, Query("how long does a refund take?"))
    best = result.passages[0]
    assert best.document_id == card.note_id and "two working days" in best.text
    assert best.title == "Guide (corrected)"
    origin = await note_origin(desk.context, desk.actor, card.note_id)
    assert origin and origin.document_id == desk.document and origin.char_from == card.char_from
    assert origin.created_by
    assert "zebra nine" in await desk.found("override code")
    await desk.check()


async def test_a_correction_stays_in_a_new_version_unless_the_figures_changed(desk: Desk) -> None:
    await desk.put(GUIDE.replace("five", "5"))
    await desk.edit("5 working days", "2 working days")
    await desk.put("News first.\n\n" + GUIDE.replace("five", "5"))
    assert await desk.conflicts() == [] and "5 working" not in await desk.found("how long does a refund take?")
    await desk.put("News first.\n\n" + GUIDE.replace("five", "8"))
    [conflict] = await desk.conflicts()
    shown = await desk.found("how long does a refund take?")
    assert conflict.reason == "changed" and "8 working days" in shown and "2 working days" in shown
    now = (await places_now(desk.context, desk.actor, [conflict]))[conflict.id]
    body = "News first.\n\n" + GUIDE.replace("five", "8")
    assert now.text == "The refund is paid to the original card within 8 working days."
    assert body[now.char_from : now.char_to] == now.text
    assert await conflict_counts(desk.context, desk.actor) == {desk.base.id: 1}
    stranger = await make_actor(desk.context)
    assert await conflict_counts(desk.context, stranger) == {}
    assert await places_now(desk.context, stranger, [conflict]) == {}
    await resolve(desk.context, desk.actor, conflict.id, Resolution("reattach", now.char_from, now.char_to))
    await desk.work()
    assert "8 working days" not in await desk.found("how long does a refund take?")
    assert await conflict_counts(desk.context, desk.actor) == {} and await desk.conflicts() == []


async def test_undoing_a_correction_removes_its_note_and_so_does_deleting_the_note(desk: Desk) -> None:
    card = await desk.edit("five working days", "two working days")
    await desk.work()
    await undo_edit(desk.context, desk.actor, card.id)
    await desk.work()
    shown = await desk.found("how long does a refund take?")
    assert "five working days" in shown and "two working days" not in shown
    again = await desk.edit("five working days", "two working days")
    await desk.work()
    assert again.note_id
    await delete_document(desk.context, desk.actor, again.note_id)
    await desk.work()
    shown = await desk.found("how long does a refund take?")
    assert "five working days" in shown and "two working days" not in shown
    assert await document_edits(desk.context, desk.actor, desk.document) == ()


async def test_deleting_a_document_removes_what_its_edits_quote_and_their_notes(desk: Desk) -> None:
    card = await desk.edit("five working days", "two working days")
    await desk.edit(SECRET)
    await desk.work()
    await delete_document(desk.context, desk.actor, desk.document)
    async with desk.context.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM edits"))).scalar_one() == 0
    assert await desk.found("how long does a refund take?") == ""
    await desk.work()
    assert card.note_id
    with pytest.raises(NotFound):
        await get_document(desk.context, desk.actor, card.note_id)


async def test_what_cannot_be_edited_is_refused(desk: Desk) -> None:
    end = len(GUIDE)
    for start, stop in ((5, 5), (-1, 3), (0, end + 9)):
        with pytest.raises(InvalidInput):
            await add_edit(desk.context, desk.actor, desk.document, NewEdit("hide", start, stop))
    with pytest.raises(InvalidInput):
        await add_edit(desk.context, desk.actor, desk.document, NewEdit("correct", 0, 10, "  "))
    card = await desk.edit("five working days", "two working days")
    with pytest.raises(Conflict, match="corrected already"):
        await desk.edit("original card", "new card")
    assert card.note_id
    await desk.work()
    with pytest.raises(InvalidInput, match="note"):
        await add_edit(desk.context, desk.actor, card.note_id, NewEdit("correct", 0, 10, "x"))


async def test_an_edit_made_while_a_version_is_being_prepared_is_not_overtaken_by_it(desk: Desk) -> None:
    await add_texts(desk.context, desk.actor, desk.base.id, [IncomingText(f"News.\n\n{GUIDE}", "guide", "Guide")])
    made: list[EditCard] = []
    async with open_workshop(desk.context) as workshop:

        async def embed(workspace_id: UUID, model: str, texts: list[str]) -> Vectors:
            if not made:  # the passages of the new version are cut already, with what is hidden now
                assert any("zebra" in each for each in texts)
                made.append(await desk.edit(SECRET))
            return await workshop.embed(workspace_id, model, texts)

        await work_off(desk.context, replace(workshop, embed=embed))
    shown = await desk.found("override code news refund")
    assert made and "News" in shown and "zebra" not in shown
    await desk.check()


async def test_random_edits_apply_or_are_reported_after_new_versions(desk: Desk) -> None:
    """24 edits of four documents through the database: none vanishes, and nothing hidden stands in a passage."""
    texts = {seed: (random.Random(seed), some_text(random.Random(seed))) for seed in range(4)}

    async def put(seed: int, paragraphs: list[Paragraph]) -> None:
        body = "\n\n".join(each.text for each in paragraphs)
        taken = await add_texts(desk.context, desk.actor, desk.base.id, [IncomingText(body, f"d{seed}")])
        documents[seed] = taken[0].id or desk.document

    documents: dict[int, UUID] = {}
    for seed, (_, paragraphs) in texts.items():
        await put(seed, paragraphs)
    await desk.work()
    made = set()
    for seed, (dice, paragraphs) in texts.items():
        length = sum(len(each.text) + 2 for each in paragraphs) - 2
        for _ in range(6):
            start = dice.randrange(length - 60)
            new = NewEdit("hide", start, start + dice.choice((5, 25, 60)))
            made.add((await add_edit(desk.context, desk.actor, documents[seed], new)).id)
    for seed, (dice, paragraphs) in texts.items():
        await put(seed, revised(dice, paragraphs))
    await desk.work()
    there = [each for one in documents.values() for each in await document_edits(desk.context, desk.actor, one)]
    assert {each.id for each in there} == made and any(each.state == "applied" for each in there)
    assert {each.id for each in await desk.conflicts()} == {each.id for each in there if each.state == "conflict"}
    for document in documents.values():
        body = (await document_text(desk.context, desk.actor, document)).text
        spans = [(each.char_from, each.char_to) for each in there if each.document_id == document and each.version_id]
        for passage in await document_passages(desk.context, desk.actor, document):
            assert passage.text == body[passage.char_from : passage.char_to]
            assert all(passage.char_to <= (low or 0) or passage.char_from >= (high or 0) for low, high in spans)
    await desk.check()
