"""The last word on the order: the fused score, and for the best how close together the question's words stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from rag_app.retrieval.candidates import Found
from rag_app.retrieval.evidence import Features
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.proximity import Proximity, Wanted, proximity, wanted
from rag_app.retrieval.question import Question

CLOSELY_READ = 10
_FAR = Proximity()
WINDOW_WEIGHT = 0.06
PHRASE_WEIGHT = 0.06
"""Added to a fused score 0..1; chosen on training questions, see docs/retrieval.md."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A passage with its features."""

    found: Found
    features: Features
    lowered: float = 0.0  # for better passages of the same document, see series.spread

    @property
    def score(self) -> float:
        """What the list is ordered by when words count."""
        near = self.features.proximity
        return self.features.fused + WINDOW_WEIGHT * near.window + PHRASE_WEIGHT * near.phrases - self.lowered


def rank(
    found: Sequence[Found],
    question: Question,
    *,
    scores: Mapping[UUID, Candidate],
    comparable_cosines: bool,
    words_count: bool = True,
) -> list[Judged]:
    """The passages, best first. `found` comes in the order of the fused scores; its head is read closely.

    `comparable_cosines` is False for an embedding model whose cosines the calibration does not know, `words_count` in
    a search that is dense only.
    """
    judged = []
    asked = {language: _asked(question, language) for language in {each.language for each in found}}
    for place, each in enumerate(found):
        one = asked[each.language]
        candidate = scores[each.id]
        near = _FAR if place >= CLOSELY_READ else proximity(one.wanted, text=each.text, language=each.language)
        features = Features(
            bm25_share=min(1.0, candidate.bm25 / one.best_possible) if one.best_possible else 0.0,
            coverage=sum(one.idf[stem] for stem in one.idf if stem in each.stems) / one.total if one.total else 0.0,
            cosine=candidate.cosine if comparable_cosines else None,
            fused=candidate.fused,
            proximity=near,
        )
        judged.append(Judged(each, features))
    return sorted(judged, key=lambda one: (-one.score, one.found.id)) if words_count else judged


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question as passages of one language are measured by it."""

    best_possible: float  # BM25
    idf: Mapping[str, float]  # stem -> idf
    total: float
    wanted: Wanted


def _asked(question: Question, language: str) -> _Asked:
    terms = question.terms_of(language)
    idf = {stem: question.idf[stem] for stem in terms}
    return _Asked(question.best_possible(language), idf, sum(idf.values()), wanted(terms, question.idf))
