"""Takes citation markers out of streamed model text, so that no marker is shown before it is checked, whole or half.

The pieces depend only on the text, never on how the stream was cut: nothing is decided before enough of it is there.
"""

import re
from dataclasses import dataclass

_NUMBER = r"\^?(?:[^\W\d_]{1,12}\.?[ \t]?)?#?\d+(?::\d+)?(?:[-–—]\d+)?"
_JOIN = r"[ \t]*(?:[,;、，|&]|\band\b|\bund\b|\bet\b)?[ \t]*"
_OPEN = r"\\?(?:\[\[?|【|［|〔)"
_CLOSE = r"\\?(?:\]\]?|】|］|〕)"
# [1] [1, 2] [[1]] \[1\] [^1] 【1】 【4:0†source】 [Source 1] and, with a link made of it, [1](https://…)
_MARKER = re.compile(
    rf"{_OPEN}[ \t]*(?P<body>{_NUMBER}(?:{_JOIN}{_NUMBER})*)[ \t]*(?:†[^\]】\n]{{0,80}})?{_CLOSE}"
    r"(?:\([^()\s]*(?:\)|\Z))?"
)
# The same with every part optional at the end of the text: what may still become a marker.
_HALF = re.compile(rf"\\\Z|{_OPEN}[ \t\w^#.:,;、，|&–—-]*(?:†[^\]】\n]{{0,80}})?(?:\\|{_CLOSE}(?:\([^()\s]*)?)?\Z")
# What is no marker any more, but a cut one, when the stream ends with it.
_CUT = re.compile(rf"{_OPEN}[ \t\w^#.:,;、，|&–—-]*(?:†[^\]】\n]{{0,80}})?\\?\Z")
_SPACE = re.compile(r"[ \t]+")
_PLAIN = re.compile(r"[^\s`~\\\[【［〔]+")
_TICKS = re.compile(r"`+|~~~+")
_GROUPS = re.compile(r"(?P<word>[^\W\d_]+)?\.?[ \t]?#?(?P<from>\d+)(?::\d+)?(?:[-–—](?P<to>\d+))?")
_LISTED = """source sources passage passages document documents doc docs ref refs reference references
citation citations cite note excerpt quelle quellen dokument abschnitt textstelle extrait fuente fuentes
documento fonte fonti bron bronnen n no nr and und et"""
_WORDS = frozenset(_LISTED.split())
_LONGEST_RANGE = 10
_LARGEST = 10_000


