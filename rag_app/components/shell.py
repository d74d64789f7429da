"""The frame around every signed-in page: navigation, banners, notices, palette."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from rag_app.components.browser import Later, Palette, PaletteButton, SignOut, Theme, Unencrypted
from rag_app.components.furniture import icon, sign_button


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation."""

    key: str
    label: str
    href: str
    sign: str


MAIN = (
    Place("chat", "Chat", "/chat", "message_square"),
    Place("bots", "Bots", "/bots", "bot"),
    Place("knowledge", "Knowledge", "/knowledge", "library"),
)
SETTINGS = (
    Place("models", "Models", "/models", "cpu"),
    Place("people", "People", "/people", "users"),
    Place("account", "Account", "/account", "circle_user"),
)


@dataclass(frozen=True)
class ShellBinding:
    """What the shell shows and calls: values and handlers of the session."""

    name: Any
    role: Any
    may_manage: Any
    notices: Any
    dismiss: Any
    found: Any
    on_search: Any
    on_pick: Any


def _link(place: Place, here: str, extra: str = "") -> rx.Component:
    on = place.key == here
    return rx.el.a(
        icon(place.sign),
        place.label,
        href=place.href,
        class_name=f"nav-link{' on' if on else ''} {extra}".strip(),
        aria_current="page" if on else "false",
    )


def brand() -> rx.Component:
    """The sign and the name."""
    return rx.el.a(icon("book_open_check"), "rag_app", href="/", class_name="brand")


def _navigation(here: str, session: ShellBinding) -> rx.Component:
    in_settings = here in {place.key for place in SETTINGS}
    people, rest = SETTINGS[1], (SETTINGS[0], SETTINGS[2])
    return rx.el.nav(
        brand(),
        PaletteButton.create(icon("search"), rx.el.span("Go to…", class_name="grow")),
        *[_link(place, here) for place in MAIN],
        rx.el.a(
            icon("settings"),
            "Settings",
            href="/models",
            class_name="nav-link only-narrow" + (" on" if in_settings else ""),
        ),
        rx.el.div("Settings", class_name="nav-group", aria_hidden="true"),
        _link(rest[0], here, "only-wide"),
        rx.cond(session.may_manage, _link(people, here, "only-wide"), rx.fragment()),
        _link(rest[1], here, "only-wide"),
        rx.el.div(
            Theme.create(),
            SignOut.create(icon("log_out"), "Sign out", action="/api/v1/auth/session"),
            rx.el.div(
                rx.el.div(session.name, class_name="cut"), rx.el.div(session.role, class_name="small"), class_name="who"
            ),
            class_name="nav-foot",
        ),
        class_name="nav",
        aria_label="Main",
    )


def settings_tabs(here: str, session: ShellBinding) -> rx.Component:
    """On narrow screens the places of the settings are tabs above the page."""

    def each(place: Place) -> rx.Component:
        return rx.el.a(place.label, href=place.href, class_name="tab" + (" on" if place.key == here else ""))

    return rx.el.div(
        each(SETTINGS[0]),
        rx.cond(session.may_manage, each(SETTINGS[1]), rx.fragment()),
        each(SETTINGS[2]),
        class_name="tabs settings-tabs",
    )


def _notices(session: ShellBinding) -> rx.Component:
    return rx.el.div(
        rx.foreach(
            session.notices,
            lambda notice: rx.el.div(
                rx.el.span(notice.text, class_name="grow"),
                rx.cond(
                    notice.tone == "bad",
                    rx.fragment(),
                    Later.create(after=8000, on_time=session.dismiss(notice.key)),
                ),
                sign_button("x", "Dismiss", look="plain square mini", on_click=session.dismiss(notice.key)),
                class_name=f"notice {notice.tone}",
                key=notice.key,
            ),
        ),
        class_name="notices",
        role="status",
        aria_live="polite",
    )


def connection_banner() -> rx.Component:
    """Shown while the server cannot be reached; what is typed stays."""
    return rx.el.div("Connection lost. Trying again…", class_name="banner bad", role="status")


def shell(*content: Any, here: str, session: ShellBinding, full: bool = False) -> rx.Component:
    """A signed-in page. `full` = the content fills the height and scrolls by itself."""
    tabs = (settings_tabs(here, session),) if here in {place.key for place in SETTINGS} else ()
    inner = content if full else (rx.el.div(*tabs, *content, class_name="page"),)
    return rx.el.div(
        rx.el.a("Skip to content", href="#content", class_name="skip"),
        rx.el.div(rx.connection_banner(connection_banner()), Unencrypted.create(), class_name="bars"),
        _navigation(here, session),
        rx.el.main(*inner, class_name="main", id="content", tab_index=-1),
        _notices(session),
        Palette.create(results=session.found, on_search=session.on_search, on_pick=session.on_pick),
        class_name="shell",
    )


def gate_page(title: str, *content: Any, text: Any = "") -> rx.Component:
    """A page before sign-in: one card in the middle."""
    sentence = rx.el.p(text, class_name="muted") if text else rx.fragment()
    return rx.el.div(
        Unencrypted.create(),
        rx.el.main(
            rx.el.div(
                brand(),
                rx.el.div(rx.el.h1(title), sentence, class_name="stack tight"),
                *content,
                class_name="card",
            ),
            class_name="gate",
        ),
        class_name="gate-page",
    )
