"""/bots: the bots of the workspace, and the form that makes or changes one."""

import reflex as rx

from rag_app.components.dialogs import confirm_dialog, form_dialog
from rag_app.components.furniture import (
    button,
    empty,
    field,
    icon,
    link_button,
    page_head,
    problem,
    sign_button,
    skeleton,
    text_area,
    text_input,
)
from rag_app.pages.frame import Page, framed
from rag_app.pages.retrieval_fields import retrieval_fields
from rag_app.state.bots import BotsState
from rag_app.state.rows import BotRow, Choice


def _card(row: BotRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.h2(row.name, class_name="grow cut"),
            rx.cond(
                BotsState.may_edit,
                rx.el.div(
                    sign_button("pencil", "Change", on_click=BotsState.open_form(row.id)),
                    sign_button("trash_2", "Delete", on_click=BotsState.ask_delete(row.id)),
                    class_name="actions",
                ),
                rx.fragment(),
            ),
            class_name="row",
        ),
        rx.cond(row.instructions != "", rx.el.p(row.instructions, class_name="small muted"), rx.fragment()),
        rx.el.div(icon("library"), rx.el.span(row.knowledge, class_name="cut"), class_name="row small muted"),
        rx.el.div(icon("cpu"), rx.el.span(row.model, class_name="cut"), class_name="row small muted"),
        rx.el.div(link_button(icon("message_square"), "Chat", href=f"/chat?bot={row.id}", look="mini")),
        class_name="card stack tight",
        key=row.id,
    )


def _new_button() -> rx.Component:
    return rx.cond(
        BotsState.may_edit,
        button(icon("plus"), "New bot", look="primary", on_click=BotsState.open_form("")),
        rx.fragment(),
    )


def _choice(choice: Choice) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="checkbox", name=f"kb-{choice.id}", default_checked=choice.chosen),
        choice.label,
        class_name="check",
        key=choice.id,
    )


def _model(choice: Choice) -> rx.Component:
    return rx.el.option(choice.label, value=choice.id, key=choice.id)


def _model_fields() -> tuple[rx.Component, ...]:
    return (
        field(
            "Model",
            rx.el.select(
                rx.el.option("Default of the workspace", value=""),
                rx.foreach(BotsState.models, _model),
                name="model",
                default_value=BotsState.model,
                class_name="input",
            ),
        ),
        field(
            "Another model by name",
            text_input("other", placeholder="openai/gpt-4.1", max_length=200, auto_complete="off"),
            hint="Optional: provider, slash, model. It wins over the list.",
        ),
    )


def _form() -> rx.Component:
    return form_dialog(
        rx.cond(BotsState.edited_id != "", "Edit bot", "New bot"),
        field("Name", text_input("name", default_value=BotsState.name, required=True, max_length=120, auto_focus=True)),
        field(
            "Instructions",
            text_area("instructions", rows=4, default_value=BotsState.instructions, max_length=20000),
            hint="How it should answer: tone, language, what to leave out. Optional.",
        ),
        rx.el.fieldset(
            rx.el.legend("Knowledge", style={"font_weight": "540", "font_size": ".9rem"}),
            rx.cond(
                BotsState.knowledge.length() > 0,
                rx.foreach(BotsState.knowledge, _choice),
                rx.el.p("No knowledge base yet.", class_name="hint"),
            ),
            class_name="stack tight",
            style={"max_height": "160px", "overflow_y": "auto"},
        ),
        *_model_fields(),
        field(
            "Suggested questions",
            text_area("suggestions", rows=3, default_value=BotsState.suggestions, max_length=4000),
            hint="One per line, at most eight.",
        ),
        rx.el.label(
            rx.el.input(type="checkbox", name="memory", default_checked=BotsState.memory),
            "Remembers what was said before in the same chat",
            class_name="check",
        ),
        rx.el.details(
            rx.el.summary("How it searches"),
            rx.el.div(retrieval_fields(BotsState.retrieval), style={"margin_top": "12px"}),
        ),
        opened=BotsState.form_open,
        on_submit=BotsState.save,
        on_close=BotsState.close_form,
        wrong=BotsState.form_problem,
        wide=True,
    )


def content() -> rx.Component:
    """The page."""
    return framed(
        page_head("Bots", _new_button(), text="A bot answers from some knowledge bases, in its own manner."),
        problem(BotsState.problem),
        rx.cond(
            BotsState.loaded,
            rx.cond(
                BotsState.rows.length() > 0,
                rx.el.ul(
                    rx.foreach(BotsState.rows, _card), class_name="cards", style={"list_style": "none", "padding": "0"}
                ),
                empty(
                    "No bot yet",
                    "Every knowledge base can be asked directly in the chat. Make a bot to join several of them, "
                    "or to give the answers a manner of their own.",
                    _new_button(),
                    sign="bot",
                ),
            ),
            skeleton(5),
        ),
        _form(),
        confirm_dialog(
            "Delete this bot?",
            rx.fragment("“", BotsState.doomed_name, "” and all chats with it are removed for ever."),
            opened=BotsState.doomed_id != "",
            on_yes=BotsState.delete,
            on_close=BotsState.keep,
        ),
        here="bots",
    )


PAGES = (Page("/bots", "Bots · rag_app", content, (BotsState.load,)),)
