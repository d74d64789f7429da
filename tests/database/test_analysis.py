"""Many texts are made ready in a child process: the tables hold the same, and what is in the way is noticed."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from rag_app.errors import ParserCrashed
from rag_app.ingestion import pipeline
from rag_app.ingestion.analysis import analysed
from rag_app.ingestion.sandbox import ParserPool
from rag_app.ingestion.store import Bundle
from rag_app.ingestion.versions import Claimed
from rag_app.ingestion.workshop import Workshop
from rag_app.retrieval.terms import hashes_of, terms_of
from rag_app.services.context import Context
from rag_app.services.documents import delete_document
from rag_app.services.intake import IncomingText, add_texts
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from rag_app.services.permissions import Actor
from tests.races import assert_whole
from tests.workspaces import make_actor, open_workshop, work_off

TEXTS = [
    IncomingText("The harbour was dredged in spring, and the salt was stored. It cost 1,000 euros.", "a", "Harbour"),
    IncomingText("Der Hafen wurde im Frühling ausgebaggert, und das Salz wurde gelagert.", "b", "Hafen"),
    IncomingText("# Fees\n\nTen euros.\n\n" + "Each ship pays its fee on the day it comes in. " * 60, "c"),
    IncomingText("港は春に浚渫された。塩は倉庫に保管された。", "d", metadata={"year": 1900}),
    IncomingText("\u200b ... \x1f ??", "e", "Nothing but marks"),
]
_ROWS = text(
    """
SELECT d.external_id, d.title, d.metadata, d.active_version_id = v.id, v.state, v.text, v.blocks, v.cuts, v.title,
       v.language, v.passage_count, v.claimed_by, v.failures, p.ordinal, p.char_from, p.char_to, p.page_from, p.place,
       p.heading, p.context, p.text, p.language, l.language, l.length, cardinality(l.terms), e.embedding::text,
       t.status, t.result, p.workspace_id = d.workspace_id AND p.document_id = d.id AND l.workspace_id = d.workspace_id
FROM documents d JOIN versions v ON v.document_id = d.id JOIN tasks t ON t.version_id = v.id
LEFT JOIN passages p ON p.version_id = v.id LEFT JOIN lexical l ON l.passage_id = p.id
LEFT JOIN embeddings e ON e.passage_id = p.id
WHERE d.knowledge_base_id = :kb AND d.deleted_at IS NULL ORDER BY d.external_id, v.number, p.ordinal
"""
)
_TERMS = text(
    "SELECT p.text, p.context, p.language, l.terms FROM passages p JOIN lexical l ON l.passage_id = p.id "
    "WHERE p.knowledge_base_id = :kb"
)


async def put(context: Context, actor: Actor, texts: Sequence[IncomingText] = TEXTS) -> tuple[UUID, list[UUID]]:
    """A knowledge base with texts that wait, and the documents."""
    base = await create_knowledge_base(context, actor, NewKnowledgeBase(f"Texts {id(texts)}{len(texts)}"))
    taken = await add_texts(context, actor, base.id, texts)
    return base.id, [each.id for each in taken if each.id]


async def rows(context: Context, base: UUID) -> list[tuple[Any, ...]]:
    async with context.transaction() as session:
        return [tuple(row) for row in await session.execute(_ROWS, {"kb": base})]


async def test_a_child_makes_of_texts_what_the_worker_makes(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = await make_actor(context)
    async with open_workshop(context) as workshop:
        alone, _ = await put(context, actor)
        await work_off(context, workshop)
        monkeypatch.setattr(pipeline, "ENOUGH_TEXTS", 1)
        monkeypatch.setattr(pipeline, "read_texts", None)  # the worker does not read them
        helped, _ = await put(context, actor, [*TEXTS])
        await work_off(context, workshop)
    wanted, found = await rows(context, alone), await rows(context, helped)
    assert found == wanted and len(found) > len(TEXTS)
    assert {row[4] for row in found} == {"ready"}
    async with context.transaction() as session:
        stored = (await session.execute(_TERMS, {"kb": helped})).all()
    hashes = hashes_of(helped)
    for row in stored:
        terms = [*terms_of(row.text, row.language), *terms_of(row.context, row.language)]
        assert row.terms == sorted({hashes[each] for each in terms})
    assert_whole((context, actor, helped))


async def test_texts_that_were_changed_meanwhile_are_done_by_the_worker(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = await make_actor(context)
    base, documents = await put(context, actor)

    async def overtaken(workshop: Workshop, claimed: Sequence[Claimed]) -> Bundle:
        bundle = await analysed(workshop, claimed)
        await delete_document(context, actor, documents[0])
        return bundle

    monkeypatch.setattr(pipeline, "ENOUGH_TEXTS", 1)
    monkeypatch.setattr(pipeline, "analysed", overtaken)
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    found = await rows(context, base)
    assert {row[0] for row in found} == {"b", "c", "d", "e"} and {row[4] for row in found} == {"ready"}
    assert_whole((context, actor, base))


async def test_a_child_that_dies_leaves_the_texts_to_the_worker(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object, **__: object) -> None:
        raise ParserCrashed

    actor = await make_actor(context)
    monkeypatch.setattr(pipeline, "ENOUGH_TEXTS", 1)
    monkeypatch.setattr(ParserPool, "analyse", crash)
    base, _ = await put(context, actor)
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    assert {row[4] for row in await rows(context, base)} == {"ready"}
