"""A small hybrid search in memory (BM25 and the bundled embedder, min-max mix) for benches that need no database."""

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from rag_app.providers import local_embedder
from rag_app.retrieval.passages import Evidence, Passage, Ranks, SearchResult
from rag_app.retrieval.terms import terms_of

K1, B, DENSE = 0.9, 0.4, 0.3


class MemorySearch:
    """Index of passages by id: {id: {"text", "title"}}."""

    def __init__(self, corpus: Mapping[str, Mapping[str, str]], language: str = "en") -> None:
        self.ids = list(corpus)
        self.corpus = corpus
        self.language = language
        self.vectors = local_embedder.embed([corpus[key]["text"] for key in self.ids])
        counts = [Counter(terms_of(corpus[key]["text"], language)) for key in self.ids]
        lengths = [sum(count.values()) for count in counts]
        mean = sum(lengths) / len(lengths)
        self.postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for at, count in enumerate(counts):
            for term, tf in count.items():
                weight = tf * (K1 + 1) / (tf + K1 * (1 - B + B * lengths[at] / mean))
                self.postings[term].append((at, weight))
        n = len(self.ids)
        self.idf = {term: math.log(1 + (n - len(p) + 0.5) / (len(p) + 0.5)) for term, p in self.postings.items()}
        self.highest = math.log(1 + (n + 0.5) / 0.5)

    def scores(self, question: str) -> tuple[np.ndarray, np.ndarray]:
        """BM25 and cosine of every passage."""
        lexical = np.zeros(len(self.ids))
        for term in set(terms_of(question, self.language)):
            for at, weight in self.postings.get(term, ()):
                lexical[at] += weight * self.idf[term]
        return lexical, self.vectors @ local_embedder.embed([question])[0]

    async def search(self, question: str, limit: int) -> SearchResult:
        """As the product's search answers; passage ids are made from the corpus ids, which stand in external_id."""
        lexical, dense = self.scores(question)
        top = np.union1d(np.argsort(-lexical)[:100], np.argsort(-dense)[:100])
        fused = (1 - DENSE) * _spread(lexical[top]) + DENSE * _spread(dense[top])
        order = np.argsort(-fused)[:limit]
        passages = tuple(
            self._passage(int(top[at]), rank, float(fused[at]), float(lexical[top[at]]), float(dense[top[at]]))
            for rank, at in enumerate(order, start=1)
        )
        idf = {term: self.idf.get(term, self.highest) for term in terms_of(question, self.language)}
        share = max((p.bm25 for p in passages), default=0.0) / (sum(idf.values()) or 1.0)
        evidence = Evidence(
            bm25_share=share, cosine=max((p.cosine or 0 for p in passages), default=0.0), answerable=1.0
        )
        return SearchResult(passages, evidence, idf=idf)

    def _passage(self, at: int, rank: int, fused: float, bm25: float, cosine: float) -> Passage:
        key = self.ids[at]
        row = self.corpus[key]
        made = uuid.uuid5(uuid.NAMESPACE_OID, key)
        return Passage(
            id=made, knowledge_base_id=uuid.NAMESPACE_OID, document_id=made, version_id=made, external_id=key,
            title=row["title"], url=None, text=row["text"], heading="", page_from=None, page_to=None, char_from=0,
            char_to=len(row["text"]), score=fused, ranks=Ranks(fused=rank), fused=fused, bm25=bm25, cosine=cosine,
            language=self.language,
        )  # fmt: skip


def _spread(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
