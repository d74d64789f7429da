"""Turns streamed model text into tokens and checked citations, keeping the answer as it is shown."""

from collections.abc import Iterator, Sequence

from rag_app.chat.citations import CitationList, is_thin, statement_before
from rag_app.chat.events import Citation, Cited, Token
from rag_app.chat.markers import Marker, MarkerFilter, Piece
from rag_app.chat.sentences import Span, split
from rag_app.retrieval.passages import Passage

_LONGEST_WAIT = 400  # characters that may be held behind a marker whose statement is still being written


class AnswerWriter:
    """Feed it model text; it yields what a reader may see. `text` is the answer so far, `citations` its sources."""

    def __init__(self, passages: Sequence[Passage], *, question: str) -> None:
        self.text = ""
        self.says_nothing_found = False
        self._list = CitationList(passages, question=question)
        self._filter = MarkerFilter()
        self._claim: Span | None = None
        self._claim_end = 0
        self._shown: set[int] = set()  # numbers already shown behind the current statement
        self._space = ""  # before a marker that failed; the next one behind the same statement takes it over
        self._waiting: Marker | None = None
        self._behind = ""

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The verified citations so far."""
        return self._list.entries

    @property
    def refused(self) -> int:
        """How many markers failed the check."""
        return self._list.refused

    def feed(self, chunk: str) -> Iterator[Token | Cited]:
        """What can be shown after this chunk."""
        for piece in self._filter.feed(chunk):
            yield from self._take(piece)

    def finish(self) -> Iterator[Token | Cited]:
        """What was held back, at the end of the stream or where it was cut."""
        for piece in self._filter.finish():
            yield from self._take(piece)
        yield from self._settle()

    def _take(self, piece: Piece) -> Iterator[Token | Cited]:
        if isinstance(piece, Marker):
            yield from self._mark(piece)
        elif self._waiting is None:
            yield from self._say(piece.text)
        else:
            yield from self._hold(piece.text)

    def _say(self, text: str) -> Iterator[Token]:
        if text:
            self.text += text
            yield Token(text)

    def _mark(self, marker: Marker) -> Iterator[Token | Cited]:
        """Check a marker now, or hold it until its sentence says enough."""
        if 0 in marker.numbers:
            self.says_nothing_found = True
        if self._waiting is not None and not self._behind.strip():
            self._waiting = Marker((*self._waiting.numbers, *marker.numbers), self._waiting.space)
            return
        yield from self._settle()
        if self._claim is None or self.text[self._claim_end :].strip():
            self._claim = statement_before(self.text, self._claim_end)
            self._shown = set()
            self._space = ""
        claim = self._claim
        if claim is None or (is_thin(self.text[claim.start : claim.end]) and not self._is_finished(claim)):
            self._waiting = marker
            return
        yield from self._cite(marker, claim)

    def _is_finished(self, claim: Span) -> bool:
        """Whether the sentence has its stop already."""
        return self.text[claim.start : claim.end].rstrip("\"'”’»)*_ ")[-1:] in ".!?…。！？"

    def _hold(self, text: str) -> Iterator[Token | Cited]:
        """Gather the rest of the sentence behind a held marker."""
        self._behind += text
        if len(split(self._behind)) > 1 or "\n" in self._behind.strip(" ") or len(self._behind) > _LONGEST_WAIT:
            yield from self._settle()

    def _settle(self) -> Iterator[Token | Cited]:
        """Let a held marker follow its whole sentence, and decide on it there."""
        marker, behind = self._waiting, self._behind
        if marker is None:
            return
        self._waiting, self._behind = None, ""
        spans = split(behind[:_LONGEST_WAIT].partition("\n")[0])
        end = spans[0].end if spans else 0
        start = self._claim.start if self._claim else len(self.text) + (spans[0].start if spans else 0)
        yield from self._say(behind[:end])
        claim = Span(start, len(self.text))
        if claim.end > claim.start:
            yield from self._cite(Marker(marker.numbers, marker.space or " "), claim)
        yield from self._say(behind[end:])

    def _cite(self, marker: Marker, claim: Span) -> Iterator[Token | Cited]:
        """Show the numbers of a marker that hold, each once behind one statement."""
        statement = self.text[claim.start : claim.end]
        self._space = self._space or marker.space
        for number in marker.numbers:
            checked = self._list.check(statement, number, place=claim)
            if checked is None:
                continue
            n, fresh = checked
            if fresh is not None:
                yield Cited(fresh)
            if n not in self._shown:
                self._shown.add(n)
                yield from self._say(f"{self._space}[{n}]")
                self._space = ""
        self._claim, self._claim_end = claim, len(self.text)
