"""Where the sentences of a text begin and end, in any script."""

import re
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 600  # characters; a "sentence" without any stop (a table, a listing) is cut here

# A stop, then closing quotes or brackets. Full-width stops need no space after them.
_STOP = re.compile(r"""(?:[.!?…]+|[؟۔।॥])["'”’»)\]*_]*(?=\s|$)|[。！？｡．]+[」』”’）)]*""")
# An empty line, a line that opens a list item, heading or table row, and rows of cells parted by tabs.
_BREAK = re.compile(
    r"\n[ \t]*\n+|\n(?=[ \t]*(?:[-*][ \t]|[•‣▪–·]|\d{1,3}[.)](?!\d)|#{1,6}[ \t]|\||>))|(?<=\|)[ \t]*\n|"
    r"\t*\n(?=[^\n]*\t)"
)
_LISTED = """mr mrs ms dr prof st sr jr vs etc eg ie cf al no nos fig figs eq sec ch vol pp p ed eds inc ltd co corp
dept est approx ca gen col lt capt sgt rev hon gov sen rep pres jan feb mar apr jun jul aug sep sept oct nov dec mt ft
bzw usw vgl ggf evtl nr abs art bd hr fr str bspw inkl zzgl sog tel max min
av env ex m mm mme mlle sra srta ud uds dott ing sig dhr mevr blz resp"""
_ABBREVIATIONS = frozenset(_LISTED.split())
_INITIAL = re.compile(r"(?:^|[\s(\"“.])(?:[^\W\d_]\.)*[^\W\d_]$")


@dataclass(frozen=True, slots=True)
class Span:
    """One sentence; `text[start:end]` of what was split, without the white space around it."""

    start: int
    end: int


def _ends_here(text: str, stop: re.Match[str]) -> bool:
    """Whether a stop really ends a sentence: not after an abbreviation, an initial, or before a small letter."""
    if not stop.group().startswith("."):
        return True
    rest = text[stop.end() : stop.end() + 40].lstrip()
    if rest and rest[0].islower():
        return False
    before = text[max(0, stop.start() - 24) : stop.start()]
    if stop.group().startswith(".."):
        return True
    word = re.split(r"[\s(\[\"“„«]", before)[-1].lower()
    if word.replace(".", "") in _ABBREVIATIONS:
        return not rest
    if _INITIAL.search(before):
        return not rest
    # "3. Oktober": an ordinal of one or two digits stands alone before the stop.
    return not (word.isdigit() and len(word) <= 2 and bool(rest)) or "\n" in text[stop.end() : stop.end() + 2]


def _cut_long(text: str, start: int, end: int) -> list[Span]:
    """The span cut into pieces of at most LONGEST characters, at a line break, else at white space."""
    found: list[Span] = []
    while end - start > LONGEST:
        window = text[start : start + LONGEST]
        at = max(window.rfind("\n"), window.rfind("; "), window.rfind("；"))
        if at < LONGEST // 4:
            at = window.rfind(" ")
        at = at + 1 if at > 0 else LONGEST
        found.append(Span(start, start + at))
        start += at
    found.append(Span(start, end))
    return found


def _trimmed(text: str, span: Span) -> Span | None:
    """The span without white space at its ends, None when nothing is left."""
    start, end = span.start, span.end
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end) if end > start else None


@lru_cache(maxsize=512)
def split(text: str) -> tuple[Span, ...]:
    """Spans of the sentences in reading order; they do not overlap and leave out only white space."""
    ends = {match.end() for match in _STOP.finditer(text) if _ends_here(text, match)}
    ends |= {match.end() for match in _BREAK.finditer(text)}
    found: list[Span] = []
    start = 0
    for end in [*sorted(ends), len(text)]:
        for piece in _cut_long(text, start, end):
            span = _trimmed(text, piece)
            if span is not None:
                found.append(span)
        start = end
    return tuple(found)
