"""“Why this answer” over REST: what is kept, who reads it, why a document is missing, what can be tried."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from sqlalchemy import text

from rag_app.providers.circuit import SWITCHBOARD
from rag_app.providers.library import close_clients, library
from rag_app.services.traces import forget_old_traces
from rag_app.settings import get_settings
from tests.api.cast import Cast
from tests.provider_double import Answer, ProviderDouble, Recorded, server_error
from tests.workspaces import open_workshop, work_off

V1 = "/api/v1"
REFUND = "The refund is paid to the original card within five working days."
PARCEL = "Parcels leave the warehouse in Rotterdam every weekday before noon."
LAMP = "The lamp has a warranty of two years from the day of purchase."
SECRET = "The refund of the board is paid to the original card within nine working days."
TITLES = {REFUND: "refund", PARCEL: "leave", LAMP: "lamp", SECRET: "of the board"}
KEY = "sk-very-secret-key"
MODEL = "compatible/double-large"
QUOTE = Answer(f"{REFUND[:-1]} [1].")


@dataclass
class Shop:
    """A bot over a knowledge base of three documents, and the provider behind its model."""

    cast: Cast
    owner: httpx.AsyncClient
    base: str
    hidden: str
    bot: str
    double: ProviderDouble

    async def ask(self, message: str, **more: Any) -> dict[str, Any]:
        """An answer of the bot."""
        answer = await self.owner.post(f"{V1}/bots/{self.bot}/chat", json={"message": message, **more})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def trace(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Why it is as it is."""
        found = await self.owner.get(f"{V1}/messages/{answer['message_id']}/trace")
        assert found.status_code == 200, found.text
        return dict(found.json())

    async def set(self, **retrieval: Any) -> dict[str, Any]:
        """Change how the bot searches."""
        changed = await self.owner.patch(f"{V1}/bots/{self.bot}", json={"retrieval": retrieval})
        assert changed.status_code == 200, changed.text
        return dict(changed.json()["retrieval"])

    async def why_not(self, answer: dict[str, Any], name: str) -> dict[str, Any]:
        """Why a document is not in the answer."""
        found = await self.owner.post(f"{V1}/messages/{answer['message_id']}/trace/document", json={"name": name})
        assert found.status_code == 200, found.text
        return dict(found.json())

    async def use_model(self) -> None:
        """Answer with the model of the double from now on."""
        await library()  # its first import would take all of a reranker's time
        self.double.default = QUOTE
        entry = {"provider": "compatible", "base_url": self.double.base_url, "api_key": KEY}
        assert (await self.owner.post(f"{V1}/providers", json=entry)).status_code == 201
        changed = await self.owner.patch(f"{V1}/bots/{self.bot}", json={"model": MODEL})
        assert changed.status_code == 200


@pytest.fixture
def double(provider: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderDouble]:
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", f"127.0.0.1:{provider.port}")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    yield provider
    get_settings.cache_clear()


@pytest.fixture
async def shop(cast: Cast, double: ProviderDouble) -> Any:
    owner = await cast.program((await cast.key(await cast.owner()))[1])
    ids = []
    async with open_workshop(cast.context) as workshop:
        for name, texts in (("Shop", (REFUND, PARCEL, LAMP)), ("Board", (SECRET,))):
            made = (await owner.post(f"{V1}/knowledge-bases", json={"name": name})).json()["id"]
            body = {"texts": [{"text": each, "title": TITLES[each], "metadata": {"part": name}} for each in texts]}
            await owner.post(f"{V1}/knowledge-bases/{made}/documents", json=body)
            ids.append(made)
        await work_off(cast.context, workshop)
    bot = await owner.post(f"{V1}/bots", json={"name": "Helper", "knowledge_base_ids": ids[:1]})
    yield Shop(cast, owner, ids[0], ids[1], bot.json()["id"], double)
    await close_clients()


