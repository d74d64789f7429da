"""“Why this answer” as plain values ready for the browser."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from rag_app.retrieval.places import described
from rag_app.services.absences import Absence
from rag_app.services.traces import TracedCandidate, TracedQuery, TraceView
from rag_app.services.trials import Trial, Tried
from rag_app.state.chat_rows import citation_row
from rag_app.state.rows import CitationRow
from rag_app.state.wording import count, counted, milliseconds, money, percent

FATES = {
    "used": ("could have been used", "flat"),
    "cited": ("cited in the answer", "good"),
    "budget": ("no room in the prompt", "warn"),
    "pool": ("another search took its place", "warn"),
    "joined": ("part of a passage above", "flat"),
    "duplicate": ("same words as another", "flat"),
    "below_limit": ("not among the best", "flat"),
}
WHYS = {
    "asked": "as it was asked",
    "rewritten": "completed from the conversation",
    "part": "one part of the question",
    "hop": "asked by the model after reading",
}
PURPOSES = {
    "rewrite": "understand the question",
    "hop": "decide what to search next",
    "rerank": "rerank the passages",
    "answer": "write the answer",
}
STEPS = {
    "rewrite": "understand the question",
    "search": "search",
    "first_token": "first word after",
    "total": "in all",
}
WAYS = {
    "model": "A model wrote the answer from these passages.",
    "quotes": "No model is configured, so sentences of these passages were quoted.",
    "refused": "What was found was not likely enough to answer, so the answer said no.",
    "talk": "This was answered without a search.",
    "none": "The answer ended before anything was found.",
}


@dataclass
class CandidateRow:
    """A passage that a search considered. Bars are 0..100."""

    key: str
    place: str
    document_id: str
    title: str
    apart: str  # file name and version, where documents have the same title
    since: str  # when that version came, ISO 8601; "" = need not be known
    where: str
    excerpt: str
    words: str
    words_bar: int
    meaning: str
    meaning_bar: int
    fused: str
    fused_bar: int
    rerank: str
    fate: str
    tone: str


@dataclass
class SearchRow:
    """One search."""

    text: str
    why: str
    took: str
    weights: str
    hidden: str
    reranked: bool
    candidates: list[CandidateRow] = field(default_factory=list)


@dataclass
class CallRow:
    """One call of a model."""

    key: str
    purpose: str
    model: str
    tokens: str
    price: str
    took: str
    ok: bool


@dataclass
class FoundRow:
    """A passage of a trial, and how its place changed."""

    key: str
    place: int
    title: str
    where: str
    score: str
    moved: str
    document_id: str


@dataclass
class TriedRow:
    """What one set of settings finds."""

    said: str
    says_no: bool
    took: str
    passages: list[FoundRow] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class AbsenceRow:
    """Why a document is missing."""

    document_id: str = ""
    title: str = ""
    sentence: str = ""
    used: bool = False
    details: list[str] = field(default_factory=list)
    excerpt: str = ""
    suggestion: str = ""


def search_rows(trace: TraceView) -> list[SearchRow]:
    """The searches of an answer."""
    titles = {each.document_id: each.title for query in trace.queries for each in query.candidates}
    several = {title for title, times in Counter(titles.values()).items() if times > 1}
    limit = trace.settings.get("limit")
    return [_search(query, several, limit) for query in trace.queries]


def source_rows(trace: TraceView) -> list[CitationRow]:
    """The citations of an answer; documents of one title are told apart as among the candidates."""
    apart = {row.document_id: row.apart for search in search_rows(trace) for row in search.candidates}
    rows = [citation_row(each) for each in trace.sources]
    for row in rows:
        row.page = " · ".join(part for part in (row.page, apart.get(row.document_id, "")) if part)
    return rows


def _search(query: TracedQuery, several: Set[str], limit: int | None) -> SearchRow:
    top = max((each.bm25 for each in query.candidates), default=0.0)
    share = round(query.dense_weight * 100)
    hidden = counted(query.hidden, "candidate")
    return SearchRow(
        text=query.text,
        why=WHYS.get(query.why, query.why),
        took=milliseconds(query.timings_ms.get("total")),
        weights=f"words count {100 - share} %, meaning {share} %",
        hidden=f"{hidden} not shown: gone since, or not yours to see." if query.hidden else "",
        reranked=any(each.ranks.get("rerank") for each in query.candidates),
        candidates=[
            _candidate(place, each, top=top, is_double=each.title in several, limit=limit)
            for place, each in enumerate(query.candidates, start=1)
        ],
    )


def _candidate(place: int, one: TracedCandidate, *, top: float, is_double: bool, limit: int | None) -> CandidateRow:
    fate, tone = FATES["cited" if one.cited else one.fate]
    if one.fate == "below_limit" and limit and not one.cited:
        fate = f"{fate} {limit}"
    version = f"version {one.version}" if one.version else ""
    known_as = one.filename if one.filename not in ("", one.title) else one.external_id or one.filename
    where = " · ".join(
        part
        for part in (
            section(one.title, one.heading),
            described(one.place, one.page_from, one.page_to),
            one.knowledge_base,
        )
        if part
    )
    return CandidateRow(
        key=str(one.passage_id),
        place=f"{place}.",
        document_id=str(one.document_id),
        title=one.title,
        apart=" · ".join(part for part in (known_as, version) if part) if is_double else "",
        since=one.version_at.isoformat() if is_double and one.version_at else "",
        where=where,
        excerpt=one.excerpt or "This passage was cut anew since.",
        words=_rank(one.ranks.get("lexical"), f"{one.bm25:.1f}"),
        words_bar=percent(one.bm25 / top) if top else 0,
        meaning=_rank(one.ranks.get("dense"), "–" if one.cosine is None else f"{one.cosine:.2f}"),
        meaning_bar=percent(one.cosine or 0.0),
        fused=_rank(one.ranks.get("fused"), f"{one.fused:.2f}"),
        fused_bar=percent(one.fused),
        rerank=f"#{one.ranks['rerank']}" if one.ranks.get("rerank") else "–",
        fate=fate,
        tone=tone,
    )


def section(title: str, heading: str) -> str:
    """The headings above a passage without the first, where that is the title said once more."""
    first, _, rest = heading.partition(" › ")
    return rest if first == title else heading


def _rank(place: int | None, score: str) -> str:
    return f"#{place} · {score}" if place else f"far down · {score}"


def call_rows(trace: TraceView) -> list[CallRow]:
    """The calls of models."""
    return [
        CallRow(
            key=str(number),
            purpose=PURPOSES.get(call["purpose"], call["purpose"]),
            model=call["model"],
            tokens=_tokens(call),
            price=money(call["cost_microusd"]) or "unknown",
            took=milliseconds(call["took_ms"]),
            ok=call["ok"],
        )
        for number, call in enumerate(trace.calls)
    ]


def _tokens(call: Mapping[str, Any]) -> str:
    if call["prompt_tokens"] is None and call["completion_tokens"] is None:
        return "unknown"
    return f"{count(call['prompt_tokens'])} in, {count(call['completion_tokens'])} out"


def prompt_words(trace: TraceView) -> str:
    """What went into the prompt."""
    note = trace.prompt
    passages = counted(note["passages"], "passage")
    if not note["prompt_tokens"]:
        return f"{passages} could have been used." if note["passages"] else "No passage could have been used."
    turns = f", {counted(note['history_turns'], 'earlier message')}" if note["history_turns"] else ""
    return (
        f"{passages} of about {count(note['passage_tokens'])} tokens, of the {count(note['budget_tokens'])} that are "
        f"kept for them{turns}; about {count(note['prompt_tokens'])} tokens in all."
    )


def trial_rows(trial: Trial) -> tuple[TriedRow, TriedRow]:
    """Before and after; places are compared."""
    before = {each.id: place for place, each in enumerate(trial.before.passages, start=1)}
    return _tried(trial.before, {}), _tried(trial.after, before)


def _tried(tried: Tried, before: Mapping[UUID, int]) -> TriedRow:
    likely = f"{percent(tried.probability)} % likely to answer, at least {percent(tried.bar)} % wanted"
    rows = [
        FoundRow(
            key=str(each.id),
            place=place,
            title=each.title,
            where=" · ".join(
                part
                for part in (section(each.title, each.heading), described(each.place, each.page_from, each.page_to))
                if part
            ),
            score=f"{each.score:.2f}",
            moved=_moved(before.get(each.id), place) if before else "",
            document_id=str(each.document_id),
        )
        for place, each in enumerate(tried.passages, start=1)
    ]
    took = milliseconds(tried.timings_ms.get("total"))
    return TriedRow(
        f"{likely}: {'says no' if tried.says_no else 'answers'}.", tried.says_no, took, rows, [*tried.warnings]
    )


def _moved(before: int | None, now: int) -> str:
    if before is None:
        return "new"
    return "same place" if before == now else f"was {before}"


def absence_row(absence: Absence) -> AbsenceRow:
    """Why a document is missing."""
    standing = absence.standing
    best = standing.by_words if standing.by_words and standing.by_words.bm25 > 0 else standing.by_meaning
    return AbsenceRow(
        document_id=str(absence.document_id),
        title=absence.title,
        sentence=absence.sentence,
        used=absence.reason in ("cited", "used"),
        details=_details(absence),
        excerpt=best.text if best else "",
        suggestion=suggestion_words(absence.changes),
    )


def _details(absence: Absence) -> list[str]:
    standing, last = absence.standing, absence.last_shown
    found = [f"Its file is “{absence.filename}”."] if absence.filename not in ("", absence.title) else []
    if absence.others:
        fits = "document fits" if absence.others == 1 else "documents fit"
        found.append(f"{absence.others} other {fits} this name too: the whole file name or external id says which.")
    if absence.query:
        found.append(f"Looked at with the search “{absence.query}”.")
    if absence.hidden:
        found.append(f"{counted(absence.hidden, 'stretch', 'stretches')} of it cannot be found, because of edits.")
    if standing.by_words:
        found.append(f"Its best passage by words scores {standing.by_words.bm25:.1f}.")
    if standing.by_meaning and standing.by_meaning.cosine is not None:
        found.append(f"Its best passage by meaning has a similarity of {standing.by_meaning.cosine:.2f}.")
    if last is not None:
        meaning = "–" if last.cosine is None else f"{last.cosine:.2f}"
        found.append(f"The last passage that the answer took has {last.bm25:.1f} by words and {meaning} by meaning.")
    if standing.held:
        found.append(f"These words of the question stand in it: {', '.join(standing.held)}.")
    return found


def suggestion_words(changes: Mapping[str, Any]) -> str:
    """A change of the settings in words; "" for none."""
    words = {
        "limit": "Take the best {} passages",
        "context_tokens": "Keep {} tokens for passages",
        "minimum_evidence": "Answer from a probability of {} on",
        "mode": "Search by words and meaning",
        "filter": "Search without the filter",
        "rerank": "Search without the reranker",
    }
    return "; ".join(_filled(words[name], value) for name, value in changes.items() if name in words)


def _filled(words: str, value: Any) -> str:
    return words.replace("{}", str(value))


def timing_rows(timings_ms: Mapping[str, float]) -> Sequence[tuple[str, str]]:
    """Each step with its time."""
    return [(label, milliseconds(timings_ms[name])) for name, label in STEPS.items() if name in timings_ms]
