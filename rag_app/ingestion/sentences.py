"""Finds where sentences end, in most written languages, without a model."""

import re
from collections.abc import Iterator

# A mark of the Latin kind needs white space behind it; the others end a sentence wherever they stand.
_END = re.compile(r"(?:[.!?…؟۔।॥]+[\"'”’»)\]]*(?=\s)|[。！？｡]+[”’」』）]*|\n[^\S\n]*\n)")
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof st sr jr vs etc eg ie e.g i.e cf al fig figs eq eqs no nos vol vols pp p ed eds approx
    dept est inc ltd co corp rev gen col sgt capt lt hon pres gov sen rep ave blvd rd jan feb mar apr jun jul
    aug sep sept oct nov dec mon tue wed thu fri sat sun a.m p.m u.s u.k u.n ph.d b.a m.a z.b d.h u.a bzw usw
    evtl ggf inkl exkl nr bd hrsg vgl abb tab kap art abs ca bspw sog str m.e av bl.a t.ex dvs osv f.eks p.ex
    c.-à-d mme mlle sra srta ud uds núm pág sig ing arch avv dott bijv enz mw dhr ul tzn np m.in itd itp т.е т.д
    т.п г гг стр рис см
    """.split()  # noqa: SIM905  # a list of this length is read more easily as words
)
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘«]+$")
_OPENING = "\"'“‘«([¿¡—–-*_#|"


def sentence_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of the sentences of `text[start:end]`, without white space around them, in order."""
    begin = start
    for found in _END.finditer(text, start, end):
        stop = found.end()
        if found.group()[0] in ".…" and not _ends_sentence(text, begin, found, end):
            continue
        yield from _trimmed(text, begin, stop)
        begin = stop
    yield from _trimmed(text, begin, end)


def _ends_sentence(text: str, begin: int, found: re.Match[str], end: int) -> bool:
    """False after an abbreviation, an initial, a list number, or before a small letter."""
    following = text[found.end() : min(end, found.end() + 12)].lstrip().lstrip(_OPENING)
    if following[:1].islower():
        return False
    word_found = _LAST_WORD.search(text, max(begin, found.start() - 30), found.start())
    if word_found is None:
        return True
    word = word_found.group()
    if len(word) == 1 and word.isalpha() and word != "I" and word < "\u0590":
        return False
    if word.isdigit() and word_found.start() <= begin + 1 and len(word) <= 3:
        return False
    if word.lower() in _ABBREVIATIONS:
        # “etc.” and the like may well end a sentence; a title before a name does not.
        return word.lower() in ("etc", "inc", "ltd", "co", "corp", "usw", "a.m", "p.m", "u.s", "al", "jr") and (
            following[:1].isupper() and word.lower() != "al"
        )
    return True


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
