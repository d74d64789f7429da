"""What there is to say of a document besides its text: what was left out, its archive, the members of an archive."""

import reflex as rx

from rag_app.components.furniture import badge, box, button, icon
from rag_app.pages.unlock import unlock_dialog
from rag_app.state.document import DocumentState
from rag_app.state.rows import DocumentRow
from rag_app.state.unlock import UnlockState


def _whence() -> rx.Component:
    """The address of a page, the path of a file, and the source that brings it."""
    state = DocumentState
    return rx.cond(
        (state.live_url != "") | (state.path != "") | (state.source_id != ""),
        rx.el.p(
            rx.cond(state.path != "", rx.el.span(state.path), rx.fragment()),
            rx.cond((state.path != "") & (state.live_url != ""), " · ", ""),
            rx.cond(
                state.live_url != "",
                rx.el.a(
                    state.live_url,
                    " ",
                    rx.el.span(icon("external_link"), class_name="inline-icon"),
                    href=state.live_url,
                    target="_blank",
                    rel="noopener noreferrer nofollow",
                ),
                rx.fragment(),
            ),
            rx.cond(
                state.source_id != "",
                rx.fragment(
                    rx.cond((state.path != "") | (state.live_url != ""), " · ", ""),
                    "kept up to date by the source ",
                    rx.el.a(state.source_name, href=f"/sources/{state.source_id}"),
                ),
                rx.fragment(),
            ),
            class_name="small muted break",
        ),
        rx.fragment(),
    )


def remarks() -> rx.Component:
    """The sentences on the reading, and where the document came from."""
    return rx.fragment(
        _whence(),
        unlock_dialog(),
        rx.cond(
            DocumentState.row.asks_password & DocumentState.may_edit,
            rx.el.div(
                button(
                    icon("key_round"),
                    "Enter the password",
                    on_click=UnlockState.ask(DocumentState.row.id),
                    look="primary",
                )
            ),
            rx.fragment(),
        ),
        rx.cond(
            DocumentState.archive_id != "",
            rx.el.p(
                "Unpacked from ",
                rx.el.a("its archive", href=f"/documents/{DocumentState.archive_id}"),
                ".",
                class_name="small muted",
            ),
            rx.fragment(),
        ),
        rx.cond(
            DocumentState.remarks.length() > 0,
            box(
                rx.el.ul(
                    rx.foreach(DocumentState.remarks, lambda each: rx.el.li(each)),
                    aria_label="Remarks on the reading",
                    style={"margin": "0", "padding_inline_start": "18px"},
                ),
                tone="info",
            ),
            rx.fragment(),
        ),
    )


def _member(row: DocumentRow) -> rx.Component:
    return rx.el.li(
        rx.el.a(row.title, href=f"/documents/{row.id}", class_name="grow cut"),
        badge(row.status, tone=row.tone),
        class_name="row",
        key=row.id,
    )


def members() -> rx.Component:
    """The documents that an archive was unpacked into."""
    return rx.el.ul(
        rx.foreach(DocumentState.members, _member),
        class_name="card stack tight",
        aria_label="Documents of this archive",
        style={"list_style": "none"},
    )
