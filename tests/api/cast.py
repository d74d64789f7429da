"""The people of a test: made through the services, each with a browser or program that speaks to the API."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from uuid import UUID

import httpx
from fastapi import FastAPI

from rag_app.services import accounts, api_keys, invitations, setup
from rag_app.services.accounts import Caller, SignedIn
from rag_app.services.context import Context
from rag_app.services.permissions import Actor, Role
from rag_app.services.sessions import COOKIE
from tests.api.promises import keeps_promises

ORIGIN = "http://testserver"
PASSWORD = "four unrelated words here"
OWNER = "ada@example.com"


@dataclass
class Cast:
    """Makes people and clients, and closes all clients at the end."""

    api: FastAPI
    context: Context
    _clients: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> "Cast":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._clients.aclose()

    async def client(
        self, headers: dict[str, str] | None = None, *, ip: str = "198.51.100.7", base: str = ORIGIN
    ) -> httpx.AsyncClient:
        """A client that sends these headers."""
        transport = httpx.ASGITransport(self.api, client=(ip, 50000))
        hooks = {"response": [keeps_promises(self.api)]}
        made = httpx.AsyncClient(transport=transport, base_url=base, headers=headers, event_hooks=hooks)
        return await self._clients.enter_async_context(made)

    async def browser(self, token: str = "", *, ip: str = "198.51.100.7") -> httpx.AsyncClient:
        """A browser on one of our own pages, signed in if a token is given."""
        made = await self.client({"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}, ip=ip)
        if token:
            made.cookies.set(COOKIE, token)
        return made

    async def program(self, credential: str) -> httpx.AsyncClient:
        """A program with an API key or a JWT."""
        return await self.client({"Authorization": f"Bearer {credential}"})

    async def owner(self) -> Actor:
        """The first owner, made at the first call."""
        if not await setup.is_set_up(self.context):
            await setup.create_first_owner(self.context, email=OWNER, password=PASSWORD, name="Ada")
        return await accounts.operator(self.context)

    async def join(self, role: Role, email: str = "") -> SignedIn:
        """A new person with that role, with a session."""
        _, link = await invitations.invite(
            self.context, await self.owner(), email=email or f"{role}@example.com", role=role
        )
        return await invitations.accept_invitation(
            self.context, token=link.token, name=role.title(), password=PASSWORD, caller=Caller("198.51.100.7", "test")
        )

    async def actor(self, signed_in: SignedIn) -> Actor:
        """The actor of a session, which must live."""
        found = await accounts.actor_of_session_id(self.context, signed_in.session_id)
        assert found is not None
        return found

    async def key(self, actor: Actor, *scopes: str) -> tuple[UUID, str]:
        """An API key of that person: its id and the key."""
        view, key = await api_keys.create_key(self.context, actor, name="test", scopes=scopes)
        return view.id, key

    async def sign_in(self, email: str = OWNER, password: str = PASSWORD, *, ip: str = "198.51.100.7") -> str:
        """Sign in through the API; the token of the cookie."""
        browser = await self.browser(ip=ip)
        answer = await browser.post("/api/v1/auth/session", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        return str(browser.cookies[COOKIE])
