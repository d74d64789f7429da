"""Whether a passage says what a statement says: the best window of its sentences, and a score from what agrees there."""

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from itertools import pairwise

from rag_app.chat.facts import Facts, Number, facts_of
from rag_app.chat.lexicon import OPPOSITES
from rag_app.chat.sentences import Span, split
from rag_app.chat.substitution import substitutions

WIDEST = 3  # sentences in one window
_BESIDE, _NEAR = 2, 4  # terms before and after that are a term's neighbours, in the statement and in the window
_HINT = 0.1  # weight of the question's own terms in choosing the window
_WIDTH_COST = 0.04  # coverage that one more sentence in the window must bring


@dataclass(frozen=True, slots=True)
class Comparison:
    """What agrees between a statement and a window of a passage; shares are 0..1, counts start at 0."""

    coverage: float  # share of the statement's content terms that stand in the window
    pairs: float  # share of its neighbouring term pairs that stand close together there
    passage_coverage: float  # share of its content terms that stand anywhere in the passage or its title
    missing_numbers: int  # numbers of the statement that are not in the window
    missing_names: float  # share of its names that are not in the window
    foreign_names: int  # names of it that are not in the window, while the window has a name it does not have
    core_names: float  # share of its names that are not in the one best sentence of the window
    stray: float  # share of its names and numbers that stand there, but beside none of their neighbours
    replaced: int  # names and numbers of it in whose place, in the same words, the window has others
    denied: bool  # one says no where the other says yes
    terms: int  # number of content terms of the statement


@dataclass(frozen=True, slots=True)
class Evidence:
    """The window that supports best: `passage[span.start:span.end]`, with the score 0..1 and why."""

    span: Span
    score: float
    comparison: Comparison


def windows(text: str) -> Iterator[tuple[Span, int]]:
    """Every run of up to WIDEST sentences with its number of sentences."""
    spans = split(text)
    for at in range(len(spans)):
        for width in range(1, min(WIDEST, len(spans) - at) + 1):
            yield Span(spans[at].start, spans[at + width - 1].end), width


def compare(statement: str, window: str, *, passage: str, context: str, language: str) -> Comparison:
    """Compare a statement with a window of a passage. `context` is its title and headings, which name its subject."""
    said = facts_of(statement, language)
    there = facts_of(window, language)
    whole = facts_of(passage, language)
    about = facts_of(context, language)
    terms = set(said.terms)
    held = set(there.terms)
    topic = set(about.terms)
    missing = [name for name in set(said.names) if not _has_name(name, there) and not _has_name(name, about)]
    extra = [name for name in set(there.names) if not _has_name(name, said)]
    return Comparison(
        coverage=_share(terms & (held | topic), terms),
        pairs=_pair_share(said.terms, there.terms),
        passage_coverage=_share(terms & (set(whole.terms) | topic), terms),
        missing_numbers=sum(not _has_number(number, there, about) for number in said.numbers),
        missing_names=len(missing) / len(set(said.names)) if said.names else 0.0,
        foreign_names=len(missing) if extra else 0,
        core_names=_outside_core(said, window, about, language),
        stray=_stray_share(said, there),
        replaced=substitutions(statement, window, language),
        denied=_denies(said, there),
        terms=len(terms),
    )


def find_evidence(
    statement: str, passage: str, *, context: str = "", language: str = "en", hint: str = ""
) -> Evidence | None:
    """The window of the passage that supports the statement best; None when nothing can be compared.

    `context`: title and headings, which name the subject. `hint`: the question, which decides between windows when
    the statement is as short as a bare name or number.
    """
    said = facts_of(statement, language)
    terms = set(said.terms)
    if not terms:
        return None
    asked = set(facts_of(hint, language).terms) - terms
    best: tuple[float, Span] | None = None
    for span, width in windows(passage):
        there = facts_of(passage[span.start : span.end], language)
        numbers = sum(_has_number(number, there, there) for number in said.numbers)
        names = sum(_has_name(name, there) for name in set(said.names))
        held = len(terms & set(there.terms)) + numbers + names
        value = held / (len(terms) + len(said.numbers) + len(set(said.names))) - _WIDTH_COST * width
        value += _HINT * _share(asked & set(there.terms), asked)
        if best is None or value > best[0] + 1e-9:
            best = (value, span)
    if best is None:
        return None
    span = best[1]
    found = compare(statement, passage[span.start : span.end], passage=passage, context=context, language=language)
    return Evidence(span, score_of(found), found)


