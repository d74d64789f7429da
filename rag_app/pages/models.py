"""/models: providers with their keys, a test that makes a real call, and the default models."""

import reflex as rx

from rag_app.components.dialogs import confirm_dialog, form_dialog
from rag_app.components.furniture import (
    badge,
    box,
    button,
    field,
    icon,
    page_head,
    problem,
    sign_button,
    skeleton,
    text_input,
)
from rag_app.pages.frame import Page, framed
from rag_app.state.models import ModelsState
from rag_app.state.rows import Choice, OfferRow, ProviderRow


def _provider(row: ProviderRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(row.label),
            rx.el.div(
                rx.el.span(row.key),
                rx.cond(row.base_url != "", rx.el.span(" · ", row.base_url), rx.fragment()),
                class_name="small muted cut",
            ),
            class_name="grow",
        ),
        rx.cond(
            ModelsState.may_manage,
            rx.el.div(
                sign_button("pencil", "Change", on_click=ModelsState.open_form(row.provider)),
                sign_button("trash_2", "Remove", on_click=ModelsState.ask_remove(row.id)),
                class_name="actions",
            ),
            rx.fragment(),
        ),
        class_name="row",
        key=row.id,
    )


def _offer(offer: OfferRow) -> rx.Component:
    return button(
        icon("plus"), offer.label, look="mini", on_click=ModelsState.open_form(offer.provider), key=offer.provider
    )


def _ollama() -> rx.Component:
    found = ModelsState.ollama != ""
    return rx.cond(
        found & ~ModelsState.ollama_taken,
        box(
            rx.el.strong("Ollama runs on this machine. "),
            rx.cond(
                ModelsState.ollama_models != "",
                rx.fragment("Its models can be chosen below: ", ModelsState.ollama_models, "."),
                "It has no model yet: get one with “ollama pull llama3.2”.",
            ),
            tone="good",
        ),
        rx.fragment(),
    )


def _providers() -> rx.Component:
    return rx.el.section(
        rx.el.h2("Providers"),
        rx.el.p("Keys are stored encrypted and never shown again.", class_name="small muted"),
        rx.cond(
            ModelsState.rows.length() > 0,
            rx.el.ul(
                rx.foreach(ModelsState.rows, _provider),
                class_name="stack",
                style={"list_style": "none", "padding": "0"},
            ),
            rx.el.p("None yet. Without one, answers are quoted from the documents word for word.", class_name="muted"),
        ),
        rx.cond(
            ModelsState.from_environment != "",
            rx.el.p("From the server's environment: ", ModelsState.from_environment, class_name="small muted"),
            rx.fragment(),
        ),
        rx.cond(
            ModelsState.may_manage,
            rx.el.div(rx.foreach(ModelsState.offers, _offer), class_name="row wrap"),
            rx.fragment(),
        ),
        class_name="card stack tight",
    )


def _option(choice: Choice) -> rx.Component:
    return rx.el.option(choice.label, value=choice.id, key=choice.id)


def _defaults() -> rx.Component:
    return rx.el.form(
        rx.el.h2("Default models"),
        field(
            "Answers",
            rx.el.select(
                rx.foreach(ModelsState.chat_models, _option),
                name="chat_model",
                default_value=ModelsState.chat_model,
                class_name="input",
                disabled=~ModelsState.may_manage,
            ),
            hint="Used by every bot that has no model of its own.",
        ),
        rx.cond(
            ModelsState.may_manage,
            field(
                "Another model by name",
                text_input("other", placeholder="openai/gpt-4.1", max_length=200, auto_complete="off"),
                hint="Optional: provider, slash, model. Any model of a provider above works.",
            ),
            rx.fragment(),
        ),
        field(
            "Embedding of new knowledge bases",
            rx.el.select(
                rx.foreach(ModelsState.embedding_models, _option),
                name="embedding_model",
                default_value=ModelsState.embedding_model,
                class_name="input",
                disabled=~ModelsState.may_manage,
            ),
            hint="Knowledge bases that exist keep theirs.",
        ),
        rx.cond(ModelsState.may_manage, rx.el.div(button("Save", look="primary", kind="submit")), rx.fragment()),
        on_submit=ModelsState.choose,
        class_name="plain card",
        key=ModelsState.chat_model + ModelsState.embedding_model,
    )


