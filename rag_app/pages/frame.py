"""Binds the session to the shell, and pages to their addresses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import reflex as rx

from rag_app.components.furniture import empty, link_button
from rag_app.components.shell import ShellBinding, shell
from rag_app.state.session import SessionState


@dataclass(frozen=True, slots=True)
class Page:
    """One address: what it shows and what runs when it is opened."""

    route: str
    title: Any  # a text, or a Var where it depends on what is shown
    content: Callable[[], rx.Component]
    on_load: tuple[Any, ...] = field(default=())


def session_binding() -> ShellBinding:
    """The values and handlers that the shell needs."""
    return ShellBinding(
        name=SessionState.name,
        role=SessionState.role,
        may_manage=SessionState.may_manage,
        notices=SessionState.notices,
        dismiss=SessionState.dismiss,
        found=SessionState.found,
        on_search=SessionState.search_places,
        on_pick=SessionState.go,
    )


def framed(*content: Any, here: str, full: bool = False) -> rx.Component:
    """A signed-in page; who may not see it reads that instead."""
    shown = rx.cond(SessionState.may_see, rx.fragment(*content), _closed())
    return shell(shown, here=here, session=session_binding(), full=full)


def _closed() -> rx.Component:
    words = "Your role does not open this page. Ask an admin of the workspace if you need it."
    return empty("You may not see this", words, link_button("Back to the start", href="/"), sign="lock")
