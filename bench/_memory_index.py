"""Search over passages in memory, made of the product's own parts, so that one part at a time can be changed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from bench import retrieval_sets as sets
from rag_app.ingestion.chunk import cut
from rag_app.ingestion.names import names_of
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.title import title_of
from rag_app.providers import embeddings, local_embedder
from rag_app.retrieval import evidence, neighbours, series, weights
from rag_app.retrieval.candidates import Found
from rag_app.retrieval.fusion import Candidate, best_first, fuse
from rag_app.retrieval.legs import CANDIDATES_PER_LEG
from rag_app.retrieval.question import Question
from rag_app.retrieval.ranking import Judged, rank
from rag_app.retrieval.search import SPARE_PASSAGES
from rag_app.retrieval.terms import terms_of

LANGUAGE = "en"
_BASE = UUID(int=1)
Array = np.ndarray[Any, Any]
Analyse = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How documents are cut; the product's own sizes unless said otherwise."""

    target: int = 220
    most: int = 300
    whole: int = 512


@dataclass(frozen=True, slots=True)
class Cuts:
    """Passages of a set with their contexts and vectors."""

    found: list[Found]
    contexts: list[str]
    vectors: Array
    names: dict[UUID, series.Named]


def cuts_of(documents: Sequence[tuple[str, ParsedDocument]], sizes: Sizes, *, context: bool = True) -> Cuts:
    """Cut and embed (id, document) pairs; without `context` a passage is its text alone."""
    found: list[Found] = []
    contexts: list[str] = []
    names: dict[UUID, series.Named] = {}
    for number, (key, parsed) in enumerate(documents, start=1):
        document = UUID(int=number)
        names[document] = series.Named(document, parsed.title, names_of(parsed.text), LANGUAGE)
        spans = cut(parsed, target_tokens=sizes.target, max_tokens=sizes.most, whole_tokens=sizes.whole)
        for each in spans:
            contexts.append(each.context if context else "")
            found.append(
                Found(
                    id=UUID(int=len(found) + 1), knowledge_base_id=_BASE, document_id=document, version_id=document,
                    ordinal=each.ordinal, external_id=key, title=parsed.title, url=None,
                    text=parsed.text[each.char_from : each.char_to], heading=each.heading, page_from=None, page_to=None,
                    char_from=each.char_from, char_to=each.char_to, place={}, language=LANGUAGE, stems=frozenset(),
                )
            )  # fmt: skip
    texts = [f"{around}\n{each.text}".strip() for around, each in zip(contexts, found, strict=True)]
    return Cuts(found, contexts, local_embedder.embed(texts), names)


def files_of(asked: sets.QuestionSet) -> list[tuple[str, ParsedDocument]]:
    """The files of a set, read as an upload is."""
    documents = []
    for path in asked.files:
        parsed = parse(path, filename=path.name)
        title = title_of(given=path.name, filename=path.name, found=parsed.title, is_paged=bool(parsed.pages))
        documents.append((path.name, ParsedDocument(parsed.text, parsed.blocks, parsed.pages, title)))
    return documents


@dataclass(frozen=True, slots=True)
class Steps:
    """Which steps of a search are taken; the first three are the product's."""

    join: bool = True
    series: bool = True
    dense_weight: float = embeddings.dense_weight(local_embedder.NAME)
    feedback: int = 0  # passages whose terms are added to the question
    once: float = 2.0  # passages whose cosine is above this to a better one are left out
    parents: float = 0.0  # weight of the best other passage of the same section


