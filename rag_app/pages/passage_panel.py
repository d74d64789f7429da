"""The panel beside the thread: the passage behind a citation, in its surroundings."""

import reflex as rx

from rag_app.components.browser import Side
from rag_app.components.furniture import icon, link_button, problem, skeleton
from rag_app.state.chat import ChatState


def passage_panel() -> rx.Component:
    """Where the answer comes from: the quote marked in the text around it, its page, and the original."""
    return Side.create(
        problem(ChatState.panel_problem),
        rx.cond(
            ChatState.panel_quote != "",
            rx.fragment(
                rx.el.div(
                    rx.cond(ChatState.panel_place != "", rx.el.span(ChatState.panel_place), rx.fragment()),
                    class_name="small muted",
                ),
                rx.el.p(
                    ChatState.panel_before,
                    rx.el.mark(ChatState.panel_quote),
                    ChatState.panel_after,
                    class_name="passage",
                    dir="auto",
                ),
                rx.el.div(
                    rx.cond(
                        ChatState.panel_original != "",
                        link_button(
                            icon("file_text"),
                            "Open the original",
                            href=ChatState.panel_original,
                            target="_blank",
                            look="mini",
                        ),
                        rx.fragment(),
                    ),
                    link_button(icon("list_tree"), "How it was read", href=ChatState.panel_document, look="mini"),
                    class_name="row wrap",
                ),
            ),
            rx.cond(ChatState.panel_problem == "", skeleton(6), rx.fragment()),
        ),
        label="Source",
        title=ChatState.panel_title,
        subject=ChatState.panel_subject,
        on_close=ChatState.close_panel,
    )
