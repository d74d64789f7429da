"""Codes and proper names that a question mentions, and how far the places found mention them too."""

import re
from collections.abc import Sequence
from uuid import UUID

from rag_app.chat.facts import Facts, facts_of, fold
from rag_app.retrieval.passages import Passage

_OWNER = re.compile(r"([^\W\d_][\w-]*)['’]s?(?!\w)")
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


def missing_names(question: str, passages: Sequence[Passage], language: str) -> list[float]:
    """For each passage the share 0..1 of the names asked about that nothing found of its document mentions.

    Names asked about are those whose property is asked (`Birch's sales`): a name that only stands in the question is
    often the subject of all documents. One that nothing found or most documents mention tells none apart.
    """
    together: dict[UUID, set[str]] = {}
    for passage in passages:
        together.setdefault(passage.document_id, set()).update(_words(passage, language))
    owners = {fold(name) for name in _OWNER.findall(question)} & set(facts_of(question, language).names)
    held = {name: sum(name in said for said in together.values()) for name in owners}
    names = [name for name in owners if 0 < held[name] <= len(together) / 2]
    if not names:
        return [0.0] * len(passages)
    return [sum(name not in together[each.document_id] for name in names) / len(names) for each in passages]


def all_named(asked: Facts, passage: Passage, language: str) -> bool:
    """Whether the passage, its title or its heading mentions every name of the question."""
    return set(asked.names) <= _words(passage, language)


def _words(passage: Passage, language: str) -> frozenset[str]:
    return facts_of(f"{passage.title}\n{passage.heading}\n{passage.text}", language).words
