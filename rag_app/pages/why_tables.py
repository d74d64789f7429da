"""The tables of “Why this answer”: candidates with bars, calls of models, passages of a trial."""

from functools import partial
from typing import Any

import reflex as rx

from rag_app.components.browser import Age
from rag_app.components.furniture import badge, table
from rag_app.state.why import WhyState
from rag_app.state.why_rows import CallRow, CandidateRow, FoundRow, SearchRow, TriedRow


def _bar(text: Any, part: Any, label: str) -> rx.Component:
    return rx.el.td(
        rx.el.span(text, class_name="num nowrap"),
        rx.el.span(rx.el.i(style={"width": f"{part}%"}), class_name="why-bar", aria_hidden="true"),
        custom_attrs={"data-label": label},
    )


def _candidate(row: CandidateRow, *, reranked: bool) -> rx.Component:
    return rx.el.tr(
        rx.el.td(row.place, class_name="num muted why-n"),
        rx.el.td(
            rx.el.a(row.title, href=f"/documents/{row.document_id}", class_name="doc-title"),
            rx.cond(
                row.apart != "",
                rx.el.div(
                    row.apart,
                    rx.cond(row.since != "", rx.fragment(" · ", Age.create(when=row.since)), rx.fragment()),
                    class_name="small muted",
                ),
                rx.fragment(),
            ),
            rx.el.details(
                rx.el.summary(row.where, class_name="small muted"),
                rx.el.p(row.excerpt, class_name="passage small", dir="auto"),
            ),
        ),
        _bar(row.words, row.words_bar, "Words"),
        _bar(row.meaning, row.meaning_bar, "Meaning"),
        _bar(row.fused, row.fused_bar, "Together"),
        rx.el.td(row.rerank, class_name="num", custom_attrs={"data-label": "Reranked"}) if reranked else rx.fragment(),
        rx.el.td(badge(row.fate, tone=row.tone)),
        key=row.key,
    )


def candidates_table(row: SearchRow) -> rx.Component:
    """The candidates of one search, best first."""
    return rx.cond(row.reranked, _candidates(row, reranked=True), _candidates(row, reranked=False))


def _candidates(row: SearchRow, *, reranked: bool) -> rx.Component:
    heads = ["#", "Passage", "Words", "Meaning", "Together", *(["Reranked"] if reranked else []), "What became of it"]
    rows = rx.foreach(row.candidates, partial(_candidate, reranked=reranked))
    return table([(head, "") for head in heads], rows, label="Candidates")


_FIGURES = (
    ("#2 · 16.2", "The place in that column's own order, then the score. More is better, within one search only."),
    ("far down", "Not among the first of that column; its score was looked up afterwards."),
    ("Words", "How well it holds the words of the question; rare words count more. There is no highest score: the bar "
     "is full for the best of this search."),
    ("Meaning", "How close it is in meaning: 1 is the same, 0 has nothing to do with it."),
    ("Together", "Both in one score, by the shares above the table; at 1 the bar is full, and a passage in which the "
     "words stand close together may have more."),
    ("Reranked", "The place that a reranker gave it, where the bot has one."),
    ("could have been used", "It was among what the answer may rest on, but the answer does not cite it."),
    ("not among the best", "There were enough better ones: the setting “Passages” says how many are taken."),
    ("part of a passage above", "It stands directly beside a better one, and both were joined."),
)  # fmt: skip


def legend() -> rx.Component:
    """What the figures and words of the tables mean."""
    rows = [rx.el.div(rx.el.dt(name), rx.el.dd(meaning)) for name, meaning in _FIGURES]
    return rx.el.details(
        rx.el.summary("What the figures mean", class_name="small"),
        rx.el.dl(*rows, class_name="why-legend small"),
    )


def _call(row: CallRow) -> rx.Component:
    return rx.el.tr(
        rx.el.td(row.purpose),
        rx.el.td(row.model, class_name="cut"),
        rx.el.td(row.tokens, class_name="num", custom_attrs={"data-label": "Tokens"}),
        rx.el.td(row.price, class_name="num", custom_attrs={"data-label": "Price"}),
        rx.el.td(row.took, class_name="num", custom_attrs={"data-label": "Time"}),
        rx.el.td(rx.cond(row.ok, badge("done", tone="flat"), badge("left out", tone="warn"))),
        key=row.key,
    )


def calls_table() -> rx.Component:
    """The calls of models."""
    heads = [("Call", ""), ("Model", ""), ("Tokens", ""), ("Price", ""), ("Time", ""), ("Outcome", "")]
    return table(heads, rx.foreach(WhyState.calls, _call), label="Calls of models")


def _found(row: FoundRow) -> rx.Component:
    return rx.el.tr(
        rx.el.td(f"{row.place}.", class_name="num muted why-n"),
        rx.el.td(
            rx.el.a(row.title, href=f"/documents/{row.document_id}", class_name="doc-title"),
            rx.el.div(row.where, class_name="small muted"),
        ),
        rx.el.td(row.score, class_name="num", custom_attrs={"data-label": "Relevance"}),
        rx.el.td(rx.cond(row.moved != "", badge(row.moved, tone="flat"), rx.fragment())),
        key=row.key,
    )


def trial_table(row: TriedRow) -> rx.Component:
    """The passages that one set of settings finds."""
    heads = [("#", ""), ("Passage", ""), ("Relevance", ""), ("Change", "")]
    return table(heads, rx.foreach(row.passages, _found), label="Passages found")
