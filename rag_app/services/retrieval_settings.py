"""How a bot searches: the settings, their limits, and how changes are laid over what is stored."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

from rag_app.chat.prompt import CONTEXT_TOKENS
from rag_app.chat.request import MOST_HOPS
from rag_app.errors import InvalidInput
from rag_app.retrieval.passages import Mode

MOST_PASSAGES = 50
MOST_RERANKED = 100
LONGEST_RERANK_S = 30.0
CONTEXT_LIMITS = (500, 100_000)
_MODEL = re.compile(r"[\x21-\x7e]{1,200}")
_MOST_FILTER_KEYS = 20
_MOST_FILTER_VALUES = 100


@dataclass(frozen=True, slots=True)
class RerankSettings:
    """Who puts the best candidates into a new order: `chat` (the bot's own model), `chat/…`, or a provider's model."""

    model: str
    candidates: int = 30
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """What a bot does with a question before its model sees anything."""

    limit: int = 8  # passages
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] = field(default_factory=dict)  # equality per field, a list means any
    dense_weight: float | None = None  # None = that of the embedding model
    rerank: RerankSettings | None = None
    split: bool = True  # a question of two parts is searched part by part
    hops: int = 1  # how often it may search: 2 = read what was found and search again
    minimum_evidence: float | None = None  # below this probability it says no; None = the default of the answer
    context_tokens: int = CONTEXT_TOKENS  # of passages in the prompt


def settings_of(stored: Mapping[str, Any]) -> RetrievalSettings:
    """What is stored as settings; what is not stored has its default."""
    known = {each.name for each in fields(RetrievalSettings)}
    values = {name: value for name, value in stored.items() if name in known}
    if values.get("rerank") is not None:
        values["rerank"] = RerankSettings(**values["rerank"])
    return RetrievalSettings(**values)


def with_changes(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What to store after a change: null takes a value back to its default. Raises InvalidInput."""
    merged = dict(stored)
    for name, value in changes.items():
        merged.pop(name, None)
        if value is not None:
            merged[name] = _checked(name, value)
    return merged


def as_json(settings: RetrievalSettings) -> dict[str, Any]:
    """All settings as plain values."""
    return asdict(settings)


def _checked(name: str, value: Any) -> Any:
    check = _CHECKS.get(name)
    if check is None:
        raise InvalidInput(f"retrieval: there is no setting “{name[:40]}”", field="retrieval")
    return check(value)


def _whole(name: str, low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidInput(f"{name}: a number between {low} and {high} is expected", field=f"retrieval.{name}")
        return value

    return check


def _share(name: str) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InvalidInput(f"{name}: a number between 0 and 1 is expected", field=f"retrieval.{name}")
        return float(value)

    return check


def _mode(value: Any) -> Mode:
    found = next((mode for mode in get_args(Mode) if mode == value), None)
    if found is None:
        raise InvalidInput("mode: hybrid, dense or lexical is expected", field="retrieval.mode")
    mode: Mode = found
    return mode


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput("split: true or false is expected", field="retrieval.split")
    return value


def _filter(value: Any) -> dict[str, Any]:
    wrong = InvalidInput(
        "filter: texts, numbers, true or false per field are expected, or lists of these",
        field="retrieval.filter",
    )
    if not isinstance(value, Mapping) or len(value) > _MOST_FILTER_KEYS:
        raise wrong
    for key, allowed in value.items():
        each = allowed if isinstance(allowed, list) else [allowed]
        if not 1 <= len(each) <= _MOST_FILTER_VALUES or not all(isinstance(one, str | int | float) for one in each):
            raise wrong
        if not isinstance(key, str) or "\0" in f"{key}{allowed}" or len(f"{key}{allowed}") > 4_000:
            raise wrong
    return dict(value)


def _rerank(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or set(value) - {each.name for each in fields(RerankSettings)}:
        raise InvalidInput("rerank: an object with a model is expected, or null", field="retrieval.rerank")
    model, wanted = value.get("model"), asdict(RerankSettings("chat")) | dict(value)
    if not isinstance(model, str) or not _MODEL.fullmatch(model) or model in ("chat/", "local/extractive"):
        raise InvalidInput("rerank: the name of a model is expected, or “chat”", field="retrieval.rerank.model")
    seconds = wanted["timeout_s"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.1 <= seconds <= LONGEST_RERANK_S:
        text = f"timeout_s: a number between 0.1 and {LONGEST_RERANK_S:g} is expected"
        raise InvalidInput(text, field="retrieval.rerank.timeout_s")
    return {
        "model": model,
        "candidates": _whole("candidates", 2, MOST_RERANKED)(wanted["candidates"]),
        "timeout_s": float(seconds),
    }


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "limit": _whole("limit", 1, MOST_PASSAGES),
    "mode": _mode,
    "filter": _filter,
    "dense_weight": _share("dense_weight"),
    "rerank": _rerank,
    "split": _truth,
    "hops": _whole("hops", 1, MOST_HOPS),
    "minimum_evidence": _share("minimum_evidence"),
    "context_tokens": _whole("context_tokens", *CONTEXT_LIMITS),
}
