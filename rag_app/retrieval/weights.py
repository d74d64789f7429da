"""The lexical arithmetic: BM25 weights on the document's side, inverse document frequency on the question's side.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009). The length of a passage is
compared with a fixed REFERENCE_LENGTH and not with the average of its knowledge base, so that a stored weight stays
right while the knowledge base grows (measured in docs/retrieval.md: no loss).
"""

import math
from collections import Counter
from collections.abc import Iterable

K1 = 0.8
B = 0.75
REFERENCE_LENGTH = 140.0
CONTEXT_WEIGHT = 1.5
"""How much a term of the context (title, heading path, table header) counts beside one of the text."""
HIGHEST_WEIGHT = K1 + 1


def document_weights(text_terms: Iterable[str], context_terms: Iterable[str]) -> tuple[dict[str, float], int]:
    """Weight of each distinct term of a passage (0..HIGHEST_WEIGHT), and the passage's length in terms."""
    counts: Counter[str] = Counter(text_terms)
    length = counts.total()
    frequencies: dict[str, float] = dict(counts)
    for term in context_terms:
        frequencies[term] = frequencies.get(term, 0.0) + CONTEXT_WEIGHT
        length += 1
    damping = K1 * (1 - B + B * length / REFERENCE_LENGTH)
    return {term: n * HIGHEST_WEIGHT / (n + damping) for term, n in frequencies.items()}, length


def inverse_document_frequency(passages: int, containing: int) -> float:
    """idf of a term found in `containing` of `passages` passages; never negative, also while counts are late."""
    containing = min(max(containing, 0), passages)
    return math.log(1 + (passages - containing + 0.5) / (containing + 0.5))
