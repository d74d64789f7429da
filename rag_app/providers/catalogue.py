"""The providers the Models page offers by name; any other that LiteLLM knows works by its prefix."""

from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

OLLAMA_URL = "http://127.0.0.1:11434"


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: what a person must enter, and a few models to begin with (LiteLLM names with our prefix)."""

    name: str
    label: str
    help: str
    key_variable: str = ""  # the usual environment variable of its key
    chat_models: tuple[str, ...] = ()
    embedding_models: tuple[str, ...] = ()
    needs_key: bool = True
    needs_url: bool = False
    takes_url: bool = False
    openai_wire: bool = False  # reached through OpenAI's wire format at its base URL
    runs_here: bool = False  # costs nothing per token


_ALL = (
    Provider(
        "openai",
        "OpenAI",
        "Create a key at platform.openai.com under API keys.",
        "OPENAI_API_KEY",
        ("openai/gpt-4o-mini", "openai/gpt-4.1-mini", "openai/gpt-4.1"),
        ("openai/text-embedding-3-small", "openai/text-embedding-3-large"),
        takes_url=True,
    ),
    Provider(
        "anthropic",
        "Anthropic",
        "Create a key at console.anthropic.com under API keys.",
        "ANTHROPIC_API_KEY",
        ("anthropic/claude-haiku-4-5", "anthropic/claude-sonnet-4-5"),
        takes_url=True,
    ),
    Provider(
        "gemini",
        "Google Gemini",
        "Create a key at aistudio.google.com.",
        "GEMINI_API_KEY",
        ("gemini/gemini-2.5-flash", "gemini/gemini-2.5-pro"),
        ("gemini/gemini-embedding-001",),
    ),
    Provider(
        "mistral",
        "Mistral",
        "Create a key at console.mistral.ai.",
        "MISTRAL_API_KEY",
        ("mistral/mistral-small-latest", "mistral/mistral-large-latest"),
        ("mistral/mistral-embed",),
        takes_url=True,
    ),
    Provider(
        "groq",
        "Groq",
        "Create a key at console.groq.com.",
        "GROQ_API_KEY",
        ("groq/llama-3.3-70b-versatile", "groq/llama-3.1-8b-instant"),
    ),
    Provider(
        "openrouter",
        "OpenRouter",
        "Create a key at openrouter.ai; one key reaches many models.",
        "OPENROUTER_API_KEY",
        ("openrouter/openai/gpt-4o-mini", "openrouter/meta-llama/llama-3.3-70b-instruct"),
    ),
    Provider(
        "azure",
        "Azure OpenAI",
        "Key, endpoint and API version stand on the resource's page; the model is azure/ and your deployment's name.",
        "AZURE_API_KEY",
        ("azure/my-deployment",),
        needs_url=True,
        takes_url=True,
    ),
    Provider(
        "ollama",
        "Ollama",
        "Runs models on your own machine: install it from ollama.com, then `ollama pull llama3.2`.",
        "",
        ("ollama/llama3.2", "ollama/qwen3"),
        ("ollama/nomic-embed-text",),
        needs_key=False,
        takes_url=True,
        openai_wire=True,
        runs_here=True,
    ),
    Provider(
        "compatible",
        "OpenAI-compatible server",
        "Any server with OpenAI's wire format (vLLM, llama.cpp, LM Studio, a gateway); its base URL ends in /v1.",
        needs_key=False,
        needs_url=True,
        takes_url=True,
        openai_wire=True,
    ),
)
PROVIDERS = MappingProxyType({each.name: each for each in _ALL})


def label_of(provider: str, base_url: str | None) -> str:
    """How a person calls it, with host and port where the address is one's own."""
    known = PROVIDERS.get(provider)
    label = known.label if known else provider
    place = urlsplit(base_url).netloc.rpartition("@")[2] if base_url else ""
    return f"{label} at {place}" if place else label
