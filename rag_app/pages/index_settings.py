"""The part “How it is searched” of a knowledge base's settings: look, build, compare, use, go back, drop."""

from typing import Any

import reflex as rx

from rag_app.components.browser import Ticker
from rag_app.components.dialogs import confirm_dialog
from rag_app.components.furniture import badge, box, button, field, icon, problem, progress_bar, text_area, text_input
from rag_app.ingestion.cutting import LARGEST_PASSAGE, SMALLEST_PASSAGE
from rag_app.services.indexes import KEEP_DAYS, LONGEST_KEEP_DAYS
from rag_app.state.index_rows import ComparedRow, FoundRow, IndexRow
from rag_app.state.index_settings import IndexSettingsState
from rag_app.state.rows import Choice

_FAST_MS, _SLOW_MS = 1_000, 10_000


def _choice(choice: Choice) -> rx.Component:
    return rx.el.option(choice.label, value=choice.id)


def _line(line: Choice) -> rx.Component:
    return rx.el.div(
        rx.el.dt(line.id, class_name="muted"),
        rx.el.dd(line.label, class_name="num"),
        class_name="row wrap",
        key=line.id,
    )


def _number(label: str, name: str, hint: str, **props: Any) -> rx.Component:
    return field(label, text_input(name, type="number", required=True, **props), hint=hint)


def _sizes() -> rx.Component:
    active = IndexSettingsState.active
    return rx.el.div(
        _number(
            "Passage size in tokens",
            "passage_tokens",
            "A token is about three quarters of a word.",
            min=SMALLEST_PASSAGE,
            max=LARGEST_PASSAGE,
            default_value=active.passage_tokens.to_string(),
        ),
        _number(
            "Overlap in tokens",
            "overlap_tokens",
            "How much of the passage before is repeated; at most a quarter.",
            min=0,
            max=LARGEST_PASSAGE // 4,
            default_value=active.overlap_tokens.to_string(),
        ),
        _number(
            "Days to keep the old one",
            "keep_days",
            "So long there is a way back.",
            min=0,
            max=LONGEST_KEEP_DAYS,
            default_value=str(KEEP_DAYS),
        ),
        class_name="stack tight",
    )


def _form() -> rx.Component:
    state = IndexSettingsState
    is_known = state.expected.length() > 0
    models = rx.el.select(
        rx.foreach(state.models, _choice),
        name="embedding_model",
        class_name="input",
        default_value=state.active.model,
    )
    return rx.el.form(
        field("Embedding model", models, hint="More models appear once a provider is set up under Models."),
        _sizes(),
        rx.el.label(
            rx.el.input(type="checkbox", name="auto_flip"),
            rx.el.span("Use it as soon as it is complete, without asking me again"),
            class_name="check",
        ),
        problem(state.form_problem),
        rx.cond(is_known, _expected(), rx.fragment()),
        rx.el.div(
            button(rx.cond(state.looking, "Looking…", "What would it take?"), kind="submit", disabled=state.looking),
            rx.cond(is_known, button("Build it", look="primary", on_click=state.begin), rx.fragment()),
            button("Cancel", look="plain", on_click=state.close_form),
            class_name="row wrap",
        ),
        on_submit=state.look,
        class_name="plain stack",
    )


def _expected() -> rx.Component:
    state = IndexSettingsState
    return rx.el.div(
        rx.el.dl(rx.foreach(state.expected, _line), class_name="stack tight", style={"margin": "0"}),
        rx.el.ul(rx.foreach(state.notes, lambda note: rx.el.li(note, key=note)), class_name="small muted"),
        rx.el.p(
            "It is built beside the index in use. Searches stay as they are until it takes over, in one moment.",
            class_name="small muted",
        ),
        class_name="stack tight",
        role="status",
    )


def _building() -> rx.Component:
    state = IndexSettingsState
    row = state.building
    return rx.el.div(
        rx.el.div(rx.el.strong("New: "), row.label, " · ", row.cutting),
        progress_bar(row.percent, label="Progress of the new index"),
        rx.el.div(
            rx.el.span(row.phase),
            rx.cond(row.progress != "", rx.el.span(" · ", row.progress, class_name="num"), rx.fragment()),
            class_name="small muted",
            role="status",
        ),
        rx.cond(row.problem != "", box("It waits and tries again: ", row.problem, tone="warn"), rx.fragment()),
        rx.cond((row.figures != "") & (state.compared_id == ""), rx.el.p(row.figures), rx.fragment()),
        rx.cond(
            state.may_edit,
            rx.el.div(
                rx.cond(
                    row.ready,
                    button("Use the new one", look="primary", on_click=lambda: state.use(row.id)),
                    rx.fragment(),
                ),
                rx.cond(
                    row.comparable,
                    button("Compare…", on_click=lambda: state.open_comparison(row.id)),
                    rx.fragment(),
                ),
                button(rx.cond(row.complete, "Discard it", "Stop"), look="plain", on_click=state.stop),
                class_name="row wrap",
            ),
            rx.fragment(),
        ),
        class_name="stack tight",
    )


