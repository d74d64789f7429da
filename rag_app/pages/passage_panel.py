"""The panel beside the thread: the passage behind a citation, in its surroundings."""

import reflex as rx

from rag_app.components.browser import Side
from rag_app.components.furniture import problem, skeleton
from rag_app.state.chat import ChatState


def passage_panel() -> rx.Component:
    """Where the answer comes from: the quote marked in the text around it, its page, and the original."""
    return Side.create(
        problem(ChatState.panel_problem),
        rx.cond(
            ChatState.panel_quote != "",
            rx.el.p(
                ChatState.panel_before,
                rx.el.mark(ChatState.panel_quote),
                ChatState.panel_after,
                class_name="passage",
                dir="auto",
            ),
            rx.cond(ChatState.panel_problem == "", skeleton(6), rx.fragment()),
        ),
        label="Source",
        title=ChatState.panel_title,
        place=ChatState.panel_place,
        subject=ChatState.panel_subject,
        actions=[
            ["Open the original", ChatState.panel_original, True],
            ["What it corrects", ChatState.panel_corrects, False],
            ["How it was read", ChatState.panel_document, False],
        ],
        on_close=ChatState.close_panel,
    )
