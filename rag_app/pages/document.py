"""/documents/[doc_id]: how a document was read, and how it was cut."""

import reflex as rx

from rag_app.components.browser import Tabs, Ticker
from rag_app.components.furniture import badge, box, empty, icon, link_button, page_head, problem, skeleton, tab
from rag_app.pages.document_edits import conflicts_box, edit_forms, edit_marks, note_origin_box, passage_actions
from rag_app.pages.document_history import history_tab, version_uploader
from rag_app.pages.document_remarks import members, remarks
from rag_app.pages.frame import Page, framed
from rag_app.state.document import DocumentState
from rag_app.state.edits import EditsState
from rag_app.state.history import HistoryState
from rag_app.state.renewal import RenewalState
from rag_app.state.rows import CutRow, ReadBlock


def _table(block: ReadBlock) -> rx.Component:
    return rx.el.div(
        rx.el.table(
            rx.el.thead(rx.el.tr(rx.foreach(block.head, lambda cell: rx.el.th(cell)))),
            rx.el.tbody(
                rx.foreach(block.cells, lambda row: rx.el.tr(rx.foreach(row, lambda cell: rx.el.td(cell)))),
            ),
        ),
        class_name="scroll-x",
        tab_index=0,
    )


def _block(block: ReadBlock) -> rx.Component:
    return rx.match(
        block.kind,
        ("page", rx.el.div(block.text, class_name="page-break", role="separator")),
        ("heading", rx.el.div(block.text, class_name="read-heading", role="heading", aria_level=block.level)),
        ("table", _table(block)),
        ("code", rx.el.code(block.text, class_name="read-table", tab_index=0)),
        rx.el.div(block.text),
    )


def _cut(cut: CutRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(f"{cut.ordinal}", class_name="num"),
            rx.el.span(cut.heading, class_name="grow cut"),
            rx.el.span(cut.pages, class_name="nowrap"),
            rx.el.span(cut.extent, class_name="num nowrap"),
            class_name="row small muted",
        ),
        rx.el.p(cut.text, class_name="passage", style={"color": "var(--text)"}),
        passage_actions(cut),
        class_name="cutting stack tight",
        key=cut.id,
        id=cut.id,
    )


def _read() -> rx.Component:
    return rx.cond(
        DocumentState.blocks.length() > 0,
        rx.el.article(
            rx.foreach(DocumentState.blocks, _block),
            rx.cond(
                DocumentState.cut_short,
                box("The text goes on; only its beginning is shown here. The original holds it all.", tone="info"),
                rx.fragment(),
            ),
            class_name="reading answer card stack tight",
            dir="auto",
        ),
        rx.cond(
            DocumentState.row.busy,
            empty("Not read yet", "The text appears here as soon as it has been read.", sign="hourglass"),
            empty("No text", "Nothing could be read from this document.", sign="file_x"),
        ),
    )


def _cuts() -> rx.Component:
    return rx.el.div(
        edit_marks(),
        rx.cond(
            DocumentState.cuts.length() > 0,
            rx.fragment(
                rx.cond(
                    EditsState.may_edit,
                    rx.el.p(
                        "To hide or correct only some words, select them first, or mark them in the form.",
                        class_name="small muted",
                    ),
                    rx.fragment(),
                ),
                rx.el.ol(
                    rx.foreach(DocumentState.cuts, _cut),
                    class_name="stack",
                    style={"list_style": "none", "padding": "0"},
                ),
            ),
            empty("No passages", "A document is cut into passages once it has been read.", sign="scissors"),
        ),
        edit_forms(),
        class_name="stack",
    )


def content() -> rx.Component:
    """The page."""
    row = DocumentState.row
    return framed(
        page_head(
            rx.cond(row.title != "", row.title, "Document"),
            rx.cond(
                DocumentState.original_url != "",
                link_button(icon("file_down"), "Original", href=DocumentState.original_url, target="_blank"),
                rx.fragment(),
            ),
            rx.cond(DocumentState.tab == "history", rx.fragment(), version_uploader()),
            text=rx.el.span(DocumentState.facts, class_name="num"),
        ),
        rx.el.a(
            "← ",
            DocumentState.kb_name,
            href=f"/knowledge/{DocumentState.kb_id}",
            class_name="crumb",
            style={"order": "-1", "margin_bottom": "-16px"},
        ),
        problem(DocumentState.missing),
        rx.cond(
            DocumentState.loaded,
            rx.fragment(
                rx.cond(
                    row.tone != "ready",
                    rx.el.div(badge(row.status, tone=row.tone), row.phase, class_name="row"),
                    rx.fragment(),
                ),
                problem(row.error),
                conflicts_box(DocumentState.kb_id),
                remarks(),
                rx.cond(row.is_archive, members(), _tabs()),
                rx.cond(row.is_archive, rx.fragment(), _views()),
            ),
            rx.cond(DocumentState.missing == "", skeleton(8), rx.fragment()),
        ),
        Ticker.create(every=rx.cond(row.busy | row.asks_password, 1500, 8000), on_tick=RenewalState.look),
        here="knowledge",
    )


def _tabs() -> rx.Component:
    return Tabs.create(
        tab("How it was read", chosen=DocumentState.tab == "read", on_click=DocumentState.show_tab("read")),
        tab("How it was cut", chosen=DocumentState.tab == "cut", on_click=DocumentState.show_tab("cut")),
        tab(
            "History",
            chosen=DocumentState.tab == "history",
            on_click=[DocumentState.show_tab("history"), HistoryState.load],
        ),
        label="Views of this document",
    )


def _views() -> rx.Component:
    return rx.fragment(
        note_origin_box(),
        rx.match(DocumentState.tab, ("cut", _cuts()), ("history", history_tab()), _read()),
    )


PAGES = (
    Page(
        "/documents/[doc_id]",
        rx.cond(DocumentState.row.title != "", DocumentState.row.title, "Document") + " · rag_app",
        content,
        (DocumentState.load, EditsState.load),
    ),
)
