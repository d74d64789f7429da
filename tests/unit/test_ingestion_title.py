"""What a document is called."""

import pytest

from rag_app.ingestion.title import title_of


@pytest.mark.parametrize(
    ("given", "filename", "found", "is_paged", "expected"),
    [
        ("2022 Q3 AAPL.pdf", "2022 Q3 AAPL.pdf", "FORM 10-Q", True, "FORM 10-Q (2022 Q3 AAPL)"),
        ("handbook.pdf", "handbook.pdf", "Administrator's handbook", True, "Administrator's handbook"),
        ("guide.md", "guide.md", "Getting started", False, "Getting started"),
        ("annual_report.pdf", "annual_report.pdf", "", True, "annual report"),
        ("What I call it", "x.pdf", "FORM 10-Q", True, "What I call it"),
    ],
)
def test_title(given: str, filename: str, found: str, is_paged: bool, expected: str) -> None:
    assert title_of(given=given, filename=filename, found=found, is_paged=is_paged) == expected
