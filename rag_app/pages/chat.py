"""/chat: conversations, the thread with its answers, and the panel with the passage behind a citation."""

from typing import Any

import reflex as rx

from rag_app.components.browser import Composer, Thread
from rag_app.components.dialogs import confirm_dialog, form_dialog
from rag_app.components.furniture import (
    button,
    empty,
    field,
    icon,
    link_button,
    problem,
    search_box,
    sign_button,
    text_area,
    text_input,
)
from rag_app.pages.chat_turns import answer_under_way, turn
from rag_app.pages.frame import Page, framed
from rag_app.pages.passage_panel import passage_panel
from rag_app.state.chat import ChatState
from rag_app.state.rows import Choice, TalkRow
from rag_app.state.talks import TalksState


def _talk(talk: TalkRow) -> rx.Component:
    here = talk.id == ChatState.conversation
    # The keyboard stops once per chat; what can be done with one is reached when it is open.
    act: dict[str, Any] = {"look": "plain square mini", "tab_index": rx.cond(here, 0, -1)}
    return rx.el.li(
        rx.el.a(
            rx.el.span(talk.title, class_name="cut"),
            rx.el.span(talk.bot, class_name="cut talk-bot"),
            href=f"/chat/{talk.id}",
            on_click=TalksState.close_list,
        ),
        rx.el.div(
            sign_button("pencil", "Rename", on_click=TalksState.ask_rename(talk.id), **act),
            rx.cond(
                talk.archived,
                sign_button("archive_restore", "Bring back", on_click=TalksState.archive(talk.id), **act),
                sign_button("archive", "Archive", on_click=TalksState.archive(talk.id), **act),
            ),
            sign_button("trash_2", "Delete", on_click=TalksState.ask_delete(talk.id), **act),
            class_name="actions",
        ),
        class_name=rx.cond(here, "talk on", "talk"),
        key=talk.id,
    )


def _talks() -> rx.Component:
    return rx.el.aside(
        rx.el.div(
            rx.el.div(
                link_button(icon("square_pen"), "New chat", href="/chat", look="grow", on_click=ChatState.start_over),
                sign_button("x", "Close the list", look="plain square only-narrow", on_click=TalksState.close_list),
                class_name="row",
            ),
            search_box("Search chats", on_change=TalksState.narrow.debounce(200), default_value=TalksState.words),
            class_name="talks-head",
        ),
        rx.cond(
            TalksState.rows.length() > 0,
            rx.el.ul(rx.foreach(TalksState.rows, _talk), class_name="talks-list", aria_label="Chats"),
            rx.el.p(
                rx.cond(
                    TalksState.words != "",
                    "No chat matches.",
                    rx.cond(
                        TalksState.archived,
                        "No archived chats.",
                        rx.cond(
                            TalksState.of_programs,
                            "No program asked with your keys or on the command line.",
                            "Your chats appear here.",
                        ),
                    ),
                ),
                class_name="talks-list small muted",
                style={"padding": "16px"},
            ),
        ),
        rx.el.div(
            button(
                rx.cond(TalksState.archived, "Back to the chats", "Archived chats"),
                look="plain mini",
                on_click=TalksState.toggle_archived,
            ),
            button(
                rx.cond(TalksState.of_programs, "Back to your chats", "Asked by programs"),
                look="plain mini",
                on_click=TalksState.toggle_programs,
            ),
            class_name="row wrap",
            style={"padding": "8px", "gap": "2px", "border_top": "1px solid var(--line)"},
        ),
        class_name=rx.cond(TalksState.list_open, "talks open", "talks"),
        aria_label="Chats",
    )


def _option(choice: Choice) -> rx.Component:
    return rx.el.option(choice.label, value=choice.id, key=choice.id)


def _head() -> rx.Component:
    return rx.el.header(
        sign_button("panel_left", "Chats", look="plain square only-narrow", on_click=TalksState.open_list),
        rx.el.label("Ask", class_name="sr", html_for="target"),
        rx.cond(
            ChatState.targets.length() > 0,
            rx.el.select(
                rx.foreach(ChatState.targets, _option),
                value=ChatState.target,
                on_change=ChatState.choose_target,
                class_name="input",
                id="target",
            ),
            rx.el.span("Chat", class_name="grow"),
        ),
        class_name="thread-head",
    )


