"""Fusion, joining of neighbours, and evidence: pure functions of scores."""

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.retrieval.candidates import Found
from rag_app.retrieval.evidence import Features, judge, relevance
from rag_app.retrieval.fusion import Candidate, best_first, fuse
from rag_app.retrieval.neighbours import LONGEST_TEXT, MOST_JOINED, group
from rag_app.retrieval.passages import Evidence
from rag_app.retrieval.proximity import Proximity

# Scores come out of Postgres as real numbers: differences far below that do not occur.
SCORES = st.lists(
    st.tuples(st.floats(0, 50), st.floats(-1, 1)).map(lambda pair: (round(pair[0], 6), round(pair[1], 6))),
    min_size=1,
    max_size=30,
)


def candidates(scores: list[tuple[float, float]]) -> list[Candidate]:
    return [Candidate(UUID(int=number), bm25, cosine) for number, (bm25, cosine) in enumerate(scores)]


@given(SCORES, st.floats(0, 1))
def test_fused_scores_lie_between_0_and_1(scores: list[tuple[float, float]], weight: float) -> None:
    fused = fuse(candidates(scores), dense_weight=weight)
    assert len(fused) == len(scores)
    assert all(0 <= score <= 1 + 1e-9 for score in fused)


@given(SCORES)
def test_weight_0_is_the_lexical_order_and_1_the_dense_one(scores: list[tuple[float, float]]) -> None:
    every = candidates(scores)
    for weight, leg in ((0.0, "bm25"), (1.0, "cosine")):
        fused = fuse(every, dense_weight=weight)
        ordered = [getattr(each, leg) for each in best_first(every, fused)]
        assert all(before >= after - 1e-9 for before, after in pairwise(ordered))


@given(SCORES, st.floats(0, 1), st.floats(0.1, 10))
def test_the_unit_of_a_leg_does_not_matter(scores: list[tuple[float, float]], weight: float, unit: float) -> None:
    plain = fuse(candidates(scores), dense_weight=weight)
    scaled = fuse([replace(each, bm25=each.bm25 * unit) for each in candidates(scores)], dense_weight=weight)
    assert plain == pytest.approx(scaled, abs=1e-6)


def test_scores_and_not_ranks_decide() -> None:
    far_ahead = [
        Candidate(UUID(int=1), 30.0, 0.50),
        Candidate(UUID(int=2), 2.0, 0.52),
        Candidate(UUID(int=3), 1.0, 0.1),
    ]
    fused = fuse(far_ahead, dense_weight=0.5)
    assert fused.index(max(fused)) == 0


def test_missing_cosines_and_nothing_at_all() -> None:
    assert fuse([], dense_weight=0.3) == []
    assert fuse([Candidate(UUID(int=1), 2.0, None)], dense_weight=0.0) == [1.0]
    assert fuse([Candidate(UUID(int=1), 0.0, None)], dense_weight=0.3) == [0.0]


def test_equal_scores_have_a_stable_order() -> None:
    every = [Candidate(UUID(int=number), 1.0, None) for number in (3, 1, 2, 4)]
    best = best_first(every, [1.0, 1.0, 1.0, 2.0])[:3]
    assert [(each.passage_id.int, each.fused) for each in best] == [(4, 2.0), (1, 1.0), (2, 1.0)]


def found(version: int, ordinal: int, size: int = 100) -> Found:
    return Found(
        id=UUID(int=version * 1000 + ordinal),
        knowledge_base_id=UUID(int=1),
        document_id=UUID(int=version),
        version_id=UUID(int=version),
        ordinal=ordinal,
        external_id=None,
        title="",
        url=None,
        text="x" * size,
        heading="",
        page_from=None,
        page_to=None,
        char_from=ordinal * size,
        char_to=(ordinal + 1) * size,
        place={},
        language="en",
        stems=frozenset(),
    )


def shape(groups: list[list[Found]]) -> list[list[tuple[int, int]]]:
    return [[(each.version_id.int, each.ordinal) for each in mates] for mates in groups]


def test_neighbours_join_the_better_one() -> None:
    hits = [found(1, 4), found(2, 1), found(1, 5), found(1, 7), found(1, 3)]
    assert shape(group(hits, limit=10)) == [[(1, 4), (1, 5), (1, 3)], [(2, 1)], [(1, 7)]]


def test_joining_fills_the_list_from_what_follows() -> None:
    hits = [found(1, 1), found(1, 2), found(2, 1), found(3, 1)]
    assert shape(group(hits, limit=2)) == [[(1, 1), (1, 2)], [(2, 1)]]


def test_a_joined_slice_stays_short() -> None:
    many = [found(1, ordinal) for ordinal in range(8)]
    assert max(len(mates) for mates in group(many, limit=10)) == MOST_JOINED
    long = [found(1, ordinal, size=LONGEST_TEXT // 2 + 1) for ordinal in range(3)]
    assert all(len(mates) == 1 for mates in group(long, limit=10))


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9)), unique=True, max_size=25), st.integers(1, 10))
def test_groups_are_contiguous_and_never_more_than_asked(places: list[tuple[int, int]], limit: int) -> None:
    groups = group([found(*place) for place in places], limit=limit)
    assert len(groups) <= limit
    for mates in groups:
        ordinals = sorted(each.ordinal for each in mates)
        assert ordinals == list(range(ordinals[0], ordinals[0] + len(ordinals)))
        assert len({each.version_id for each in mates}) == 1


UNIT = st.floats(0, 1)


def features(share: float, cosine: float | None, *, near: float = 0.0, fused: float = 1.0) -> Features:
    return Features(share, share, cosine, fused, Proximity(near, near))


@given(UNIT, st.one_of(st.none(), UNIT), UNIT, UNIT)
def test_more_evidence_never_makes_an_answer_less_likely(
    share: float, cosine: float | None, near: float, more: float
) -> None:
    before = judge([features(share, cosine, near=near)], searched=2_000).answerable
    after = judge([features(min(1.0, share + more), cosine, near=min(1.0, near + more))], searched=2_000).answerable
    assert 0 <= before <= after + 1e-9 <= 1 + 1e-9
    assert relevance(features(share, cosine)) <= relevance(features(min(1.0, share + more), cosine)) + 1e-9


def test_nothing_found_answers_nothing() -> None:
    assert judge([], searched=0) == Evidence()
    assert judge([], searched=2_000).answerable == 0


def test_full_and_empty_evidence_are_told_apart() -> None:
    assert judge([features(0.7, 0.7, near=1.0), features(0.1, 0.2, fused=0.2)], searched=2_000).answerable > 0.95
    assert judge([features(0.05, 0.1), features(0.05, 0.1)], searched=2_000).answerable < 0.05
    assert judge([features(0.7, None, near=1.0), features(0.1, None, fused=0.2)], searched=2_000).answerable > 0.9
    assert judge([features(0.05, None), features(0.05, None)], searched=2_000).answerable < 0.1