async def test_an_answer_says_how_it_came_about(shop: Shop) -> None:
    answer = await shop.ask("When is the refund paid to the card?")
    trace = await shop.trace(answer)
    assert (trace["question"], trace["way"], trace["status"]) == (
        "When is the refund paid to the card?",
        "quotes",
        "done",
    )
    [query] = trace["queries"]
    assert (query["text"], query["why"]) == (trace["question"], "asked")
    best = query["candidates"][0]
    assert best["title"] == "refund" and REFUND.startswith(best["excerpt"][:40])
    assert best["ranks"] == {"dense": 1, "lexical": 1, "fused": 1, "rerank": None}
    assert (best["fate"], best["cited"], best["knowledge_base"]) == ("used", True, "Shop")
    assert trace["used"][0] == best["passage_id"]
    assert trace["evidence"]["probability"] >= trace["evidence"]["bar"] == 0.25
    assert trace["settings"]["limit"] == 8 and trace["calls"] == [] and trace["warnings"] == []
    assert {"search", "total"} <= set(trace["timings_ms"])
    refused = await shop.ask("Who was the first emperor of Rome?")
    trace = await shop.trace(refused)
    assert refused["abstained"] and trace["way"] == "refused"
    assert trace["evidence"]["probability"] < trace["evidence"]["bar"]
    assert await forget_old_traces(shop.cast.context) == 0
    async with shop.cast.context.transaction() as session:
        await session.execute(text("UPDATE message_traces SET at = now() - interval '91 days'"))
    assert await forget_old_traces(shop.cast.context) == 2
    assert (await shop.owner.get(f"{V1}/messages/{answer['message_id']}/trace")).status_code == 404
    assert (await shop.owner.get(f"{V1}/messages/{answer['message_id']}")).status_code == 200


async def test_a_model_answer_names_its_calls_and_the_size_of_its_prompt(shop: Shop) -> None:
    await shop.use_model()
    answer = await shop.ask("When is the refund paid to the card?")
    trace = await shop.trace(answer)
    [call] = trace["calls"]
    assert (call["purpose"], call["model"], call["ok"]) == ("answer", MODEL, True)
    assert (call["prompt_tokens"], call["completion_tokens"]) == (11, 7)
    assert trace["way"] == "model" and trace["citations"] == {"kept": 1, "refused": 0}
    assert trace["prompt"]["prompt_tokens"] > trace["prompt"]["passage_tokens"] > 0
    assert trace["prompt"]["passages"] == len(trace["used"])
    # What is kept holds neither keys nor texts of documents.
    async with shop.cast.context.transaction() as session:
        kept = str((await session.execute(text("SELECT data FROM message_traces"))).scalar_one())
    assert KEY not in kept and "working days" not in kept and "original card" not in kept
    assert len(kept) < 20_000


async def test_only_who_asked_reads_it_and_only_what_they_may_still_see(shop: Shop) -> None:
    await shop.owner.patch(f"{V1}/bots/{shop.bot}", json={"knowledge_base_ids": [shop.base, shop.hidden]})
    editor = await shop.cast.join("editor")
    client = await shop.cast.program((await shop.cast.key(await shop.cast.actor(editor)))[1])
    asked = await client.post(f"{V1}/bots/{shop.bot}/chat", json={"message": "When is the refund of the board paid?"})
    address = f"{V1}/messages/{asked.json()['message_id']}/trace"
    seen = (await client.get(address)).text
    assert "nine working days" in seen
    for method, path, body in (
        ("GET", address, None),
        ("POST", f"{address}/document", {"name": "refund"}),
        ("POST", f"{address}/try", {"retrieval": {}}),
    ):
        assert (await shop.owner.request(method, path, json=body)).status_code == 404
    await shop.owner.patch(f"{V1}/knowledge-bases/{shop.hidden}", json={"access": "restricted"})
    closed = await client.get(address)
    assert closed.status_code == 200
    assert "nine working days" not in closed.text and shop.hidden not in closed.text
    assert closed.json()["queries"][0]["hidden"] == 1
    about = await client.post(f"{address}/document", json={"name": "refund"})
    assert about.json()["knowledge_base"] == "Shop"


