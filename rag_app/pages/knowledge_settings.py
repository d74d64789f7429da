"""The tab “Settings” of a knowledge base."""

import reflex as rx

from rag_app.components.dialogs import form_dialog
from rag_app.components.furniture import button, field, icon, problem, text_area, text_input
from rag_app.pages.index_settings import index_settings
from rag_app.state.knowledge_settings import KnowledgeSettingsState
from rag_app.state.rows import Choice


def _access(value: str, title: str, text: str) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="radio",
            name="access",
            value=value,
            checked=KnowledgeSettingsState.access == value,
            on_change=lambda _: KnowledgeSettingsState.set_access(value),
        ),
        rx.el.span(rx.el.strong(title), rx.el.br(), rx.el.span(text, class_name="small muted")),
        class_name="check",
    )


def _person(person: Choice) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="checkbox",
            checked=person.chosen,
            on_change=lambda _: KnowledgeSettingsState.toggle_member(person.id),
        ),
        person.label,
        class_name="check",
        key=person.id,
    )


def _name() -> rx.Component:
    state = KnowledgeSettingsState
    return rx.el.form(
        rx.el.h2("Name"),
        field("Name", text_input("name", required=True, max_length=120, default_value=state.name)),
        field("Description", text_area("description", rows=2, max_length=2000, default_value=state.description)),
        rx.el.div(button("Save", look="primary", kind="submit")),
        on_submit=state.save,
        class_name="plain card",
        key=state.kb_id + state.name,
    )


def _who() -> rx.Component:
    return rx.el.section(
        rx.el.h2("Who may use it"),
        _access("workspace", "Everyone in the workspace", "All people who can sign in."),
        _access("restricted", "Only named people", "Owners and admins always see it."),
        rx.cond(
            KnowledgeSettingsState.people.length() > 0,
            rx.el.fieldset(
                rx.el.legend("Named people", class_name="small muted"),
                rx.foreach(KnowledgeSettingsState.people, _person),
                class_name="stack tight",
            ),
            rx.fragment(),
        ),
        class_name="card stack",
    )


def _delete() -> rx.Component:
    state = KnowledgeSettingsState
    return rx.fragment(
        rx.el.section(
            rx.el.h2("Delete"),
            rx.el.p("Removes all documents and passages. This cannot be undone.", class_name="muted"),
            rx.el.div(button(icon("trash_2"), "Delete…", look="danger", on_click=state.ask_delete)),
            class_name="card stack tight",
        ),
        form_dialog(
            "Delete this knowledge base?",
            rx.el.p("Everything in it is removed. Type its name to go on: ", rx.el.strong(state.name)),
            field("Name", text_input("name", required=True, auto_complete="off", auto_focus=True)),
            opened=state.doomed,
            on_submit=state.delete,
            on_close=state.keep,
            submit="Delete for ever",
            wrong=state.delete_problem,
        ),
    )


def settings_tab() -> rx.Component:
    """Name, access, removal."""
    return rx.el.div(
        problem(KnowledgeSettingsState.problem),
        _name(),
        _who(),
        index_settings(),
        _delete(),
        class_name="stack",
        style={"max_width": "640px"},
    )