def _share(part: set[str], whole: set[str]) -> float:
    return len(part) / len(whole) if whole else 0.0


def _pair_share(said: tuple[str, ...], there: tuple[str, ...]) -> float:
    """Share of neighbouring terms of the statement that stand at most three places apart in the window."""
    wanted = {(a, b) for a, b in pairwise(said) if a != b}
    if not wanted:
        return 0.0
    near = {frozenset((a, b)) for at, a in enumerate(there) for b in there[at + 1 : at + 4]}
    return sum(frozenset(pair) in near for pair in wanted) / len(wanted)


def _outside_core(said: Facts, window: str, about: Facts, language: str) -> float:
    """Share of the statement's names that the sentence of the window with most of its terms does not have."""
    names = set(said.names)
    if not names:
        return 0.0
    terms = set(said.terms)
    sentences = [facts_of(window[span.start : span.end], language) for span in split(window)]
    core = max(sentences, key=lambda each: len(terms & set(each.terms)), default=None)
    if core is None or not any(not _has_name(name, said) for name in core.names):
        return 0.0
    return sum(not _has_name(name, core) and not _has_name(name, about) for name in names) / len(names)


def _stray_share(said: Facts, there: Facts) -> float:
    """Share of the names and numbers found there that stand near none of the terms they stand beside in the statement."""
    marked = {name for name in said.names} | {number.spelling.lower() for number in said.numbers}
    placed = stray = 0
    for at, term in enumerate(said.terms):
        if not any(_same(term, word) for word in marked):
            continue
        beside = set(said.terms[max(0, at - _BESIDE) : at] + said.terms[at + 1 : at + 1 + _BESIDE]) - {term}
        spots = [where for where, other in enumerate(there.terms) if other == term]
        if not spots or not beside:
            continue
        placed += 1
        near = {other for where in spots for other in there.terms[max(0, where - _NEAR) : where + _NEAR + 1]}
        stray += not near & beside
    return stray / placed if placed else 0.0


def _same(term: str, word: str) -> bool:
    """Whether a stem is that of a marked word."""
    return word.startswith(term) or term.startswith(word.replace(",", ""))


def _has_name(name: str, there: Facts) -> bool:
    """Whether a name stands there, whole or in its stem (Norman, Normans; Germany's)."""
    if name in there.words:
        return True
    if any(part in there.words for part in name.split("-")[:1] if len(part) > 3):
        return True
    root = name[: max(4, len(name) - 2)]
    return len(name) > 4 and any(word.startswith(root) and abs(len(word) - len(name)) <= 3 for word in there.words)


def _has_number(number: Number, *places: Facts) -> bool:
    return any(number.values & other.values for place in places for other in place.numbers)


def _denies(said: Facts, there: Facts) -> bool:
    """Whether one side denies what the other states, by a negation near shared terms or by an opposite word."""
    stated, held = set(said.terms), set(there.terms)
    for scope in said.denied:
        if scope & held and not any(scope & other for other in there.denied):
            return True
    for scope in there.denied:
        if scope and len(scope & stated) * 2 > len(scope) and not any(scope & other for other in said.denied):
            return True
    return any(
        (stated & a and not stated & b and held & b and not held & a)
        or (stated & b and not stated & a and held & a and not held & b)
        for a, b in OPPOSITES
    )


# In the order of Comparison's fields, `terms` left out; fitted by `bench/answers.py citations --fit`.
WEIGHTS = (5.5, 0.0, 1.5, -3.3, -2.5, -1.5, -2.4, 0.0, -4.7, -5.1)
BIAS = -3.2
THRESHOLD = 0.5
_MOST = 2.0  # counts above this weigh no more


def score_of(found: Comparison) -> float:
    """Support as a probability 0..1: a logistic mix of the comparison."""
    values = (min(float(value), _MOST) for value in astuple(found)[: len(WEIGHTS)])
    return 1 / (1 + math.exp(-(BIAS + sum(weight * value for weight, value in zip(WEIGHTS, values, strict=True)))))
