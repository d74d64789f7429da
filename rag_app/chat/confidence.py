"""How likely the passages answer once their sentences are read too, beside the evidence of the search."""

import math

from rag_app.chat.cues import asked_kind, words_meant
from rag_app.chat.extractive import candidates
from rag_app.chat.facts import facts_of
from rag_app.chat.mentions import all_named, code_shares
from rag_app.chat.relevance import passage_language, read
from rag_app.retrieval.passages import SearchResult

TOLD = 4.5  # added to the log-odds when one sentence of the smallest knowledge base tells all that is asked
TOLD_FROM = 0.6  # share of the question's terms that such a sentence must hold
CODED = 2.5  # added when all codes of the question stand in one sentence
_SMALLEST = 1.8  # `Evidence.smallness` of the smallest knowledge bases


def answerable(question: str, result: SearchResult) -> float:
    """Probability 0..1 that these passages answer; never lower than that of the evidence.

    In a small knowledge base the rarity of words tells little: "How long is the warranty?" shares one common word
    with "The warranty is two years", which is all that it asks. So the share of the question's terms in a single
    sentence, each counting the same, raises the probability when the sentence also offers the kind of thing asked
    for, and its passage mentions every name; less in a larger knowledge base, not at all in a large one.
    """
    told, coded = _best(question, result)
    size = min(1.0, result.evidence.smallness / _SMALLEST)
    gained = TOLD * size * (told if told >= TOLD_FROM else 0.0) + CODED * coded
    bounded = min(max(result.evidence.answerable, 1e-6), 1 - 1e-6)
    return 1 / (1 + math.exp(-math.log(bounded / (1 - bounded)) - gained))


def _best(question: str, result: SearchResult) -> tuple[float, float]:
    """The largest share of terms in one sentence that offers what is asked for, and of codes in one sentence."""
    found = candidates(result.passages)
    if not found:
        return 0.0, 0.0
    language = passage_language(question, result.passages)
    said = facts_of(question, language)
    asked = set(said.terms)
    topic = asked - set(facts_of(words_meant(asked_kind(question), question), language).terms)
    named = [all_named(said, passage, language) for passage in result.passages]
    facts, offered = read(question, found, language)
    shares = [0.0]
    for candidate, there, offer in zip(found, facts, offered, strict=True):
        held = set(there.terms) | set(facts_of(candidate.quote.under, language).terms)
        if offer and held & topic and named[candidate.passage]:
            shares.append(len(asked & held) / len(asked))
    return max(shares), max(code_shares(question, [each.text for each in found], [""] * len(found)))
