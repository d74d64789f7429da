"""The tab “Test retrieval” of a knowledge base."""

import reflex as rx

from rag_app.components.furniture import badge, box, button, empty, problem, text_input
from rag_app.state.retrieval import RetrievalState
from rag_app.state.rows import PassageRow, Timing


def _passage(row: PassageRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.span(f"{row.place}.", class_name="num muted"),
            rx.el.a(row.title, href=f"/documents/{row.document_id}", class_name="doc-title"),
            rx.cond(row.pages != "", rx.el.span(row.pages, class_name="small muted nowrap"), rx.fragment()),
            class_name="row wrap",
        ),
        rx.cond(row.heading != "", rx.el.div(row.heading, class_name="small muted"), rx.fragment()),
        rx.el.p(row.text, class_name="passage", style={"margin": "8px 0"}),
        rx.el.div(
            badge(f"relevance {row.score}", tone="flat"),
            badge(f"words {row.lexical}", tone="flat"),
            badge(f"meaning {row.dense}", tone="flat"),
            badge(f"fused {row.fused}", tone="flat"),
            class_name="row wrap num",
        ),
        class_name="card",
        key=row.id,
    )


def _timing(timing: Timing) -> rx.Component:
    return rx.el.span(timing.name, " ", rx.el.strong(timing.took, class_name="num"), class_name="nowrap")


def _results() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.foreach(RetrievalState.timings, _timing),
            class_name="row wrap small muted",
            style={"gap": "4px 16px"},
            aria_label="Timings",
        ),
        rx.foreach(RetrievalState.warnings, lambda warning: box(warning, tone="warn")),
        rx.cond(
            RetrievalState.passages.length() > 0,
            rx.el.ol(
                rx.foreach(RetrievalState.passages, _passage),
                class_name="stack",
                style={"list_style": "none", "padding": "0"},
            ),
            empty("Nothing found", "No passage fits this question.", sign="search_x"),
        ),
        class_name="stack",
        role="status",
    )


def retrieval_tab() -> rx.Component:
    """What a question finds, and why."""
    return rx.el.div(
        rx.el.form(
            rx.el.div(
                rx.el.div(
                    text_input(
                        "query",
                        placeholder="Type a question as a visitor would",
                        aria_label="Question",
                        required=True,
                        max_length=2000,
                        auto_complete="off",
                    ),
                    class_name="grow",
                    style={"flex_basis": "260px"},
                ),
                rx.el.select(
                    rx.el.option("Words and meaning", value="hybrid"),
                    rx.el.option("Meaning only", value="dense"),
                    rx.el.option("Words only", value="lexical"),
                    name="mode",
                    class_name="input",
                    aria_label="Mode",
                    style={"width": "auto"},
                ),
                button("Search", look="primary", kind="submit", disabled=RetrievalState.searching),
                class_name="row wrap",
            ),
            on_submit=RetrievalState.try_search,
        ),
        problem(RetrievalState.problem),
        rx.cond(
            RetrievalState.asked != "",
            _results(),
            rx.el.p(
                "Shows what a bot would be given for a question: the passages, their place by words and by meaning, "
                "and how long each step took.",
                class_name="muted",
            ),
        ),
        class_name="stack",
    )