async def test_a_question_of_two_parts_is_searched_and_answered_part_by_part(shop: Shop) -> None:
    answer = await shop.ask("When is the refund paid to the card, and how long is the warranty of the lamp?")
    trace = await shop.trace(answer)
    assert [query["why"] for query in trace["queries"]] == ["part", "part"]
    assert "five working days" in answer["answer"] and "two years" in answer["answer"]
    half = await shop.ask("How long is the warranty of the lamp and who was the first emperor of Rome?")
    assert "two years" in half["answer"]
    assert "could not find an answer to this part: who was the first emperor of Rome?" in half["answer"]
    await shop.set(split=False)
    whole = await shop.ask("When is the refund paid to the card, and how long is the warranty of the lamp?")
    assert len((await shop.trace(whole))["queries"]) == 1


# --- why a document is not in it --------------------------------------------------------------------------------


async def test_each_reason_for_a_missing_document_has_its_sentence(shop: Shop) -> None:
    await shop.set(limit=1, split=False)
    answer = await shop.ask("When is the refund paid to the card of the lamp?")
    used = await shop.why_not(answer, "refund")
    assert (used["reason"], used["changes"]) == ("cited", {})
    late = await shop.why_not(answer, "lamp")
    assert (late["reason"], late["place"], late["limit"], late["changes"]) == ("below_limit", 2, 1, {"limit": 2})
    assert "place 2" in late["sentence"]
    elsewhere = await shop.why_not(answer, "of the board")
    assert (elsewhere["reason"], elsewhere["knowledge_base"]) == ("elsewhere", "Board")
    await shop.set(limit=None, mode="lexical")
    answer = await shop.ask("When is the refund paid to the card?")
    found = await shop.why_not(answer, "leave")
    assert found["reason"] == "no_word"
    assert set(found["standing"]["missing"]) == {"refund", "paid", "card"}
    assert found["standing"]["by_words"]["bm25"] == 0
    assert found["standing"]["by_meaning"]["cosine"] is not None
    assert found["changes"] == {"mode": "hybrid"}


def zipped(**members: str) -> bytes:
    """An archive of Markdown files."""
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.md", content)
    return file.getvalue()


async def test_a_document_is_found_by_its_file_name_and_an_archive_says_what_became_of_it(shop: Shop) -> None:
    bundle = zipped(
        faq="# Common questions\n\nThe shop is shut on Sundays.", rates="# Rates\n\nA parcel costs 5 euros."
    )
    leave = b"# House rules\n\nDogs stay outside."
    files = [("files", ("rules_2026.md", leave)), ("files", ("rules_2027.md", leave + b" Cats too.")),
             ("files", ("bundle.zip", bundle))]  # fmt: skip
    sent = await shop.owner.post(f"{V1}/knowledge-bases/{shop.base}/documents", files=files)
    assert sent.status_code == 202, sent.text
    async with open_workshop(shop.cast.context) as workshop:
        await work_off(shop.cast.context, workshop)
    answer = await shop.ask("When is the refund paid to the card?")
    named = await shop.why_not(answer, "RULES_2026.md")
    assert (named["title"], named["filename"], named["others"]) == ("House rules", "rules_2026.md", 0)
    assert (await shop.why_not(answer, "rules_20"))["others"] == 1
    archive = await shop.why_not(answer, "bundle.zip")
    assert archive["reason"] == "archive"
    assert "“Common questions”, “Rates”" in archive["sentence"]
    asked = await shop.ask("Where do dogs stay?")
    candidates = (await shop.trace(asked))["queries"][0]["candidates"]
    mine = {(each["title"], each["filename"], each["version"]) for each in candidates if "rules" in each["filename"]}
    assert mine == {("House rules", "rules_2026.md", 1), ("House rules", "rules_2027.md", 1)}
    assert all(each["version_at"] for each in candidates)


async def test_a_document_outside_what_can_be_found(shop: Shop) -> None:
    await shop.set(filter={"part": "Board"})
    answer = await shop.ask("When is the refund paid to the card?")
    assert answer["abstained"]
    found = await shop.why_not(answer, "lamp")
    assert (found["reason"], found["changes"]) == ("filtered", {"filter": {}})
    await shop.set(filter=None)
    body = {"texts": [{"text": "The shop opens at nine.", "title": "Opening hours"}]}
    await shop.owner.post(f"{V1}/knowledge-bases/{shop.base}/documents", json=body)
    assert (await shop.why_not(answer, "opening hours"))["reason"] == "not_ready"
    async with open_workshop(shop.cast.context) as workshop:
        await work_off(shop.cast.context, workshop)
    assert (await shop.why_not(answer, "Opening hours"))["reason"] == "too_late"
    unknown = await shop.owner.post(f"{V1}/messages/{answer['message_id']}/trace/document", json={"name": "no such"})
    assert unknown.status_code == 404


