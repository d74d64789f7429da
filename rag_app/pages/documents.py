"""/knowledge/[kb_id]: the documents of a knowledge base, live, with upload, retrieval test and settings."""

import reflex as rx

from rag_app.components.browser import Age, Tabs, Ticker, Uploader
from rag_app.components.dialogs import confirm_dialog, form_dialog
from rag_app.components.furniture import (
    badge,
    button,
    empty,
    field,
    icon,
    link_button,
    page_head,
    problem,
    progress_bar,
    search_box,
    sign_button,
    skeleton,
    tab,
    table,
    text_area,
    text_input,
)
from rag_app.ingestion.formats import ENDINGS, FORMAT_NAMES
from rag_app.pages.frame import Page, framed
from rag_app.pages.knowledge_settings import settings_tab
from rag_app.pages.notes import conflicts_tab, notes_tab
from rag_app.pages.retrieval import retrieval_tab
from rag_app.pages.sources import sources_tab
from rag_app.pages.unlock import unlock_dialog
from rag_app.state.documents import DocumentsState
from rag_app.state.index_settings import IndexSettingsState
from rag_app.state.knowledge_settings import KnowledgeSettingsState
from rag_app.state.notes import NotesState
from rag_app.state.retrieval import RetrievalState
from rag_app.state.rows import DocumentRow
from rag_app.state.sources import SourcesState
from rag_app.state.unlock import UnlockState

HEADS = [
    ("Document", ""),
    ("Status", ""),
    ("Size", "right"),
    ("Pages", "right"),
    ("Passages", "right"),
    ("Added", ""),
    ("", "right"),
]


def _status(row: DocumentRow) -> rx.Component:
    return rx.el.div(
        badge(row.status, tone=row.tone),
        rx.cond(
            row.busy,
            rx.el.div(
                progress_bar(row.percent, label=f"Progress of {row.title}"),
                rx.el.span(row.phase, class_name="small muted"),
                class_name="stack tight",
                style={"gap": "3px", "margin_top": "4px"},
            ),
            rx.fragment(),
        ),
        style={"min_width": "130px"},
    )


def _actions(row: DocumentRow) -> rx.Component:
    return rx.el.div(
        rx.cond(
            row.asks_password & DocumentsState.may_edit,
            sign_button("key_round", "Enter the password", on_click=UnlockState.ask(row.id)),
            rx.fragment(),
        ),
        rx.cond(
            row.can_retry & ~row.asks_password & DocumentsState.may_edit,
            sign_button("rotate_cw", "Retry", on_click=DocumentsState.retry(row.id)),
            rx.fragment(),
        ),
        rx.cond(
            row.has_original,
            rx.el.a(
                icon("download"),
                href=f"/api/v1/documents/{row.id}/original",
                download=True,
                class_name="btn plain square",
                aria_label=f"Download the original of {row.title}",
                title="Download the original",
            ),
            rx.fragment(),
        ),
        rx.cond(
            DocumentsState.may_edit,
            sign_button("trash_2", "Delete", on_click=DocumentsState.ask_delete(row.id)),
            rx.fragment(),
        ),
        class_name="actions",
    )


def _row(row: DocumentRow) -> rx.Component:
    return rx.el.tr(
        rx.el.td(
            rx.el.a(row.title, href=f"/documents/{row.id}", class_name="doc-title"),
            rx.cond(row.filename != "", rx.el.div(row.filename, class_name="small muted"), rx.fragment()),
            rx.cond(
                row.error != "", rx.el.p(row.error, class_name="small", style={"color": "var(--bad)"}), rx.fragment()
            ),
            rx.cond(row.note != "", rx.el.p(row.note, class_name="small muted"), rx.fragment()),
            style={"max_width": "420px"},
        ),
        rx.el.td(_status(row)),
        rx.el.td(row.size, class_name="right num nowrap", custom_attrs={"data-label": "Size"}),
        rx.el.td(row.pages, class_name="right num", custom_attrs={"data-label": "Pages"}),
        rx.el.td(row.passages, class_name="right num", custom_attrs={"data-label": "Passages"}),
        rx.el.td(Age.create(when=row.created_at), class_name="small muted", custom_attrs={"data-label": "Added"}),
        rx.el.td(_actions(row)),
        key=row.id,
    )


def _filters() -> rx.Component:
    options = [
        ("", "All states"),
        ("ready", "Ready"),
        ("working", "Working"),
        ("queued", "Queued"),
        ("failed", "Failed"),
    ]
    return rx.el.div(
        search_box("Search titles", on_change=DocumentsState.narrow.debounce(200), default_value=DocumentsState.words),
        rx.el.select(
            *[rx.el.option(label, value=value) for value, label in options],
            value=DocumentsState.status,
            on_change=DocumentsState.narrow_status,
            class_name="input",
            aria_label="State",
            style={"width": "auto"},
        ),
        class_name="row wrap",
    )


def _list() -> rx.Component:
    return rx.cond(
        DocumentsState.total > 0,
        rx.el.div(
            _filters(),
            rx.cond(
                DocumentsState.rows.length() > 0,
                table(HEADS, rx.foreach(DocumentsState.rows, _row), label="Documents"),
                empty("Nothing found", "No document fits the search. Change the words or the state.", sign="search_x"),
            ),
            rx.cond(
                DocumentsState.has_more,
                button("Show more", on_click=DocumentsState.more, style={"align_self": "center"}),
                rx.fragment(),
            ),
            class_name="stack",
        ),
        empty(
            "No documents yet",
            "Drop files above. Each one is read, cut into passages and made searchable; you see how far it is.",
            sign="file_text",
        ),
    )


