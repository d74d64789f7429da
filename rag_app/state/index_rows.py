"""How indexes, estimates and comparisons are written for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rag_app.services.index_comparison import ComparedQuestion, FoundPassage
from rag_app.services.index_estimate import Estimate
from rag_app.services.indexes import IndexCard
from rag_app.state.rows import Choice
from rag_app.state.wording import count, counted, model_label, money, percent

WORDS_PER_TOKEN = 0.75
PHASES = {
    None: "waiting for its turn",
    "cutting": "cutting documents anew",
    "embedding": "embedding passages",
    "indexing": "building the vector index",
    "comparing": "comparing",
    "ready": "complete",
    "flipping": "taking over",
}
_SHOWN_TEXT = 240


@dataclass
class IndexRow:
    """An index; an empty id means that there is none."""

    id: str = ""
    model: str = ""
    label: str = ""
    cutting: str = ""
    passage_tokens: int = 220
    overlap_tokens: int = 0
    state: str = ""
    phase: str = ""
    ready: bool = False
    complete: bool = False
    percent: int = 0
    progress: str = ""
    problem: str = ""
    figures: str = ""
    until: str = ""
    comparable: bool = False


@dataclass
class FoundRow:
    """A passage that one of the two indexes finds, with its place in each."""

    key: str
    title: str
    text: str
    before: str
    after: str
    tone: str  # same | moved | new | gone


@dataclass
class ComparedRow:
    """One question that was compared."""

    key: str
    question: str
    verdict: str
    passages: list[FoundRow] = field(default_factory=list)


def index_row(card: IndexCard) -> IndexRow:
    """An index as the settings show it."""
    is_ready = card.phase == "ready"
    return IndexRow(
        id=str(card.id),
        model=card.model,
        label=model_label(card.model),
        cutting=cutting_words(card.passage_tokens, card.overlap_tokens),
        passage_tokens=card.passage_tokens,
        overlap_tokens=card.overlap_tokens,
        state=card.state,
        phase=PHASES.get(card.phase, card.phase or ""),
        ready=is_ready and not card.auto_flip,
        complete=is_ready,
        percent=100 if is_ready else percent(card.progress),
        progress=_progress(card),
        problem=card.problem.message if card.problem else "",
        figures=figures_of(card.comparison),
        until=_day(card.drop_at),
        comparable=card.state == "retired" or is_ready,
    )


def cutting_words(passage_tokens: int, overlap_tokens: int) -> str:
    """(220, 0) -> “passages of about 220 tokens (165 words)”."""
    words = f"passages of about {passage_tokens} tokens ({round(passage_tokens * WORDS_PER_TOKEN)} words)"
    return f"{words}, overlapping by up to {overlap_tokens} tokens" if overlap_tokens else words


def _progress(card: IndexCard) -> str:
    if card.state != "building" or not card.total:
        return ""
    unit = "documents" if card.phase == "cutting" else "passages"
    parts = [f"{count(card.done)} of {count(card.total)} {unit}"]
    if card.left_s is not None:
        parts.append(f"{duration(card.left_s)} left")
    return " · ".join(parts)


def duration(seconds: float | None) -> str:
    """40 -> “about 40 s”, 200 -> “about 3 min”, 7300 -> “about 2 h”; unknown -> “–”."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5_400:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 3600)} h"


def _day(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d") if moment else ""


def estimate_lines(found: Estimate) -> list[Choice]:
    """What it would take, line by line."""
    price = "no cost" if found.cost_microusd == 0 else money(found.cost_microusd) or "not known"
    return [
        Choice("Passages", f"{count(found.passages)} (now {count(found.passages_now)})"),
        Choice("Tokens to embed", f"about {count(found.tokens)}"),
        Choice("Price", price),
        Choice("Time", duration(found.seconds)),
        Choice("Numbers per vector", count(found.dimensions)),
    ]


def figures_of(figures: Mapping[str, Any]) -> str:
    """The figures of a comparison as a sentence; “” when there are none."""
    if not figures:
        return ""
    if not figures.get("questions"):
        return "Nothing to compare on yet: nobody has asked this knowledge base a question."
    kind = "of yours" if figures.get("source") == "given" else "asked of late"
    asked = counted(int(figures["questions"]), "question")
    shared, first = percent(figures["overlap_at_10"]), percent(figures["first_same"])
    return f"On {asked} {kind}: {shared} % of the first ten passages are the same, the very first one in {first} %."


def compared_row(compared: ComparedQuestion) -> ComparedRow:
    """One compared question with the passages of both."""
    question = compared.question or "A question that somebody else asked"
    first = "the same first passage" if compared.is_first_same else "another first passage"
    passages = [_found_row(number, each) for number, each in enumerate(compared.passages)]
    return ComparedRow(question, question, f"{percent(compared.overlap)} % the same, {first}", passages)


def _found_row(number: int, found: FoundPassage) -> FoundRow:
    old, new = found.old_place, found.new_place
    tone = "new" if old is None else "gone" if new is None else "same" if old == new else "moved"
    text = " ".join(found.text.split())
    shown = text if len(text) <= _SHOWN_TEXT else text[:_SHOWN_TEXT].rstrip() + "…"
    return FoundRow(f"{number}", found.title, shown, f"{old or '–'}", f"{new or '–'}", tone)