# --- trials -----------------------------------------------------------------------------------------------------


async def test_settings_are_tried_without_being_stored_and_then_applied(shop: Shop) -> None:
    answer = await shop.ask("When is the refund paid to the card?")
    address = f"{V1}/messages/{answer['message_id']}/trace/try"
    tried = await shop.owner.post(address, json={"retrieval": {"limit": 1, "minimum_evidence": 1.0}})
    assert tried.status_code == 200, tried.text
    before, after = tried.json()["before"], tried.json()["after"]
    assert (before["settings"]["limit"], after["settings"]["limit"]) == (8, 1)
    assert len(before["passages"]) > len(after["passages"]) == 1
    assert (before["says_no"], after["says_no"], after["bar"]) == (False, True, 1.0)
    assert (await shop.owner.get(f"{V1}/bots/{shop.bot}")).json()["retrieval"]["limit"] == 8
    assert (await shop.set(limit=1))["limit"] == 1
    assert len((await shop.trace(await shop.ask("When is the refund paid?")))["used"]) == 1
    assert (await shop.set(limit=None))["limit"] == 8


WRONG_SETTINGS: tuple[dict[str, Any], ...] = (
    {"limit": 0}, {"limit": 51}, {"mode": "magic"}, {"dense_weight": 1.5}, {"hops": 4}, {"minimum_evidence": -1},
    {"rerank": {"model": ""}}, {"rerank": {"model": "chat", "candidates": 1}}, {"rerank": {"model": "chat/"}},
    {"filter": {"a": {"b": 1}}}, {"filter": {"a": []}}, {"unknown": 1}, {"split": "maybe"}, {"context_tokens": 1},
)  # fmt: skip


async def test_settings_have_limits(cast: Cast) -> None:
    owner = await cast.program((await cast.key(await cast.owner()))[1])
    for retrieval in WRONG_SETTINGS:
        refused = await owner.post(f"{V1}/bots", json={"name": "x", "retrieval": retrieval})
        assert refused.status_code == 422, (retrieval, refused.text)


# --- rerank -----------------------------------------------------------------------------------------------------


def upside_down(request: Recorded) -> Answer:
    count = len(request.body["documents"])
    return Answer(results=[{"index": n, "relevance_score": n / count} for n in range(count)])


async def test_a_reranker_changes_the_order_and_the_trace_shows_both(shop: Shop) -> None:
    await shop.use_model()
    await shop.set(rerank={"model": "compatible/judge"}, limit=1)
    shop.double.script(upside_down, model="judge")
    answer = await shop.ask("When is the refund paid to the card of the lamp?")
    [query] = (await shop.trace(answer))["queries"]
    assert [each["ranks"]["rerank"] for each in query["candidates"]] == [1, 2, 3]
    assert [each["ranks"]["fused"] for each in query["candidates"]] == [3, 2, 1]
    assert query["timings_ms"]["rerank"] > 0
    calls = {call["purpose"]: call["ok"] for call in (await shop.trace(answer))["calls"]}
    assert calls == {"rerank": True, "answer": True}
    moved = await shop.why_not(answer, "refund")
    assert (moved["reason"], moved["changes"]) == ("reranked_down", {"rerank": None})

    # One that fails or is late is left out and named.
    await shop.set(rerank={"model": "compatible/judge", "timeout_s": 0.4}, limit=None)
    for trouble in (server_error(), Answer(stall="before"), Answer(results=[])):
        shop.double.script(trouble, model="judge")
        answer = await shop.ask("When is the refund paid to the card?")
        trace = await shop.trace(answer)
        assert "refund" in answer["answer"]
        assert [each["ranks"]["rerank"] for each in trace["queries"][0]["candidates"]] == [None, None, None]
        assert any(each.startswith("rerank: ") for each in trace["warnings"])
        assert [call["ok"] for call in trace["calls"] if call["purpose"] == "rerank"] == [False]


