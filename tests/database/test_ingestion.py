"""Documents from the door to the search, on the real queue, parser and database."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text

from rag_app.errors import InvalidInput, NotFound
from rag_app.services import intake
from rag_app.services.context import Context
from rag_app.services.documents import (
    DocumentFilter,
    delete_document,
    document_passages,
    document_text,
    get_document,
    list_documents,
    retry_document,
)
from rag_app.services.ingestion import merge_all_statistics, tend_vector_indexes
from rag_app.services.intake import IncomingFile, IncomingText, add_addresses, add_file, add_texts
from rag_app.services.knowledge import (
    NewKnowledgeBase,
    create_knowledge_base,
    delete_knowledge_base,
    get_knowledge_base,
)
from rag_app.services.paging import PageRequest
from rag_app.services.search import Query, search_knowledge_base
from tests.workspaces import make_actor, open_workshop, work_off

GUIDE = b"""# Returns

Customers may return goods within thirty days of delivery.

## Refunds

The refund is paid to the original card within five working days.
"""


async def stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_a_file_becomes_searchable_and_keeps_where_it_came_from(context: Context) -> None:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    accepted = await add_file(context, actor, base.id, IncomingFile("guide.md", stream(GUIDE)))
    assert accepted.id and accepted.error is None and accepted.status == "queued"
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    card = await get_document(context, actor, accepted.id)
    assert (card.status, card.error) == ("ready", None)
    result = await search_knowledge_base(context, actor, base.id, Query("how long does a refund take?"))
    best = result.passages[0]
    shown = await document_text(context, actor, accepted.id)
    assert "five working days" in best.text
    assert shown.text[best.char_from : best.char_to] == best.text
    assert (await document_passages(context, actor, accepted.id))[0].text in shown.text


async def test_a_bad_file_fails_with_a_reason_and_harms_no_other(context: Context) -> None:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    bad = await add_file(context, actor, base.id, IncomingFile("broken.pdf", stream(b"%PDF-1.7 and then nothing")))
    good = await add_file(context, actor, base.id, IncomingFile("guide.md", stream(GUIDE)))
    assert bad.id and good.id
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    failed = await get_document(context, actor, bad.id)
    assert failed.status == "failed" and failed.error and failed.error.code == "damaged_file"
    assert (await get_document(context, actor, good.id)).status == "ready"
    assert (await retry_document(context, actor, bad.id)).status == "queued"


async def test_the_same_bytes_are_the_same_document(context: Context) -> None:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    first = await add_file(context, actor, base.id, IncomingFile("guide.md", stream(GUIDE)))
    second = await add_file(context, actor, base.id, IncomingFile("copy.md", stream(GUIDE)))
    assert second.duplicate and second.id == first.id


async def test_a_new_version_replaces_the_old_one_only_when_it_is_ready(context: Context) -> None:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    async with open_workshop(context) as workshop:
        [first] = await add_texts(context, actor, base.id, [IncomingText("The fee is ten euros.", "fee")])
        await work_off(context, workshop)
        [second] = await add_texts(context, actor, base.id, [IncomingText("The fee is twelve euros.", "fee")])
        assert second.id == first.id and first.id
        waiting = await get_document(context, actor, first.id)
        assert waiting.status == "ready" and waiting.update and waiting.update.status == "queued"
        found = await search_knowledge_base(context, actor, base.id, Query("what is the fee?"))
        assert [passage.text for passage in found.passages] == ["The fee is ten euros."]
        await work_off(context, workshop)
    found = await search_knowledge_base(context, actor, base.id, Query("what is the fee?"))
    assert [passage.text for passage in found.passages] == ["The fee is twelve euros."]
    assert (await get_knowledge_base(context, actor, base.id)).passages == 1


async def test_a_deleted_document_is_gone_from_search_at_once(context: Context) -> None:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    async with open_workshop(context) as workshop:
        accepted = await add_texts(
            context, actor, base.id, [IncomingText("Secret recipe: salt."), IncomingText("Pepper.")]
        )
        await work_off(context, workshop)
        assert accepted[0].id
        await delete_document(context, actor, accepted[0].id)
        found = await search_knowledge_base(context, actor, base.id, Query("secret recipe salt"))
        assert "Secret recipe: salt." not in [passage.text for passage in found.passages]
        with pytest.raises(NotFound):
            await get_document(context, actor, accepted[0].id)
        await work_off(context, workshop)
    page = await list_documents(context, actor, base.id, wanted=DocumentFilter(), page=PageRequest())
    assert [card.title for card in page.items] == ["Pepper."]


async def test_a_large_knowledge_base_gets_a_vector_index_and_loses_it_when_it_goes(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.retrieval.dense.HNSW_FROM", 2)
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    async with open_workshop(context) as workshop:
        await add_texts(context, actor, base.id, [IncomingText("Salt is white."), IncomingText("Pepper is black.")])
        await work_off(context, workshop)
    await merge_all_statistics(context)
    await tend_vector_indexes(context)
    assert await vector_indexes(context) == 1
    found = await search_knowledge_base(context, actor, base.id, Query("what colour is pepper?", mode="dense"))
    assert found.passages[0].text == "Pepper is black."
    await delete_knowledge_base(context, actor, base.id)
    await tend_vector_indexes(context)
    assert await vector_indexes(context) == 0


async def test_an_index_that_is_being_filled_waits_for_its_hnsw(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.retrieval.dense.HNSW_FROM", 1)
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    async with open_workshop(context) as workshop:
        await add_texts(context, actor, base.id, [IncomingText("Salt is white."), IncomingText("Pepper is black.")])
        await work_off(context, workshop)
        await add_texts(context, actor, base.id, [IncomingText(f"Spice {number}.") for number in range(3)])
        await merge_all_statistics(context)
        await tend_vector_indexes(context)
        assert await vector_indexes(context) == 0
        await work_off(context, workshop)
    await merge_all_statistics(context)
    await tend_vector_indexes(context)
    assert await vector_indexes(context) == 1


async def test_texts_are_read_alike_alone_and_together(context: Context) -> None:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Filings"))
    said = "In this quarter the sales of Tesla grew, and what Tesla earned grew with them as it had been said. "
    body = "Tesla, Inc.\n\nQuarterly report of Tesla (TSLA) for the third quarter of 2023.\n\n" + said * 60
    async with open_workshop(context) as workshop:
        for texts in ([IncomingText(body, "alone")], [IncomingText(body, "one"), IncomingText(body, "two")]):
            await add_texts(context, actor, base.id, texts)
            await work_off(context, workshop)
    async with context.transaction() as session:
        found = await session.execute(text("SELECT names, language, blocks, cuts, text FROM versions"))
        kept = [tuple(row) for row in found]
    assert len(kept) == 3 and kept[0][0]
    assert kept[0] == kept[1] == kept[2]


async def vector_indexes(context: Context) -> int:
    async with context.transaction() as session:
        found = await session.execute(text("SELECT count(*) FROM pg_class WHERE relname LIKE 'embeddings_hnsw_%'"))
        return int(found.scalar_one())


async def test_the_same_bytes_with_other_metadata_are_relabelled(context: Context) -> None:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    [first] = await add_texts(context, actor, base.id, [IncomingText("Salt.", "a", metadata={"year": 2022})])
    [again] = await add_texts(context, actor, base.id, [IncomingText("Salt.", "a", metadata={"year": 2023})])
    assert again.duplicate and again.id == first.id and first.id
    assert (await get_document(context, actor, first.id)).metadata == {"year": 2023}


async def test_an_unknown_bundled_embedder_is_refused(context: Context) -> None:
    actor = await make_actor(context)
    with pytest.raises(InvalidInput, match="not bundled"):
        await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook", embedding_model="local/none"))


async def test_a_private_address_is_refused_before_it_is_a_document(context: Context) -> None:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    refused, taken = await add_addresses(
        context, actor, base.id, ["http://169.254.169.254/latest/meta-data", "https://example.com/page"]
    )
    assert refused.id is None and refused.error and refused.error.code == "blocked_address"
    assert "RAG_ALLOWED" not in refused.error.message and taken.id


async def test_a_file_of_the_same_name_is_looked_up_through_an_index(context: Context) -> None:
    wanted = {"kb": UUID(int=1), "filename": "a.md", "sha256": b"x" * 32}
    async with context.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = (await session.execute(text(f"EXPLAIN {intake._SAME_NAME.text}"), wanted)).scalars().all()
    assert "versions_filename" in "\n".join(plan)
