"""Feature rows of the sentences found for SQuAD questions, to measure and fit the choice of sentences."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag_app.chat.extractive import candidates
from rag_app.chat.relevance import features, texts_to_embed
from rag_app.providers import local_embedder
from rag_app.retrieval.passages import SearchResult

Numbers = npt.NDArray[np.float64]
Search = Callable[[str, int], Awaitable[SearchResult]]


@dataclass(frozen=True)
class Ranked:
    """The candidates of one question: their features and which of them hold an accepted answer."""

    group: str
    rows: Numbers
    holds: npt.NDArray[np.bool_]
    gold: npt.NDArray[np.bool_]  # in the passage the question was written for
    answerable: float  # calibrated probability that the passages answer


async def ranked(question: str, answers: Sequence[str], source: str, *, group: str, search: Search) -> Ranked:
    """Search and describe every candidate sentence."""
    result = await search(question, 8)
    found = candidates(result.passages)
    vectors = local_embedder.embed(texts_to_embed(question, found, "en"))
    rows = features(question, result, found, vectors=vectors, language="en")
    holds = np.array([any(answer in each.text for answer in answers) for each in found], dtype=bool)
    gold = np.array([result.passages[each.passage].external_id == source for each in found], dtype=bool)
    return Ranked(group, rows, holds, gold, result.evidence.answerable)


def hits(data: Sequence[Ranked], weights: Numbers, *, gap: float, say_no_below: float = 0.0) -> dict[str, float]:
    """Share of questions with an answer in the first and in the at most three sentences, and sentences shown.

    A question whose passages are less likely to answer than `say_no_below` is refused and so has no answer.
    """
    first = three = shown = 0
    for each in data:
        if not len(each.rows) or each.answerable < say_no_below:
            continue
        scores = each.rows @ weights
        order = [at for at in np.argsort(-scores, kind="stable")[:3] if scores.max() - scores[at] <= gap]
        first += bool(each.holds[order[0]])
        three += bool(each.holds[order].any())
        shown += len(order)
    count = len(data) or 1
    return {"first": first / count, "three": three / count, "sentences": shown / count}


def fit(data: Sequence[Ranked], *, steps: int = 300, rate: float = 0.05, shrink: float = 0.0002) -> Numbers:
    """Weights of a conditional logit that ranks the sentence with the answer first (Adam, from one half each)."""
    usable = [(each.rows, (each.holds & each.gold).astype(float)) for each in data if (each.holds & each.gold).any()]
    weights = np.full(usable[0][0].shape[1], 0.5)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        gradient = shrink * weights
        for rows, target in usable:
            scores = rows @ weights
            chance = np.exp(scores - scores.max())
            chance /= chance.sum()
            wanted = chance * target
            gradient -= rows.T @ (wanted / max(wanted.sum(), 1e-12) - chance) / len(usable)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        weights = weights - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return weights
