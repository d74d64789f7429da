"""Small pieces every page is made of: buttons, badges, bars, boxes, empty states, skeletons, fields."""

import re
from typing import Any, Literal

import reflex as rx

Tone = Literal["bad", "warn", "info", "good"]
_SIGNS: dict[Tone, str] = {"bad": "circle_alert", "warn": "triangle_alert", "info": "info", "good": "circle_check"}


def icon(name: str) -> rx.Component:
    """A decorative sign; what it means is always also said in words."""
    return rx.icon(name, class_name="icon", aria_hidden="true")


def button(*children: Any, look: str = "", kind: str = "button", **props: Any) -> rx.Component:
    """A button. `look` is any of: primary, danger, solid, plain, mini, square."""
    return rx.el.button(*children, class_name=f"btn {look}".strip(), type=kind, **props)


def sign_button(sign: str, label: str, *, look: str = "plain square", **props: Any) -> rx.Component:
    """A button that shows only a sign; `label` names it for screen readers and as a tooltip."""
    return rx.el.button(icon(sign), class_name=f"btn {look}", type="button", aria_label=label, title=label, **props)


def link_button(*children: Any, href: Any, look: str = "", **props: Any) -> rx.Component:
    """A link that looks like a button."""
    return rx.el.a(*children, href=href, class_name=f"btn {look}".strip(), **props)


def badge(text: Any, *, tone: Any = "") -> rx.Component:
    """A short status word; `tone` is any of: ready, good, working, failed, bad, warn, flat."""
    return rx.el.span(text, class_name="badge " + tone if isinstance(tone, str) else f"badge {tone}")


def progress_bar(part: Any, *, label: Any) -> rx.Component:
    """A bar; `part` is 0..100."""
    return rx.el.div(
        rx.el.i(style={"width": f"{part}%"}),
        class_name="bar",
        role="progressbar",
        aria_label=label,
        aria_valuemin="0",
        aria_valuemax="100",
        aria_valuenow=f"{part}",
    )


def box(*children: Any, tone: Tone = "info", **props: Any) -> rx.Component:
    """A framed sentence that stands where it belongs."""
    role = "alert" if tone == "bad" else "note"
    return rx.el.div(
        icon(_SIGNS[tone]), rx.el.div(*children, class_name="grow"), class_name=f"box {tone}", role=role, **props
    )


def problem(text: Any) -> rx.Component:
    """What went wrong, in words, where it happened; nothing while the text is empty."""
    return rx.cond(text != "", box(text, tone="bad"), rx.fragment())


def empty(title: str, text: Any, *actions: rx.Component, sign: str = "inbox") -> rx.Component:
    """What a list shows while it is empty: what it is for, and what to do next."""
    return rx.el.div(
        icon(sign),
        rx.el.h2(title),
        rx.el.p(text),
        rx.el.div(*actions, class_name="row") if actions else rx.fragment(),
        class_name="empty",
    )


def skeleton(lines: int = 4) -> rx.Component:
    """The shape of what is loading."""
    widths = ["92%", "78%", "85%", "64%", "88%", "71%"]
    return rx.el.div(
        *[rx.el.div(class_name="skeleton", style={"width": widths[i % len(widths)]}) for i in range(lines)],
        class_name="stack",
        role="status",
        aria_label="Loading",
    )


def field(label: str, control: rx.Component, *, hint: Any = "") -> rx.Component:
    """A labelled control; the hint below describes it without being part of its name."""
    if isinstance(hint, str) and not hint:
        return rx.el.label(rx.el.span(label), control, class_name="field")
    identity = "hint-" + re.sub(r"[^a-z]+", "-", label.lower())
    control.custom_attrs = {**control.custom_attrs, "aria-describedby": identity}
    return rx.el.div(
        rx.el.label(rx.el.span(label), control, class_name="field"),
        rx.el.small(hint, class_name="hint", id=identity),
        class_name="field",
    )


def text_input(name: str, **props: Any) -> rx.Component:
    """A line of text that belongs to a form."""
    return rx.el.input(name=name, class_name="input", **props)


def text_area(name: str, *, rows: int = 4, **props: Any) -> rx.Component:
    """Several lines of text that belong to a form."""
    return rx.el.textarea(name=name, class_name="input", rows=rows, **props)


def search_box(label: str, **props: Any) -> rx.Component:
    """A field that narrows a list."""
    return rx.el.div(
        icon("search"),
        rx.el.input(type="search", class_name="input", placeholder=label, aria_label=label, **props),
        class_name="search",
    )


def page_head(title: Any, *actions: rx.Component, text: Any = "", back: tuple[str, str] | None = None) -> rx.Component:
    """The top of a page: where one came from, the title, a sentence, the actions."""
    crumb = rx.el.a(f"← {back[0]}", href=back[1], class_name="crumb") if back else rx.fragment()
    sentence = rx.el.p(text) if not isinstance(text, str) or text else rx.fragment()
    return rx.el.header(
        rx.el.div(crumb, rx.el.h1(title), sentence, class_name="grow"),
        rx.el.div(*actions, class_name="row wrap"),
        class_name="page-head",
    )


def tab(label: Any, *, chosen: Any, on_click: Any) -> rx.Component:
    """One tab of a list of tabs."""
    return rx.el.button(
        label,
        class_name="tab",
        type="button",
        role="tab",
        aria_selected=chosen,
        tab_index=rx.cond(chosen, 0, -1),
        on_click=on_click,
    )


def table(heads: list[tuple[str, str]], rows: Any, *, label: str) -> rx.Component:
    """A table that folds into cards on a narrow screen. `heads` are (text, class)."""
    cells = [rx.el.th(text or rx.el.span("Actions", class_name="sr"), class_name=cls) for text, cls in heads]
    return rx.el.div(
        rx.el.table(
            rx.el.thead(rx.el.tr(*cells)),
            rx.el.tbody(rows),
            class_name="list fold",
            aria_label=label,
        ),
        class_name="table-wrap",
    )
