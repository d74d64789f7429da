"""/sources/[source_id]: one source, live: its run, its pages, what changed in them."""

import reflex as rx

from rag_app.components.browser import Age, Tabs, Ticker
from rag_app.components.dialogs import form_dialog
from rag_app.components.furniture import (
    badge,
    box,
    button,
    empty,
    field,
    icon,
    page_head,
    problem,
    progress_bar,
    search_box,
    skeleton,
    tab,
    table,
    text_input,
)
from rag_app.pages.differences import differences_dialog
from rag_app.pages.frame import Page, framed
from rag_app.pages.source_form import bucket_fields, limit_fields, repository_fields, schedule_fields
from rag_app.state.source import SourceState
from rag_app.state.source_rows import RunRow, SourcePageRow

PAGE_HEADS = [("Address", ""), ("State", ""), ("Changed", ""), ("", "right")]
RUN_HEADS = [("Run", ""), ("When", ""), ("Took", ""), ("What it found", "")]
STATUSES = [
    ("", "All states"),
    ("added", "Added"),
    ("changed", "Changed"),
    ("unchanged", "Unchanged"),
    ("removed", "Removed"),
    ("failed", "Failed"),
    ("skipped", "Left out"),
    ("alias", "Other spelling"),
    ("waiting", "Waiting"),
]


def _run() -> rx.Component:
    state, run = SourceState, SourceState.row.run
    return rx.fragment(
        rx.cond(
            run.busy,
            rx.el.section(
                rx.el.div(
                    rx.el.strong("Reading now", class_name="grow"),
                    rx.cond(
                        state.may_edit,
                        button(icon("square"), "Stop", on_click=state.stop),
                        rx.fragment(),
                    ),
                    class_name="row",
                ),
                progress_bar(run.percent, label="Progress of this run"),
                rx.el.span(run.phase, class_name="small muted num"),
                class_name="card stack tight",
                aria_live="polite",
            ),
            rx.fragment(),
        ),
        problem(run.error),
        rx.cond(
            (run.held_back != "") & ~run.busy,
            box(
                rx.el.p(run.held_back),
                rx.cond(
                    state.may_edit,
                    button("Read again and remove them", on_click=state.confirm_removals),
                    rx.fragment(),
                ),
                tone="warn",
            ),
            rx.fragment(),
        ),
    )


def _page(row: SourcePageRow) -> rx.Component:
    return rx.el.tr(
        rx.el.td(
            rx.cond(
                row.document_id != "",
                rx.el.a(row.title, href=f"/documents/{row.document_id}", class_name="doc-title"),
                rx.el.span(row.title, class_name="doc-title"),
            ),
            rx.cond(row.title != row.url, rx.el.div(row.url, class_name="small muted cut"), rx.fragment()),
            rx.cond(row.error != "", rx.el.p(row.error, class_name="small muted"), rx.fragment()),
            style={"max_width": "460px"},
        ),
        rx.el.td(badge(row.status, tone=row.tone), custom_attrs={"data-label": "State"}),
        rx.el.td(
            rx.cond(row.changed_at != "", Age.create(when=row.changed_at), "–"),
            class_name="small muted",
            custom_attrs={"data-label": "Changed"},
        ),
        rx.el.td(
            rx.el.div(
                rx.cond(
                    row.has_diff,
                    button("What changed", look="mini", on_click=SourceState.open_diff(row.id)),
                    rx.fragment(),
                ),
                rx.cond(
                    row.is_web,
                    rx.el.a(
                        icon("external_link"),
                        href=row.url,
                        target="_blank",
                        rel="noopener noreferrer nofollow",
                        class_name="btn plain square",
                        aria_label=f"Open {row.url}",
                        title="Open the page",
                    ),
                    rx.fragment(),
                ),
                class_name="actions",
            ),
        ),
        key=row.id,
    )


def _pages() -> rx.Component:
    state = SourceState
    return rx.el.div(
        rx.el.div(
            search_box("Search addresses and titles", on_change=state.narrow.debounce(200), default_value=state.words),
            rx.el.select(
                *[rx.el.option(label, value=value) for value, label in STATUSES],
                value=state.status,
                on_change=state.narrow_status,
                class_name="input",
                aria_label="State",
                style={"width": "auto"},
            ),
            class_name="row wrap",
        ),
        rx.cond(
            state.pages.length() > 0,
            table(PAGE_HEADS, rx.foreach(state.pages, _page), label=state.row.contents),
            rx.cond(
                (state.words != "") | (state.status != ""),
                empty("Nothing found", "Nothing fits. Change the words or the state.", sign="search_x"),
                rx.cond(
                    state.row.has_run & ~state.row.run.busy,
                    empty("Nothing was found", "Look at the address and the limits, then read it again.", sign="globe"),
                    empty("Nothing yet", "They appear here while the source is read.", sign="globe"),
                ),
            ),
        ),
        rx.cond(
            state.has_more, button("Show more", on_click=state.more, style={"align_self": "center"}), rx.fragment()
        ),
        class_name="stack",
    )