def _adding() -> rx.Component:
    return rx.cond(
        DocumentsState.may_edit,
        rx.el.div(
            Uploader.create(
                button(icon("clipboard_paste"), "Paste text", on_click=DocumentsState.open_form("text")),
                button(icon("globe"), "Web address", on_click=DocumentsState.open_form("address")),
                url=DocumentsState.upload_url,
                max_mb=DocumentsState.max_mb,
                accept=",".join(ENDINGS),
                formats=FORMAT_NAMES,
                on_added=lambda _row: DocumentsState.refresh.throttle(500),
                key=DocumentsState.kb_id,
            ),
            class_name="stack tight",
        ),
        rx.fragment(),
    )


def _dialogs() -> rx.Component:
    return rx.fragment(
        unlock_dialog(),
        form_dialog(
            "Paste text",
            field("Title", text_input("title", max_length=300), hint="Optional; otherwise the first line."),
            field("Text", text_area("text", rows=10, required=True)),
            opened=DocumentsState.form == "text",
            on_submit=DocumentsState.add_text,
            on_close=DocumentsState.close_form,
            submit="Add",
            wrong=DocumentsState.form_problem,
            wide=True,
        ),
        form_dialog(
            "Add a web address",
            field(
                "Addresses",
                text_area("urls", rows=3, required=True, placeholder="https://example.com/handbook"),
                hint="One per line. Each page is fetched once and becomes a document.",
            ),
            opened=DocumentsState.form == "address",
            on_submit=DocumentsState.add_address,
            on_close=DocumentsState.close_form,
            submit="Add",
            wrong=DocumentsState.form_problem,
        ),
        confirm_dialog(
            "Delete this document?",
            rx.fragment(
                "“",
                DocumentsState.doomed_title,
                rx.cond(
                    DocumentsState.doomed_archive,
                    "” is removed with all documents that were unpacked from it; they are gone from search at once.",
                    "” is removed with its passages and is gone from search at once.",
                ),
            ),
            opened=DocumentsState.doomed_id != "",
            on_yes=DocumentsState.delete,
            on_close=DocumentsState.keep,
        ),
    )


def _tabs() -> rx.Component:
    return Tabs.create(
        tab("Documents", chosen=DocumentsState.tab == "documents", on_click=DocumentsState.show_tab("documents")),
        tab("Sources", chosen=DocumentsState.tab == "sources", on_click=DocumentsState.show_tab("sources")),
        tab("Notes", chosen=DocumentsState.tab == "notes", on_click=DocumentsState.show_tab("notes")),
        tab(
            rx.cond(NotesState.waiting > 0, f"Conflicts ({NotesState.waiting})", "Conflicts"),
            chosen=DocumentsState.tab == "conflicts",
            on_click=DocumentsState.show_tab("conflicts"),
        ),
        tab("Test retrieval", chosen=DocumentsState.tab == "retrieval", on_click=DocumentsState.show_tab("retrieval")),
        rx.cond(
            DocumentsState.may_edit,
            tab("Settings", chosen=DocumentsState.tab == "settings", on_click=DocumentsState.show_tab("settings")),
            rx.fragment(),
        ),
        label="Parts of this knowledge base",
    )


def content() -> rx.Component:
    """The page."""
    return framed(
        page_head(
            rx.cond(DocumentsState.kb_name != "", DocumentsState.kb_name, "Knowledge base"),
            link_button(icon("message_square"), "Ask it", href=f"/chat?kb={DocumentsState.kb_id}", look="primary"),
            text=rx.fragment(
                DocumentsState.kb_description,
                rx.cond(DocumentsState.kb_description != "", rx.el.br(), rx.fragment()),
                rx.el.span(DocumentsState.summary, class_name="num"),
            ),
            back=("Knowledge", "/knowledge"),
        ),
        problem(DocumentsState.missing),
        rx.cond(
            DocumentsState.missing == "",
            rx.fragment(
                _tabs(),
                rx.match(
                    DocumentsState.tab,
                    ("sources", sources_tab()),
                    ("notes", notes_tab()),
                    ("conflicts", conflicts_tab()),
                    ("retrieval", retrieval_tab()),
                    ("settings", settings_tab()),
                    rx.el.div(
                        _adding(),
                        rx.cond(DocumentsState.loaded, _list(), skeleton(6)),
                        Ticker.create(
                            every=rx.cond(DocumentsState.unfinished > 0, 1000, 5000), on_tick=DocumentsState.refresh
                        ),
                        class_name="stack",
                    ),
                ),
                _dialogs(),
            ),
            rx.fragment(),
        ),
        here="knowledge",
    )


PAGES = (
    Page(
        "/knowledge/[kb_id]",
        rx.cond(DocumentsState.kb_name != "", DocumentsState.kb_name, "Knowledge base") + " · rag_app",
        content,
        (
            DocumentsState.load,
            RetrievalState.clear,
            KnowledgeSettingsState.load,
            IndexSettingsState.load,
            SourcesState.load,
            NotesState.load,
        ),
    ),
)