def _test() -> rx.Component:
    return rx.cond(
        ModelsState.may_manage,
        rx.el.form(
            rx.el.h2("Test a model"),
            rx.el.p("Makes one small real call.", class_name="small muted"),
            rx.el.div(
                rx.el.div(
                    text_input(
                        "model",
                        placeholder="openai/gpt-4o-mini",
                        default_value=ModelsState.chat_model,
                        aria_label="Model to test",
                        required=True,
                        max_length=200,
                        auto_complete="off",
                    ),
                    class_name="grow",
                ),
                button(
                    rx.cond(ModelsState.trying_now, "Calling…", "Test"), kind="submit", disabled=ModelsState.trying_now
                ),
                class_name="row",
            ),
            rx.el.div(
                rx.cond(
                    ModelsState.trial_text != "",
                    rx.el.div(
                        badge(
                            rx.cond(ModelsState.trial_tone == "good", "works", "failed"), tone=ModelsState.trial_tone
                        ),
                        rx.el.span(rx.el.code(ModelsState.trial_model), " — ", ModelsState.trial_text),
                        class_name="row wrap",
                    ),
                    rx.fragment(),
                ),
                role="status",
            ),
            on_submit=ModelsState.test,
            class_name="plain card",
            key=ModelsState.chat_model,
        ),
        rx.fragment(),
    )


def _form() -> rx.Component:
    return form_dialog(
        "Provider",
        rx.el.div(
            rx.el.strong(ModelsState.form_title),
            rx.el.p(ModelsState.form_help, class_name="small muted"),
        ),
        field(
            "API key",
            text_input("api_key", type="password", auto_complete="off", max_length=2000),
            hint=rx.fragment(
                ModelsState.form_key_hint,
                rx.cond(ModelsState.form_needs_key, " It is stored encrypted and never shown.", " Optional here."),
            ),
        ),
        rx.cond(
            ModelsState.form_takes_url,
            field(
                "Address",
                text_input(
                    "base_url",
                    default_value=ModelsState.form_url,
                    placeholder=rx.cond(ModelsState.form_needs_url, "http://host:port/v1", "usual address"),
                    required=ModelsState.form_needs_url,
                    max_length=2000,
                ),
                hint=rx.fragment(
                    rx.cond(ModelsState.form_needs_url, "", "Only if it is not the usual one. "),
                    "Private ones must be named in RAG_ALLOWED_PRIVATE_HOSTS.",
                ),
            ),
            rx.fragment(),
        ),
        opened=ModelsState.form != "",
        on_submit=ModelsState.save,
        on_close=ModelsState.close_form,
        wrong=ModelsState.form_problem,
    )


def content() -> rx.Component:
    """The page."""
    return framed(
        page_head("Models", text="Who writes the answers, and what makes documents searchable by meaning."),
        problem(ModelsState.problem),
        rx.cond(
            ModelsState.loaded,
            rx.el.div(_ollama(), _providers(), _defaults(), _test(), class_name="stack", style={"max_width": "640px"}),
            rx.cond(ModelsState.problem == "", skeleton(6), rx.fragment()),
        ),
        _form(),
        confirm_dialog(
            "Remove this provider?",
            rx.fragment("The key of ", ModelsState.doomed_name, " is forgotten; bots with its models stop answering."),
            opened=ModelsState.doomed_id != "",
            on_yes=ModelsState.remove,
            on_close=ModelsState.keep,
            yes="Remove",
        ),
        here="models",
    )


PAGES = (Page("/models", "Models · rag_app", content, (ModelsState.load,)),)
