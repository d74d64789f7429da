"""Scores how well single sentences answer a question, from what they share with it and what they add."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rag_app.chat.cues import asked_kind, offers, words_meant
from rag_app.chat.facts import Facts, content_terms, facts_of
from rag_app.chat.lexicon import language_of
from rag_app.chat.mentions import code_shares, missing_names
from rag_app.chat.quotable import Quotable, cells
from rag_app.retrieval.passages import Passage, SearchResult
from rag_app.retrieval.terms import terms_of

# Fitted by `bench/answers.py extractive --fit` on half of the articles of SQuAD v2 dev; one weight per feature. Three
# (context, fused, short) were then moved to where documentation gains and SQuAD loses nothing, see docs/answers.md.
# "labelled" was set by hand, for SQuAD has no tables. The last two are so large that whatever lacks them falls behind
# GAP: a code or a name is not to be mistaken for another.
_FITTED: dict[str, float] = {
    "coverage": 3.2,  # idf-weighted share of the question's terms in the sentence
    "around": 5.5,  # what the sentences beside it add to that share
    "context": 6.0,  # what title, headings and the header of its table add to it
    "pairs": 1.6,  # share of the question's neighbouring terms that are near each other in the sentence
    "cosine": 2.3,  # similarity of sentence and question
    "alike": 3.8,  # idf-weighted share of the question's words that have a similar word in the sentence
    "kinship": 4.1,  # idf-weighted mean similarity of the question's words to their most similar ones
    "fused": 4.0,  # score of its passage, relative to the best
    "rank": 0.7,  # 1 / rank of its passage
    "offers": 1.6,  # it holds the kind of thing that is asked for
    "lacks": -0.8,  # it does not
    "news": -0.4,  # new terms, at most ten, in tenths
    "short": -1.2,  # hardly any new term
    "long": -0.4,  # terms, at most forty, in fortieths
    "labelled": 3.0,  # a row of a table whose first cell is named in the question
    "codes": 8.0,  # share of the question's codes in it or what it stands under
    "nameless": -12.0,  # share of the names asked about that its document does not mention while others do
}
FEATURES = tuple(_FITTED)
WEIGHTS = tuple(_FITTED.values())
_KIN = 0.3  # similarity of two words from which on they count as alike, growing to 1
_WORD = re.compile(r"[^\W\d_]{2,}")

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One quotable stretch of one passage."""

    passage: int  # index into the passages found
    quote: Quotable
    text: str


def texts_to_embed(question: str, found: Sequence[Candidate], language: str) -> list[str]:
    """What `features` wants the vectors of: the question, the sentences, then each of their words once."""
    words = dict.fromkeys(
        word for text in (question, *(each.text for each in found)) for word in _words(text, language)
    )
    return [question, *(each.text for each in found), *words]


def passage_language(question: str, passages: Sequence[Passage]) -> str:
    """The language the best passage says it is in, else that of the question."""
    return next((passage.language for passage in passages if passage.language), "") or language_of(question)


def features(
    question: str,
    result: SearchResult,
    found: Sequence[Candidate],
    *,
    vectors: Vectors | None = None,
    language: str = "",
) -> Numbers:
    """One row of FEATURES per candidate. `vectors` belong to `texts_to_embed` with the same arguments."""
    code = language or passage_language(question, result.passages)
    asked = facts_of(question, code)
    weights = _weights(asked, result.idf)
    facts, offered = read(question, found, code)
    shared = _sharing(result.passages, found, facts, weights=weights, language=code)
    likeness = _likeness(question, found, vectors=vectors, language=code)
    similar = _similarities(question, found, likeness, weights=weights, coverage=shared[:, 0])
    best = max((passage.fused for passage in result.passages), default=0.0) or 1.0
    codes = code_shares(question, [each.text for each in found], _surroundings(result.passages, found))
    nameless = missing_names(question, result.passages, code)
    rows = []
    for candidate, there, offer, share in zip(found, facts, offered, codes, strict=True):
        news = len(set(there.terms) - set(asked.terms))
        rows.append((
            result.passages[candidate.passage].fused / best,
            1 / (1 + candidate.passage),
            float(offer is True),
            float(offer is False),
            min(news, 10) / 10,
            float(news < 3),
            min(len(there.terms), 40) / 40,
            float(offer is not False and _labelled(candidate, asked, code)),
            share,
            nameless[candidate.passage],
        ))  # fmt: skip
    pairs = np.array([[_pair_share(asked.terms, there.terms)] for there in facts])
    return np.hstack([shared, pairs, similar, np.array(rows)])


def read(question: str, found: Sequence[Candidate], language: str) -> tuple[list[Facts], list[bool | None]]:
    """The facts of each candidate, and whether it offers what is asked for.

    One that offers it says by its form some of the question's words, which count as terms of its own.
    """
    asked = facts_of(question, language)
    kind = asked_kind(question)
    meant = facts_of(words_meant(kind, question), language).terms
    facts, offered = [], []
    for candidate in found:
        there = facts_of(candidate.text, language)
        offer = offers(kind, candidate.text, there=there, asked=asked, header=" ".join(candidate.quote.header))
        facts.append(replace(there, terms=there.terms + meant) if offer and meant else there)
        offered.append(offer)
    return facts, offered


