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


def repository_fields(values: Any = None, *, has_secret: Any = False) -> rx.Component:
    """Which repository, branch and folder, and the token of a private one. With `values` the address is settled."""
    return rx.fragment(
        _address(
            values,
            "https://github.com/owner/name",
            "Its documents are read, without their history. A link to a folder of it may be pasted as it is.",
        ),
        _side_by_side(
            field(
                "Branch or tag",
                text_input("branch", default_value=_kept(values, "branch"), placeholder="main", max_length=200),
                hint="Empty: the main branch.",
            ),
            field(
                "Folder",
                text_input("prefix", default_value=_kept(values, "prefix"), placeholder="docs/", max_length=300),
                hint="Empty: all of it.",
            ),
        ),
        _side_by_side(
            field(
                "Access token",
                _secret("token", has_secret),
                hint="Only for a private one. Kept sealed, never shown again.",
            ),
            field(
                "User name",
                text_input("user", auto_complete="off", max_length=120),
                hint="Only for tokens that have one.",
            ),
        ),
        _forget(has_secret, "Forget the token"),
    )


def bucket_fields(values: Any = None, *, has_secret: Any = False) -> rx.Component:
    """Which bucket, where, and its keys. With `values` the address is settled."""
    return rx.fragment(
        _address(
            values, "s3://bucket/handbook/", "The bucket, and what the names of the wanted objects in it begin with."
        ),
        _side_by_side(
            field(
                "Region",
                text_input("region", default_value=_kept(values, "region"), placeholder="us-east-1", max_length=40),
                hint="As the host of the bucket calls it.",
            ),
            field(
                "Endpoint",
                text_input(
                    "endpoint",
                    default_value=_kept(values, "endpoint"),
                    placeholder="https://s3.example.com",
                    max_length=300,
                ),
                hint="Empty: AWS.",
            ),
        ),
        _side_by_side(
            field(
                "Access key",
                text_input("access_key", auto_complete="off", max_length=200),
                hint="Empty for a public bucket.",
            ),
            field(
                "Secret key",
                _secret("secret_key", has_secret),
                hint="Kept sealed, never shown again. To list and read is enough.",
            ),
        ),
        _forget(has_secret, "Forget the keys"),
    )


def _side_by_side(*fields: rx.Component) -> rx.Component:
    """Fields in columns of one width, below each other where there is no room."""
    return rx.el.div(
        *[rx.el.div(each, style={"flex": "1 1 180px", "min_width": "0"}) for each in fields], class_name="row wrap top"
    )


def _address(values: Any, example: str, hint: str) -> rx.Component:
    if values is not None:
        return rx.fragment()
    return field("Address", text_input("address", required=True, placeholder=example, max_length=1000), hint=hint)


def _secret(name: str, has_secret: Any) -> rx.Component:
    return text_input(
        name,
        type="password",
        auto_complete="new-password",
        max_length=1000,
        placeholder=rx.cond(has_secret, "as it is", ""),
    )


def _forget(has_secret: Any, label: str) -> rx.Component:
    return rx.cond(
        has_secret,
        rx.el.label(
            rx.el.input(type="checkbox", name="forget", value="yes"),
            rx.el.span(label),
            class_name="check",
        ),
        rx.fragment(),
    )


def _kept(values: Any, name: str, default: str = "") -> Any:
    return values[name] if values is not None else default


def limit_fields(kind: Any, values: Any = None) -> rx.Component:
    """How far: folder, figures, patterns; folded away because the defaults fit most sites."""
    is_store = (kind == "git") | (kind == "s3")
    return rx.el.details(
        rx.el.summary("Limits", class_name="small"),
        rx.el.div(
            rx.cond(is_store, _store_limits(values), _web_limits(values, follows=kind != "feed")),
            field(
                "Leave out",
                text_area("exclude", rows=2, default_value=_kept(values, "exclude"), placeholder="/docs/archive/*"),
                hint="One path per line; * stands for anything.",
            ),
            field(
                "Only these",
                text_area("include", rows=2, default_value=_kept(values, "include")),
                hint="One path per line; empty: all.",
            ),
            class_name="stack tight",
            style={"margin_top": "8px"},
        ),
    )


def _store_limits(values: Any) -> rx.Component:
    return rx.el.div(
        field("Files at most", _number("max_pages", _kept(values, "max_pages", "2000"), most="50000")),
        field("MB per file", _number("max_page_mb", _kept(values, "max_page_mb", "10"), most="100")),
        field("MB per run", _number("max_total_mb", _kept(values, "max_total_mb", "500"), most="10000")),
        class_name="row wrap top",
    )


def _web_limits(values: Any, *, follows: Any) -> rx.Component:
    return rx.fragment(
        rx.cond(
            follows,  # a feed names its pages: there is no folder to stay in and no link to follow
            field(
                "Only paths that begin with",
                text_input("prefix", default_value=_kept(values, "prefix"), placeholder="/docs/", max_length=300),
                hint="Empty: the folder of the address.",
            ),
            rx.fragment(),
        ),
        rx.el.div(
            field("Pages at most", _number("max_pages", _kept(values, "max_pages", "2000"), most="50000")),
            rx.cond(
                follows,
                field("Links deep at most", _number("max_depth", _kept(values, "max_depth", "20"), most="100")),
                rx.fragment(),
            ),
            field(
                "Pages per second",
                text_input(
                    "pages_per_second",
                    type="number",
                    min="0.02",
                    max="50",
                    step="any",
                    default_value=_kept(values, "pages_per_second", "5"),
                ),
            ),
            class_name="row wrap top",
        ),
    )


def _number(name: str, value: Any, *, most: str) -> rx.Component:
    return text_input(name, type="number", min="0", max=most, default_value=value)
