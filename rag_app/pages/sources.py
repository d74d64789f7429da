"""The tab “Sources” of a knowledge base: what fills it by itself."""

import reflex as rx

from rag_app.components.browser import Age, Ticker
from rag_app.components.dialogs import form_dialog
from rag_app.components.furniture import (
    badge,
    button,
    empty,
    field,
    icon,
    problem,
    progress_bar,
    sign_button,
    skeleton,
    table,
    text_input,
)
from rag_app.pages.source_form import bucket_fields, limit_fields, repository_fields, schedule_fields
from rag_app.state.source_rows import SourceRow
from rag_app.state.sources import SourcesState

HEADS = [("Source", ""), ("Last run", ""), ("Changes", ""), ("Next run", ""), ("Documents", "right"), ("", "right")]


def _last(row: SourceRow) -> rx.Component:
    return rx.cond(
        row.run.busy,
        rx.el.div(
            progress_bar(row.run.percent, label=f"Progress of {row.name}"),
            rx.el.span(row.run.phase, class_name="small muted"),
            class_name="stack tight",
            style={"gap": "3px"},
        ),
        rx.cond(
            row.has_run,
            rx.el.div(
                badge(row.run.status, tone=row.run.tone),
                " ",
                rx.el.span(Age.create(when=row.run.started_at), class_name="small muted"),
            ),
            rx.el.span("not yet", class_name="small muted"),
        ),
    )


def _actions(row: SourceRow) -> rx.Component:
    state = SourcesState
    return rx.cond(
        state.may_edit,
        rx.el.div(
            rx.cond(
                row.run.busy,
                rx.fragment(),
                sign_button("play", f"Read {row.name} now", on_click=state.run_now(row.id)),
            ),
            rx.cond(
                row.paused,
                sign_button("alarm_clock", f"Resume the schedule of {row.name}", on_click=state.toggle_paused(row.id)),
                sign_button("pause", f"Pause {row.name}", on_click=state.toggle_paused(row.id)),
            ),
            sign_button("trash_2", f"Delete {row.name}", on_click=state.ask_delete(row.id)),
            class_name="actions",
        ),
        rx.fragment(),
    )


def _row(row: SourceRow) -> rx.Component:
    return rx.el.tr(
        rx.el.td(
            rx.el.a(row.name, href=f"/sources/{row.id}", class_name="doc-title"),
            rx.el.div(row.kind, " · ", row.address, class_name="small muted cut"),
            rx.cond(
                row.run.error != "",
                rx.el.p(row.run.error, class_name="small", style={"color": "var(--bad)"}),
                rx.fragment(),
            ),
            style={"max_width": "380px"},
        ),
        rx.el.td(_last(row), custom_attrs={"data-label": "Last run"}, style={"min_width": "130px"}),
        rx.el.td(
            rx.cond(row.has_run, row.run.changes, "–"),
            class_name="num nowrap",
            custom_attrs={"data-label": "Changes"},
        ),
        rx.el.td(
            rx.cond(
                row.paused,
                badge("paused", tone="flat"),
                rx.fragment(
                    rx.cond(row.next_at != "", Age.create(when=row.next_at), rx.fragment()),
                    rx.el.div(row.schedule, class_name="small muted"),
                ),
            ),
            custom_attrs={"data-label": "Next run"},
        ),
        rx.el.td(row.pages, class_name="right num", custom_attrs={"data-label": "Documents"}),
        rx.el.td(_actions(row)),
        key=row.id,
    )


