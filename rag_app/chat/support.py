"""Whether a passage says what a statement says: its best window of sentences, and a score of what agrees there."""

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from rag_app.chat.facts import Facts, Number, facts_of
from rag_app.chat.lexicon import OPPOSITES
from rag_app.chat.sentences import Span, split
from rag_app.chat.substitution import substitutions

WIDEST = 3  # sentences in one window
_LEAST_ANCHORS = 2  # names and numbers that make a statement in another language checkable
_HINT = 0.1  # weight of the question's own terms in choosing the window
_WIDTH_COST = 0.06  # coverage that one more sentence in the window must bring


@dataclass(frozen=True, slots=True)
class Comparison:
    """What agrees between a statement and a window of a passage; shares are 0..1, counts start at 0."""

    coverage: float  # share of the statement's content terms that stand in the window
    passage_coverage: float  # share of its content terms that stand anywhere in the passage or its title
    missing_numbers: int  # numbers of the statement that are not in the window
    missing_names: float  # share of its names that are not in the window
    foreign_names: int  # names of it that are not in the window, while the window has a name it does not have
    core_names: float  # share of its names that are not in the one best sentence of the window
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
    core = _core(said, window, language) or there
    terms = set(said.terms)
    held = set(there.terms)
    topic = set(about.terms)
    missing = [name for name in set(said.names) if not _has_name(name, there) and not _has_name(name, about)]
    extra = [name for name in set(there.names) if not _has_name(name, said)]
    return Comparison(
        coverage=_share(terms & (held | topic), terms),
        passage_coverage=_share(terms & (set(whole.terms) | topic), terms),
        missing_numbers=sum(not _has_number(number, there, about) for number in said.numbers),
        missing_names=len(missing) / len(set(said.names)) if said.names else 0.0,
        foreign_names=len(missing) if extra else 0,
        core_names=_outside_core(said, core, about),
        replaced=substitutions(statement, window, language),
        denied=_denies(said, there, core),
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


def find_anchored(statement: str, passage: str, *, language: str, spoken: str) -> Evidence | None:
    """Evidence for a statement in another language than the passage: words cannot be compared, names and numbers can.

    The smallest window that holds all of them, when there are at least two; else None. Its score is THRESHOLD.
    """
    said = facts_of(statement, spoken)
    names = set(said.names)
    if len(names) + len(said.numbers) < _LEAST_ANCHORS:
        return None
    for span, _ in sorted(windows(passage), key=lambda each: each[1]):
        window = passage[span.start : span.end]
        there = facts_of(window, language)
        if all(_has_name(name, there) for name in names) and all(_has_number(each, there) for each in said.numbers):
            found = compare(statement, window, passage=passage, context="", language=language)
            return Evidence(span, THRESHOLD, found)
    return None


def _share(part: set[str], whole: set[str]) -> float:
    return len(part) / len(whole) if whole else 0.0


def _core(said: Facts, window: str, language: str) -> Facts | None:
    """The facts of the one sentence of the window that holds most of the statement's terms."""
    terms = set(said.terms)
    sentences = (facts_of(window[span.start : span.end], language) for span in split(window))
    return max(sentences, key=lambda each: len(terms & set(each.terms)), default=None)


def _outside_core(said: Facts, core: Facts, about: Facts) -> float:
    """Share of the statement's names that the core sentence does not have, when it has others instead."""
    names = set(said.names)
    if not names or all(_has_name(name, said) for name in core.names):
        return 0.0
    return sum(not _has_name(name, core) and not _has_name(name, about) for name in names) / len(names)


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


def _denies(said: Facts, there: Facts, core: Facts) -> bool:
    """Whether one side denies what the other states, by a negation near shared terms or by an opposite word.

    What the statement denies may be denied anywhere in the window; what it states must not be denied in the core.
    """
    stated, held = set(said.terms), set(there.terms)
    for scope in said.denied:
        if scope & held and not any(scope & other for other in there.denied):
            return True
    for scope in core.denied:
        if scope and len(scope & stated) * 2 > len(scope) and not any(scope & other for other in said.denied):
            return True
    return any(
        (stated & a and not stated & b and held & b and not held & a)
        or (stated & b and not stated & a and held & a and not held & b)
        for a, b in OPPOSITES
    )


# One weight per field of Comparison, without `terms`; fitted by `bench/answers.py citations --fit` on half of the
# articles of SQuAD v2 dev.
WEIGHTS = (3.2, 2.0, -3.2, -1.7, -1.9, -1.1, -3.6, -4.4)
BIAS = -1.9
THRESHOLD = 0.5
LEAST_COVERAGE = 0.45  # below it nothing else can make a statement supported
_MOST = 2.0  # counts above this weigh no more


def measures(found: Comparison) -> tuple[float, ...]:
    """The fields of a comparison that are weighed, in the order of WEIGHTS."""
    return tuple(min(float(value), _MOST) for value in astuple(found)[: len(WEIGHTS)])


def score_of(found: Comparison) -> float:
    """Support as a probability 0..1: a logistic mix of the comparison, 0 when too little of it is covered."""
    if found.coverage < LEAST_COVERAGE:
        return 0.0
    total = BIAS + sum(weight * value for weight, value in zip(WEIGHTS, measures(found), strict=True))
    return 1 / (1 + math.exp(-total))
