"""The reasons why a document is not in an answer, each as one sentence for somebody new to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Reason = Literal[
    "cited", "used", "refused", "budget", "pool", "duplicate", "below_limit", "reranked_down", "elsewhere",
    "not_ready", "failed", "archive", "empty", "hidden", "filtered", "too_late", "no_word", "not_found",
]  # fmt: skip

_MOST_MEMBERS = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sentences mention."""

    knowledge_base: str = ""
    detail: str = ""  # the error of a document that failed
    place: int | None = None
    limit: int = 0
    ranks: Mapping[str, int | None] = field(default_factory=dict)
    missing: Sequence[str] = ()
    members: Sequence[str] = ()  # titles of what an archive was unpacked into
    probability: float | None = None
    bar: float | None = None

    @property
    def unpacked(self) -> str:
        """What became of an archive."""
        if not self.members:
            return "It is an archive, and nothing in it became a document."
        named = ", ".join(f"“{title}”" for title in self.members[:_MOST_MEMBERS])
        more = len(self.members) - _MOST_MEMBERS
        listed = f"{named} and {more} more" if more > 0 else named
        return f"It is an archive, which is not searched itself. It was unpacked into {listed}: ask about one of these."

    @property
    def gap(self) -> str:
        """The words of the question that do not stand in it."""
        if not self.missing:
            return "All words of the question stand in it, but not together in one passage."
        return f"These words of the question stand nowhere in it: {', '.join(self.missing)}."


_FIXED: dict[Reason, str] = {
    "cited": "It was used: the answer cites it.",
    "used": "It could have been used: it was among what the answer may rest on, but the answer does not cite it.",
    "budget": "It was found, but the passages before it filled the part of the prompt that is kept for passages.",
    "pool": "It was found by one of several searches; the passages of the others took the places.",
    "duplicate": "It was found, but another passage with nearly the same words stands in its place.",
    "not_ready": "It is still being read; until that is done it cannot be found.",
    "empty": "It is there, but no text was found in it, so nothing of it can be found.",
    "hidden": "Everything in it is hidden or corrected by edits, so nothing of it can be found.",
    "filtered": "The filter of this bot leaves it out.",
    "too_late": "It became searchable only after this answer was made. Ask again.",
}


def sentence_of(reason: Reason, facts: Facts) -> str:
    """The reason in words, in English."""
    if reason in _FIXED:
        return _FIXED[reason]
    if reason == "archive":
        return facts.unpacked
    if reason == "refused":
        return (
            f"It was found, but the answer said no: what was found was judged {_percent(facts.probability)} likely to "
            f"answer the question, and this bot wants at least {_percent(facts.bar)}."
        )
    if reason == "below_limit":
        return f"It was found at place {facts.place}; the answer takes the best {facts.limit}."
    if reason == "reranked_down":
        return (
            f"Words and meaning had it at place {facts.ranks.get('fused')}; the reranker moved it to place "
            f"{facts.place}, and the answer takes the best {facts.limit}."
        )
    if reason == "elsewhere":
        return f"It is in the knowledge base “{facts.knowledge_base}”, which this bot does not use."
    if reason == "failed":
        return f"It could not be read, so it cannot be found. {facts.detail}".strip()
    if reason == "no_word":
        return f"No word of the question stands in it, and others are closer in meaning. {facts.gap}"
    return f"Neither its words nor its meaning brought it among the candidates. {facts.gap}"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{round(share * 100)} %"
