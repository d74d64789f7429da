"""Completions against a provider on a real socket: LiteLLM's own code runs, and every way to fail has plain words."""

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from rag_app.errors import ProviderError, ProviderTimeout
from rag_app.providers.circuit import FAILURES_TO_OPEN, SWITCHBOARD
from rag_app.providers.completion_types import CompletionChunk, CompletionRequest, TokenUsage
from rag_app.providers.completions import Patience, complete
from rag_app.providers.credentials import Credentials, keyring
from rag_app.providers.library import close_clients
from rag_app.settings import get_settings
from tests import provider_double
from tests.provider_double import MARKERS, Answer, ProviderDouble

KEY = "sk-very-secret-key"
PROMPT = "the secret question"
ASKED = CompletionRequest("compatible/double-large", ({"role": "user", "content": PROMPT},))
QUICK = Patience(connect_s=2, first_token_s=5, between_tokens_s=5, total_s=10, backoff_s=0.01)
SHORT = replace(QUICK, first_token_s=0.4, between_tokens_s=0.4)


@pytest.fixture
async def double(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderDouble]:
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    with ProviderDouble() as running:
        yield running
        await close_clients()
    get_settings.cache_clear()


def key_for(double: ProviderDouble) -> Credentials:
    return Credentials("compatible", api_key=KEY, base_url=double.base_url)


async def gather(chunks: AsyncIterator[CompletionChunk]) -> list[CompletionChunk]:
    return [chunk async for chunk in chunks]


async def said(double: ProviderDouble, request: CompletionRequest = ASKED, patience: Patience = QUICK) -> str:
    return "".join(chunk.text for chunk in await gather(complete(request, key_for(double), patience=patience)))


async def failure(
    double: ProviderDouble, request: CompletionRequest = ASKED, patience: Patience = QUICK
) -> tuple[str, ProviderError]:
    """What was said before the error, and the error; neither key nor prompt may stand in it."""
    text = ""

    async def read() -> None:
        nonlocal text
        async for chunk in complete(request, key_for(double), patience=patience):
            text += chunk.text

    with pytest.raises(ProviderError) as caught:
        await read()
    shown = f"{caught.value.message} {caught.value.details}"
    assert KEY not in shown
    assert PROMPT not in shown
    return text, caught.value


async def test_text_finish_reason_and_usage_arrive(double: ProviderDouble) -> None:
    double.script(Answer("One two three.", usage=(21, 3)))
    chunks = await gather(complete(ASKED, key_for(double), patience=QUICK))
    assert "".join(chunk.text for chunk in chunks) == "One two three."
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert [chunk.usage for chunk in chunks if chunk.usage] == [TokenUsage(21, 3, None)]
    assert {chunk.model for chunk in chunks} == {ASKED.model}
    (request,) = double.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body["model"] == "double-large"
    assert request.body["messages"] == [{"role": "user", "content": PROMPT}]


async def test_temperature_and_length_are_passed_on_only_when_given(double: ProviderDouble) -> None:
    await said(double)
    await said(double, replace(ASKED, temperature=0.0, max_tokens=5))
    first, second = double.requests
    assert "temperature" not in first.body
    assert "max_tokens" not in first.body
    assert (second.body["temperature"], second.body["max_tokens"]) == (0.0, 5)


async def test_a_usage_that_was_not_told_is_unknown(double: ProviderDouble) -> None:
    double.script(Answer("One two.", usage=None))
    chunks = await gather(complete(ASKED, key_for(double), patience=QUICK))
    assert [chunk.usage for chunk in chunks if chunk.usage] == []


async def test_pieces_arrive_as_they_are_sent(double: ProviderDouble) -> None:
    double.script(MARKERS["split"])
    chunks = await gather(complete(ASKED, key_for(double), patience=QUICK))
    assert tuple(chunk.text for chunk in chunks if chunk.text) == MARKERS["split"].pieces


@pytest.mark.parametrize(
    "first",
    [
        provider_double.rate_limited("0"),
        provider_double.rate_limited(None),
        provider_double.rate_limited(email.utils.formatdate(time.time() - 5, usegmt=True)),
        provider_double.server_error(500),
        provider_double.server_error(503),
        Answer("cut", cut_after=0),
        Answer("broken", malformed_after=0),
        Answer("overloaded", error_after=0),
    ],
)
async def test_what_may_pass_is_tried_again_before_the_first_token(double: ProviderDouble, first: Answer) -> None:
    double.script(first, first, Answer("Third time lucky."))
    assert await said(double) == "Third time lucky."
    assert len(double.requests) == 3


