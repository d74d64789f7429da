"""/account: one's own name, password, signed-in browsers and API keys."""

import reflex as rx

from rag_app.components.browser import Age, Copy, Gate, SignOut, Theme
from rag_app.components.furniture import badge, box, button, field, icon, page_head, problem, skeleton, text_input
from rag_app.pages.frame import Page, framed
from rag_app.state.account import AccountState
from rag_app.state.rows import KeyRow, SessionRow


def _password() -> rx.Component:
    rules = {"type": "password", "required": True, "max_length": 200}
    return rx.el.section(
        rx.el.h2("Password"),
        Gate.create(
            field("Current password", text_input("current_password", auto_complete="current-password", **rules)),
            field(
                "New password",
                text_input("new_password", auto_complete="new-password", min_length=10, **rules),
                hint="At least 10 characters. All other browsers are signed out.",
            ),
            field("New password again", text_input("password_again", auto_complete="new-password", **rules)),
            action="/api/v1/auth/password",
            submit="Change the password",
            success="The password was changed.",
        ),
        class_name="card stack",
    )


def _session(row: SessionRow) -> rx.Component:
    return rx.el.li(
        rx.el.span(row.browser, class_name="grow cut"),
        rx.cond(row.current, badge("this one", tone="good"), Age.create(when=row.last_seen_at)),
        rx.cond(
            row.current,
            rx.fragment(),
            button("Sign out", look="mini", on_click=AccountState.end_session(row.id)),
        ),
        class_name="row",
        key=row.id,
    )


def _key(row: KeyRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.div(rx.el.strong(row.name), " ", rx.el.code(row.prefix, "…"), class_name="cut"),
            rx.el.div(row.scopes, " · made ", Age.create(when=row.created_at), class_name="small muted"),
            class_name="grow",
        ),
        button("End", look="mini danger", on_click=AccountState.end_key(row.id)),
        class_name="row",
        key=row.id,
    )


def _keys() -> rx.Component:
    return rx.el.section(
        rx.el.h2("API keys"),
        rx.el.p("For programs that call this server in your name.", class_name="muted small"),
        rx.cond(
            AccountState.new_key != "",
            box(
                "Copy the key now; it is not shown again.",
                rx.el.div(
                    rx.el.input(value=AccountState.new_key, read_only=True, class_name="input", aria_label="New key"),
                    Copy.create(text=AccountState.new_key, label="Copy"),
                    button("Done", look="mini", on_click=AccountState.hide_key),
                    class_name="row",
                    style={"margin_top": "8px"},
                ),
            ),
            rx.fragment(),
        ),
        rx.el.ul(
            rx.foreach(AccountState.keys, _key),
            class_name="stack tight",
            style={"list_style": "none", "padding": "0"},
        ),
        rx.el.form(
            rx.el.div(
                text_input(
                    "name", placeholder="What is it for?", aria_label="Name of the key", required=True, max_length=100
                ),
                button("Make a key", kind="submit"),
                class_name="row",
            ),
            problem(AccountState.key_problem),
            on_submit=AccountState.make_key,
            reset_on_submit=True,
            class_name="plain",
        ),
        class_name="card stack",
    )


def content() -> rx.Component:
    """The page."""
    return framed(
        page_head("Account", text=AccountState.email),
        problem(AccountState.problem),
        rx.cond(
            AccountState.loaded,
            rx.el.div(
                rx.el.form(
                    rx.el.h2("Name"),
                    rx.el.div(
                        text_input(
                            "name",
                            default_value=AccountState.own_name,
                            required=True,
                            max_length=100,
                            aria_label="Name",
                        ),
                        button("Save", kind="submit"),
                        class_name="row",
                    ),
                    on_submit=AccountState.save_name,
                    class_name="plain card",
                ),
                _password(),
                rx.el.section(
                    rx.el.h2("Signed in here"),
                    rx.el.ul(
                        rx.foreach(AccountState.sessions, _session),
                        class_name="stack tight",
                        style={"list_style": "none", "padding": "0"},
                    ),
                    rx.el.div(
                        Theme.create(),
                        SignOut.create(icon("log_out"), "Sign out of this browser", action="/api/v1/auth/session"),
                        style={"margin": "0 -10px"},
                    ),
                    class_name="card stack tight",
                ),
                _keys(),
                class_name="stack",
                style={"max_width": "640px"},
            ),
            rx.cond(AccountState.problem == "", skeleton(6), rx.fragment()),
        ),
        here="account",
    )


PAGES = (Page("/account", "Account · rag_app", content, (AccountState.load,)),)