def _kept(row: IndexRow) -> rx.Component:
    state = IndexSettingsState
    failed = row.state == "failed"
    return rx.el.li(
        rx.el.div(
            rx.cond(failed, badge("failed", tone="failed"), badge("kept", tone="flat")),
            rx.el.strong(row.label),
            rx.el.span(row.cutting),
            class_name="row wrap",
        ),
        rx.cond(row.problem != "", rx.el.p(row.problem, class_name="small"), rx.fragment()),
        rx.cond(row.until != "", rx.el.p("Kept until ", row.until, ".", class_name="small muted"), rx.fragment()),
        rx.cond(
            state.may_edit,
            rx.el.div(
                button(
                    rx.cond(failed, "Try again", "Go back to this one"),
                    on_click=lambda: state.use(row.id),
                    disabled=state.building.id != "",
                ),
                rx.cond(
                    row.comparable,
                    button("Compare…", on_click=lambda: state.open_comparison(row.id)),
                    rx.fragment(),
                ),
                button(icon("trash_2"), "Drop", look="danger", on_click=lambda: state.ask_drop(row.id)),
                class_name="row wrap",
            ),
            rx.fragment(),
        ),
        class_name="stack tight",
        key=row.id,
    )


def _found(row: FoundRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.span(
                "in use ",
                row.before,
                " · ",
                IndexSettingsState.compared_word,
                " ",
                row.after,
                class_name="small muted num nowrap",
            ),
            rx.el.strong(row.title),
            rx.match(
                row.tone,
                ("new", badge("only the " + IndexSettingsState.compared_word + " one", tone="good")),
                ("gone", badge("only the one in use", tone="warn")),
                rx.fragment(),
            ),
            class_name="row wrap",
        ),
        rx.el.div(row.text, class_name="small muted"),
        key=row.key,
    )


def _compared(row: ComparedRow) -> rx.Component:
    return rx.el.details(
        rx.el.summary(rx.el.strong(row.question), " ", rx.el.span(row.verdict, class_name="small muted num")),
        rx.el.ol(
            rx.foreach(row.passages, _found),
            class_name="stack tight",
            style={"list_style": "none", "padding": "8px 0 0"},
            aria_label="Passages of both",
        ),
        key=row.key,
    )


def _comparison() -> rx.Component:
    state = IndexSettingsState
    return rx.el.div(
        rx.el.h3("Compare the ", state.compared_word, " one with the one in use"),
        rx.el.form(
            field(
                "Questions, one per line",
                text_area("questions", rows=3, placeholder="How many days of leave are there?"),
                hint="Leave it empty to take the questions that were asked of late.",
            ),
            rx.el.div(
                button(
                    rx.cond(state.comparing, "Comparing…", "Compare"),
                    kind="submit",
                    look="primary",
                    disabled=state.comparing,
                ),
                button("Close", look="plain", on_click=state.close_comparison),
                class_name="row wrap",
            ),
            on_submit=state.compare,
            class_name="plain stack tight",
        ),
        rx.el.div(
            rx.cond(state.compared_with != "", rx.el.p(state.compared_with), rx.fragment()),
            rx.foreach(state.compared, _compared),
            class_name="stack tight",
            role="status",
        ),
        class_name="stack tight",
    )


def index_settings() -> rx.Component:
    """How this knowledge base is searched, and how that can be changed."""
    state = IndexSettingsState
    return rx.el.section(
        rx.el.h2("How it is searched"),
        rx.el.p(rx.el.strong(state.active.label), " · ", state.active.cutting),
        problem(state.problem),
        rx.cond(state.building.id != "", _building(), rx.fragment()),
        rx.cond(
            state.may_edit & (state.building.id == ""),
            rx.cond(
                state.opened,
                _form(),
                rx.el.div(button("Change embedding model or passage size…", on_click=state.open_form)),
            ),
            rx.fragment(),
        ),
        rx.cond(state.compared_id != "", _comparison(), rx.fragment()),
        rx.cond(
            state.kept.length() > 0,
            rx.fragment(
                rx.el.h3("The way back"),
                rx.el.ul(
                    rx.foreach(state.kept, _kept),
                    class_name="stack",
                    style={"list_style": "none", "padding": "0", "margin": "0"},
                ),
            ),
            rx.fragment(),
        ),
        Ticker.create(every=rx.cond(state.building.id != "", _FAST_MS, _SLOW_MS), on_tick=state.refresh),
        confirm_dialog(
            "Drop the old index?",
            "There is no way back to it afterwards; it could only be built anew.",
            opened=state.doomed.id != "",
            on_close=state.keep,
            on_yes=state.drop,
            yes="Drop it",
        ),
        class_name="card stack",
    )
