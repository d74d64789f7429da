"""The tab “History” of a document: its versions, what changed, an older one brought back."""

import reflex as rx

from rag_app.components.browser import Age, Ticker, VersionUploader
from rag_app.components.furniture import badge, box, button, empty, problem, skeleton
from rag_app.ingestion.formats import ENDINGS
from rag_app.pages.differences import differences_dialog
from rag_app.state.change_rows import VersionRow
from rag_app.state.document import DocumentState
from rag_app.state.history import HistoryState
from rag_app.state.renewal import RenewalState


def _version(row: VersionRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(f"Version {row.number}", class_name="num"),
            rx.cond(row.status != "", badge(row.status, tone=row.tone), rx.fragment()),
            rx.el.span(Age.create(when=row.when), class_name="small muted"),
            rx.cond(row.by != "", rx.el.span("by ", row.by, class_name="small muted"), rx.fragment()),
            class_name="row wrap",
        ),
        rx.el.div(
            row.facts,
            rx.cond(row.restored != "", rx.fragment(" · ", row.restored), rx.fragment()),
            class_name="small muted num",
        ),
        problem(row.error),
        rx.el.div(
            rx.cond(
                row.before_id != "",
                button("What changed", look="mini", on_click=HistoryState.compare(row.id, row.before_id)),
                rx.fragment(),
            ),
            rx.cond(
                row.can_restore & HistoryState.may_edit,
                button("Bring back", look="mini", on_click=HistoryState.restore(row.id)),
                rx.fragment(),
            ),
            class_name="row wrap",
        ),
        class_name="card stack tight",
        key=row.id,
    )


def version_uploader() -> rx.Component:
    """Takes a file as a new version, if the document came as one."""
    return rx.cond(
        DocumentState.may_edit & (DocumentState.versions_url != ""),
        VersionUploader.create(
            url=DocumentState.versions_url,
            max_mb=DocumentState.max_mb,
            accept=",".join(ENDINGS),
            on_added=lambda _row: RenewalState.taken,
        ),
        rx.fragment(),
    )


def history_tab() -> rx.Component:
    """The versions that are kept, newest first."""
    state = HistoryState
    return rx.el.div(
        problem(state.problem),
        version_uploader(),
        rx.cond(
            state.undo_id != "",
            box(
                state.undo_text,
                " ",
                button("Undo", look="mini", on_click=state.undo, disabled=state.busy),
                tone="info",
            ),
            rx.fragment(),
        ),
        rx.cond(
            state.loaded,
            rx.cond(
                state.versions.length() > 0,
                rx.el.ol(
                    rx.foreach(state.versions, _version),
                    class_name="stack",
                    style={"list_style": "none", "padding": "0"},
                    aria_label="Versions, newest first",
                ),
                empty("No versions", "Each upload, crawl or correction of this document appears here.", sign="history"),
            ),
            skeleton(5),
        ),
        differences_dialog(state),
        rx.cond(state.busy, Ticker.create(every=1500, on_tick=state.refresh), rx.fragment()),
        class_name="stack",
    )
