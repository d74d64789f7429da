"""/why: how one answer came about, step by step; why a document is missing; other settings tried on it."""

from typing import Any

import reflex as rx

from rag_app.components.browser import Answer
from rag_app.components.furniture import (
    badge,
    box,
    button,
    empty,
    field,
    link_button,
    page_head,
    problem,
    skeleton,
    text_input,
)
from rag_app.pages.frame import Page, framed
from rag_app.pages.retrieval_fields import retrieval_fields
from rag_app.pages.why_tables import calls_table, candidates_table, legend, trial_table
from rag_app.state.rows import CitationRow, Timing
from rag_app.state.why import WhyState
from rag_app.state.why_rows import SearchRow, TriedRow


def _step(title: str, text: Any, *content: rx.Component) -> rx.Component:
    return rx.el.li(
        rx.el.h2(title),
        rx.fragment() if isinstance(text, str) and not text else rx.el.p(text, class_name="small muted"),
        *content,
        class_name="why-step stack tight",
    )


def _search(row: SearchRow) -> rx.Component:
    return rx.el.section(
        rx.el.h3("“", row.text, "”", dir="auto"),
        rx.el.div(
            badge(row.why, tone="flat"),
            rx.el.span(row.weights, class_name="small muted"),
            rx.el.span(row.took, class_name="small muted num"),
            class_name="row wrap",
        ),
        rx.cond(
            row.candidates.length() > 0,
            candidates_table(row),
            rx.el.p("Nothing was found.", class_name="muted"),
        ),
        rx.cond(row.hidden != "", rx.el.p(row.hidden, class_name="small muted"), rx.fragment()),
        class_name="stack tight",
    )


def _evidence() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.i(style={"width": f"{WhyState.likely}%"}),
            rx.el.b(style={"inset_inline_start": f"{WhyState.bar}%"}),
            class_name="why-scale",
            aria_hidden="true",
        ),
        rx.el.p(
            rx.el.strong(f"{WhyState.likely} %", class_name="num"),
            " likely that these passages answer the question. Below ",
            rx.el.strong(f"{WhyState.bar} %", class_name="num"),
            " the bot says that it found nothing: that is its setting “Least probability”. How many passages it may "
            "use at most is another one: “Passages”, here ",
            rx.el.strong(WhyState.limit, class_name="num"),
            ".",
        ),
        class_name="stack tight",
    )


def _said() -> rx.Component:
    """What was asked and what was answered."""
    return rx.el.section(
        rx.el.h2("Question", class_name="small muted"),
        rx.el.p(WhyState.question, class_name="why-question", dir="auto"),
        rx.el.h2("Answer", class_name="small muted"),
        rx.cond(
            WhyState.answer != "",
            Answer.create(text=WhyState.answer, citations=WhyState.sources, active=0, on_cite=WhyState.open_source),
            rx.el.p("It ended before a word was said.", class_name="muted"),
        ),
        rx.cond(
            WhyState.sources.length() > 0,
            rx.el.ul(rx.foreach(WhyState.sources, _source), class_name="sources", aria_label="Sources"),
            rx.fragment(),
        ),
        class_name="card stack tight",
    )


def _source(citation: CitationRow) -> rx.Component:
    return rx.el.li(
        rx.el.a(
            rx.el.span(citation.n, class_name="cite", aria_hidden="true"),
            rx.el.span(citation.title, class_name="cut"),
            rx.cond(citation.page != "", rx.el.span(citation.page, class_name="nowrap"), rx.fragment()),
            href=f"/documents/{citation.document_id}",
            class_name="source",
        ),
        key=citation.n,
    )


def _flow() -> rx.Component:
    return rx.el.ol(
        rx.cond(
            WhyState.searched,
            rx.fragment(
                _step(
                    "Searches and what they found",
                    "Each search compares words and meaning, and puts both together. The best passages come first.",
                    legend(),
                    rx.foreach(WhyState.searches, _search),
                ),
                rx.cond(
                    WhyState.judged,
                    _step("Is it an answer?", "Estimated before anything is written.", _evidence()),
                    rx.fragment(),
                ),
                _step("What the answer was made from", WhyState.way, rx.el.p(WhyState.prompt)),
            ),
            _step("No search", WhyState.way),
        ),
        _step(
            "How it was written",
            "",
            rx.cond(
                WhyState.abstained,
                rx.el.p("It said that the documents hold no answer."),
                rx.el.p(WhyState.citations),
            ),
            rx.cond(
                WhyState.calls.length() > 0, calls_table(), rx.el.p("No model was called.", class_name="small muted")
            ),
            rx.el.div(
                rx.foreach(WhyState.timings, _timing),
                class_name="row wrap small muted",
                style={"gap": "4px 16px"},
                aria_label="Times",
            ),
        ),
        class_name="why-flow",
    )


