"""One's own account: name, browsers that are signed in, API keys. The password is changed over plain HTTP."""

from typing import Any

import reflex as rx

from rag_app.services.accounts import profile, rename
from rag_app.services.api_keys import create_key, list_keys, revoke_key
from rag_app.services.paging import PageRequest
from rag_app.services.sessions import list_sessions, revoke_session
from rag_app.state.rows import KeyRow, SessionRow
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings

BROWSERS = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


class AccountState(SessionState):
    """What /account shows."""

    own_name: str = ""
    workspace: str = ""
    sessions: list[SessionRow] = []
    keys: list[KeyRow] = []
    new_key: str = ""
    loaded: bool = False
    problem: str = ""
    key_problem: str = ""

    @rx.event
    async def load(self) -> None:
        """Read the account."""
        self.new_key = ""
        async with self._trying("problem"):
            await self._recognise()
            await self._read()

    async def _read(self) -> None:
        context, actor = surroundings(), await self._actor()
        found = await profile(context, actor)
        self.own_name, self.workspace = found.name, found.workspace_name
        self.sessions = [
            SessionRow(str(each.id), browser_of(each.user_agent), each.last_seen_at.isoformat(), each.current)
            for each in await list_sessions(context, actor)
        ]
        self.keys = [
            KeyRow(
                id=str(key.id),
                name=key.name,
                prefix=key.prefix,
                scopes=", ".join(key.scopes) or "all that you may do",
                created_at=key.created_at.isoformat(),
                last_used_at=key.last_used_at.isoformat() if key.last_used_at else "",
            )
            for key in (await list_keys(context, actor, PageRequest(limit=200))).items
        ]
        self.loaded = True

    @rx.event
    async def save_name(self, form: dict[str, Any]) -> None:
        """Change one's own name."""
        async with self._trying("problem"):
            await rename(surroundings(), await self._actor(), name=as_text(form.get("name"), 300))
            await self._recognise()
            self._say("Saved.")

    @rx.event
    async def end_session(self, session_id: str) -> None:
        """Sign out another browser."""
        async with self._trying():
            await revoke_session(surroundings(), await self._actor(), as_id(session_id))
            await self._read()

    @rx.event
    async def make_key(self, form: dict[str, Any]) -> None:
        """Make an API key and show it once."""
        async with self._trying("key_problem"):
            name = as_text(form.get("name"), 200).strip()
            _, self.new_key = await create_key(surroundings(), await self._actor(), name=name)
            await self._read()

    @rx.event
    def hide_key(self) -> None:
        """The key was copied; it is not shown again."""
        self.new_key = ""

    @rx.event
    async def end_key(self, key_id: str) -> None:
        """Make a key useless."""
        async with self._trying():
            await revoke_key(surroundings(), await self._actor(), as_id(key_id))
            await self._read()


def browser_of(user_agent: str) -> str:
    """“Firefox on Linux” for what a browser calls itself."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    return " on ".join(part for part in (browser, system) if part) or user_agent[:60] or "unknown"
