"""The prototype as a baseline: bm25s and WordLlama, a convex mix of min-max scores (.3 dense), texts as they are."""

from collections.abc import Sequence
from typing import Any

import bm25s
import numpy as np
import Stemmer

from rag_app.providers import local_embedder

DENSE = 0.3
DEEP = 100


class Prototype:
    """All documents (or pages, of files) in memory."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self._ids = [str(each["id"]) for each in documents]
        texts = [f"{each.get('title') or ''}\n{each['text']}".strip() for each in documents]
        self._stemmer = Stemmer.Stemmer("english")
        self._words = bm25s.BM25(k1=0.9, b=0.4)
        self._words.index(self._tokens(texts), show_progress=False)
        self._vectors = local_embedder.embed(texts)

    def _tokens(self, texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", stemmer=self._stemmer, show_progress=False, return_ids=False)

    def search(self, question: str, limit: int) -> list[str]:
        """Ids of the best, best first; pages of one file each count."""
        asked = self._tokens([question])[0]
        words = self._words.get_scores(asked) if asked else np.zeros(len(self._ids))
        cosines = self._vectors @ local_embedder.embed([question])[0]
        pool = np.union1d(np.argsort(-words)[:DEEP], np.argsort(-cosines)[:DEEP])
        fused = (1 - DENSE) * _spread(words[pool]) + DENSE * _spread(cosines[pool])
        return [self._ids[pool[at]] for at in np.argsort(-fused, kind="stable")[:limit]]


def _spread(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