def _labelled(candidate: Candidate, asked: Facts, language: str) -> bool:
    """Whether it is a row whose first cell says nothing that the question does not say."""
    if candidate.quote.kind != "row":
        return False
    label, *values = cells(candidate.text)
    terms = facts_of(label, language).terms
    return bool(terms) and any(values) and set(terms) <= set(asked.terms)


def _surroundings(passages: Sequence[Passage], found: Sequence[Candidate]) -> list[str]:
    """What each candidate stands under."""
    return [f"{each.quote.under}\n{passages[each.passage].heading}\n{passages[each.passage].title}" for each in found]


def _sharing(
    passages: Sequence[Passage],
    found: Sequence[Candidate],
    facts: Sequence[Facts],
    *,
    weights: Mapping[str, float],
    language: str,
) -> Numbers:
    """Columns coverage, around, context."""
    about = [set(facts_of(f"{passage.title}. {passage.heading}", language).terms) for passage in passages]
    held = [set(there.terms) for there in facts]
    rows = []
    for at, candidate in enumerate(found):
        own = _covered(weights, held[at])
        beside = [i for i in (at - 1, at + 1) if 0 <= i < len(found) and found[i].passage == candidate.passage]
        near = held[at].union(*(held[i] for i in beside))
        with_near = _covered(weights, near)
        known = about[candidate.passage].union(facts_of(candidate.quote.under, language).terms)
        rows.append((own, with_near - own, _covered(weights, near | known) - with_near))
    return np.array(rows)


@dataclass(frozen=True, slots=True)
class _Likeness:
    """Vectors of the texts to embed, with the row of each word; None when there are none."""

    vectors: Vectors | None
    row_of: dict[str, int]
    language: str


def _likeness(question: str, found: Sequence[Candidate], *, vectors: Vectors | None, language: str) -> _Likeness:
    texts = texts_to_embed(question, found, language)
    first = len(found) + 1
    row_of = {word: at for at, word in enumerate(texts[first:], start=first)}
    return _Likeness(vectors if vectors is not None and len(vectors) == len(texts) else None, row_of, language)


def _similarities(
    question: str,
    found: Sequence[Candidate],
    likeness: _Likeness,
    *,
    weights: Mapping[str, float],
    coverage: Numbers,
) -> Numbers:
    """Columns cosine, alike, kinship; without vectors coverage stands for the last two."""
    vectors, row_of, language = likeness.vectors, likeness.row_of, likeness.language
    if vectors is None:
        return np.column_stack([np.zeros(len(found)), coverage, coverage])
    cosine = vectors[1 : len(found) + 1] @ vectors[0]
    asked = [
        (row_of[word], terms[0]) for word in _words(question, language) if (terms := content_terms(word, language))
    ]
    if not asked:
        return np.column_stack([cosine, coverage, coverage])
    weight = np.array([weights.get(term, 1.0) for _, term in asked])
    weight = weight / weight.sum() if weight.sum() else np.full(len(asked), 1 / len(asked))
    kin = vectors[[row for row, _ in asked]] @ vectors.T
    rows = []
    for candidate in found:
        words = [row_of[word] for word in _words(candidate.text, language)]
        held = set(terms_of(candidate.text, language))
        best = kin[:, words].max(axis=1) if words else np.zeros(len(asked))
        same = np.array([term in held for _, term in asked])
        alike = np.where(same, 1.0, np.clip((best - _KIN) / (1 - _KIN), 0, 1))
        rows.append((float(weight @ alike), float(weight @ best)))
    return np.column_stack([cosine, np.array(rows)])


@lru_cache(maxsize=2048)
def _words(text: str, language: str) -> tuple[str, ...]:
    """The words with a topic, lower case, each once, in order."""
    return tuple(word for word in dict.fromkeys(_WORD.findall(text.lower())) if terms_of(word, language))


def _weights(asked: Facts, idf: Mapping[str, float]) -> dict[str, float]:
    """Weight of each term of the question; one that the search did not weigh counts as an average one."""
    known = [idf[term] for term in asked.terms if term in idf]
    middle = sum(known) / len(known) if known else 1.0
    return {term: idf.get(term, middle) for term in asked.terms}


def _covered(weights: Mapping[str, float], held: set[str]) -> float:
    total = sum(weights.values())
    return sum(weight for term, weight in weights.items() if term in held) / total if total else 0.0


def _pair_share(asked: tuple[str, ...], there: tuple[str, ...]) -> float:
    """Share of neighbouring terms of the question that stand at most three places apart in the sentence."""
    wanted = {frozenset(pair) for pair in pairwise(asked) if pair[0] != pair[1]}
    near = {frozenset((a, b)) for at, a in enumerate(there) for b in there[at + 1 : at + 4]}
    return len(wanted & near) / len(wanted) if wanted else 0.0
