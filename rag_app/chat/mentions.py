"""Codes and proper names that a question mentions, and how far the places found mention them too."""

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from rag_app.chat.facts import Facts, facts_of
from rag_app.retrieval.passages import Passage

SAME_DOCUMENT = 0.7  # worth of a name that stands only in another passage found of the same document
_CODE = re.compile(r"(?<!\w)(?=[\w./#-]*[\d_])(?=[\w./#-]*[^\W\d_])[^\W_]+(?:[-_./#][^\W_]+)*")
_COUNTED = re.compile(r"(?:mid-|pre-|post-)?\d+(?:st|nd|rd|th|s|er|e|ème|º|ª)?(?:[-/][^\W\d_]+)*", re.IGNORECASE)


def codes_in(question: str) -> tuple[str, ...]:
    """Identifiers of letters with digits or underscores (`E31`, `ERR_CONN-104`), each once; no ordinals or decades."""
    return tuple(dict.fromkeys(code for code in _CODE.findall(question) if not _COUNTED.fullmatch(code)))


def holds_code(text: str, code: str) -> bool:
    """Whether a code stands in the text as a whole, in any case: `E31` is not in `E310` and not in `E31-C`."""
    pattern = rf"(?<!\w)(?<!\w[-_]){re.escape(code)}(?!\w|[-_][^\W\d_]?\d|[-_][^\W\d_]\b)"
    return re.search(pattern, text, re.IGNORECASE) is not None


def code_shares(question: str, texts: Sequence[str], contexts: Sequence[str]) -> list[float]:
    """For each text the share of the question's codes that stand in it or its context, 0..1.

    A code that stands in none of the texts is passed over; without any code every share is 0.
    """
    codes = [code for code in codes_in(question) if any(holds_code(text, code) for text in texts)]
    if not codes:
        return [0.0] * len(texts)
    return [
        sum(holds_code(f"{text}\n{context}", code) for code in codes) / len(codes)
        for text, context in zip(texts, contexts, strict=True)
    ]


def missing_names(
    asked: Facts, passages: Sequence[Passage], weights: Mapping[str, float], language: str
) -> list[float]:
    """For each passage the weighted share 0..1 of the question's names that neither it nor its title mentions.

    A name that stands in none of the passages is passed over: no passage is better than another by it.
    """
    words = [facts_of(f"{each.title}\n{each.heading}\n{each.text}", language).words for each in passages]
    together: dict[UUID, set[str]] = {}
    for passage, said in zip(passages, words, strict=True):
        together.setdefault(passage.document_id, set()).update(said)
    names = {
        name: _weight(name, weights, language)
        for name in asked.names
        if not any(char.isdigit() for char in name) and any(name in said for said in words)
    }
    total = sum(names.values())
    if not total:
        return [0.0] * len(passages)
    held = [
        sum(
            weight * (1.0 if name in said else SAME_DOCUMENT if name in together[passage.document_id] else 0.0)
            for name, weight in names.items()
        )
        for passage, said in zip(passages, words, strict=True)
    ]
    return [1 - each / total for each in held]


def _weight(name: str, weights: Mapping[str, float], language: str) -> float:
    """That of the name's terms in the question; an average term's when it has none of its own."""
    known = [weights[term] for term in facts_of(name, language).terms if term in weights]
    return max(known, default=1.0)
