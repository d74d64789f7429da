"""/people: who works here, with which role, and who is invited."""

import reflex as rx

from rag_app.components.browser import Age, Copy
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
    table,
    text_input,
)
from rag_app.pages.frame import Page, framed
from rag_app.state.people import PeopleState
from rag_app.state.rows import InvitationRow, PersonRow

ROLES = (
    ("viewer", "Viewer: reads and asks"),
    ("editor", "Editor: also adds documents and makes bots"),
    ("admin", "Admin: also manages people and models"),
    ("owner", "Owner: everything"),
)


def _role(row: PersonRow) -> rx.Component:
    return rx.cond(
        row.is_self,
        rx.el.span(row.role),
        rx.el.select(
            *[rx.el.option(value, value=value) for value, _ in ROLES],
            value=row.role,
            on_change=lambda role: PeopleState.set_role(row.id, role),
            class_name="input",
            aria_label=f"Role of {row.name}",
            style={"width": "auto", "min_height": "32px"},
        ),
    )


def _actions(row: PersonRow) -> rx.Component:
    return rx.cond(
        row.is_self,
        rx.fragment(),
        rx.el.div(
            sign_button("key_round", "Make a link for a new password", on_click=PeopleState.make_reset_link(row.id)),
            rx.cond(
                row.disabled,
                sign_button("user_check", "Let in again", on_click=PeopleState.toggle_disabled(row.id)),
                sign_button("user_x", "Keep out", on_click=PeopleState.toggle_disabled(row.id)),
            ),
            sign_button("trash_2", "Remove", on_click=PeopleState.ask_remove(row.id)),
            class_name="actions",
        ),
    )


def _person(row: PersonRow) -> rx.Component:
    return rx.el.tr(
        rx.el.td(
            rx.el.div(
                rx.el.strong(row.name),
                rx.cond(row.is_self, badge("you", tone="flat"), rx.fragment()),
                rx.cond(row.disabled, badge("kept out", tone="failed"), rx.fragment()),
                class_name="row wrap",
            ),
            rx.el.div(row.email, class_name="small muted"),
        ),
        rx.el.td(_role(row)),
        rx.el.td(
            rx.cond(row.is_self, "now", rx.cond(row.last_seen_at != "", Age.create(when=row.last_seen_at), "never")),
            class_name="small muted",
            custom_attrs={"data-label": "Last seen"},
        ),
        rx.el.td(_actions(row)),
        key=row.id,
    )


def _invitation(row: InvitationRow) -> rx.Component:
    return rx.el.li(
        rx.el.span(row.email, class_name="grow cut"),
        badge(row.role, tone="flat"),
        rx.el.span("ends ", Age.create(when=row.expires_at), class_name="small muted"),
        button("Withdraw", look="mini", on_click=PeopleState.withdraw(row.id)),
        class_name="row",
        key=row.id,
    )


def _link() -> rx.Component:
    return rx.cond(
        PeopleState.link != "",
        box(
            rx.el.p(PeopleState.link_text, " It is shown only now."),
            rx.el.div(
                rx.el.input(
                    value=PeopleState.link,
                    read_only=True,
                    class_name="input",
                    aria_label="Link",
                ),
                Copy.create(text=PeopleState.link, label="Copy"),
                button("Done", look="mini", on_click=PeopleState.hide_link),
                class_name="row",
                style={"margin_top": "8px"},
            ),
            tone="info",
        ),
        rx.fragment(),
    )


def _invitations() -> rx.Component:
    return rx.cond(
        PeopleState.invitations.length() > 0,
        rx.el.section(
            rx.el.h2("Open invitations"),
            rx.el.ul(
                rx.foreach(PeopleState.invitations, _invitation),
                class_name="stack tight",
                style={"list_style": "none", "padding": "0"},
            ),
            class_name="card stack tight",
        ),
        rx.fragment(),
    )


def _dialogs() -> rx.Component:
    choices = [rx.el.option(label, value=value) for value, label in ROLES]
    return rx.fragment(
        form_dialog(
            "Invite a person",
            field("E-mail", text_input("email", type="email", required=True, max_length=254, auto_focus=True)),
            field("Role", rx.el.select(*choices, name="role", class_name="input")),
            rx.el.p("You get a link to hand over; no mail is sent.", class_name="hint"),
            opened=PeopleState.form_open,
            on_submit=PeopleState.send_invitation,
            on_close=PeopleState.close_form,
            submit="Make the link",
            wrong=PeopleState.form_problem,
        ),
        confirm_dialog(
            "Remove this person?",
            rx.fragment(PeopleState.doomed_name, " loses access at once; their chats and API keys are removed."),
            opened=PeopleState.doomed_id != "",
            on_yes=PeopleState.remove,
            on_close=PeopleState.keep,
            yes="Remove",
        ),
    )


def content() -> rx.Component:
    """The page."""
    heads = [("Person", ""), ("Role", ""), ("Last seen", ""), ("", "right")]
    return framed(
        page_head(
            "People",
            button(icon("user_plus"), "Invite", look="primary", on_click=PeopleState.open_form),
            text="Who works with this server, and what each may do.",
        ),
        problem(PeopleState.problem),
        _link(),
        rx.cond(
            PeopleState.loaded,
            table(heads, rx.foreach(PeopleState.rows, _person), label="People"),
            rx.cond(PeopleState.problem == "", skeleton(4), rx.fragment()),
        ),
        _invitations(),
        _dialogs(),
        here="people",
    )


PAGES = (Page("/people", "People · rag_app", content, (PeopleState.load,)),)
