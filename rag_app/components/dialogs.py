"""Dialogs: a form to fill in, a question before something is destroyed."""

from typing import Any

import reflex as rx

from rag_app.components.browser import Dialog
from rag_app.components.furniture import button, problem


def form_dialog(
    title: Any, *fields: rx.Component, opened: Any, on_submit: Any, on_close: Any, **words: Any
) -> rx.Component:
    """A modal form. `words` may hold: submit (label of the button), wrong (what went wrong), busy, wide."""
    return Dialog.create(
        rx.el.h2(title),
        rx.el.form(
            *fields,
            problem(words.get("wrong", "")),
            rx.el.div(
                button("Cancel", on_click=on_close),
                button(words.get("submit", "Save"), look="primary", kind="submit", disabled=words.get("busy", False)),
                class_name="dialog-actions",
            ),
            on_submit=on_submit,
            class_name="plain",
        ),
        open=opened,
        label=title,
        wide=words.get("wide", False),
        on_close=on_close,
    )


def confirm_dialog(title: Any, text: Any, *, opened: Any, on_close: Any, **answer: Any) -> rx.Component:
    """A question before something that cannot be undone. `answer` holds on_yes, and yes (label of the button)."""
    yes = answer.get("yes", "Delete")
    return Dialog.create(
        rx.el.h2(title),
        rx.el.p(text, class_name="muted"),
        rx.el.div(
            button("Cancel", on_click=on_close, auto_focus=True),
            button(yes, look="danger solid", on_click=answer["on_yes"]),
            class_name="dialog-actions",
        ),
        open=opened,
        label=yes,
        on_close=on_close,
    )