@dataclass(frozen=True, slots=True)
class Text:
    """Text to show as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Marker:
    """A citation marker: the numbers it names (0 = none of the passages) and the white space before it."""

    numbers: tuple[int, ...]
    space: str


Piece = Text | Marker


def numbers_in(body: str) -> tuple[int, ...] | None:
    """The numbers named inside the brackets, without repeats; None when the words there make it plain text."""
    found: dict[int, None] = {}
    for group in _GROUPS.finditer(body):
        word = group["word"]
        if word and word.lower() not in _WORDS:
            return None
        first = min(int(group["from"][:6]), _LARGEST)
        last = min(int((group["to"] or group["from"])[:6]), _LARGEST)
        found.update(dict.fromkeys(range(first, min(last, first + _LONGEST_RANGE) + 1) if last > first else (first,)))
    return tuple(found)


class MarkerFilter:
    """Feed it chunks; it returns pieces. `finish` returns the rest: what is half a marker then is dropped."""

    def __init__(self) -> None:
        self._held = ""
        self._line_start = True
        self._fence = ""  # the run of ` or ~ that opened the code block we are in

    def feed(self, chunk: str) -> list[Piece]:
        """Pieces that are decided after this chunk."""
        self._held += chunk
        return self._drain(final=False)

    def finish(self) -> list[Piece]:
        """The last pieces, at the end of the stream or where it was cut."""
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> list[Piece]:
        pieces: list[Piece] = []
        at = 0
        while at < len(self._held):
            step = self._in_fence(at, final) if self._fence else self._step(at, final)
            if step is None:
                break
            piece, end = step
            if piece is not None:
                _append(pieces, piece)
            self._note_line(self._held[at:end])
            at = end
        self._held = self._held[at:]
        return pieces

    def _note_line(self, taken: str) -> None:
        """Remember whether only white space stands before the next character on its line."""
        line = taken.rpartition("\n")[2]
        self._line_start = not line.strip() and ("\n" in taken or self._line_start)

    def _in_fence(self, at: int, final: bool) -> tuple[Piece | None, int] | None:
        """One line of a code block; nothing in it is a marker."""
        end = self._held.find("\n", at)
        if end < 0 and not final:
            return None
        end = len(self._held) if end < 0 else end + 1
        line = self._held[at:end].strip()
        if self._line_start and line.startswith(self._fence) and not line.strip(self._fence[0]):
            self._fence = ""
        return Text(self._held[at:end]), end

    def _step(self, at: int, final: bool) -> tuple[Piece | None, int] | None:
        """The next piece and where it ends; None = more text is needed to tell."""
        held = self._held
        plain = _PLAIN.match(held, at)
        if plain:
            return Text(plain.group()), plain.end()
        char = held[at]
        if char in "`~":
            return self._code(at, final)
        space = _SPACE.match(held, at)
        start = space.end() if space else at
        if start == len(held):
            return (Text(held[at:]), start) if final else None
        if held[start] in "[【［〔\\":
            return self._bracket(at, start, final)
        return Text(held[at : max(start, at + 1)]), max(start, at + 1)

    def _code(self, at: int, final: bool) -> tuple[Piece | None, int] | None:
        """A code fence, a code span, or a lone run of back ticks."""
        held = self._held
        run = _TICKS.match(held, at)
        if run is None:  # one or two tildes
            end = at + 1
            while end < len(held) and held[end] == "~":
                end += 1
            return (Text(held[at:end]), end) if final or end < len(held) else None
        if run.end() == len(held) and not final:
            return None
        if self._line_start and len(run.group()) >= 3:
            return self._open_fence(run, final)
        if run.group()[0] == "~":
            return Text(run.group()), run.end()
        line_end = held.find("\n", run.end())
        whole_line = line_end >= 0 or final
        line_end = len(held) if line_end < 0 else line_end
        closing = next((m for m in _TICKS.finditer(held, run.end(), line_end) if m.group() == run.group()), None)
        if closing and (closing.end() < len(held) or whole_line):
            return Text(held[at : closing.end()]), closing.end()
        return (Text(run.group()), run.end()) if whole_line else None

    def _open_fence(self, run: re.Match[str], final: bool) -> tuple[Piece | None, int] | None:
        held = self._held
        line_end = held.find("\n", run.end())
        if line_end < 0 and not final:
            return None
        line_end = len(held) if line_end < 0 else line_end + 1
        if "`" in held[run.end() : line_end] and run.group()[0] == "`":
            return Text(run.group()), run.end()
        self._fence = run.group()
        return Text(held[run.start() : line_end]), line_end

    def _bracket(self, at: int, start: int, final: bool) -> tuple[Piece | None, int] | None:
        """Something that opens like a marker, with the space before it."""
        held = self._held
        if not final and _HALF.match(held, start):
            return None
        marker = _MARKER.match(held, start)
        if marker:
            numbers = numbers_in(marker["body"])
            if numbers is not None:
                return Marker(numbers, held[at:start]), marker.end()
        elif final and _CUT.match(held, start):
            return None, len(held)
        escape = held.startswith(("\\\\", "\\[", "\\`", "\\~"), start)
        end = start + (2 if escape else 1)
        return Text(held[at:end]), end


def _append(pieces: list[Piece], piece: Piece) -> None:
    """Add a piece, joining neighbouring texts."""
    if isinstance(piece, Text) and pieces and isinstance(pieces[-1], Text):
        pieces[-1] = Text(pieces[-1].text + piece.text)
    else:
        pieces.append(piece)