class MemoryIndex:
    """All passages of a set; `analyse` makes terms of text."""

    def __init__(self, cuts: Cuts, analyse: Analyse = lambda text: terms_of(text, LANGUAGE)) -> None:
        self.cuts, self._analyse = cuts, analyse
        rows: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for at, each in enumerate(cuts.found):
            found, _ = weights.document_weights(analyse(each.text), analyse(cuts.contexts[at]))
            for term, weight in found.items():
                rows[term].append((at, weight))
        self._postings = {
            term: (np.array([at for at, _ in row]), np.array([w for _, w in row])) for term, row in rows.items()
        }

    def search(self, question: str, vector: Array, *, limit: int, steps: Steps) -> list[str]:
        """Ids of the documents of the passages found, best first."""
        asked = self._asked(question)
        bm25 = self._bm25({term: asked.idf[term] * min(n, 2) for term, n in Counter(asked.terms_of("en")).items()})
        if steps.feedback:
            bm25 = self._bm25(self._widened(asked, bm25, steps.feedback))
        candidates = self._candidates(bm25, self.cuts.vectors @ vector, steps)
        order = self._ranked(candidates, asked, limit=limit, steps=steps)
        shown = self._once([each.found for each in order], steps.once)
        if not steps.join:
            return [str(each.external_id) for each in shown[:limit]]
        return [str(mates[0].external_id) for mates in neighbours.group(shown, limit=limit)]

    def _asked(self, question: str) -> Question:
        terms = tuple(self._analyse(question))
        frequency = {term: len(self._postings[term][0]) if term in self._postings else 0 for term in terms}
        total = len(self.cuts.found)
        idf = {term: weights.inverse_document_frequency(total, n) for term, n in frequency.items()}
        return Question(question, {LANGUAGE: terms}, idf, frequency, {})

    def _bm25(self, asked: dict[str, float]) -> Array:
        scores = np.zeros(len(self.cuts.found))
        for term, weight in asked.items():
            if term in self._postings:
                at, weights_there = self._postings[term]
                scores[at] += weight * weights_there
        return scores

    def _widened(self, asked: Question, bm25: Array, passages: int) -> dict[str, float]:
        """Rocchio: half the question, half the ten heaviest terms of the best passages."""
        total = len(self.cuts.found)
        heavy: dict[str, float] = defaultdict(float)
        for at in np.argsort(-bm25)[:passages]:
            for term, n in Counter(self._analyse(self.cuts.found[at].text)).items():
                heavy[term] += n * weights.inverse_document_frequency(total, len(self._postings[term][0]))
        best = sorted(heavy.items(), key=lambda each: -each[1])[:10]
        scale = sum(asked.idf.values()) / (sum(value for _, value in best) or 1)
        found = {term: 0.5 * scale * value for term, value in best}
        for term, n in Counter(asked.terms_of(LANGUAGE)).items():
            found[term] = found.get(term, 0.0) + asked.idf[term] * min(n, 2)
        return found

    def _candidates(self, bm25: Array, cosines: Array, steps: Steps) -> list[Candidate]:
        words = [at for at in np.argsort(-bm25)[:CANDIDATES_PER_LEG] if bm25[at] > 0]
        pool = np.union1d(np.array(words, dtype=int), np.argsort(-cosines)[:CANDIDATES_PER_LEG])
        found = [Candidate(self.cuts.found[at].id, float(bm25[at]), float(cosines[at])) for at in pool]
        scores = fuse(found, dense_weight=steps.dense_weight)
        if steps.parents:
            scores = self._with_parents(pool, scores, steps.parents)
        return best_first(found, scores)

    def _with_parents(self, pool: Array, scores: Sequence[float], weight: float) -> list[float]:
        sections: dict[tuple[UUID, str], list[float]] = defaultdict(list)
        keys = [(self.cuts.found[at].document_id, self.cuts.found[at].heading) for at in pool]
        for key, score in zip(keys, scores, strict=True):
            sections[key].append(score)
        raised = []
        for key, score in zip(keys, scores, strict=True):
            others = sorted(sections[key], reverse=True)
            other = (others[1] if others[0] == score else others[0]) if len(others) > 1 else 0.0
            raised.append((score + weight * other) / (1 + weight))
        return raised

    def _ranked(self, fused: list[Candidate], asked: Question, *, limit: int, steps: Steps) -> list[Judged]:
        judged = self._judged(fused[: limit + SPARE_PASSAGES], asked)
        if not steps.series or not series.is_series([each.found for each in judged]):
            return judged
        named = {each.passage_id: self.cuts.names[self._passage(each).document_id] for each in fused}
        lifted = series.lifted(fused, named, asked)
        return series.spread(self._judged(lifted[: limit + series.SPARE_PASSAGES], asked))

    def _judged(self, candidates: Sequence[Candidate], asked: Question) -> list[Judged]:
        scores = {each.passage_id: each for each in candidates}
        found = [self._passage(each) for each in candidates]
        return rank(found, asked, scores=scores, comparable_cosines=evidence.CALIBRATED_MODEL == local_embedder.NAME)

    def _passage(self, candidate: Candidate) -> Found:
        return self.cuts.found[candidate.passage_id.int - 1]

    def _once(self, found: list[Found], above: float) -> list[Found]:
        if above > 1:
            return found
        kept: list[Found] = []
        for each in found:
            mine = self.cuts.vectors[each.id.int - 1]
            if all(float(mine @ self.cuts.vectors[one.id.int - 1]) <= above for one in kept):
                kept.append(each)
        return kept
