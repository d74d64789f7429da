"""/knowledge: all knowledge bases of the workspace."""

import reflex as rx

from rag_app.components.browser import Age
from rag_app.components.dialogs import form_dialog
from rag_app.components.furniture import (
    badge,
    button,
    empty,
    field,
    icon,
    page_head,
    problem,
    search_box,
    skeleton,
    text_area,
    text_input,
)
from rag_app.pages.frame import Page, framed
from rag_app.state.knowledge_list import LANGUAGES, KnowledgeListState
from rag_app.state.rows import Choice, KnowledgeRow


def _card(row: KnowledgeRow) -> rx.Component:
    return rx.el.a(
        rx.el.div(
            rx.el.h2(row.name, class_name="cut grow"),
            rx.cond(row.restricted, badge("restricted", tone="flat"), rx.fragment()),
            class_name="row spread",
        ),
        rx.cond(row.description != "", rx.el.p(row.description, class_name="muted small"), rx.fragment()),
        rx.el.div(
            rx.el.span(row.documents, " · ", row.passages, class_name="num"),
            rx.cond(row.working > 0, badge(f"{row.working} on the way", tone="working"), rx.fragment()),
            rx.cond(row.failed > 0, badge(f"{row.failed} failed", tone="failed"), rx.fragment()),
            rx.cond(row.conflicts != "", badge(row.conflicts, tone="warn"), rx.fragment()),
            class_name="row wrap small muted",
            style={"margin_top": "8px"},
        ),
        rx.el.div("created ", Age.create(when=row.created_at), class_name="small muted"),
        href=f"/knowledge/{row.id}",
        class_name="card link",
        key=row.id,
    )


def _model(choice: Choice) -> rx.Component:
    return rx.el.option(choice.label, value=choice.id, key=choice.id)


def _new_button(look: str = "primary") -> rx.Component:
    return rx.cond(
        KnowledgeListState.may_edit,
        button(icon("plus"), "New knowledge base", look=look, on_click=KnowledgeListState.open_form),
        rx.fragment(),
    )


def _list() -> rx.Component:
    nothing = rx.cond(
        KnowledgeListState.total == 0,
        empty(
            "No knowledge base yet",
            "A knowledge base is a pile of documents that is searched together. Make one, drop files into it, "
            "and ask questions about them.",
            _new_button(),
            rx.el.a("Try it with sample documents", href="/welcome", class_name="btn"),
            sign="library",
        ),
        empty("Nothing found", "No knowledge base has these words in its name.", sign="search_x"),
    )
    return rx.cond(
        KnowledgeListState.rows.length() > 0,
        rx.el.div(rx.foreach(KnowledgeListState.rows, _card), class_name="cards"),
        nothing,
    )


def content() -> rx.Component:
    """The page."""
    return framed(
        page_head("Knowledge", _new_button(), text="Piles of documents that bots answer from."),
        problem(KnowledgeListState.problem),
        rx.cond(
            KnowledgeListState.total > 6,
            search_box("Find a knowledge base", on_change=KnowledgeListState.narrow.debounce(150)),
            rx.fragment(),
        ),
        rx.cond(KnowledgeListState.loaded, _list(), skeleton(5)),
        form_dialog(
            "New knowledge base",
            field("Name", text_input("name", required=True, max_length=120, auto_focus=True)),
            field("Description", text_area("description", rows=2, max_length=2000), hint="Optional."),
            rx.cond(
                KnowledgeListState.embedding_models.length() > 1,
                field(
                    "Embedding model",
                    rx.el.select(
                        rx.foreach(KnowledgeListState.embedding_models, _model),
                        name="embedding_model",
                        default_value=KnowledgeListState.embedding_model,
                        class_name="input",
                    ),
                    hint="What makes the documents searchable by meaning. It stays as it is later.",
                ),
                rx.fragment(),
            ),
            field(
                "Language of the documents",
                rx.el.select(
                    *[rx.el.option(label, value=value) for value, label in LANGUAGES],
                    name="language",
                    class_name="input",
                ),
            ),
            opened=KnowledgeListState.form_open,
            on_submit=KnowledgeListState.create_one,
            on_close=KnowledgeListState.close_form,
            submit="Create",
            wrong=KnowledgeListState.form_problem,
        ),
        here="knowledge",
    )


PAGES = (Page("/knowledge", "Knowledge · rag_app", content, (KnowledgeListState.load,)),)
