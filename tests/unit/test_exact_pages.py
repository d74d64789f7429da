"""Which pages a quote stands on."""

import pytest

from rag_app.services.exact_pages import pages_of

SPANS = [(1, 0, 100), (2, 101, 200), (3, 201, 300)]


@pytest.mark.parametrize(
    ("char_from", "char_to", "expected"),
    [(0, 10, (1, 1)), (90, 110, (1, 2)), (101, 200, (2, 2)), (150, 250, (2, 3)), (300, 310, None)],
)
def test_pages(char_from: int, char_to: int, expected: tuple[int, int] | None) -> None:
    assert pages_of(SPANS, char_from, char_to) == expected
