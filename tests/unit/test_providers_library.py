"""LiteLLM is loaded late, quietly and without its proxy; keys stay hidden; circuits, prices and probes."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rag_app.errors import ProviderError
from rag_app.providers import library
from rag_app.providers.circuit import FAILURES_TO_OPEN, PROBE_EVERY_S, SWITCHBOARD, WINDOW_S, Circuit
from rag_app.providers.credentials import (
    Credentials,
    configured_in_environment,
    from_environment,
    keyring,
    provider_of,
    route_to,
)
from rag_app.providers.prices import cost_microusd
from rag_app.providers.probes import OllamaFound, detect_ollama, list_served, try_provider
from rag_app.settings import get_settings
from tests import provider_double
from tests.provider_double import Answer, ProviderDouble


@pytest.fixture
async def double(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderDouble]:
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    SWITCHBOARD.reset()
    with ProviderDouble() as running:
        yield running
        await library.close_clients()
    get_settings.cache_clear()


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    return done.stdout.strip()


def test_importing_the_room_does_not_import_litellm() -> None:
    script = (
        "import sys\n"
        "from rag_app.providers import completions, embeddings, probes, catalogue, credentials, prices\n"
        "print([name for name in ('litellm', 'openai', 'tokenizers') if name in sys.modules])"
    )
    assert run(script) == "[]"


def test_loading_is_silent_touches_no_network_and_not_the_proxy() -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "from rag_app.providers import library\n"
        "module = library.load()\n"
        "print(module.telemetry, module.drop_params, module.num_retries, 'litellm.proxy.proxy_server' in sys.modules)"
    )
    assert run(script) == "False True 0 False"


def test_no_file_of_ours_imports_the_proxy() -> None:
    root = Path(__file__).parents[2] / "rag_app"
    assert [path.name for path in root.rglob("*.py") if "litellm.proxy" in path.read_text(encoding="utf-8")] == []


async def test_it_is_imported_once_and_awaited_without_blocking() -> None:
    assert await library.library() is library.load()
    assert library.is_loaded()


def test_a_key_is_never_shown() -> None:
    credentials = Credentials("openai", api_key="sk-hidden")
    shown = f"{credentials!r} {credentials} {keyring([credentials])} {route_to('openai/x', credentials)!r}"
    assert "sk-hidden" not in shown


def test_keys_from_the_environment_are_used_by_their_usual_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    assert from_environment("mistral") is None
    monkeypatch.setenv("MISTRAL_API_KEY", "from-environment")
    assert "mistral" in configured_in_environment()
    assert route_to("mistral/small", {}).api_key == "from-environment"
    assert route_to("mistral/small", Credentials("mistral", api_key="entered")).api_key == "entered"


def test_keys_may_stand_in_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    monkeypatch.setattr("rag_app.providers.credentials.ENV_FILE", str(tmp_path / ".env"))
    (tmp_path / ".env").write_text("GROQ_API_KEY=from-file\n")
    assert route_to("groq/some", {}).api_key == "from-file"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gemini/some", "No key for Google Gemini is set"),
        ("azure/some", "No key for Azure OpenAI is set"),
        ("compatible/some", "No address for OpenAI-compatible server is set"),
    ],
)
def test_what_is_missing_is_named(model: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "AZURE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ProviderError, match=words):
        route_to(model, {})


def test_an_address_is_taken_only_where_it_is_guarded() -> None:
    with pytest.raises(ProviderError, match="cannot be used with an address of its own"):
        route_to("aiohttp_openai/x", Credentials("aiohttp_openai", base_url="http://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("openai/gpt-4o", "openai"),
        ("gpt-4o", "openai"),
        ("claude-haiku", "anthropic"),
        ("openrouter/a/b", "openrouter"),
    ],
)
def test_the_provider_stands_in_the_name(model: str, provider: str) -> None:
    assert provider_of(model) == provider


def test_a_local_server_never_gets_the_key_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    route = route_to("ollama/llama3.2", {})
    assert (route.litellm_model, route.base_url, route.api_key) == (
        "openai/llama3.2", "http://127.0.0.1:11434/v1", "none"
    )  # fmt: skip


def test_a_key_of_the_environment_never_goes_to_an_entered_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-operator")
    with pytest.raises(ProviderError, match=r"No key for OpenAI at elsewhere\.example is set"):
        route_to("openai/x", Credentials("openai", base_url="https://elsewhere.example/v1"))
    route = route_to("compatible/x", Credentials("compatible", base_url="https://elsewhere.example/v1"))
    assert route.api_key == "none"


def test_known_prices_are_summed_and_unknown_ones_stay_unknown() -> None:
    litellm = library.load()
    usage = litellm.Usage(prompt_tokens=1000, completion_tokens=100, total_tokens=1100)
    known = litellm.model_cost["gpt-4o-mini"]
    expected = 1000 * known["input_cost_per_token"] + 100 * known["output_cost_per_token"]
    key = Credentials("openai", api_key="x")
    assert cost_microusd(litellm, route_to("openai/gpt-4o-mini", key), usage) == pytest.approx(expected * 1e6, abs=1)
    assert cost_microusd(litellm, route_to("openai/no-such-model", key), usage) is None
    elsewhere = Credentials("openai", api_key="x", base_url="https://gateway.example/v1")
    assert cost_microusd(litellm, route_to("openai/gpt-4o-mini", elsewhere), usage) is None
    assert cost_microusd(litellm, route_to("ollama/llama3.2", {}), usage) == 0


def test_a_circuit_opens_probes_and_closes() -> None:
    circuit = Circuit()
    for n in range(FAILURES_TO_OPEN):
        assert circuit.admit(n)
        circuit.failed(float(n))
    opened = float(FAILURES_TO_OPEN - 1)
    assert not circuit.admit(opened + PROBE_EVERY_S - 0.1)
    assert circuit.wait_s(opened + 4) == pytest.approx(PROBE_EVERY_S - 4)
    probes = [n / 10 for n in range(1000) if circuit.admit(opened + n / 10)]
    assert probes == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]
    circuit.succeeded()
    assert circuit.admit(opened + 91)
    assert circuit.admit(opened + 91.1)


def test_failures_far_apart_do_not_open_a_circuit() -> None:
    circuit = Circuit()
    for n in range(FAILURES_TO_OPEN * 3):
        circuit.failed(n * WINDOW_S / 3)
    assert circuit.admit(1e6)


async def test_a_trial_makes_a_real_call_and_says_what_happened(double: ProviderDouble) -> None:
    credentials = Credentials("compatible", api_key="sk-x", base_url=double.base_url)
    good = await try_provider(credentials, "compatible/double-large")
    assert (good.ok, good.message) == (True, "compatible/double-large answers.")
    assert good.took_ms > 0
    embedder = await try_provider(credentials, "compatible/some-embed-model")
    assert (embedder.ok, embedder.message) == (True, "compatible/some-embed-model returns vectors of 64 numbers.")
    double.script(provider_double.refused_key("sk-x"))
    bad = await try_provider(credentials, "compatible/double-large")
    assert not bad.ok
    assert bad.message.startswith("The key was refused by OpenAI-compatible server at 127.0.0.1:")
    assert [request.path for request in double.requests] == [
        "/v1/chat/completions", "/v1/embeddings", "/v1/chat/completions"
    ]  # fmt: skip


async def test_ollama_is_found_where_it_answers(double: ProviderDouble) -> None:
    double.ollama_models = ["llama3.2:latest", "qwen3:8b", "nomic-embed-text:latest"]
    place = double.base_url.removesuffix("/v1")
    assert await detect_ollama(place) == OllamaFound(
        place, ("ollama/llama3.2", "ollama/qwen3:8b"), ("ollama/nomic-embed-text",)
    )


async def test_ollama_is_not_found_where_nothing_or_something_else_answers(double: ProviderDouble) -> None:
    assert await detect_ollama(provider_double.refusing_url().removesuffix("/v1")) is None
    assert await detect_ollama(double.base_url) is None


async def test_a_compatible_server_is_asked_for_its_models(double: ProviderDouble) -> None:
    double.models = ["small-1", "org/large", "bad name", "text-embed"]
    credentials = Credentials("compatible", api_key="sk-here", base_url=f"{double.base_url}/")
    assert await list_served(credentials) == ("compatible/small-1", "compatible/org/large", "compatible/text-embed")
    assert double.requests[-1].headers["authorization"] == "Bearer sk-here"


async def test_a_server_that_lists_nothing_is_no_error(double: ProviderDouble) -> None:
    assert await list_served(Credentials("compatible", base_url=provider_double.refusing_url())) == ()
    assert await list_served(Credentials("compatible", base_url=f"{double.base_url}/elsewhere")) == ()
    assert await list_served(Credentials("compatible")) == ()


def test_the_usual_port_of_ollama_is_open_to_providers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "10.1.2.3:8080")
    get_settings.cache_clear()
    rules = library.provider_egress().rules
    get_settings.cache_clear()
    assert rules.names("127.0.0.1", 11434)
    assert rules.names("10.1.2.3", 8080)
    assert not rules.names("127.0.0.1", 11435)
    assert not rules.names("10.1.2.3", 11434)


def test_the_default_answer_of_the_double_quotes_the_first_passage() -> None:
    request = provider_double.Recorded(
        "POST", "/", {}, {"messages": [{"content": "[1] Title\nThe sky over Kyoto is blue. More.\n[2] x"}]}
    )
    assert provider_double.quote_first_passage(request) == Answer("The sky over Kyoto is blue [1].")


async def test_closing_leaves_no_client_of_this_loop(double: ProviderDouble) -> None:
    await try_provider(Credentials("compatible", base_url=double.base_url), "compatible/double-large")
    cached = library.load().in_memory_llm_clients_cache.cache_dict
    before = set(cached)
    await library.close_clients()
    assert len(before) > len(cached)
    await library.close_clients()
    again = await try_provider(Credentials("compatible", base_url=double.base_url), "compatible/double-large")
    assert again.ok