async def test_retry_after_is_honoured(double: ProviderDouble) -> None:
    double.script(provider_double.rate_limited("1"), Answer("Fine."))
    assert await said(double) == "Fine."
    first, second = double.requests
    assert second.at - first.at >= 1


async def test_a_long_retry_after_is_told_instead_of_waited_for(double: ProviderDouble) -> None:
    double.script(provider_double.rate_limited("40"))
    _, problem = await failure(double)
    assert "is limiting the number of requests. Try again in 40 seconds." in problem.message
    assert len(double.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (provider_double.refused_key(KEY), "The key was refused by"),
        (provider_double.context_too_long(), "too long for compatible/double-large"),
        (provider_double.unknown_model(), "has no model named compatible/double-large"),
        (provider_double.no_quota(), "has no credit or quota left"),
        (Answer(status=400, error={"message": f"bad {PROMPT}", "code": "bad_thing"}), "with status 400 (bad_thing)"),
        (Answer(location="http://127.0.0.1:9/v1"), "redirects elsewhere"),
    ],
)
async def test_what_no_retry_can_mend_is_told_at_once(double: ProviderDouble, answer: Answer, words: str) -> None:
    double.script(answer)
    _, problem = await failure(double)
    assert words in problem.message
    assert len(double.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (provider_double.server_error(502), "has a problem of its own (status 502)"),
        (Answer("x", malformed_after=0), "sent an answer that cannot be read"),
        (Answer("x", cut_after=0), "broke off"),
    ],
)
async def test_after_the_last_attempt_the_reason_is_told(double: ProviderDouble, answer: Answer, words: str) -> None:
    double.script(answer, answer, answer)
    _, problem = await failure(double)
    assert words in problem.message
    assert len(double.requests) == QUICK.attempts


@pytest.mark.parametrize(
    "answer",
    [
        Answer("One two three four.", cut_after=2),
        Answer("One two three four.", malformed_after=2),
        Answer("One two three four.", error_after=2),
        MARKERS["half_cut"],
    ],
)
async def test_a_cut_in_the_middle_keeps_what_was_said(double: ProviderDouble, answer: Answer) -> None:
    double.script(answer)
    text, problem = await failure(double, replace(ASKED, fallback="compatible/double-small"))
    assert text == "".join(list(answer.chunks())[:2])
    assert "broke off in the middle of the answer" in problem.message
    assert len(double.requests) == 1


async def test_a_provider_that_says_nothing_is_given_up(double: ProviderDouble) -> None:
    double.script(Answer(stall="before"))
    _, problem = await failure(double, patience=SHORT)
    assert isinstance(problem, ProviderTimeout)
    assert "did not begin to answer within 0.4 seconds" in problem.message
    await until(lambda: double.requests[0].left_early)


async def test_a_provider_that_stops_talking_is_given_up(double: ProviderDouble) -> None:
    double.script(Answer("One two three.", stall="midway"))
    text, problem = await failure(double, patience=SHORT)
    assert text == "One"
    assert isinstance(problem, ProviderTimeout)
    assert "did not go on with the answer within 0.4 seconds" in problem.message
    await until(lambda: double.requests[0].left_early)


async def test_the_whole_answer_has_a_limit(double: ProviderDouble) -> None:
    double.script(Answer("word " * 500, tokens_per_s=50))
    text, problem = await failure(double, replace(ASKED, timeout_s=0.5))
    assert text.startswith("word")
    assert "did not finish the answer within 0.5 seconds" in problem.message


async def test_a_slow_first_token_within_the_limit_is_waited_for(double: ProviderDouble) -> None:
    double.script(Answer("Late.", first_token_delay_s=0.5))
    assert await said(double) == "Late."


async def test_stopping_the_reader_stops_the_provider(double: ProviderDouble) -> None:
    double.script(Answer("word " * 500, tokens_per_s=50))
    chunks = complete(ASKED, key_for(double), patience=QUICK)
    assert (await anext(chunks)).text == "word"
    await chunks.aclose()
    await until(lambda: double.requests[0].left_early)


