"""What the lexical leg asks for: the question's terms in each language of the knowledge bases, weighted by idf."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from rag_app.errors import NotFound
from rag_app.retrieval.reader import Reader
from rag_app.retrieval.scope import Scope, Target, resolve
from rag_app.retrieval.terms import DEFAULT_LANGUAGE, term_hash, terms_of
from rag_app.retrieval.weights import HIGHEST_WEIGHT, inverse_document_frequency

MOST_LANGUAGES = 5
MOST_TERMS = 64
MOST_REPEATS = 2
LIKELY_WEIGHT = 1.2
"""What the weights of several common terms in one passage rarely exceed on average (1.0: once at reference length)."""
MOST_REMEMBERED = 1_000
MOST_READINGS = 5


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the lexical leg sees it."""

    text: str
    terms_by_language: dict[str, tuple[str, ...]]  # language -> the question's stems in their order
    idf: dict[str, float]  # stem -> idf in the union of the knowledge bases
    frequency: dict[str, int]  # stem -> passages that hold it
    hashes: dict[int, str]  # hashed term that occurs -> stem

    def terms_of(self, language: str) -> tuple[str, ...]:
        """The question's stems, in order, as a passage of that language would hold them."""
        found = self.terms_by_language.get(language)
        return found if found is not None else next(iter(self.terms_by_language.values()), ())

    def best_possible(self, language: str) -> float:
        """The BM25 score no passage of that language can exceed; 0 when nothing is asked."""
        return HIGHEST_WEIGHT * sum(self.idf[stem] * n for stem, n in _counts(self.terms_of(language)).items())

    def weights(self) -> dict[int, float]:
        """Hashed term -> weight on the question's side."""
        asked: dict[str, int] = {}
        for terms in self.terms_by_language.values():
            for stem, n in _counts(terms).items():
                asked[stem] = max(n, asked.get(stem, 0))
        return {number: self.idf[stem] * asked[stem] for number, stem in self.hashes.items()}

    def essential(self, *, spare: float = 0.0, enough: float = 0.0, most_candidates: int) -> "Essential":
        """The rarest hashed terms: a passage that holds none of them can be left out.

        Terms are added, the rarest first, until those left out make up at most `spare` of the question's weight or
        can hardly give a passage the score `enough`, or until the chosen ones may stand in more than
        `most_candidates` passages.
        """
        weights = self.weights()
        rest = sum(weights.values())
        enough = max(spare * rest, enough / LIKELY_WEIGHT)
        chosen: list[int] = []
        candidates = 0
        for number, stem in sorted(self.hashes.items(), key=lambda item: self.frequency[item[1]]):
            candidates += self.frequency[stem]
            if chosen and (rest <= enough or candidates > most_candidates):
                break
            chosen.append(number)
            rest -= weights[number]
        return Essential(chosen, max(0.0, rest) * LIKELY_WEIGHT, len(chosen) == len(self.hashes))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What some knowledge bases held when they were last asked: with it the first statement mostly is the only one."""

    languages: tuple[str, ...] = (DEFAULT_LANGUAGE,)
    cuttings: tuple[tuple[UUID, int], ...] = ()

    def covers(self, other: "_Seen") -> bool:
        """Whether terms hashed for this hold all that `other` asks for."""
        return (
            set(other.languages) <= set(self.languages) and dict(other.cuttings).items() <= dict(self.cuttings).items()
        )


# Only saves a statement: never decides what is found.
_seen: dict[tuple[UUID, ...], _Seen] = {}


@dataclass(frozen=True, slots=True)
class Essential:
    """Terms that decide which passages are looked at."""

    terms: list[int]
    missed: float  # what a passage without any of them can hardly exceed
    complete: bool  # nothing was left out


async def analyse(reader: Reader, text: str, scope: Scope) -> tuple[list[Target], Question]:
    """The knowledge bases that may be searched and hold something, and what the question means in them.

    Rights, statistics and rarity are read in one statement, with the stems of the languages that these knowledge
    bases held, and of the cuttings that were searched, when they were last asked. When these are others by now, it is
    read anew: all that is returned comes from one statement.
    """
    place = tuple(scope.knowledge_base_ids)
    expected = _seen.get(place) or _Seen(cuttings=tuple((base, 0) for base in place))
    for _ in range(MOST_READINGS):
        resolved = await resolve(reader, scope, _hashes(text, expected))
        if scope.must_exist and not resolved.targets:
            raise NotFound("There is no such knowledge base, or it is not yours.")
        targets = [target for target in resolved.targets if target.passages > 0]
        cuttings = tuple((target.knowledge_base_id, target.cutting_id) for target in targets)
        actual = _Seen(tuple(_languages(targets)), cuttings)
        if expected.covers(actual):
            break
        expected = actual
    _remember(place, actual, is_usual=scope.index_id is None)
    terms = _terms(text, actual.languages)
    return targets, _question(text, targets, terms, hashes=_hashes(text, actual), found=resolved.frequency)


def _hashes(text: str, seen: _Seen) -> dict[int, str]:
    """Hashed term -> stem, of all that the question asks for."""
    stems = {stem for each in _terms(text, seen.languages).values() for stem in each}
    return {term_hash(base, stem, cutting): stem for base, cutting in seen.cuttings for stem in stems}


def _question(
    text: str,
    targets: Sequence[Target],
    terms: dict[str, tuple[str, ...]],
    *,
    hashes: dict[int, str],
    found: dict[int, int],
) -> Question:
    total = sum(target.passages for target in targets)
    frequency = {stem: 0 for each in terms.values() for stem in each}
    for number, stem in hashes.items():
        frequency[stem] += found.get(number, 0)
    return Question(
        text=text,
        terms_by_language=terms,
        idf={stem: inverse_document_frequency(total, passages) for stem, passages in frequency.items()},
        frequency=frequency,
        hashes={number: stem for number, stem in hashes.items() if number in found},
    )


def _terms(text: str, languages: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {language: tuple(terms_of(text, language)[:MOST_TERMS]) for language in languages}


def _remember(place: tuple[UUID, ...], seen: _Seen, *, is_usual: bool) -> None:
    if not is_usual:
        return
    if len(_seen) >= MOST_REMEMBERED:
        _seen.clear()
    _seen[place] = seen


def _counts(terms: Sequence[str]) -> dict[str, int]:
    return {stem: min(n, MOST_REPEATS) for stem, n in Counter(terms).items()}


def _languages(targets: Sequence[Target]) -> list[str]:
    """Languages by number of passages, the largest first."""
    passages: Counter[str] = Counter()
    for target in targets:
        passages.update(dict(target.passages_by_language))
    return [language for language, _ in passages.most_common(MOST_LANGUAGES)] or [DEFAULT_LANGUAGE]
