"""Binds the session to the shell, and pages to their addresses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import reflex as rx

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
    """A signed-in page."""
    return shell(*content, here=here, session=session_binding(), full=full)
