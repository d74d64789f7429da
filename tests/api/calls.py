"""The authorization table of the REST interface: for every call what it takes, and a body that is valid for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import httpx

from rag_app.services.permissions import Action

V1 = "/api/v1"
# anyone: also who is not signed in · known: whoever is signed in, with any key · self: signed in, or a key without
# scopes · person: a person's own session, never a key · names: who may know the names of people
Need = Action | Literal["anyone", "known", "self", "person", "names"]


@dataclass(frozen=True)
class Call:
    """One call: who may make it, what it names, and a valid body. `{name}` in a body is filled in from the names."""

    need: Need
    body: Any = None
    files: bool = False
    names: tuple[str, ...] = field(default=())  # of things in its address and body that belong to somebody


KB, DOC, BOT, MSG, TALK, TASK = "knowledge_base_id", "document_id", "bot_id", "message_id", "conversation_id", "task_id"
SOURCE = "source_id"
CREDENTIALS = {"email": "nobody@example.com", "password": "not the password"}
TABLE: dict[str, Call] = {
    "POST /auth/token": Call("anyone", CREDENTIALS),
    "POST /auth/session": Call("anyone", CREDENTIALS),
    "GET /auth/session": Call("known"),
    "DELETE /auth/session": Call("anyone"),
    "GET /auth/setup": Call("anyone"),
    "POST /auth/setup": Call("anyone", {"token": "x", "email": "eve@example.com", "password": "four more words here"}),
    "POST /auth/invitation": Call("anyone", {"token": "x", "name": "Eve", "password": "four more words here"}),
    "POST /auth/reset": Call("anyone", {"token": "x", "password": "four more words here"}),
    "POST /auth/password": Call("person", {"current_password": "x", "new_password": "four more words here"}),
    "PATCH /auth/account": Call("self", {"name": "Eve"}),
    "GET /auth/sessions": Call("self"),
    "DELETE /auth/sessions/{session_id}": Call("self", names=("session_id",)),
    "GET /people": Call("names"),
    "GET /people/{user_id}": Call("people.read", names=("user_id",)),
    "PATCH /people/{user_id}": Call("people.manage", {"role": "viewer"}, names=("user_id",)),
    "DELETE /people/{user_id}": Call("people.manage", names=("user_id",)),
    "POST /people/{user_id}/reset-link": Call("people.manage", names=("user_id",)),
    "GET /invitations": Call("people.read"),
    "POST /invitations": Call("people.manage", {"email": "{new}@example.com", "role": "viewer"}),
    "DELETE /invitations/{invitation_id}": Call("people.manage", names=("invitation_id",)),
    "POST /api-keys": Call("key.manage", {"name": "x"}),
    "GET /api-keys": Call("key.manage"),
    "DELETE /api-keys/{key_id}": Call("key.manage", names=("key_id",)),
    "POST /knowledge-bases": Call("knowledge.create", {"name": "{new}"}),
    "GET /knowledge-bases": Call("knowledge.read"),
    "GET /knowledge-bases/{knowledge_base_id}": Call("knowledge.read", names=(KB,)),
    "PATCH /knowledge-bases/{knowledge_base_id}": Call("knowledge.edit", {"description": "x"}, names=(KB,)),
    "DELETE /knowledge-bases/{knowledge_base_id}": Call("knowledge.delete", names=(KB,)),
    "GET /knowledge-bases/{knowledge_base_id}/members": Call("knowledge.share", names=(KB,)),
    "PUT /knowledge-bases/{knowledge_base_id}/members": Call("knowledge.share", {"user_ids": []}, names=(KB,)),
    "GET /knowledge-bases/{knowledge_base_id}/indexes": Call("knowledge.read", names=(KB,)),
    "POST /knowledge-bases/{knowledge_base_id}/indexes": Call("knowledge.edit", {"passage_tokens": 150}, names=(KB,)),
    "POST /knowledge-bases/{knowledge_base_id}/indexes/estimate": Call(
        "knowledge.edit", {"passage_tokens": 150}, names=(KB,)
    ),
    "GET /knowledge-bases/{knowledge_base_id}/indexes/{index_id}": Call("knowledge.read", names=(KB, "index_id")),
    "POST /knowledge-bases/{knowledge_base_id}/indexes/{index_id}/use": Call("knowledge.edit", names=(KB, "index_id")),
    "POST /knowledge-bases/{knowledge_base_id}/indexes/{index_id}/compare": Call(
        "knowledge.edit", {}, names=(KB, "index_id")
    ),
    "DELETE /knowledge-bases/{knowledge_base_id}/indexes/{index_id}": Call("knowledge.edit", names=(KB, "index_id")),
    "POST /knowledge-bases/{knowledge_base_id}/documents": Call("document.add", files=True, names=(KB,)),
    "GET /knowledge-bases/{knowledge_base_id}/documents": Call("document.read", names=(KB,)),
    "GET /documents/{document_id}": Call("document.read", names=(DOC,)),
    "DELETE /documents/{document_id}": Call("document.delete", names=(DOC,)),
    "POST /documents/{document_id}/retry": Call("document.add", names=(DOC,)),
    "GET /documents/{document_id}/passages": Call("document.read", names=(DOC,)),
    "GET /documents/{document_id}/text": Call("document.read", names=(DOC,)),
    "GET /documents/{document_id}/original": Call("document.read", names=(DOC,)),
    "GET /documents/{document_id}/versions": Call("document.read", names=(DOC,)),
    "POST /documents/{document_id}/versions": Call("document.add", files=True, names=(DOC,)),
    "GET /documents/{document_id}/versions/{from_version}/diff/{to_version}": Call(
        "document.read", names=(DOC, "from_version", "to_version")
    ),
    "POST /documents/{document_id}/versions/{version_id}/restore": Call("document.add", names=(DOC, "version_id")),
    "GET /documents/{document_id}/edits": Call("document.read", names=(DOC,)),
    "POST /documents/{document_id}/edits": Call(
        "document.add", {"kind": "hide", "char_from": 0, "char_to": 4}, names=(DOC,)
    ),
    "DELETE /edits/{edit_id}": Call("document.add", names=("edit_id",)),
    "POST /edits/{edit_id}/resolve": Call("document.add", {"how": "drop"}, names=("edit_id",)),
    "GET /knowledge-bases/{knowledge_base_id}/conflicts": Call("document.read", names=(KB,)),
    "GET /knowledge-bases/{knowledge_base_id}/notes": Call("document.read", names=(KB,)),
    "POST /knowledge-bases/{knowledge_base_id}/notes": Call("document.add", {"text": "Ask the desk."}, names=(KB,)),
    "GET /notes/{document_id}": Call("document.read", names=(DOC,)),
    "PUT /notes/{document_id}": Call("document.add", {"text": "Ask the desk."}, names=(DOC,)),
    "POST /knowledge-bases/{knowledge_base_id}/search": Call("search", {"query": "refund"}, names=(KB,)),
    "POST /knowledge-bases/{knowledge_base_id}/sources": Call(
        "document.add", {"kind": "page", "address": "https://{new}.example.com/", "run": False}, names=(KB,)
    ),
    "GET /knowledge-bases/{knowledge_base_id}/sources": Call("document.read", names=(KB,)),
    "GET /sources/{source_id}": Call("document.read", names=(SOURCE,)),
    "PATCH /sources/{source_id}": Call("document.add", {"state": "paused"}, names=(SOURCE,)),
    "DELETE /sources/{source_id}": Call("document.delete", names=(SOURCE,)),
    "POST /sources/{source_id}/run": Call("document.add", {}, names=(SOURCE,)),
    "POST /sources/{source_id}/stop": Call("document.add", names=(SOURCE,)),
    "GET /sources/{source_id}/runs": Call("document.read", names=(SOURCE,)),
    "GET /sources/{source_id}/pages": Call("document.read", names=(SOURCE,)),
    "GET /sources/{source_id}/pages/{page_id}": Call("document.read", names=(SOURCE, "page_id")),
    "GET /sources/{source_id}/pages/{page_id}/diff": Call("document.read", names=(SOURCE, "page_id")),
    "POST /bots": Call("bot.edit", {"name": "{new}"}),
    "GET /bots": Call("bot.read"),
    "GET /bots/{bot_id}": Call("bot.read", names=(BOT,)),
    "PATCH /bots/{bot_id}": Call("bot.edit", {"instructions": "x"}, names=(BOT,)),
    "DELETE /bots/{bot_id}": Call("bot.edit", names=(BOT,)),
    "POST /bots/{bot_id}/chat": Call("chat", {"message": "hello"}, names=(BOT,)),
    "POST /knowledge-bases/{knowledge_base_id}/chat": Call("chat", {"message": "hello"}, names=(KB,)),
    "POST /query": Call("chat", {"bot_id": "{bot_id}", "question": "hello"}, names=(BOT,)),
    "GET /messages/{message_id}/stream": Call("chat", names=(MSG,)),
    "GET /messages/{message_id}": Call("chat", names=(MSG,)),
    "POST /messages/{message_id}/stop": Call("chat", names=(MSG,)),
    "POST /messages/{message_id}/regenerate": Call("chat", {}, names=(MSG,)),
    "POST /messages/{message_id}/feedback": Call("chat", {"rating": 1}, names=(MSG,)),
    "GET /messages/{message_id}/trace": Call("chat", names=(MSG,)),
    "POST /messages/{message_id}/trace/document": Call("chat", {"name": "x"}, names=(MSG,)),
    "POST /messages/{message_id}/trace/try": Call("chat", {"retrieval": {}}, names=(MSG,)),
    "GET /conversations": Call("chat"),
    "GET /conversations/{conversation_id}/messages": Call("chat", names=(TALK,)),
    "PATCH /conversations/{conversation_id}": Call("chat", {"title": "x"}, names=(TALK,)),
    "DELETE /conversations/{conversation_id}": Call("chat", names=(TALK,)),
    "GET /tasks": Call("task.read"),
    "GET /tasks/{task_id}": Call("task.read", names=(TASK,)),
    "POST /tasks/{task_id}/cancel": Call("task.cancel", names=(TASK,)),
    "GET /models": Call("model.read"),
    "PATCH /models": Call("model.manage", {}),
    "POST /models/test": Call("model.manage", {"model": "local/extractive"}),
    "GET /providers/known": Call("known"),
    "GET /providers": Call("model.read"),
    "POST /providers": Call("model.manage", {"provider": "openai", "api_key": "sk-0123456789abcdef"}),
    "PATCH /providers/{provider_id}": Call("model.manage", {"name": "x"}, names=("provider_id",)),
    "DELETE /providers/{provider_id}": Call("model.manage", names=("provider_id",)),
    "GET /health": Call("anyone"),
    "GET /ready": Call("anyone"),
    "GET /metrics": Call("metrics.read"),
}


def made_up() -> dict[str, str]:
    """A name for everything a call can name, of nothing that exists."""
    names = {name for call in TABLE.values() for name in call.names}
    return {name: str(uuid4()) for name in names} | {"index_id": "999999999"}


async def send(
    client: httpx.AsyncClient, call: str, names: Mapping[str, str], extra: Mapping[str, Any] | None = None
) -> httpx.Response:
    """Make a call about the things of these names; `extra` goes into its body."""
    method, _, path = call.partition(" ")
    known = {"new": f"n{uuid4().hex}", **names}
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    wanted: dict[str, Any] = {}
    if TABLE[call].files:
        wanted["files"] = {"files": ("note.txt", b"The refund is paid within five working days.")}
    elif TABLE[call].body is not None:
        wanted["json"] = {
            name: value.format(**known) if isinstance(value, str) else value for name, value in TABLE[call].body.items()
        } | dict(extra or {})
    return await client.request(method, V1 + path, **wanted)