async def test_the_chat_model_reranks_and_a_search_takes_a_reranker(shop: Shop) -> None:
    await shop.use_model()
    await shop.set(rerank={"model": "chat"})

    def judge(request: Recorded) -> Answer:
        said = str(request.body["messages"])
        if "order passages" not in said:
            return QUOTE
        return Answer("3, 1 and not 99 <script>")

    shop.double.default = judge
    trace = await shop.trace(await shop.ask("When is the refund paid to the card of the lamp?"))
    assert [each["ranks"]["rerank"] for each in trace["queries"][0]["candidates"]] == [1, 2, None]
    assert [call["purpose"] for call in trace["calls"]] == ["rerank", "answer"]
    assert trace["calls"][0]["prompt_tokens"] == 11
    address = f"{V1}/knowledge-bases/{shop.base}/search"
    shop.double.script(upside_down, model="judge")
    body = {"query": "refund to the card of the lamp", "rerank": {"model": "compatible/judge"}}
    found = (await shop.owner.post(address, json=body)).json()
    assert [each["ranks"]["rerank"] for each in found["passages"]] == [1, 2, 3]
    assert found["timings_ms"]["rerank"] > 0 and found["warnings"] == []
    viewer = await shop.cast.program((await shop.cast.key(await shop.cast.actor(await shop.cast.join("viewer"))))[1])
    assert (await viewer.post(address, json=body)).status_code == 403  # calls of models cost money
    own = (await viewer.post(f"{V1}/bots/{shop.bot}/chat", json={"message": "When is the refund paid?"})).json()
    tried = {"retrieval": {"rerank": {"model": "compatible/other"}}}
    assert (await viewer.post(f"{V1}/messages/{own['message_id']}/trace/try", json=tried)).status_code == 403
    none = (await shop.owner.post(address, json={**body, "rerank": True})).json()
    assert none["warnings"] == ["rerank: no reranker is configured"]
    plain = (await shop.owner.post(address, json={"query": "refund"})).json()
    assert plain["timings_ms"]["rerank"] is None and plain["warnings"] == []


# --- searching again after reading ------------------------------------------------------------------------------


async def test_a_model_may_search_again_after_reading_and_takes_questions_apart(shop: Shop) -> None:
    await shop.use_model()
    await shop.set(hops=3, limit=2)
    replies = iter(["How long is the warranty of the lamp?", "ENOUGH"])

    def reader(request: Recorded) -> Answer:
        said = str(request.body["messages"])
        return Answer(next(replies)) if "ENOUGH" in said else QUOTE

    shop.double.default = reader
    answer = await shop.ask("When is the refund paid to the card?")
    trace = await shop.trace(answer)
    assert [query["why"] for query in trace["queries"]] == ["asked", "hop"]
    assert [call["purpose"] for call in trace["calls"]] == ["hop", "hop", "answer"]
    titles = {each["title"] for query in trace["queries"] for each in query["candidates"] if each["fate"] == "used"}
    assert titles == {"refund", "lamp"}
    # One that fails between two searches costs nothing but the second.
    await shop.set(hops=2)
    shop.double.default = QUOTE
    shop.double.script(*[Answer(status=400, error={"message": "no"})], model="double-large")
    trace = await shop.trace(await shop.ask("When is the refund paid to the card?"))
    assert [query["why"] for query in trace["queries"]] == ["asked"]
    assert any(each.startswith("hop: ") for each in trace["warnings"])
    assert trace["way"] == "model"
    # It takes a question apart with one short call.
    await shop.set(hops=1)

    def splitter(request: Recorded) -> Answer:
        said = str(request.body["messages"])
        parts = "When is the refund paid?\nHow long is the warranty of the lamp?"
        return Answer(parts) if "questions for a search" in said else QUOTE

    shop.double.default = splitter
    trace = await shop.trace(await shop.ask("When is the refund paid and how long is the lamp's warranty?"))
    assert [query["text"] for query in trace["queries"]] == [
        "When is the refund paid?", "How long is the warranty of the lamp?",
    ]  # fmt: skip
    assert [call["purpose"] for call in trace["calls"]] == ["rewrite", "answer"]
