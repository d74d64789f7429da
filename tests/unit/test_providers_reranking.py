"""Reranking against a provider on a real socket: LiteLLM's own code runs, in the wire formats of vLLM and Cohere."""

from collections.abc import AsyncIterator, Sequence

import pytest

from rag_app.errors import ProviderError, ProviderTimeout
from rag_app.providers.circuit import SWITCHBOARD
from rag_app.providers.credentials import Credentials
from rag_app.providers.library import close_clients, library
from rag_app.providers.reranking import rerank
from rag_app.settings import get_settings
from tests.provider_double import Answer, ProviderDouble, refused_key, refusing_url, server_error

KEY = "sk-very-secret-key"
QUERY = "a secret question about parcels"
TEXTS = ["nothing of it", "parcels and a question", "parcels"]


@pytest.fixture
async def double(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderDouble]:
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    await library()  # its first import would take all of a short limit
    with ProviderDouble() as running:
        yield running
        await close_clients()
    get_settings.cache_clear()


async def scores(
    double: ProviderDouble, model: str = "compatible/judge", *, base_url: str = "", timeout_s: float = 5
) -> Sequence[float | None]:
    key = Credentials(model.partition("/")[0], api_key=KEY, base_url=base_url or double.base_url)
    return await rerank(QUERY, TEXTS, model=model, credentials=key, timeout_s=timeout_s)


async def test_a_compatible_server_is_asked_with_its_key_and_its_scores_go_to_their_texts(
    double: ProviderDouble,
) -> None:
    found = await scores(double)
    assert [score is not None for score in found] == [True, True, True]
    assert sorted(range(3), key=lambda place: -(found[place] or 0)) == [1, 2, 0]
    [request] = double.requests
    assert request.path == "/v1/rerank"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.body["model"], request.body["query"], request.body["documents"]) == ("judge", QUERY, TEXTS)


async def test_the_wire_format_of_cohere(double: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHERE_API_BASE", double.base_url.removesuffix("/v1"))
    found = await rerank(
        QUERY, TEXTS, model="cohere/rerank-v3.5", credentials=Credentials("cohere", api_key=KEY), timeout_s=5
    )
    assert sorted(range(3), key=lambda place: -(found[place] or 0)) == [1, 2, 0]
    [request] = double.requests
    assert request.path.endswith("/rerank")
    assert KEY in request.headers["authorization"]
    assert request.body["documents"] == TEXTS


async def test_texts_that_are_left_out_have_no_score(double: ProviderDouble) -> None:
    double.script(Answer(results=[{"index": 2, "relevance_score": 0.9}]))
    assert await scores(double) == [None, None, 0.9]


@pytest.mark.parametrize(
    "results",
    [
        [],
        [{"index": 7, "relevance_score": 0.5}],
        [{"index": -1, "relevance_score": 0.5}],
        [{"index": 0, "relevance_score": "high"}],
        [{"index": 0}],
    ],
)
async def test_a_ranking_that_cannot_be_trusted_is_refused(
    double: ProviderDouble, results: list[dict[str, object]]
) -> None:
    double.script(Answer(results=results))
    with pytest.raises(ProviderError) as caught:
        await scores(double)
    assert QUERY not in caught.value.message


@pytest.mark.parametrize("answer", [server_error(), refused_key(KEY), Answer(status=404, error={"message": "no"})])
async def test_a_refusal_has_plain_words_without_key_and_question(double: ProviderDouble, answer: Answer) -> None:
    double.script(answer)
    with pytest.raises(ProviderError) as caught:
        await scores(double)
    shown = f"{caught.value.message} {caught.value.details}"
    assert KEY not in shown and QUERY not in shown
    assert len(double.requests) == 1


async def test_a_late_one_is_not_waited_for(double: ProviderDouble) -> None:
    double.script(Answer(stall="before"))
    with pytest.raises(ProviderTimeout):
        await scores(double, timeout_s=0.3)


async def test_nobody_there(double: ProviderDouble) -> None:
    with pytest.raises(ProviderError) as caught:
        await scores(double, base_url=refusing_url())
    assert "could not be reached" in caught.value.message


async def test_a_provider_that_is_down_is_left_alone(double: ProviderDouble) -> None:
    double.script(*[server_error()] * 5)
    for _ in range(5):
        with pytest.raises(ProviderError):
            await scores(double)
    with pytest.raises(ProviderError) as caught:
        await scores(double)
    assert "left alone" in caught.value.message
    assert len(double.requests) == 5