def _timing(timing: Timing) -> rx.Component:
    return rx.el.span(timing.name, " ", rx.el.strong(timing.took, class_name="num"), class_name="nowrap")


def _missing() -> rx.Component:
    return rx.el.section(
        rx.el.h2("Is a document missing?"),
        rx.el.p("Name it, and read why it was not used.", class_name="small muted"),
        rx.el.form(
            rx.el.div(
                rx.el.div(
                    field(
                        "Document",
                        text_input(
                            "document",
                            required=True,
                            max_length=500,
                            placeholder="Title, file name or external id",
                            auto_complete="off",
                        ),
                    ),
                    class_name="grow",
                    style={"flex_basis": "220px"},
                ),
                button("Why not?", kind="submit"),
                class_name="row wrap",
                style={"align_items": "flex-end"},
            ),
            on_submit=WhyState.ask_about,
        ),
        problem(WhyState.absence_problem),
        rx.el.div(rx.cond(WhyState.absence.sentence != "", _absence(), rx.fragment()), role="status"),
        class_name="card stack tight",
    )


def _absence() -> rx.Component:
    row = WhyState.absence
    return rx.el.div(
        rx.el.h3(rx.el.a(row.title, href=f"/documents/{row.document_id}")),
        rx.cond(row.used, box(row.sentence, tone="good"), box(row.sentence, tone="info")),
        rx.el.ul(rx.foreach(row.details, lambda line: rx.el.li(line)), class_name="small why-list"),
        rx.cond(row.excerpt != "", rx.el.p(row.excerpt, class_name="passage small", dir="auto"), rx.fragment()),
        rx.cond(
            row.suggestion != "",
            button("Try: ", row.suggestion, on_click=WhyState.try_suggestion, disabled=WhyState.trying),
            rx.fragment(),
        ),
        class_name="stack tight",
    )


def _trial() -> rx.Component:
    return rx.el.section(
        rx.el.h2("Try other settings"),
        rx.el.p(
            "Searches again for this question. Nothing is stored, and no answer is written.", class_name="small muted"
        ),
        rx.el.form(
            retrieval_fields(WhyState.fields),
            rx.el.div(
                button("Try", look="primary", kind="submit", disabled=WhyState.trying),
                class_name="row",
                style={"margin_top": "12px"},
            ),
            on_submit=WhyState.try_fields,
            key=WhyState.fields.to_string(),
        ),
        problem(WhyState.trial_problem),
        rx.el.div(
            rx.cond(WhyState.trying, skeleton(3), rx.fragment()),
            rx.cond(WhyState.tried, _compared(), rx.fragment()),
            role="status",
        ),
        class_name="card stack tight",
    )


def _compared() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            _tried("As it is", WhyState.before),
            _tried("With these settings", WhyState.after),
            class_name="why-compare",
        ),
        rx.el.p(
            "Relevance, 0 to 1: how likely one passage by itself holds the answer. The figure in per cent is of all of "
            "them together.",
            class_name="small muted",
        ),
        rx.cond(
            WhyState.may_apply,
            rx.el.div(
                button("Use these settings", look="primary", on_click=WhyState.apply),
                rx.el.span("For “", WhyState.bot_name, "”, from the next question on.", class_name="small muted"),
                class_name="row wrap",
            ),
            rx.el.p("Editors can apply these settings to the bot.", class_name="small muted"),
        ),
        class_name="stack",
    )


def _tried(title: str, row: TriedRow) -> rx.Component:
    return rx.el.section(
        rx.el.h3(title),
        rx.el.p(row.said, class_name="small"),
        rx.foreach(row.warnings, lambda warning: box(warning, tone="warn")),
        rx.cond(row.passages.length() > 0, trial_table(row), rx.el.p("Nothing was found.", class_name="muted")),
        class_name="stack tight",
    )


def _content() -> rx.Component:
    return rx.fragment(
        rx.foreach(WhyState.warnings, lambda warning: box(warning, tone="warn")),
        _said(),
        _flow(),
        rx.cond(WhyState.searched, rx.fragment(_missing(), _trial()), rx.fragment()),
    )


def content() -> rx.Component:
    """The page."""
    return framed(
        page_head(
            "Why this answer",
            link_button("Back to the chat", href=f"/chat/{WhyState.conversation}"),
            text="From the question to the answer: what was searched, what was found, what was left out and why.",
        ),
        rx.cond(
            WhyState.problem != "",
            empty("Nothing to show", WhyState.problem, link_button("To the chat", href="/chat"), sign="search_x"),
            rx.cond(WhyState.loaded, _content(), skeleton(6)),
        ),
        here="chat",
    )


PAGES = (Page("/why/[message_id]", "Why this answer · rag_app", content, (WhyState.load,)),)
