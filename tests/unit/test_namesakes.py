"""Documents of one title are told apart by what a person would name: place, file, knowledge base, day."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.services.namesakes import Named, signs

DAY = datetime(2026, 3, 5, 14, 2, 7, tzinfo=UTC)


def shown(*documents: dict[str, str], created: datetime = DAY) -> list[str]:
    plain = {"path": "", "url": "", "filename": "", "knowledge_base": "Base"}
    same = [
        Named(id=UUID(int=n), title="Install", **{**plain, **each}, created_at=created.replace(second=n))
        for n, each in enumerate(documents)
    ]
    found = signs(same)
    return [found[each.id] for each in same]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([{"path": "docs/v1/install.md"}, {"path": "docs/v2/install.md"}], ["v1/install.md", "v2/install.md"]),
        ([{"url": "https://a.com/x/"}, {"url": "https://b.com/x/"}], ["a.com/x", "b.com/x"]),
        ([{"url": "https://a.com/en%20x/i"}, {"url": "https://a.com/de/i?p=1"}], ["en x/i", "de/i?p=1"]),
        ([{"url": "https://a.com/"}, {"url": "https://a.com/b"}], ["/", "b"]),
        ([{"filename": "a.pdf"}, {"filename": "b.pdf"}], ["a.pdf", "b.pdf"]),
        ([{"knowledge_base": "One"}, {"knowledge_base": "Two"}], ["One", "Two"]),
        ([{"path": "a"}, {"path": "a", "knowledge_base": "Two"}, {"path": "b"}], ["a · Base", "a · Two", "b · Base"]),
        ([{"filename": "a.pdf"}, {"url": "https://a.com/b"}], ["a.pdf", "a.com/b"]),
        ([{}, {}], ["added 5 March 2026, 14:02:00", "added 5 March 2026, 14:02:01"]),
    ],
)
def test_the_first_difference_is_shown(documents: list[dict[str, str]], expected: list[str]) -> None:
    assert shown(*documents) == expected


words = st.sampled_from(["", "a", "b", "a/b", "c/b", "c/"])


@given(st.lists(st.fixed_dictionaries({"path": words, "filename": words, "knowledge_base": words}), min_size=2))
def test_no_two_are_ever_shown_alike(documents: list[dict[str, str]]) -> None:
    found = shown(*documents[:50])
    assert len(set(found)) == len(found)
