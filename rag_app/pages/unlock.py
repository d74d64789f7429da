"""The dialog that asks for the password of an encrypted document."""

import reflex as rx

from rag_app.components.dialogs import form_dialog
from rag_app.components.furniture import field, text_input
from rag_app.state.unlock import UnlockState


def unlock_dialog() -> rx.Component:
    """Opened by UnlockState.ask."""
    return form_dialog(
        "Password of “" + UnlockState.doc_title + "”",
        field(
            "Password",
            text_input("password", type="password", required=True, auto_complete="off", max_length=500),
            hint="It opens the file once. It is kept encrypted until the file has been read, and then erased.",
        ),
        opened=UnlockState.doc_id != "",
        on_submit=UnlockState.send,
        on_close=UnlockState.close,
        submit="Open the file",
        wrong=UnlockState.wrong,
    )
