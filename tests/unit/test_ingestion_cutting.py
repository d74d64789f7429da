"""Cutting a kept text anew: other sizes, overlap, and table headers from before they were kept."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rag_app.ingestion.cutting import Cutting, cut_by, reading_of
from rag_app.ingestion.markdown import parse_markdown
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.pieces import estimate_tokens
from rag_app.ingestion.versions import block_row

TABLE = "# Prices\n\n| item | price |\n| --- | --- |\n" + "".join(f"| thing {n} | {n} euros |\n" for n in range(90))


def kept(parsed: ParsedDocument, *, with_headers: bool = True) -> ParsedDocument:
    """The document as it comes back from the columns of its version."""
    rows = [block_row(each) for each in parsed.blocks]
    return reading_of(
        {
            "text": parsed.text,
            "title": parsed.title,
            "language": parsed.language,
            "pages": [[each.page, each.char_from, each.char_to] for each in parsed.pages],
            "blocks": rows if with_headers else [row[:4] for row in rows],
            "places": [[each.char_from, each.char_to, each.place] for each in parsed.places],
        }
    )


def test_a_kept_text_is_cut_as_the_document_was() -> None:
    parsed = parse_markdown(TABLE)
    for with_headers in (True, False):
        again = cut_by(kept(parsed, with_headers=with_headers), Cutting())
        assert again == cut_by(parsed, Cutting())
        assert all("item | price" in each.context for each in again[1:])


def test_a_smaller_size_makes_more_and_smaller_passages() -> None:
    paragraphs = [f"Paragraph {n} says something of its own. " * 12 for n in range(24)]
    parsed = parse_markdown("\n\n".join(["## One", *paragraphs[:12], "## Two", *paragraphs[12:]]))
    sizes = {}
    for tokens in (60, 220, 800):
        cuts = cut_by(parsed, Cutting(1, tokens))
        sizes[tokens] = len(cuts)
        assert all(estimate_tokens(parsed.text[c.char_from : c.char_to]) <= round(tokens * 300 / 220) for c in cuts)
    assert sizes[60] > sizes[220] > sizes[800]


@given(st.lists(st.integers(3, 40), min_size=3, max_size=40), st.integers(0, 25))
def test_an_overlap_repeats_the_end_of_the_passage_before(lengths: list[int], overlap: int) -> None:
    text = "\n\n".join(f"Sentence {n} has " + "word " * length + "end." for n, length in enumerate(lengths))
    parsed = parse_markdown(text)
    plain, overlapping = (cut_by(parsed, Cutting(1, 100, tokens)) for tokens in (0, overlap))
    assert [each.char_to for each in overlapping] == [each.char_to for each in plain]
    for without, each in zip(plain, overlapping, strict=True):
        assert each.char_from <= without.char_from
        assert estimate_tokens(parsed.text[each.char_from : without.char_from]) <= overlap + 1
    for before, after in pairwise(overlapping):
        assert before.char_from < after.char_from
