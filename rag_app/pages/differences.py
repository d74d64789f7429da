"""How a change between two texts is shown: struck out what went, underlined what came, so that it reads in grey."""

import reflex as rx

from rag_app.components.browser import Dialog
from rag_app.components.furniture import button
from rag_app.state.source_rows import DiffPart, DiffRow


def _part(part: DiffPart) -> rx.Component:
    return rx.match(
        part.kind,
        ("added", rx.el.ins(part.text)),
        ("removed", rx.el.del_(part.text)),
        rx.el.span(part.text),
    )


def hunk(row: DiffRow) -> rx.Component:
    """One change with what stands around it."""
    return rx.el.div(rx.foreach(row.parts, _part), class_name="diff", dir="auto")


def differences_dialog(state: type[rx.State]) -> rx.Component:
    """A dialog that shows what changed. The state has diff, diff_open, diff_title, diff_note and close_diff."""
    return Dialog.create(
        rx.el.h2("What changed"),
        rx.el.p(state.diff_title, class_name="muted"),
        rx.el.p(state.diff_note, class_name="small muted num"),
        rx.cond(
            state.diff.length() > 0,
            rx.el.div(rx.foreach(state.diff, hunk), class_name="stack tight scroll-y", tab_index=0),
            rx.el.p("The words are the same; only what is not read has changed."),
        ),
        rx.el.div(button("Close", on_click=state.close_diff, auto_focus=True), class_name="dialog-actions"),
        open=state.diff_open,
        label="What changed",
        wide=True,
        on_close=state.close_diff,
    )
