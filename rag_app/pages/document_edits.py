"""The edits of a document: what was hidden or corrected, by whom, and the forms that do it."""

from typing import Any

import reflex as rx

from rag_app.components.browser import Age, Marking, Ticker
from rag_app.components.dialogs import form_dialog
from rag_app.components.furniture import badge, box, button, icon, problem
from rag_app.state.change_rows import EditMark
from rag_app.state.edits import EditsState
from rag_app.state.rows import CutRow


def passage_actions(cut: CutRow) -> rx.Component:
    """Hide or correct a passage."""
    return rx.cond(
        EditsState.may_edit,
        rx.el.div(
            button(
                icon("eye_off"),
                "Hide",
                look="mini",
                on_click=EditsState.open_form("hide", cut.id),
                aria_label=f"Hide passage {cut.ordinal}",
            ),
            rx.cond(
                EditsState.origin.id == "",
                button(
                    icon("pencil"),
                    "Correct",
                    look="mini",
                    on_click=EditsState.open_form("correct", cut.id),
                    aria_label=f"Correct passage {cut.ordinal}",
                ),
                rx.fragment(),
            ),
            class_name="row wrap",
        ),
        rx.fragment(),
    )


def _who(mark: EditMark) -> rx.Component:
    return rx.el.span(
        rx.cond(mark.by != "", rx.fragment("by ", mark.by, ", "), rx.fragment()),
        Age.create(when=mark.when),
        class_name="small muted",
    )


def mark_body(mark: EditMark) -> rx.Component:
    """What was marked, and what is said instead."""
    return rx.fragment(
        rx.el.p(rx.el.del_(mark.quote), class_name="diff", dir="auto"),
        rx.cond(mark.text != "", rx.el.p(rx.el.ins(mark.text), class_name="diff", dir="auto"), rx.fragment()),
    )


def mark_head(mark: EditMark) -> rx.Component:
    """What was done, by whom and when."""
    return rx.el.div(badge(mark.word, tone=mark.tone), _who(mark), class_name="row wrap")


def _mark(mark: EditMark) -> rx.Component:
    return rx.el.li(
        mark_head(mark),
        mark_body(mark),
        rx.cond(
            mark.message != "",
            box(mark.message, " It waits under “Conflicts” of the knowledge base.", tone="warn"),
            rx.fragment(),
        ),
        rx.el.div(
            rx.cond(mark.note_id != "", rx.el.a("Open the note", href=f"/documents/{mark.note_id}"), rx.fragment()),
            rx.cond(
                EditsState.may_edit,
                button(icon("undo_2"), "Undo", look="mini", on_click=EditsState.undo(mark.id)),
                rx.fragment(),
            ),
            class_name="row wrap",
        ),
        class_name="card stack tight",
        key=mark.id,
        id="edit-" + mark.id,
    )


def conflicts_box(kb_id: Any) -> rx.Component:
    """Says on every tab of a document that changes made in it do not fit it any more."""
    return rx.cond(
        EditsState.waiting != "",
        box(
            EditsState.waiting,
            " because the text has changed there. ",
            rx.el.a("Decide under “Conflicts”", href=f"/knowledge/{kb_id}?tab=conflicts"),
            tone="warn",
        ),
        rx.fragment(),
    )


def edit_marks() -> rx.Component:
    """The list above the passages, empty while nothing was edited."""
    return rx.fragment(
        problem(EditsState.problem),
        rx.cond(
            EditsState.marks.length() > 0,
            rx.el.section(
                rx.el.h2("Hidden and corrected", style={"font_size": "1em"}),
                rx.el.ul(
                    rx.foreach(EditsState.marks, _mark),
                    class_name="stack tight",
                    style={"list_style": "none", "padding": "0"},
                ),
                class_name="stack tight",
            ),
            rx.fragment(),
        ),
        rx.cond(
            EditsState.settling,
            rx.el.div(
                rx.el.p("Being made searchable again…", class_name="small muted", role="status"),
                Ticker.create(every=1000, on_tick=EditsState.settle),
            ),
            rx.fragment(),
        ),
    )


def note_origin_box() -> rx.Component:
    """On the page of a correction: what it corrects, by whom, and the way there."""
    origin = EditsState.origin
    return rx.cond(
        origin.id != "",
        box(
            "This note is answered from instead of a part of ",
            rx.el.a(origin.document_title, href=f"/documents/{origin.document_id}?tab=cut#edit-{origin.id}"),
            ". Corrected ",
            _who(origin),
            ".",
            tone="info",
        ),
        rx.fragment(),
    )


def edit_forms() -> rx.Component:
    """The two dialogs."""
    hidden = Marking.create(
        text=EditsState.form_text,
        label="Mark the words to hide",
        hint="With the mouse or Shift and the arrow keys. They stay hidden in new versions; the original keeps them.",
        nothing="Nothing is marked: the whole passage will be hidden.",
        some="Will be hidden:",
    )
    corrected = Marking.create(
        text=EditsState.form_text,
        label="What it should say",
        hint="The sentences that you change become a note, from which questions are answered.",
        editable=True,
    )
    return rx.fragment(
        _edit_form("hide", "Hide from search and answers", hidden, submit="Hide"),
        _edit_form("correct", "Correct this passage", corrected, submit="Correct"),
    )


def _edit_form(kind: str, title: str, words: rx.Component, *, submit: str) -> rx.Component:
    state = EditsState
    return form_dialog(
        title,
        words,
        opened=state.form == kind,
        on_submit=state.submit,
        on_close=state.close_form,
        submit=submit,
        wrong=state.form_problem,
        wide=True,
    )