def _address_field() -> rx.Component:
    kind = SourcesState.form_kind
    return rx.match(
        kind,
        (
            "folder",
            field(
                "Folder",
                text_input("address", required=True, placeholder="/srv/handbook", max_length=1000),
                hint="On the server, below a folder that its operator has opened.",
            ),
        ),
        ("git", repository_fields()),
        ("s3", bucket_fields()),
        (
            "feed",
            field(
                "Address",
                text_input("address", required=True, placeholder="https://example.com/feed.xml", max_length=1000),
                hint="RSS or Atom. The pages of its entries are read; entries that drop out of it stay.",
            ),
        ),
        (
            "page",
            field(
                "Address",
                text_input("address", required=True, placeholder="https://example.com/prices", max_length=1000),
                hint="This one page, read again by its schedule.",
            ),
        ),
        field(
            "Address",
            text_input("address", required=True, placeholder="https://example.com/docs/", max_length=1000),
            hint="Pages below its folder are found through links and sitemaps. The site's robots.txt is respected.",
        ),
    )


def _kind_field() -> rx.Component:
    state = SourcesState
    return field(
        "Kind",
        rx.el.select(
            rx.el.option("Website", value="website"),
            rx.el.option("Single page", value="page"),
            rx.el.option("Feed (RSS, Atom)", value="feed"),
            rx.el.option("Git repository", value="git"),
            rx.el.option("S3 bucket", value="s3"),
            rx.cond(
                state.may_manage & state.has_folders,
                rx.el.option("Folder on the server", value="folder"),
                rx.fragment(),
            ),
            name="kind",
            value=state.form_kind,
            on_change=state.choose_kind,
            class_name="input",
        ),
    )


def _dialogs() -> rx.Component:
    state = SourcesState
    return rx.fragment(
        form_dialog(
            "Add a source",
            _kind_field(),
            _address_field(),
            field("Name", text_input("name", max_length=120), hint="Optional; otherwise the address."),
            schedule_fields(state.form_schedule, state.choose_schedule),
            rx.cond(state.form_kind == "page", rx.fragment(), limit_fields(state.form_kind)),
            rx.cond(
                state.form_twin != "",
                rx.el.p(rx.el.a("Open the source there is", href=f"/sources/{state.form_twin}")),
                rx.fragment(),
            ),
            opened=state.form_open,
            on_submit=state.add,
            on_close=state.close_form,
            submit="Add and read it",
            wrong=state.form_problem,
        ),
        form_dialog(
            "Delete this source?",
            rx.el.p("“", state.doomed_name, "” is not read any more.", class_name="muted"),
            rx.el.label(
                rx.el.input(type="radio", name="documents", value="keep", default_checked=True),
                rx.el.span("Keep its documents as they are"),
                class_name="check",
            ),
            rx.el.label(
                rx.el.input(type="radio", name="documents", value="delete"),
                rx.el.span("Delete its documents too; they are gone from search at once"),
                class_name="check",
            ),
            opened=state.doomed_id != "",
            on_submit=state.delete,
            on_close=state.keep,
            submit="Delete",
            wrong=state.delete_problem,
        ),
    )


def _add_button() -> rx.Component:
    return rx.cond(
        SourcesState.may_edit,
        button(icon("plus"), "Add a source", look="primary", on_click=SourcesState.open_form),
        rx.fragment(),
    )


def sources_tab() -> rx.Component:
    """The list, and how to add to it."""
    state = SourcesState
    return rx.el.div(
        problem(state.problem),
        rx.cond(
            state.loaded,
            rx.cond(
                state.rows.length() > 0,
                rx.fragment(
                    rx.el.div(
                        rx.el.p(
                            "Read again by their schedules: what changed is updated, what vanished is removed.",
                            class_name="muted grow",
                        ),
                        _add_button(),
                        class_name="row wrap spread",
                    ),
                    table(HEADS, rx.foreach(state.rows, _row), label="Sources"),
                ),
                empty(
                    "No sources yet",
                    "A source keeps this knowledge base up to date: a website, a page, a feed, a Git repository or an "
                    "S3 bucket, read again as often as you say.",
                    _add_button(),
                    sign="globe",
                ),
            ),
            skeleton(4),
        ),
        Ticker.create(every=rx.cond(state.busy, 1000, 5000), on_tick=state.refresh),
        _dialogs(),
        class_name="stack",
    )
