"""Who may do what: one table of roles, one question asked by every service."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from rag_app.errors import Forbidden

Role = Literal["owner", "admin", "editor", "viewer"]
ROLES: tuple[Role, ...] = ("owner", "admin", "editor", "viewer")

Action = Literal[
    "knowledge.read", "knowledge.create", "knowledge.edit", "knowledge.delete", "knowledge.share",
    "document.read", "document.add", "document.delete", "search",
    "bot.read", "bot.edit", "chat",
    "task.read", "task.cancel",
    "people.read", "people.manage", "key.manage", "model.read", "model.manage", "metrics.read",
]  # fmt: skip

_VIEWER: frozenset[Action] = frozenset(
    {"knowledge.read", "document.read", "search", "bot.read", "chat", "task.read", "key.manage", "model.read"}
)
_EDITOR: frozenset[Action] = (
    _VIEWER | {
        "knowledge.create", "knowledge.edit", "knowledge.delete", "knowledge.share",
        "document.add", "document.delete", "bot.edit", "task.cancel",
    }
)  # fmt: skip
_ADMIN: frozenset[Action] = _EDITOR | {"people.read", "people.manage", "model.manage", "metrics.read"}

PERMISSIONS: dict[Role, frozenset[Action]] = {"viewer": _VIEWER, "editor": _EDITOR, "admin": _ADMIN, "owner": _ADMIN}

# What an API key may be limited to; an empty list of scopes means: all that its owner may do.
SCOPES: dict[str, frozenset[Action]] = {
    "knowledge:read": frozenset({"knowledge.read", "document.read", "search", "task.read"}),
    "knowledge:write": frozenset(
        {
            "knowledge.read", "knowledge.create", "knowledge.edit", "knowledge.delete", "document.read",
            "document.add", "document.delete", "search", "task.read", "task.cancel",
        }
    ),
    "chat": frozenset({"bot.read", "chat", "search", "knowledge.read", "document.read"}),
    "bots:write": frozenset({"bot.read", "bot.edit", "knowledge.read"}),
    "metrics:read": frozenset({"metrics.read"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person in a workspace, perhaps through an API key with fewer rights."""

    user_id: UUID
    workspace_id: UUID
    role: Role
    email: str = ""
    name: str = ""
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    scopes: tuple[str, ...] = field(default=())

    @property
    def sees_all(self) -> bool:
        """Owners and admins see restricted knowledge bases without being named."""
        return self.role in ("owner", "admin")


def is_allowed(actor: Actor, action: Action) -> bool:
    """True when the role, and the scopes of the key if there are any, allow the action."""
    if action not in PERMISSIONS[actor.role]:
        return False
    return not actor.scopes or any(action in SCOPES.get(scope, frozenset()) for scope in actor.scopes)


def permit_own_account(actor: Actor) -> None:
    """Raise Forbidden for a key with scopes: none of them reaches the account of its owner."""
    if actor.scopes:
        raise Forbidden("This API key is limited to its scopes; it does not reach its owner's account.")


def permit(actor: Actor, action: Action) -> None:
    """Raise Forbidden unless the actor may do this kind of thing.

    Which things an actor may do it to is decided in the SQL that finds them: a foreign thing is NotFound.
    """
    if not is_allowed(actor, action):
        raise Forbidden(f"Your role ({actor.role}) does not allow this ({action}).")
