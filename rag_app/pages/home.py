"""/ sends a person on; /welcome shows the first steps."""

import reflex as rx

from rag_app.components.furniture import button, icon, link_button, page_head, problem
from rag_app.pages.frame import Page, framed
from rag_app.state.home import HomeState


def start() -> rx.Component:
    """Nothing but the frame, for the moment until it is known where to go."""
    return framed(problem(HomeState.problem), here="")


def _step(number: str, title: str, text: str, *actions: rx.Component) -> rx.Component:
    return rx.el.section(
        rx.el.div(
            rx.el.span(number, class_name="badge flat num", aria_hidden="true"), rx.el.h2(title), class_name="row"
        ),
        rx.el.p(text, class_name="muted"),
        rx.el.div(*actions, class_name="row wrap"),
        class_name="card stack tight",
    )


def welcome() -> rx.Component:
    """The two ways to a first cited answer."""
    samples = button(
        icon("sparkles"),
        rx.cond(HomeState.loading_samples, "Loading…", "Try it with sample documents"),
        look="primary",
        disabled=HomeState.loading_samples,
        on_click=HomeState.load_samples,
    )
    return framed(
        page_head(
            rx.cond(HomeState.name != "", f"Welcome, {HomeState.name}", "Welcome"),
            text="From documents to answers that can be checked, in two clicks or with your own files.",
        ),
        problem(HomeState.problem),
        rx.cond(
            HomeState.may_edit,
            rx.el.div(
                _step(
                    "1",
                    "See it at work",
                    "Loads the handbook of this product into a knowledge base with a bot, and opens the chat with "
                    "questions to try. Delete it whenever you like.",
                    samples,
                ),
                _step(
                    "2",
                    "Use your own documents",
                    "Make a knowledge base, drop PDF, Office, Markdown or other files into it, and ask.",
                    link_button("New knowledge base", href="/knowledge"),
                ),
                _step(
                    "3",
                    "Connect a model",
                    "Answers are quoted word for word until a model is connected. Add a key, or use a local Ollama.",
                    link_button("Models", href="/models"),
                ),
                class_name="stack",
            ),
            rx.el.p("Nobody has made a knowledge base for you yet. Ask an editor or an admin.", class_name="muted"),
        ),
        here="",
    )


PAGES = (
    Page("/", "rag_app", start, (HomeState.start,)),
    Page("/welcome", "Welcome · rag_app", welcome, (HomeState.load,)),
)
