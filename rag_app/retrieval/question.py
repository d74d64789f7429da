"""What the lexical leg asks for: the question's terms in each language of the knowledge bases, weighted by idf."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.retrieval.scope import Target
from rag_app.retrieval.statistics import document_frequencies
from rag_app.retrieval.terms import DEFAULT_LANGUAGE, term_hash, terms_of
from rag_app.retrieval.weights import HIGHEST_WEIGHT, inverse_document_frequency

MOST_LANGUAGES = 5
MOST_TERMS = 64
MOST_REPEATS = 2
LIKELY_WEIGHT = 1.2
"""What the weights of several common terms in one passage rarely exceed on average (1.0: once at reference length)."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the lexical leg sees it."""

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

    def coverage(self, found: Collection[str], language: str) -> float:
        """Share 0..1 of the question's idf that these stems make up."""
        asked = set(self.terms_of(language))
        total = sum(self.idf[stem] for stem in asked)
        return sum(self.idf[stem] for stem in asked if stem in found) / total if total else 0.0

    def weights(self) -> dict[int, float]:
        """Hashed term -> weight on the question's side."""
        asked: dict[str, int] = {}
        for terms in self.terms_by_language.values():
            for stem, n in _counts(terms).items():
                asked[stem] = max(n, asked.get(stem, 0))
        return {number: self.idf[stem] * asked[stem] for number, stem in self.hashes.items()}

    def essential(self, *, spare: float, most_candidates: int) -> "Essential":
        """The rarest hashed terms: a passage that holds none of them can be left out.

        Terms are added, the rarest first, until those left out could give a passage at most `spare` of the score it
        could get in all, or until the chosen ones may stand in more than `most_candidates` passages.
        """
        weights = self.weights()
        rest = sum(weights.values())
        enough = spare * rest
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
class Essential:
    """Terms that decide which passages are looked at."""

    terms: list[int]
    missed: float  # what a passage without any of them can hardly exceed
    complete: bool  # nothing was left out


async def analyse(connection: AsyncConnection, text: str, targets: Sequence[Target]) -> Question:
    """Stem the question for each language that the knowledge bases hold, and look up how rare the stems are there."""
    terms = {language: tuple(terms_of(text, language)[:MOST_TERMS]) for language in _languages(targets)}
    stems = {stem for each in terms.values() for stem in each}
    hashes = {term_hash(target.knowledge_base_id, stem): stem for target in targets for stem in stems}
    ids: list[UUID] = [target.knowledge_base_id for target in targets]
    found = await document_frequencies(connection, ids, list(hashes))
    frequency = dict.fromkeys(stems, 0)
    for number, passages in found.items():
        frequency[hashes[number]] += passages
    total = sum(target.passages for target in targets)
    return Question(
        terms_by_language=terms,
        idf={stem: inverse_document_frequency(total, frequency[stem]) for stem in stems},
        frequency=frequency,
        hashes={number: hashes[number] for number in found},
    )


def _counts(terms: Sequence[str]) -> dict[str, int]:
    return {stem: min(n, MOST_REPEATS) for stem, n in Counter(terms).items()}


def _languages(targets: Sequence[Target]) -> list[str]:
    """Languages by number of passages, the largest first."""
    passages: Counter[str] = Counter()
    for target in targets:
        passages.update(dict(target.passages_by_language))
    return [language for language, _ in passages.most_common(MOST_LANGUAGES)] or [DEFAULT_LANGUAGE]