async def test_cancelling_while_waiting_stops_the_provider(double: ProviderDouble) -> None:
    double.script(Answer(stall="before"))
    waiting = asyncio.create_task(said(double))
    await until(lambda: bool(double.requests))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: double.requests[0].left_early)


async def test_the_fallback_answers_in_its_own_name(double: ProviderDouble) -> None:
    double.script(*[provider_double.server_error()] * 3, model="double-large")
    double.script(Answer("From the small one."), model="double-small")
    request = replace(ASKED, fallback="compatible/double-small")
    chunks = await gather(complete(request, key_for(double), patience=QUICK))
    assert "".join(chunk.text for chunk in chunks) == "From the small one."
    assert {chunk.model for chunk in chunks} == {"compatible/double-small"}


async def test_the_fallback_may_be_another_provider(double: ProviderDouble) -> None:
    ring = keyring([key_for(double), Credentials("ollama", base_url=double.base_url)])
    double.script(provider_double.refused_key(), model="double-large")
    double.script(Answer("From here."), model="llama3.2")
    chunks = await gather(complete(replace(ASKED, fallback="ollama/llama3.2"), ring, patience=QUICK))
    assert "".join(chunk.text for chunk in chunks) == "From here."
    assert [chunk.usage.cost_microusd for chunk in chunks if chunk.usage] == [0]
    assert KEY not in double.requests[-1].headers["authorization"]


async def test_when_both_fail_the_error_is_of_the_fallback(double: ProviderDouble) -> None:
    double.script(provider_double.refused_key(), provider_double.unknown_model())
    _, problem = await failure(double, replace(ASKED, fallback="compatible/double-small"))
    assert "no model named compatible/double-small" in problem.message


async def test_after_repeated_failures_the_provider_is_left_alone(double: ProviderDouble) -> None:
    once = replace(QUICK, attempts=1)
    double.script(*[provider_double.server_error()] * FAILURES_TO_OPEN)
    for _ in range(FAILURES_TO_OPEN):
        await failure(double, patience=once)
    for _ in range(3):
        _, problem = await failure(double, patience=once)
        assert "is being left alone" in problem.message
    assert len(double.requests) == FAILURES_TO_OPEN
    assert await said(double, replace(ASKED, model="compatible/double-small")) == "All right."


async def test_when_the_circuit_opens_during_a_call_its_own_reason_is_told(double: ProviderDouble) -> None:
    double.script(*[provider_double.server_error()] * FAILURES_TO_OPEN)
    patient = replace(QUICK, attempts=FAILURES_TO_OPEN + 3)
    _, problem = await failure(double, patience=patient)
    assert "has a problem of its own" in problem.message
    assert len(double.requests) == FAILURES_TO_OPEN


async def test_nothing_listens() -> None:
    stopped = ProviderDouble().start()
    stopped.stop()
    SWITCHBOARD.reset()
    for credentials, words in (
        (Credentials("compatible", base_url=stopped.base_url), "nothing answers there"),
        (Credentials("ollama", base_url=stopped.base_url), "is not running. Start it with `ollama serve`"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
            get_settings.cache_clear()
            request = replace(ASKED, model=f"{credentials.provider}/some")
            with pytest.raises(ProviderError, match=words):
                await gather(complete(request, credentials, patience=QUICK))
        get_settings.cache_clear()


@pytest.mark.parametrize("provider", ["compatible", "openai", "anthropic", "mistral", "azure", "ollama"])
async def test_a_private_address_is_not_opened(
    double: ProviderDouble, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for providers that LiteLLM calls without the openai package: no request reaches the canary."""
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "")
    get_settings.cache_clear()
    place = double.base_url.removesuffix("/v1") if provider in ("anthropic", "azure") else double.base_url
    credentials = Credentials(provider, api_key=KEY, base_url=place, api_version="2024-10-21")
    with pytest.raises(ProviderError, match="private or reserved network"):
        await gather(complete(replace(ASKED, model=f"{provider}/some-model"), credentials, patience=QUICK))
    assert double.requests == []


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread brings about; fails after ten seconds."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not happen within ten seconds")
