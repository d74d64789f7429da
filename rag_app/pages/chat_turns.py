"""One turn of a conversation: what was said, the answer with its sources, what one can do with it."""

import reflex as rx

from rag_app.components.browser import Answer, Copy
from rag_app.components.furniture import box, link_button, sign_button
from rag_app.state.chat import ChatState
from rag_app.state.rows import CitationRow, MessageRow


def _source(message: MessageRow, citation: CitationRow) -> rx.Component:
    return rx.el.li(
        rx.el.button(
            rx.el.span(citation.n, class_name="cite", aria_hidden="true"),
            rx.el.span(citation.title, class_name="cut"),
            rx.cond(
                citation.apart != "",
                rx.el.span(citation.apart, class_name="break muted", dir="auto"),
                rx.fragment(),
            ),
            rx.cond(citation.page != "", rx.el.span(citation.page, class_name="nowrap"), rx.fragment()),
            class_name="source",
            type="button",
            on_click=ChatState.open_citation(message.id, citation.n),
        ),
        key=citation.n,
    )


def _foot(message: MessageRow) -> rx.Component:
    return rx.el.div(
        Copy.create(text=message.text, label="Copy"),
        sign_button(
            "thumbs_up",
            "Good answer",
            look=rx.cond(message.rating == 1, "plain square mini on", "plain square mini"),
            aria_pressed=message.rating == 1,
            on_click=ChatState.rate(message.id, 1),
        ),
        sign_button(
            "thumbs_down",
            "Bad answer",
            look=rx.cond(message.rating == -1, "plain square mini on", "plain square mini"),
            aria_pressed=message.rating == -1,
            on_click=ChatState.rate(message.id, -1),
        ),
        rx.cond(
            message.id == ChatState.last_answer,
            sign_button(
                "refresh_cw",
                "Answer again",
                look="plain square mini",
                disabled=ChatState.running,
                on_click=ChatState.regenerate,
            ),
            rx.fragment(),
        ),
        link_button("Why this answer", href=f"/why/{message.id}", look="plain mini"),
        rx.el.span(message.meta, class_name="meta num"),
        class_name="reply-foot",
    )


def _failure(message: MessageRow) -> rx.Component:
    way = rx.cond(
        message.unreachable & ChatState.may_manage,
        rx.fragment(" ", rx.el.a("Open Models", href="/models"), "."),
        rx.fragment(),
    )
    return box(message.error, way, tone="bad")


def _unsourced(message: MessageRow) -> rx.Component:
    """Said of an answer that should rest on documents and does not."""
    bare = (message.status == "done") & (message.text != "") & ~message.abstained & (message.citations.length() == 0)
    words = "No source found for this answer. Check it before you rely on it."
    return rx.cond(bare & ChatState.grounded, box(words, tone="warn", style={"margin_top": "8px"}), rx.fragment())


def _reply(message: MessageRow) -> rx.Component:
    return rx.el.article(
        Answer.create(
            text=message.text,
            citations=message.citations,
            active=rx.cond(ChatState.panel_message == message.id, ChatState.panel_n, 0),
            on_cite=lambda n: ChatState.open_citation(message.id, n),
        ),
        rx.match(
            message.status,
            ("failed", _failure(message)),
            ("interrupted", box("The server was interrupted here. Ask again for the rest.", tone="warn")),
            ("stopped", rx.el.p("Stopped.", class_name="small muted")),
            rx.fragment(),
        ),
        rx.cond(
            message.citations.length() > 0,
            rx.el.ul(
                rx.foreach(message.citations, lambda citation: _source(message, citation)),
                class_name="sources",
                aria_label="Sources",
            ),
            rx.fragment(),
        ),
        _unsourced(message),
        _foot(message),
        class_name="reply",
        aria_label="Answer",
    )


def turn(message: MessageRow) -> rx.Component:
    """A question or an answer."""
    return rx.el.div(
        rx.cond(
            message.role == "user",
            rx.el.div(message.text, class_name="said", dir="auto"),
            _reply(message),
        ),
        key=message.id,
        style={"display": "flex", "flex_direction": "column"},
    )


def answer_under_way() -> rx.Component:
    """The answer while it is written."""
    return rx.el.article(
        rx.cond(
            ChatState.partial != "",
            Answer.create(
                text=ChatState.partial,
                citations=ChatState.partial_citations,
                active=rx.cond(ChatState.panel_message == ChatState.run, ChatState.panel_n, 0),
                on_cite=lambda n: ChatState.open_citation(ChatState.run, n),
            ),
            rx.el.span(
                rx.el.span(rx.el.i(), rx.el.i(), rx.el.i(), class_name="dots", aria_hidden="true"),
                ChatState.phase,
                class_name="phase",
            ),
        ),
        class_name="reply",
        aria_busy="true",
        aria_label="Answer under way",
    )
