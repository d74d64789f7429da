"""Checks markers against the passages found and keeps the list of verified citations of one answer.

Each entry of the list is one quote: the same quote cited again keeps its number, another quote of the same passage
gets a number of its own, so that `[n]` in an answer always leads to exactly one span.
"""

import re
from collections.abc import Sequence

from rag_app.chat.events import Citation
from rag_app.chat.facts import content_terms
from rag_app.chat.lexicon import language_of
from rag_app.chat.sentences import Span, split
from rag_app.chat.support import THRESHOLD, Evidence, find_anchored, find_evidence
from rag_app.retrieval.passages import Passage

_MARK = re.compile(r"[ \t]*\[\d+\]")
_TAIL = 2_000  # characters before a marker in which its sentence is looked for
_ENOUGH_TERMS = 3  # a statement with fewer is read together with the rest of its sentence
_LATIN = frozenset({"en", "de", "fr", "es", "pt", "it", "nl"})


def statement_before(answer: str, after: int) -> Span | None:
    """The part of the answer that a marker at its end stands for: its sentence, from `after` (the marker before it)
    when enough is said since then. None when nothing is said."""
    base = max(0, len(answer) - _TAIL)
    tail = answer[base:]
    sentences = [span for span in split(tail) if _bare(tail[span.start : span.end])]
    if not sentences:
        return None
    last = sentences[-1]
    start, end = base + last.start, base + last.end
    if start < after < end and len(content_terms(_bare(answer[after:end]), "")) >= _ENOUGH_TERMS:
        start = after + len(answer[after:end]) - len(answer[after:end].lstrip(" ,;"))
    return Span(start, end)


def _bare(text: str) -> str:
    """The text without markers and the white space around it."""
    return _MARK.sub("", text).strip()


def is_thin(statement: str) -> bool:
    """Whether a statement says too little to be checked on its own."""
    return len(content_terms(_bare(statement), "")) < _ENOUGH_TERMS


class CitationList:
    """The verified citations of one answer, in the order of their first marker."""

    def __init__(self, passages: Sequence[Passage], *, question: str) -> None:
        self._passages = passages
        self._question = question
        self._entries: list[Citation] = []
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._checked: dict[tuple[str, int], Evidence | None] = {}
        self.refused = 0

    @property
    def entries(self) -> tuple[Citation, ...]:
        """All verified citations so far; `n` counts from 1."""
        return tuple(self._entries)

    def check(self, statement: str, number: int, *, place: Span) -> tuple[int, Citation | None] | None:
        """The number to show for a marker of passage `number` (from 1) behind a statement, None when it fails.

        The citation comes along when it is new. `place` is where the statement stands in the answer.
        """
        evidence = self._evidence(_bare(statement), number)
        if evidence is None or evidence.score < THRESHOLD:
            self.refused += 1
            return None
        return self.add(number - 1, evidence.span, place=place)

    def add(self, index: int, span: Span, *, place: Span) -> tuple[int, Citation | None]:
        """Enter the span of a passage (index from 0) without a check, because the answer quotes it as it is."""
        key = (index, span.start, span.end)
        if key in self._numbers:
            return self._numbers[key], None
        entry = _citation(self._passages[index], span, n=len(self._entries) + 1, place=place)
        self._entries.append(entry)
        self._numbers[key] = entry.n
        return entry.n, entry

    def _evidence(self, statement: str, number: int) -> Evidence | None:
        """The best evidence for the statement in a passage; None without such a passage or anything to compare."""
        if not 1 <= number <= len(self._passages) or not statement:
            return None
        key = (statement, number)
        if key not in self._checked:
            self._checked[key] = check_support(statement, self._passages[number - 1], question=self._question)
        return self._checked[key]


def check_support(statement: str, passage: Passage, *, question: str = "") -> Evidence | None:
    """The window of the passage that supports a statement best, with its score; THRESHOLD decides."""
    language = passage.language or language_of(passage.text[:1000])
    context = f"{passage.title}. {passage.heading}"
    spoken = language_of(statement, fallback=language)
    if spoken != language and spoken in _LATIN:
        return find_anchored(statement, passage.text, language=language, spoken=spoken)
    return find_evidence(statement, passage.text, context=context, language=language, hint=question)


def _citation(passage: Passage, span: Span, *, n: int, place: Span) -> Citation:
    return Citation(
        n=n,
        answer_from=place.start,
        answer_to=place.end,
        knowledge_base_id=passage.knowledge_base_id,
        document_id=passage.document_id,
        version_id=passage.version_id,
        passage_id=passage.id,
        external_id=passage.external_id,
        title=passage.title,
        url=passage.url,
        page_from=passage.page_from,
        page_to=passage.page_to,
        char_from=passage.char_from + span.start,
        char_to=passage.char_from + span.end,
        quote=passage.text[span.start : span.end],
        place=passage.place,
    )
