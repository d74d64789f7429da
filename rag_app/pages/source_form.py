"""The fields in which people say how far and how often a source is read."""

from typing import Any

import reflex as rx

from rag_app.components.furniture import field, text_area, text_input
from rag_app.state.schedule_words import CHOICES, DAYS

ZONES = (
    "UTC", "Europe/London", "Europe/Berlin", "Europe/Kyiv", "Africa/Lagos", "Asia/Dubai", "Asia/Kolkata",
    "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney", "America/Sao_Paulo", "America/New_York", "America/Chicago",
    "America/Denver", "America/Los_Angeles",
)  # fmt: skip


def schedule_fields(choice: Any, on_choose: Any, *, cron: Any = "", zone: Any = "UTC") -> rx.Component:
    """How often: a choice, and what belongs to it."""
    timed = (choice == "daily") | (choice == "weekly")
    return rx.fragment(
        field(
            "Read it again",
            rx.el.select(
                *[rx.el.option(label, value=value) for value, label in CHOICES],
                name="schedule",
                value=choice,
                on_change=on_choose,
                class_name="input",
            ),
        ),
        rx.cond(
            timed | (choice == "cron"),
            rx.el.div(
                rx.cond(choice == "weekly", _day(), rx.fragment()),
                rx.cond(timed, field("Time", text_input("at", type="time", default_value="03:00")), rx.fragment()),
                rx.cond(
                    choice == "cron",
                    field(
                        "Line of cron",
                        text_input("cron", default_value=cron, placeholder="0 3 * * 1-5", max_length=100),
                        hint="Minute, hour, day, month, weekday.",
                    ),
                    rx.fragment(),
                ),
                field(
                    "Time zone",
                    text_input("time_zone", default_value=zone, custom_attrs={"list": "zones"}, max_length=60),
                ),
                rx.el.datalist(*[rx.el.option(value=each) for each in ZONES], id="zones"),
                class_name="row wrap top",
            ),
            rx.fragment(),
        ),
    )


def _day() -> rx.Component:
    return field(
        "Day",
        rx.el.select(
            *[rx.el.option(day, value=str(number)) for number, day in enumerate(DAYS)],
            name="weekday",
            default_value="1",
            class_name="input",
        ),
    )


def limit_fields(values: Any = None) -> rx.Component:
    """How far: folder, figures, patterns; folded away because the defaults fit most sites."""

    def kept(name: str, default: str) -> Any:
        return values[name] if values is not None else default

    return rx.el.details(
        rx.el.summary("Limits", class_name="small"),
        rx.el.div(
            field(
                "Only paths that begin with",
                text_input("prefix", default_value=kept("prefix", ""), placeholder="/docs/", max_length=300),
                hint="Empty: the folder of the address.",
            ),
            rx.el.div(
                field("Pages at most", _number("max_pages", kept("max_pages", "2000"), most="50000")),
                field("Links deep at most", _number("max_depth", kept("max_depth", "20"), most="100")),
                field(
                    "Pages per second",
                    text_input(
                        "pages_per_second",
                        type="number",
                        min="0.02",
                        max="50",
                        step="any",
                        default_value=kept("pages_per_second", "5"),
                    ),
                ),
                class_name="row wrap top",
            ),
            field(
                "Leave out",
                text_area("exclude", rows=2, default_value=kept("exclude", ""), placeholder="/docs/archive/*"),
                hint="One path per line; * stands for anything.",
            ),
            field(
                "Only these",
                text_area("include", rows=2, default_value=kept("include", "")),
                hint="One path per line; empty: all.",
            ),
            class_name="stack tight",
            style={"margin_top": "8px"},
        ),
    )


def _number(name: str, value: Any, *, most: str) -> rx.Component:
    return text_input(name, type="number", min="0", max=most, default_value=value)