def _suggestion(question: str) -> rx.Component:
    return button(icon("message_circle_question"), question, on_click=ChatState.ask(question), key=question)


def _welcome() -> rx.Component:
    return rx.el.div(
        rx.cond(
            ChatState.targets.length() > 0,
            rx.fragment(
                rx.el.h1("What would you like to know?"),
                rx.el.p("Answers come with numbered sources: open one to see the exact passage.", class_name="muted"),
                rx.el.div(rx.foreach(ChatState.suggestions, _suggestion), class_name="suggest"),
            ),
            empty(
                "Nothing to ask yet",
                "Make a knowledge base and drop documents into it, or try it with samples.",
                link_button("New knowledge base", href="/knowledge", look="primary"),
                link_button("Try it with sample documents", href="/welcome"),
                sign="library",
            ),
        ),
        class_name="welcome",
    )


def _thread() -> rx.Component:
    return rx.el.section(
        _head(),
        Thread.create(
            rx.cond(
                ChatState.loaded,
                rx.cond(
                    ChatState.messages.length() > 0,
                    rx.el.div(
                        rx.foreach(ChatState.messages, turn),
                        rx.cond(ChatState.running, answer_under_way(), rx.fragment()),
                        problem(ChatState.problem),
                        class_name="turns",
                    ),
                    rx.el.div(_welcome(), rx.el.div(problem(ChatState.problem), class_name="turns")),
                ),
                rx.fragment(),
            ),
            follow=ChatState.conversation,
            sent=ChatState.sent,
        ),
        rx.el.div(
            Composer.create(
                busy=ChatState.running,
                disabled=ChatState.targets.length() == 0,
                last=ChatState.last_question,
                draft=rx.cond(ChatState.conversation != "", ChatState.conversation, "new"),
                placeholder="Ask a question",
                on_send=ChatState.ask,
                on_stop=ChatState.stop,
            ),
            rx.el.p(
                "Enter sends · Shift-Enter makes a new line · Esc stops · Up brings back the last question",
                class_name="compose-note",
            ),
            class_name="compose-wrap",
        ),
        rx.el.div(ChatState.announcement, class_name="sr", role="status", aria_live="polite"),
        class_name="thread",
        aria_label="Conversation",
    )


def _dialogs() -> rx.Component:
    return rx.fragment(
        form_dialog(
            "Rename the chat",
            field(
                "Title",
                text_input(
                    "title", default_value=TalksState.renamed_title, required=True, max_length=200, auto_focus=True
                ),
            ),
            opened=TalksState.renamed_id != "",
            on_submit=TalksState.rename,
            on_close=TalksState.close_dialogs,
            wrong=TalksState.problem,
        ),
        confirm_dialog(
            "Delete this chat?",
            rx.fragment("“", TalksState.doomed_title, "” and its answers are removed for ever."),
            opened=TalksState.doomed_id != "",
            on_yes=TalksState.delete,
            on_close=TalksState.close_dialogs,
        ),
        form_dialog(
            "What was wrong with this answer?",
            field("Comment", text_area("comment", rows=3, max_length=2000, auto_focus=True), hint="Optional."),
            opened=ChatState.judged != "",
            on_submit=ChatState.comment,
            on_close=ChatState.close_comment,
            submit="Send",
        ),
    )


def content() -> rx.Component:
    """The page."""
    return framed(
        rx.el.div(
            _talks(),
            _thread(),
            rx.cond(ChatState.panel_open, passage_panel(), rx.fragment()),
            class_name=rx.cond(ChatState.panel_open, "chat with-panel", "chat"),
        ),
        _dialogs(),
        here="chat",
        full=True,
    )


PAGES = (Page("/chat/[[conversation_id]]", "Chat · rag_app", content, (TalksState.load, ChatState.load)),)
