"""The pages before sign-in: set-up, sign-in, invitation, new password."""

import reflex as rx

from rag_app.components.browser import Gate
from rag_app.components.furniture import field, link_button, text_input
from rag_app.components.shell import gate_page
from rag_app.pages.frame import Page
from rag_app.state.gate import GateState

HINT = "At least 10 characters; a few words in a row are good."


def _email() -> rx.Component:
    return field("E-mail", text_input("email", type="email", required=True, auto_complete="username", max_length=254))


def _new_password(name: str = "password") -> tuple[rx.Component, rx.Component]:
    rules = {"type": "password", "required": True, "min_length": 10, "max_length": 200}
    return (
        field("Password", text_input(name, auto_complete="new-password", **rules), hint=HINT),
        field("Password again", text_input("password_again", auto_complete="new-password", **rules)),
    )


def _name() -> rx.Component:
    return field("Your name", text_input("name", required=True, auto_complete="name", max_length=100))


def setup() -> rx.Component:
    """The first person makes their account."""
    return gate_page(
        "Welcome",
        rx.cond(
            GateState.is_set_up,
            link_button("Sign in", href="/sign-in", look="primary"),
            Gate.create(
                _name(),
                _email(),
                *_new_password(),
                action="/api/v1/auth/setup",
                submit="Create the owner account",
                next="/welcome",
                with_token=True,
                dead=GateState.dead,
                on_token=lambda token: GateState.check("setup", token),
            ),
        ),
        text=rx.fragment(
            rx.cond(
                GateState.is_set_up,
                "This server has its owner already.",
                "This account will own the workspace and can invite others.",
            )
        ),
    )


def sign_in() -> rx.Component:
    """A person signs in."""
    return gate_page(
        "Sign in",
        Gate.create(
            _email(),
            field(
                "Password",
                text_input(
                    "password", type="password", required=True, auto_complete="current-password", max_length=200
                ),
            ),
            action="/api/v1/auth/session",
            submit="Sign in",
            next="/",
        ),
        rx.el.details(
            rx.el.summary("Cannot sign in?", class_name="small muted"),
            rx.el.p(
                "Ask an admin for a new link. Whoever runs the server can make one with ",
                rx.el.code("python -m rag_app user reset-password YOUR@E-MAIL"),
                class_name="small muted",
            ),
        ),
    )


def invitation() -> rx.Component:
    """An invited person makes their account."""
    return gate_page(
        "Join the workspace",
        Gate.create(
            _name(),
            *_new_password(),
            action="/api/v1/auth/invitation",
            submit="Join",
            next="/",
            with_token=True,
            dead=GateState.dead,
            on_token=lambda token: GateState.check("invite", token),
        ),
        text="You were invited. Choose a name and a password.",
    )


def reset() -> rx.Component:
    """A person who was given a reset link chooses a new password."""
    return gate_page(
        "Choose a new password",
        Gate.create(
            *_new_password(),
            action="/api/v1/auth/reset",
            submit="Set the password",
            next="/",
            with_token=True,
            dead=GateState.dead,
            on_token=lambda token: GateState.check("reset", token),
        ),
        text="This signs you out everywhere else.",
    )


PAGES = (
    Page("/setup", "Set up · rag_app", setup),
    Page("/sign-in", "Sign in · rag_app", sign_in),
    Page("/invite", "Join · rag_app", invitation),
    Page("/reset", "New password · rag_app", reset),
)
