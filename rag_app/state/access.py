"""The authorization table of the websocket: each event handler and what it needs. What is not listed is refused."""

from typing import Final, Literal

from rag_app.services.permissions import Action

Need = Literal["anyone", "signed_in"] | Action

# Handlers of the framework that a page needs before anybody is known. They return defaults or act on the tab itself.
_FRAMEWORK: Final[dict[str, Need]] = {
    "state.hydrate": "anyone",
    "state.hydrate_and_load": "anyone",
    "state.set_is_hydrated": "anyone",
    "on_load_internal_state.on_load_internal": "anyone",
    "on_load_internal_state.set_is_hydrated": "anyone",
    "frontend_event_exception_state.handle_frontend_exception": "anyone",
}

# Handlers of the framework that nothing of ours calls: they stay closed for everybody.
CLOSED: Final[frozenset[str]] = frozenset({"setvar", "update_vars_internal"})

_OWN: Final[dict[str, Need]] = {
    "session_state.enter": "anyone",  # answers a stranger with the way to the sign-in page
    "gate_state.check": "anyone",  # who holds no link learns nothing from it
    "session_state.dismiss": "signed_in",
    "session_state.search_places": "signed_in",
    "session_state.go": "signed_in",
    "knowledge_list_state.load": "knowledge.read",
    "knowledge_list_state.narrow": "knowledge.read",
    "knowledge_list_state.open_form": "knowledge.create",
    "knowledge_list_state.close_form": "knowledge.create",
    "knowledge_list_state.create_one": "knowledge.create",
    "documents_state.load": "document.read",
    "documents_state.refresh": "document.read",
    "documents_state.narrow": "document.read",
    "documents_state.narrow_status": "document.read",
    "documents_state.more": "document.read",
    "documents_state.show_tab": "document.read",
    "documents_state.open_form": "document.add",
    "documents_state.close_form": "document.add",
    "documents_state.add_text": "document.add",
    "documents_state.add_address": "document.add",
    "documents_state.retry": "document.add",
    "documents_state.ask_delete": "document.delete",
    "documents_state.keep": "document.delete",
    "documents_state.delete": "document.delete",
    "retrieval_state.clear": "signed_in",
    "retrieval_state.try_search": "search",
    "knowledge_settings_state.load": "knowledge.read",
    "knowledge_settings_state.save": "knowledge.edit",
    "knowledge_settings_state.set_access": "knowledge.share",
    "knowledge_settings_state.toggle_member": "knowledge.share",
    "knowledge_settings_state.ask_delete": "knowledge.delete",
    "knowledge_settings_state.keep": "knowledge.delete",
    "knowledge_settings_state.delete": "knowledge.delete",
    "document_state.load": "document.read",
    "document_state.show_tab": "document.read",
    "document_state.refresh": "document.read",
    "bots_state.load": "bot.read",
    "bots_state.open_form": "bot.edit",
    "bots_state.close_form": "bot.edit",
    "bots_state.save": "bot.edit",
    "bots_state.ask_delete": "bot.edit",
    "bots_state.keep": "bot.edit",
    "bots_state.delete": "bot.edit",
    "people_state.load": "people.read",
    "people_state.open_form": "people.manage",
    "people_state.close_form": "people.manage",
    "people_state.hide_link": "people.manage",
    "people_state.send_invitation": "people.manage",
    "people_state.withdraw": "people.manage",
    "people_state.set_role": "people.manage",
    "people_state.toggle_disabled": "people.manage",
    "people_state.make_reset_link": "people.manage",
    "people_state.ask_remove": "people.manage",
    "people_state.keep": "people.manage",
    "people_state.remove": "people.manage",
    "account_state.load": "signed_in",
    "models_state.load": "model.read",
    "models_state.open_form": "model.manage",
    "models_state.close_form": "model.manage",
    "models_state.save": "model.manage",
    "models_state.ask_remove": "model.manage",
    "models_state.keep": "model.manage",
    "models_state.remove": "model.manage",
    "models_state.choose": "model.manage",
    "models_state.test": "model.manage",
    "home_state.start": "signed_in",
    "home_state.load": "knowledge.read",
    "home_state.load_samples": "knowledge.create",
    "talks_state.load": "chat",
    "talks_state.narrow": "chat",
    "talks_state.toggle_archived": "chat",
    "talks_state.open_list": "chat",
    "talks_state.close_list": "chat",
    "talks_state.ask_rename": "chat",
    "talks_state.ask_delete": "chat",
    "talks_state.close_dialogs": "chat",
    "talks_state.rename": "chat",
    "talks_state.archive": "chat",
    "talks_state.delete": "chat",
    "chat_state.load": "chat",
    "chat_state.start_over": "chat",
    "chat_state.choose_target": "chat",
    "chat_state.ask": "chat",
    "chat_state.regenerate": "chat",
    "chat_state.stop": "chat",
    "chat_state.follow_run": "chat",
    "chat_state.rate": "chat",
    "chat_state.comment": "chat",
    "chat_state.close_comment": "chat",
    "chat_state.open_citation": "chat",
    "passage_view_state.close_panel": "chat",
    "account_state.save_name": "signed_in",
    "account_state.end_session": "signed_in",
    "account_state.make_key": "key.manage",
    "account_state.hide_key": "key.manage",
    "account_state.end_key": "key.manage",
}

ACCESS: Final[dict[str, Need]] = {**_FRAMEWORK, **_OWN}


# What a page needs before it shows anything, by the first part of its path.
PLACES: Final[dict[str, Action]] = {
    "chat": "chat",
    "bots": "bot.read",
    "knowledge": "knowledge.read",
    "documents": "document.read",
    "models": "model.read",
    "people": "people.read",
}


def key_of(event_name: str) -> str:
    """`…____session_state.enter` -> `session_state.enter`: the class and the handler, as the table names them."""
    path, _, handler = event_name.rpartition(".")
    return f"{path.rpartition('.')[2].rpartition('____')[2]}.{handler}"