def _run_row(run: RunRow) -> rx.Component:
    return rx.el.tr(
        rx.el.td(badge(run.status, tone=run.tone)),
        rx.el.td(Age.create(when=run.started_at), class_name="small muted nowrap", custom_attrs={"data-label": "When"}),
        rx.el.td(run.took, class_name="small muted nowrap num", custom_attrs={"data-label": "Took"}),
        rx.el.td(
            rx.el.span(run.figures, class_name="num"),
            rx.cond(run.error != "", rx.el.p(run.error, class_name="small muted"), rx.fragment()),
            custom_attrs={"data-label": "What it found"},
        ),
        key=run.id,
    )


def _runs() -> rx.Component:
    return rx.cond(
        SourceState.runs.length() > 0,
        table(RUN_HEADS, rx.foreach(SourceState.runs, _run_row), label="Runs"),
        empty("No runs yet", "Read the source to see what it holds.", sign="play"),
    )


def _dialogs() -> rx.Component:
    state = SourceState
    return rx.fragment(
        form_dialog(
            "Settings of this source",
            field("Name", text_input("name", default_value=state.row.name, required=True, max_length=120)),
            rx.cond(
                state.may_manage | (state.row.sort != "folder"),
                field(
                    "Address",
                    text_input("address", default_value=state.limits["address"], required=True, max_length=1000),
                    hint="When it changes, the next run removes what only the address before gave.",
                ),
                rx.fragment(),
            ),
            schedule_fields(
                state.form_schedule,
                state.choose_schedule,
                cron=state.limits["cron"],
                zone=state.limits["time_zone"],
            ),
            rx.match(
                state.row.sort,
                ("git", repository_fields(state.limits, has_secret=state.row.has_secret)),
                ("s3", bucket_fields(state.limits, has_secret=state.row.has_secret)),
                rx.fragment(),
            ),
            limit_fields(state.row.sort, state.limits),
            opened=state.form_open,
            on_submit=state.save,
            on_close=state.close_form,
            wrong=state.form_problem,
        ),
        differences_dialog(state),
    )


def _actions() -> rx.Component:
    state = SourceState
    return rx.cond(
        state.may_edit & state.loaded,
        rx.fragment(
            button(icon("settings_2"), "Settings", on_click=state.open_form),
            button(
                rx.cond(state.row.paused, icon("alarm_clock"), icon("pause")),
                rx.cond(state.row.paused, "Resume", "Pause"),
                on_click=state.toggle_paused,
            ),
            rx.cond(
                state.row.run.busy,
                rx.fragment(),
                button(icon("play"), "Read now", look="primary", on_click=state.run_now),
            ),
        ),
        rx.fragment(),
    )


def _facts() -> rx.Component:
    row = SourceState.row
    return rx.fragment(
        rx.el.span(row.kind, " · ", row.address, rx.cond(row.has_secret, " · private", ""), class_name="break"),
        rx.el.br(),
        rx.el.span(
            row.extent,
            " · ",
            rx.cond(row.paused, "paused", row.schedule),
            rx.cond(row.next_at != "", rx.fragment(", next ", Age.create(when=row.next_at)), rx.fragment()),
            class_name="num",
        ),
        rx.cond(
            row.has_run & ~row.run.busy,
            rx.fragment(
                rx.el.br(),
                rx.el.span("last read ", Age.create(when=row.run.started_at), ": ", row.run.figures, class_name="num"),
            ),
            rx.fragment(),
        ),
    )


def content() -> rx.Component:
    """The page."""
    state = SourceState
    return framed(
        page_head(
            rx.cond(state.row.name != "", state.row.name, "Source"),
            _actions(),
            text=rx.cond(state.loaded, _facts(), rx.fragment()),
        ),
        rx.el.a(
            "← ",
            state.kb_name,
            href=f"/knowledge/{state.kb_id}",
            class_name="crumb",
            style={"order": "-1", "margin_bottom": "-16px"},
        ),
        problem(state.missing),
        rx.cond(
            state.loaded,
            rx.fragment(
                _run(),
                Tabs.create(
                    tab(state.row.contents, chosen=state.tab == "pages", on_click=state.show_tab("pages")),
                    tab("Runs", chosen=state.tab == "runs", on_click=state.show_tab("runs")),
                    label="Views of this source",
                ),
                rx.cond(state.tab == "runs", _runs(), _pages()),
                Ticker.create(every=rx.cond(state.row.run.busy, 1000, 5000), on_tick=state.refresh),
                _dialogs(),
            ),
            rx.cond(state.missing == "", skeleton(8), rx.fragment()),
        ),
        here="knowledge",
    )


PAGES = (
    Page(
        "/sources/[source_id]",
        rx.cond(SourceState.row.name != "", SourceState.row.name, "Source") + " · rag_app",
        content,
        (SourceState.load,),
    ),
)
