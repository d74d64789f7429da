"""The tabs “Notes” and “Conflicts” of a knowledge base: what people add themselves, and what waits for a decision."""

import reflex as rx

from rag_app.components.browser import Age, Ticker
from rag_app.components.dialogs import confirm_dialog, form_dialog
from rag_app.components.furniture import (
    badge,
    box,
    button,
    empty,
    field,
    icon,
    problem,
    sign_button,
    skeleton,
    text_area,
    text_input,
)
from rag_app.pages.document_edits import mark_body, mark_head
from rag_app.state.change_rows import EditMark, NoteRow
from rag_app.state.notes import NotesState

_PLAIN_LIST = {"list_style": "none", "padding": "0"}


def _note(row: NoteRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.a(row.title, href=f"/documents/{row.id}", class_name="doc-title grow"),
            rx.cond(row.busy, badge("being made searchable", tone="working"), rx.fragment()),
            rx.cond(row.failed, badge("failed", tone="failed"), rx.fragment()),
            rx.cond(
                NotesState.may_edit,
                rx.el.div(
                    sign_button("pencil", f"Change {row.title}", on_click=NotesState.open_form(row.id)),
                    sign_button("trash_2", f"Delete {row.title}", on_click=NotesState.ask_delete(row.id)),
                    class_name="actions",
                ),
                rx.fragment(),
            ),
            class_name="row top",
        ),
        rx.el.p(row.text, class_name="passage", dir="auto"),
        rx.el.div(
            rx.cond(
                row.corrects_id != "",
                rx.fragment(
                    "corrects ",
                    rx.el.a(row.corrects_title, href=f"/documents/{row.corrects_id}?tab=cut"),
                    " · ",
                ),
                rx.fragment(),
            ),
            rx.cond(row.by != "", rx.fragment("by ", row.by, ", "), rx.fragment()),
            Age.create(when=row.when),
            class_name="small muted",
        ),
        class_name="card stack tight",
        key=row.id,
    )


def _add_button() -> rx.Component:
    return rx.cond(
        NotesState.may_edit,
        button(icon("plus"), "Question and answer", look="primary", on_click=NotesState.open_form("")),
        rx.fragment(),
    )


def notes_tab() -> rx.Component:
    """What people have added to this knowledge base."""
    state = NotesState
    return rx.el.div(
        problem(state.problem),
        rx.cond(
            state.loaded,
            rx.cond(
                state.rows.length() > 0,
                rx.el.div(
                    rx.el.div(_add_button(), class_name="row"),
                    rx.el.ul(rx.foreach(state.rows, _note), class_name="stack", style=_PLAIN_LIST),
                    class_name="stack",
                ),
                empty(
                    "No notes yet",
                    "Write down the answer to a question that the documents leave open. It is searched like a document "
                    "and cited as a note. Corrections of passages are listed here, too.",
                    _add_button(),
                    sign="notebook_pen",
                ),
            ),
            skeleton(5),
        ),
        _note_dialogs(),
        Ticker.create(every=rx.cond(state.busy, 1500, 10_000), on_tick=state.refresh),
        class_name="stack",
    )


def _note_dialogs() -> rx.Component:
    state = NotesState
    return rx.fragment(
        form_dialog(
            rx.cond(state.form == "new", "Add a question and its answer", "Change this note"),
            rx.cond(
                state.form_row.corrects_id == "",
                field(
                    "Question",
                    text_input("question", default_value=state.form_row.question, max_length=300),
                    hint="As people would ask it. Without one the note is found by its own words.",
                ),
                rx.fragment(),
            ),
            field("Answer", text_area("text", rows=8, default_value=state.form_row.text, required=True)),
            opened=state.form != "",
            on_submit=state.save,
            on_close=state.close_form,
            submit="Save",
            wrong=state.form_problem,
            wide=True,
        ),
        confirm_dialog(
            "Delete this note?",
            rx.fragment("“", state.doomed_title, "” is gone from search at once. What it corrected is shown again."),
            opened=state.doomed_id != "",
            on_yes=state.delete,
            on_close=state.keep,
        ),
    )


def _conflict(mark: EditMark) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.a(mark.document_title, href=f"/documents/{mark.document_id}?tab=cut", class_name="doc-title grow"),
            mark_head(mark),
            class_name="row wrap",
        ),
        box(mark.message, tone="warn"),
        mark_body(mark),
        rx.cond(
            mark.now != "",
            rx.el.p(
                rx.el.span("The text says now: ", class_name="small muted"), mark.now, class_name="diff", dir="auto"
            ),
            rx.fragment(),
        ),
        rx.cond(
            NotesState.may_edit,
            rx.el.div(
                button("Attach again", look="mini", on_click=NotesState.ask_attach(mark.id)),
                rx.cond(
                    mark.note_id != "",
                    button("Keep as a note", look="mini", on_click=NotesState.settle(mark.id, "keep")),
                    rx.fragment(),
                ),
                button("Drop", look="mini danger", on_click=NotesState.settle(mark.id, "drop")),
                class_name="row wrap",
            ),
            rx.fragment(),
        ),
        class_name="card stack tight",
        key=mark.id,
    )


def conflicts_tab() -> rx.Component:
    """Edits whose words were not found again for certain."""
    state = NotesState
    return rx.el.div(
        problem(state.problem),
        rx.cond(
            state.loaded,
            rx.cond(
                state.conflicts.length() > 0,
                rx.el.ul(rx.foreach(state.conflicts, _conflict), class_name="stack", style=_PLAIN_LIST),
                empty(
                    "No conflicts",
                    "What you hid or corrected is where it belongs. When a new version of a document leaves no certain "
                    "place for an edit, it waits here for you.",
                    sign="circle_check",
                ),
            ),
            skeleton(4),
        ),
        form_dialog(
            "Attach again",
            field(
                "Words in the document",
                text_area("words", rows=6, required=True, default_value=state.attach_words),
                hint=rx.cond(
                    state.attach_words != "",
                    "What stands there now. Change it if the edit belongs to other words of the document.",
                    "Copy the words it belongs to now out of the document.",
                ),
            ),
            opened=state.attach_id != "",
            on_submit=state.attach,
            on_close=state.close_attach,
            submit="Attach",
            wrong=state.attach_problem,
            wide=True,
        ),
        class_name="stack",
    )
