"""Embeddings from a provider on a real socket: batches, retries, and rows that cannot be trusted."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from rag_app.errors import ProviderError
from rag_app.providers import embeddings, local_embedder
from rag_app.providers.circuit import SWITCHBOARD
from rag_app.providers.credentials import Credentials
from rag_app.providers.library import close_clients
from rag_app.settings import get_settings
from tests import provider_double
from tests.provider_double import Answer, ProviderDouble, embed_text

MODEL = "compatible/double-embedder"


@pytest.fixture
async def double(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderDouble]:
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    with ProviderDouble(dimensions=32) as running:
        yield running
        await close_clients()
    get_settings.cache_clear()


async def rows_of(double: ProviderDouble, texts: list[str], model: str = MODEL) -> embeddings.Rows:
    credentials = Credentials(model.partition("/")[0], api_key="sk-x", base_url=double.base_url)
    return await embeddings.embed(texts, model=model, credentials=credentials, purpose="document")


async def test_the_bundled_model_needs_no_provider() -> None:
    few = await embeddings.embed(["one", "two"], model=local_embedder.NAME, purpose="query")
    many = await embeddings.embed(["one", "two"] * 50, model=local_embedder.NAME, purpose="document")
    assert few.shape == (2, 256)
    assert np.array_equal(many[:2], few)


async def test_rows_come_in_the_order_of_the_texts_and_in_batches(double: ProviderDouble) -> None:
    texts = [f"text number {n} speaks of things" for n in range(embeddings.BATCH_TEXTS * 2 + 5)]
    rows = await rows_of(double, texts)
    assert rows.dtype == np.float32
    assert np.allclose(rows, [embed_text(text, 32) for text in texts], atol=1e-6)
    assert [len(request.body["input"]) for request in double.requests] == [96, 96, 5]


async def test_a_batch_is_limited_by_its_size_too(double: ProviderDouble) -> None:
    await rows_of(double, ["word " * 5000] * 4)
    assert [len(request.body["input"]) for request in double.requests] == [1, 1, 1, 1]


async def test_nothing_is_asked_for_nothing(double: ProviderDouble) -> None:
    assert len(await rows_of(double, [])) == 0
    assert double.requests == []


async def test_an_empty_text_is_not_sent_as_empty(double: ProviderDouble) -> None:
    await rows_of(double, ["", "a"])
    assert double.requests[0].body["input"] == [" ", "a"]


async def test_a_question_is_marked_for_models_that_want_it(double: ProviderDouble) -> None:
    credentials = Credentials("ollama", base_url=double.base_url)
    await embeddings.embed(["why"], model="ollama/nomic-embed-text", credentials=credentials, purpose="query")
    await embeddings.embed(["so"], model="ollama/nomic-embed-text", credentials=credentials, purpose="document")
    assert [request.body["input"] for request in double.requests] == [["search_query: why"], ["search_document: so"]]


async def test_what_may_pass_is_tried_again(double: ProviderDouble) -> None:
    double.script(provider_double.rate_limited("0"), provider_double.server_error())
    assert (await rows_of(double, ["a"])).shape == (1, 32)
    assert len(double.requests) == 3


async def test_nobody_below_tries_again_as_well(double: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_app.providers.embeddings._BACKOFF_S", 0.001)
    double.default = provider_double.server_error(503)
    with pytest.raises(ProviderError):
        await rows_of(double, ["a"])
    assert len(double.requests) == 5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(lost_rows=1), "returned 1 rows for 2 texts"),
        (Answer(bad_number=True), "numbers that are not finite"),
        (provider_double.refused_key("sk-x"), "The key was refused by"),
        (provider_double.unknown_model(), "has no model named"),
    ],
)
async def test_what_cannot_be_used_is_refused(double: ProviderDouble, answer: Answer, words: str) -> None:
    double.script(answer)
    with pytest.raises(ProviderError) as caught:
        await rows_of(double, ["a", "b"])
    assert words in caught.value.message
    assert "sk-x" not in caught.value.message


async def test_batches_of_different_width_are_refused(double: ProviderDouble) -> None:
    double.script(Answer(), Answer(dimensions=16))
    with pytest.raises(ProviderError, match="rows of 32 and of 16 numbers"):
        await rows_of(double, ["a"] * 100)


async def test_the_width_of_an_unknown_model_is_measured(double: ProviderDouble) -> None:
    credentials = Credentials("compatible", base_url=double.base_url)
    assert await embeddings.measure_dimensions(MODEL, credentials) == 32
    assert embeddings.dimensions(MODEL) is None
    assert embeddings.dimensions("openai/text-embedding-3-small") == 1536
    assert embeddings.dimensions(local_embedder.NAME) == 256


def test_the_bundled_embedder_weighs_less() -> None:
    assert embeddings.dense_weight(local_embedder.NAME) == 0.35
    assert embeddings.dense_weight("openai/text-embedding-3-small") == 0.5
