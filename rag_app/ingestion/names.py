"""The names that a document goes by: words of its opening, always written with a capital, that return throughout.

A passage from the middle of a report rarely says whose report it is; search asks these names (`retrieval.series`).
"""

import re
from collections import Counter

_WORD = re.compile(r"\w+(?:[-.&]\w+)*")
_OPENING_CHARS = 2_000
_PART_CHARS = 1_000
_FEWEST_PARTS = 4
_SHARE = 0.1
_FEWEST_HITS = 3
_MOST_NAMES = 40
_LOWER_PER_CAPITAL = 1 / 20
_MOST_PARTS = 100


def names_of(text: str) -> tuple[str, ...]:
    """The names in lower case, in the order of the text.

    A name stands in the first 2,000 characters, in at least a tenth of the stretches of 1,000 (100 of them, evenly
    spaced, of a long text), inside sentences too, and hardly ever without its capital. A text of fewer than four
    stretches has none: each of its passages is near its title. Scripts without capitals give none.
    """
    step = max(_PART_CHARS, len(text) // _MOST_PARTS)
    parts = [text[start : start + _PART_CHARS] for start in range(0, len(text), step)]
    if len(parts) < _FEWEST_PARTS:
        return ()
    opening = [word for word in _WORD.findall(text[:_OPENING_CHARS]) if word[0].isupper() and len(word) > 1]
    wanted = {word.lower() for word in opening}
    plain: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for part in parts:
        found = [word for word in _WORD.finditer(part) if word[0].lower() in wanted]
        plain.update(word[0] for word in found if not word[0][0].isupper())
        capital.update(word[0].lower() for word in found if word[0][0].isupper() and _is_inside(part, word.start()))
        hits.update({word[0].lower() for word in found})
    least = max(_FEWEST_HITS, _SHARE * len(parts))
    names = [
        word
        for word in dict.fromkeys(word.lower() for word in opening)
        if hits[word] >= least and capital[word] >= _FEWEST_HITS and plain[word] <= capital[word] * _LOWER_PER_CAPITAL
    ]
    return tuple(names[:_MOST_NAMES])


def _is_inside(text: str, start: int) -> bool:
    """Whether a word stands inside a sentence, where a capital says something."""
    return start >= 2 and text[start - 1].isspace() and (text[start - 2].isalnum() or text[start - 2] in ",;)&")
