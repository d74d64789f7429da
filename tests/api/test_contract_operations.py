"""What operators and programs around the product rely on: health, readiness, figures."""

import re

import httpx
import pytest
from sqlalchemy import text

from rag_app import telemetry
from rag_app.api.app import PREFIX
from rag_app.services.figures import Tally
from tests.api.cast import Cast
from tests.workspaces import open_workshop, work_off

GUIDE = "The refund is paid to the original card within five working days."
FAMILIES = {
    "rag_http_requests_total": "counter", "rag_http_request_seconds": "histogram", "rag_answers_total": "counter",
    "rag_first_token_seconds": "histogram", "rag_search_seconds": "histogram", "rag_model_tokens_total": "counter",
    "rag_model_cost_microusd_total": "counter", "rag_documents_total": "counter", "rag_jobs_total": "counter",
    "rag_queue_depth": "gauge",
}  # fmt: skip


@pytest.fixture
async def program(cast: Cast) -> httpx.AsyncClient:
    """A program of the owner."""
    return await cast.program((await cast.key(await cast.owner()))[1])


@pytest.fixture
async def scraper(cast: Cast) -> httpx.AsyncClient:
    """A program on this machine that nobody knows."""
    return await cast.client(ip="127.0.0.1", base="http://127.0.0.1")


@pytest.fixture
async def base(program: httpx.AsyncClient) -> str:
    """The address of a knowledge base."""
    made = await program.post(f"{PREFIX}/knowledge-bases", json={"name": "Handbook"})
    return f"{PREFIX}/knowledge-bases/{made.json()['id']}"


async def figures(client: httpx.AsyncClient) -> dict[str, float]:
    """Every sample with its labels."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_health_and_readiness_are_at_both_addresses(cast: Cast, program: httpx.AsyncClient) -> None:
    stranger = await cast.client()
    for prefix in ("", PREFIX):
        assert (await stranger.get(f"{prefix}/health")).json() == {"status": "ok"}
        ready = await stranger.get(f"{prefix}/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        known = (await program.get(f"{prefix}/ready")).json()
        assert set(known["details"]) == {"workers", "waiting_jobs"}


async def test_without_its_schema_it_is_not_ready(cast: Cast) -> None:
    async with cast.context.transaction() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = 'old'"))
    answer = await (await cast.client()).get("/ready")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
    assert int(answer.headers["retry-after"]) > 0
    assert (await (await cast.client()).get("/health")).status_code == 200


async def test_figures_are_for_this_machine_or_for_a_key_with_the_scope(cast: Cast) -> None:
    owner = await cast.owner()
    _, key = await cast.key(owner, "metrics:read")
    _, other = await cast.key(owner, "chat")
    for prefix in ("", PREFIX):
        address = f"{prefix}/metrics"
        assert (await (await cast.program(key)).get(address)).status_code == 200
        assert (await (await cast.program(other)).get(address)).status_code == 403
        assert (await (await cast.client()).get(address)).status_code == 401
        for host in ("http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000"):
            assert (await (await cast.client(ip="127.0.0.1", base=host)).get(address)).status_code == 200, host
        rebound = await cast.client(ip="127.0.0.1", base="http://evil.example.com:8000")
        assert (await rebound.get(address)).status_code == 401
        handed_on = await cast.client({"X-Forwarded-For": "203.0.113.9"}, ip="127.0.0.1", base="http://127.0.0.1")
        assert (await handed_on.get(address)).status_code == 401


async def test_every_family_is_there_with_its_kind(scraper: httpx.AsyncClient) -> None:
    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", (await scraper.get("/metrics")).text, re.MULTILINE))
    assert {name: told.get(name) for name in FAMILIES} == FAMILIES


async def test_work_shows_in_the_figures(
    cast: Cast, program: httpx.AsyncClient, scraper: httpx.AsyncClient, base: str
) -> None:
    before = await figures(scraper)
    files = [("files", ("guide.md", GUIDE.encode())), ("files", ("broken.pdf", b"%PDF-1.4 nothing more"))]
    assert (await program.post(f"{base}/documents", files=files)).status_code == 202
    assert (await figures(scraper))["rag_queue_depth"] == 2
    async with open_workshop(cast.context) as workshop:
        await work_off(cast.context, workshop)
    await program.post(f"{base}/search", json={"query": "refund"})
    said = (await program.post(f"{base}/chat", json={"message": "Within how many days is the refund paid?"})).json()
    assert not said["abstained"]
    unknown = (await program.post(f"{base}/chat", json={"message": "How tall is Mount Everest in feet?"})).json()
    assert unknown["abstained"]
    after = await figures(scraper)

    def grown(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert after["rag_queue_depth"] == 0
    assert grown('rag_documents_total{outcome="ready"}') == 1
    assert grown('rag_documents_total{outcome="failed"}') == 1
    assert grown('rag_jobs_total{kind="ingest",outcome="done"}') == 2
    assert grown('rag_answers_total{outcome="done"}') == 1
    assert grown('rag_answers_total{outcome="abstained"}') == 1
    assert grown("rag_first_token_seconds_count") == 2
    assert grown('rag_search_seconds_count{leg="total"}') == 3
    assert grown('rag_search_seconds_count{leg="lexical"}') == 3
    chat = 'method="POST",route="/knowledge-bases/{knowledge_base_id}/chat"'
    assert grown(f'rag_http_requests_total{{{chat},status="200"}}') == 2
    assert grown(f"rag_http_request_seconds_count{{{chat}}}") == 2


async def test_addresses_and_words_of_callers_make_no_new_figures(
    cast: Cast, scraper: httpx.AsyncClient, program: httpx.AsyncClient
) -> None:
    await figures(scraper)
    before = set(await figures(scraper))
    for number in range(20):
        await program.get(f"{PREFIX}/nothing-{number}")
        await program.get(f"{PREFIX}/documents/{number}")
        await program.request(f"ODD{number}", f"{PREFIX}/bots")
    fresh = set(await figures(scraper)) - before
    assert len({re.sub(r'le="[^"]*"|_(bucket|sum|count|created|total)', "", name) for name in fresh}) <= 12, fresh


async def test_workers_add_up_and_tell_each_count_once(cast: Cast, scraper: httpx.AsyncClient) -> None:
    name = 'rag_jobs_total{kind="collect",outcome="done"}'
    first = Tally()
    telemetry.jobs_total.labels("collect", "done").inc(3)
    await first.publish(cast.context)
    await first.publish(cast.context)
    assert (await figures(scraper))[name] == 3
    second = Tally()  # as of another process: what was counted before is not its own
    telemetry.jobs_total.labels("collect", "done").inc(2)
    await second.publish(cast.context)
    assert (await figures(scraper))[name] == 5
