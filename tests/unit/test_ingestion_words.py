"""Whatever the format: all words of a document are read, in order, and damaged files end in a typed error."""

import contextlib
import re
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_app.errors import RagError
from rag_app.ingestion.chunk import cut
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument
from tests.written import WRITERS, Kind, Part

KINDS: tuple[Kind, ...] = ("heading", "paragraph", "list", "table", "code")
WORD = st.text(alphabet="abkzéßЖ語Ω", min_size=2, max_size=6)
SLOW = {"pptx": 6, "xlsx": 15}


@st.composite
def parts(draw: st.DrawFn) -> list[Part]:
    """Some blocks; the words count up, so that any loss, doubling or change of order shows."""
    found = []
    number = 0
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(KINDS))
        width = draw(st.integers(2, 4))
        height = draw(st.integers(2, 4)) if kind in ("list", "table") else 1
        lines = []
        for _ in range(height):
            line = [f"{draw(WORD)}x{number + step}" for step in range(width)]
            number += width
            lines.append(tuple(line))
        found.append(Part(kind, tuple(lines)))
    return found


def in_order(wanted: list[str], text: str) -> bool:
    words = iter(re.findall(r"\w+", text))
    return all(any(word == each for each in words) for word in wanted)


def well_formed(parsed: ParsedDocument) -> None:
    """Blocks and places lie in the text, in order; cuts cover all of it."""
    assert all(0 <= block.char_from < block.char_to <= len(parsed.text) for block in parsed.blocks)
    ends = [0, *(span.char_to for span in parsed.places)]
    assert all(end <= span.char_from < span.char_to for end, span in zip(ends, parsed.places, strict=False))
    covered = "".join(parsed.text[each.char_from : each.char_to] for each in cut(parsed))
    assert "".join(covered.split()) == "".join(parsed.text.split())


@pytest.mark.parametrize("ending", sorted(WRITERS))
def test_all_words_are_read_in_order(ending: str) -> None:
    @settings(max_examples=SLOW.get(ending, 30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(parts())
    def check(made: list[Part]) -> None:
        parsed = parse(BytesIO(WRITERS[ending](made)), filename=f"a.{ending}")
        assert in_order([word for part in made for word in part.words], parsed.text), parsed.text
        well_formed(parsed)

    check()


KNOWN = [Part(kind, (("one", "two"), ("three", "four"))) for kind in KINDS]


@pytest.mark.parametrize("ending", sorted(WRITERS))
def test_damaged_bytes_end_in_a_typed_error_or_a_text(ending: str) -> None:
    whole = WRITERS[ending](KNOWN)

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        content = bytearray(whole)
        for _ in range(data.draw(st.integers(0, 15))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        content = content[: data.draw(st.integers(1, len(content)))]
        with contextlib.suppress(RagError):
            well_formed(parse(BytesIO(bytes(content)), filename=f"a.{ending}"))

    check()


@pytest.mark.parametrize("ending", ["rst", "adoc", "tex", "json", "jsonl", "xml", "vtt", "srt", "rtf", "csv"])
def test_any_text_under_any_name_ends_in_a_typed_error_or_a_text(ending: str) -> None:
    marks = st.sampled_from([*"\\{}[]()<>|*_`~^=-+:.#$&%'\"\n \t", "\n\n", "ab", "\\begin{", "\\item", ".. ", "::"])

    @settings(max_examples=80, deadline=None)
    @given(st.lists(marks | WORD, min_size=1, max_size=60))
    def check(pieces: list[str]) -> None:
        with contextlib.suppress(RagError):
            well_formed(parse(BytesIO("".join(pieces).encode()), filename=f"a.{ending}"))

    check()
