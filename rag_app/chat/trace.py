"""What is noted down while an answer is made: for “why this answer”. Ids and figures, never text of documents."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from uuid import UUID

from rag_app.chat.events import Usage
from rag_app.providers.completion_types import TokenUsage
from rag_app.retrieval.passages import Considered, Passage, SearchResult

MOST_CANDIDATES = 20  # per query
MOST_WARNINGS = 20
LARGEST_BYTES = 64_000
_FEWEST_CANDIDATES = 3

Why = Literal["asked", "rewritten", "part", "hop"]
Way = Literal["none", "talk", "quotes", "model", "refused"]
Purpose = Literal["rewrite", "hop", "rerank", "answer"]


@dataclass(frozen=True, slots=True)
class Query:
    """One thing that was searched, and why."""

    text: str
    why: Why = "asked"


@dataclass(slots=True)
class ModelCall:
    """One call of a model. None = unknown."""

    purpose: Purpose
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_microusd: int | None = None
    took_ms: float = 0.0
    ok: bool = True

    def count(self, usage: TokenUsage) -> None:
        """Add the usage that a chunk reports; an unknown part stays unknown only when nothing was ever reported."""
        self.prompt_tokens = _sum(self.prompt_tokens, usage.prompt_tokens)
        self.completion_tokens = _sum(self.completion_tokens, usage.completion_tokens)
        self.cost_microusd = _sum(self.cost_microusd, usage.cost_microusd)


@dataclass(slots=True)
class PromptNote:
    """What went into the prompt: estimated tokens of its passages and of all of it."""

    passages: int = 0
    passage_tokens: int = 0
    budget_tokens: int = 0
    prompt_tokens: int = 0
    history_turns: int = 0


@dataclass(slots=True)
class AnswerTrace:
    """Filled in step by step; `as_json` gives it in a bounded size."""

    way: Way = "none"
    searches: list[tuple[Query, SearchResult]] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)
    timings_ms: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    probability: float | None = None  # that the passages answer
    bar: float | None = None  # below it the answer says no
    prompt: PromptNote = field(default_factory=PromptNote)
    used: tuple[UUID, ...] = ()  # passages that the answer could use, in their order
    over_budget: frozenset[UUID] = frozenset()  # shown by a search, but too long for the prompt
    citations_kept: int = 0
    citations_refused: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def usage(self) -> Usage:
        """What all calls together consumed."""
        total = Usage()
        for call in self.calls:
            total = Usage(
                _sum(total.prompt_tokens, call.prompt_tokens),
                _sum(total.completion_tokens, call.completion_tokens),
                _sum(total.cost_microusd, call.cost_microusd),
            )
        return total

    def warn(self, warnings: Iterable[str]) -> None:
        """Remember what could not be done, each once."""
        self.warnings = list(dict.fromkeys([*self.warnings, *warnings]))[:MOST_WARNINGS]

    def chose(self, found: Sequence[Passage], kept: Sequence[Passage]) -> None:
        """Note which of the passages found the answer may use."""
        self.used = tuple(each.id for each in kept)
        self.over_budget = frozenset(each.id for each in found) - set(self.used)

    def as_json(self) -> dict[str, Any]:
        """Plain values of at most LARGEST_BYTES: of a large trace the last candidates are left out."""
        most = MOST_CANDIDATES
        while True:
            data = self._json(most)
            if most <= _FEWEST_CANDIDATES or len(json.dumps(data)) <= LARGEST_BYTES:
                return data
            most //= 2

    def _json(self, most: int) -> dict[str, Any]:
        return {
            "way": self.way,
            "queries": [self._query_json(query, result, most) for query, result in self.searches],
            "evidence": {"probability": _rounded(self.probability), "bar": self.bar},
            "prompt": asdict(self.prompt),
            "used": [str(each) for each in self.used],
            "calls": [asdict(call) for call in self.calls],
            "citations": {"kept": self.citations_kept, "refused": self.citations_refused},
            "timings_ms": dict(self.timings_ms),
            "warnings": list(self.warnings),
            "settings": dict(self.settings),
        }

    def _query_json(self, query: Query, result: SearchResult, most: int) -> dict[str, Any]:
        evidence = {name: _rounded(value) for name, value in asdict(result.evidence).items()}
        return {
            "text": query.text[:2_000],
            "why": query.why,
            "dense_weight": result.dense_weight,
            "evidence": evidence,
            "timings_ms": dict(result.timings_ms),
            "warnings": list(result.warnings),
            "candidates": [self._candidate_json(each) for each in result.considered[:most]],
        }

    def _candidate_json(self, one: Considered) -> dict[str, Any]:
        fate: str = one.fate
        if fate == "shown":
            fate = "used" if one.passage_id in self.used else "budget" if one.passage_id in self.over_budget else "pool"
        return {
            "passage_id": str(one.passage_id),
            "knowledge_base_id": str(one.knowledge_base_id),
            "document_id": str(one.document_id),
            "ranks": asdict(one.ranks),
            "bm25": _rounded(one.bm25),
            "cosine": _rounded(one.cosine),
            "fused": _rounded(one.fused),
            "score": _rounded(one.score),
            "fate": fate,
            "into": str(one.into) if one.into else None,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _sum(known: int | None, more: int | None) -> int | None:
    return known if more is None else (known or 0) + more
