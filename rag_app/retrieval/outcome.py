"""What a search hands out: the passages shown and, if it is asked for, what became of every candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from rag_app.retrieval import evidence
from rag_app.retrieval.candidates import Found
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.passages import Considered, Fate, Passage, Ranks
from rag_app.retrieval.ranking import Judged


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates of one search in their last order, each with its place in every step."""

    order: Sequence[Judged]
    scores: Mapping[UUID, Candidate]
    ranks: Mapping[UUID, Ranks]


def ranking_of(
    fused: Sequence[Judged], order: Sequence[Judged], *, scores: Mapping[UUID, Candidate], placed: int
) -> Ranking:
    """`fused` is the order before a reranker, `order` the one after it; it placed the first `placed` of them."""
    reranked = {each.found.id: place for place, each in enumerate(order[:placed], start=1)}
    ranks = {}
    for place, each in enumerate(fused, start=1):
        one = scores[each.found.id]
        ranks[each.found.id] = Ranks(one.dense, one.lexical, place, reranked.get(each.found.id))
    return Ranking(order, scores, ranks)


def passages_of(shown: Sequence[Found], ranking: Ranking) -> tuple[Passage, ...]:
    """What is shown, best first, each with its relevance."""
    features = {each.found.id: each.features for each in ranking.order}
    passages: list[Passage] = []
    for each in shown:
        candidate = ranking.scores[each.id]
        ceiling = passages[-1].score if passages else 1.0  # the list falls, so must the number beside it
        passages.append(
            Passage(
                id=each.id,
                knowledge_base_id=each.knowledge_base_id,
                document_id=each.document_id,
                version_id=each.version_id,
                external_id=each.external_id,
                title=each.title,
                url=each.url,
                text=each.text,
                heading=each.heading,
                page_from=each.page_from,
                page_to=each.page_to,
                char_from=each.char_from,
                char_to=each.char_to,
                score=min(ceiling, evidence.relevance(features[each.id])),
                ranks=ranking.ranks[each.id],
                fused=features[each.id].fused,
                bm25=candidate.bm25,
                cosine=candidate.cosine,
                language=each.language,
                place=each.place,
            )
        )
    return tuple(passages)


def considered_of(shown: Sequence[Found], ranking: Ranking) -> tuple[Considered, ...]:
    """Every candidate in the last order, and why it is shown or not."""
    last = max((place for place, each in enumerate(ranking.order) if _is_shown(each.found, shown)), default=-1)
    found = []
    for place, each in enumerate(ranking.order):
        fate, into = _fate(each.found, shown, passed_over=place < last)
        candidate = ranking.scores[each.found.id]
        found.append(
            Considered(
                passage_id=each.found.id,
                knowledge_base_id=each.found.knowledge_base_id,
                document_id=each.found.document_id,
                ranks=ranking.ranks[each.found.id],
                bm25=candidate.bm25,
                cosine=candidate.cosine,
                fused=each.score,
                score=evidence.relevance(each.features),
                fate=fate,
                into=into,
            )
        )
    return tuple(found)


def _is_shown(found: Found, shown: Sequence[Found]) -> bool:
    return any(found.id == each.id for each in shown)


def _fate(found: Found, shown: Sequence[Found], *, passed_over: bool) -> tuple[Fate, UUID | None]:
    if _is_shown(found, shown):
        return "shown", None
    for each in shown:
        if each.version_id == found.version_id and each.char_from <= found.char_from and found.char_to <= each.char_to:
            return "joined", each.id
    return ("duplicate", None) if passed_over else ("below_limit", None)
