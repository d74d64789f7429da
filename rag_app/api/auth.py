"""Signing in and out over plain HTTP, because only an HTTP answer can set the cookie of a session.

For the browser (JSON in; same-origin `Origin` or `Sec-Fetch-Site` required, else 403; unknown fields 422; errors in the
shape of the contract):

    POST   /api/v1/auth/session     {email, password}                   200 + cookie | 401 | 429
    GET    /api/v1/auth/session                                         200 who is signed in | 401
    DELETE /api/v1/auth/session                                         204, cookie cleared, also when signed out before
    GET    /api/v1/auth/setup                                           200 {is_set_up}
    POST   /api/v1/auth/setup       {token, email, password, name?}     201 + cookie | 404 dead link | 409 done before
    POST   /api/v1/auth/invitation  {token, name, password}             201 + cookie | 404 dead link
    POST   /api/v1/auth/reset       {token, password}                   200 + cookie | 404 dead link
    POST   /api/v1/auth/password    {current_password, new_password}    200 + new cookie, all other sessions end | 401

Each answers with the person: {id, email, name, role, workspace_id, workspace_name}. The cookie is `__Host-rag_session`
(Secure, HttpOnly, SameSite=Lax, Path=/) over https and `rag_session` (without Secure) over http.

For programs: POST /api/v1/auth/token {email, password} answers {access_token, expires_in, token_type}.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import StringConstraints

from rag_app.api.callers import is_encrypted, session_token
from rag_app.api.dependencies import ActorDep, CallerDep, ContextDep, own_pages_only
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import Listing, PlainText, Shape, View, whole_listing
from rag_app.errors import NotReady
from rag_app.services import accounts, invitations, people, sessions, setup
from rag_app.services.accounts import SignedIn
from rag_app.services.permissions import Role

router = APIRouter(prefix="/auth", tags=["auth"], route_class=IdempotentRoute)
_BROWSER = [Depends(own_pages_only)]
# Longer words cannot be right; they are refused before they cost time.
Password = Annotated[PlainText, StringConstraints(min_length=1, max_length=200)]
Email = Annotated[PlainText, StringConstraints(min_length=1, max_length=254)]
Token = Annotated[PlainText, StringConstraints(min_length=1, max_length=200)]
Name = Annotated[PlainText, StringConstraints(max_length=100)]


@dataclass(frozen=True, slots=True)
class Browser:
    """The browser at the other end: what it asks with, and the answer that may carry its cookie."""

    request: Request
    response: Response
    context: ContextDep
    caller: CallerDep

    @property
    def encrypted(self) -> bool:
        """True when it speaks https."""
        return is_encrypted(self.request, self.context.settings)

    @property
    def token(self) -> str:
        """The session token it holds, or an empty text."""
        return session_token(self.request, self.context.settings) or ""

    async def welcome(self, signed_in: SignedIn) -> "Profile":
        """Hand it the cookie of a session that has just begun."""
        self.response.set_cookie(
            sessions.cookie_name(encrypted=self.encrypted),
            signed_in.token,
            max_age=int(sessions.LONGEST.total_seconds()),  # when it really ends is decided by the server
            path="/",
            secure=self.encrypted,
            httponly=True,
            samesite="lax",
        )
        actor = await accounts.actor_of_session_id(self.context, signed_in.session_id)
        if actor is None:
            raise NotReady
        return Profile.model_validate(await accounts.profile(self.context, actor))

    def farewell(self) -> None:
        """Take the cookie away."""
        for secure in {self.encrypted, False}:
            self.response.delete_cookie(
                sessions.cookie_name(encrypted=secure), path="/", secure=secure, httponly=True, samesite="lax"
            )


BrowserDep = Annotated[Browser, Depends()]


class Credentials(Shape):
    """Who signs in."""

    email: Email
    password: Password


class FirstOwner(Shape):
    """The account of the first owner."""

    token: Token
    email: Email
    password: Password
    name: Name = ""


class Acceptance(Shape):
    """The account of an invited person."""

    token: Token
    name: Name
    password: Password


class Reset(Shape):
    """A new password, with the link that allows it."""

    token: Token
    password: Password


class PasswordChange(Shape):
    """A new password, with the one before."""

    current_password: Password
    new_password: Password


class Renaming(Shape):
    """One's own name."""

    name: Annotated[PlainText, StringConstraints(min_length=1, max_length=100)]


class AccessToken(View):
    """A JWT for the Authorization header."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - the kind of a token, not one


class Profile(View):
    """Who is signed in."""

    id: UUID
    email: str
    name: str
    role: Role
    workspace_id: UUID
    workspace_name: str


class SetupAnswer(View):
    """Whether the first owner has an account."""

    is_set_up: bool


class SessionAnswer(View):
    """A signed-in browser or program."""

    id: UUID
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool


# --- programs ---------------------------------------------------------------------------------------------------


@router.post("/token")
async def issue_token(body: Credentials, context: ContextDep, caller: CallerDep) -> AccessToken:
    """A JWT for a program that signs in with a password; an API key is usually the better choice."""
    token, lifetime = await accounts.issue_token(context, email=body.email, password=body.password, caller=caller)
    return AccessToken(access_token=token, expires_in=lifetime)


# --- browsers ---------------------------------------------------------------------------------------------------


@router.post("/session", dependencies=_BROWSER)
async def sign_in(body: Credentials, browser: BrowserDep) -> Profile:
    """Sign in; a session that this browser had before ends."""
    signed_in = await accounts.sign_in(
        browser.context, email=body.email, password=body.password, caller=browser.caller, old_token=browser.token
    )
    return await browser.welcome(signed_in)


@router.get("/session")
async def who_am_i(context: ContextDep, actor: ActorDep) -> Profile:
    """Who is signed in."""
    return Profile.model_validate(await accounts.profile(context, actor))


@router.delete("/session", status_code=204, dependencies=_BROWSER)
async def sign_out(browser: BrowserDep) -> None:
    """Sign out; fine also when the session has ended already."""
    await accounts.sign_out(browser.context, browser.token)
    browser.farewell()


@router.get("/setup")
async def read_setup(context: ContextDep) -> SetupAnswer:
    """Whether the first owner has an account."""
    return SetupAnswer(is_set_up=await setup.is_set_up(context))


@router.post("/setup", status_code=201, dependencies=_BROWSER)
async def set_up(body: FirstOwner, browser: BrowserDep) -> Profile:
    """Create the first owner with the printed link."""
    owner_id = await setup.create_first_owner(
        browser.context, email=body.email, password=body.password, name=body.name, token=body.token
    )
    return await browser.welcome(await accounts.begin_session(browser.context, owner_id, browser.caller))


@router.post("/invitation", status_code=201, dependencies=_BROWSER)
async def accept_invitation(body: Acceptance, browser: BrowserDep) -> Profile:
    """Create the account of an invited person."""
    signed_in = await invitations.accept_invitation(
        browser.context, token=body.token, name=body.name, password=body.password, caller=browser.caller
    )
    return await browser.welcome(signed_in)


@router.post("/reset", dependencies=_BROWSER)
async def reset_password(body: Reset, browser: BrowserDep) -> Profile:
    """Set a new password with a reset link."""
    signed_in = await people.reset_password(
        browser.context, token=body.token, password=body.password, caller=browser.caller
    )
    return await browser.welcome(signed_in)


@router.post("/password")
async def change_password(body: PasswordChange, browser: BrowserDep, actor: ActorDep) -> Profile:
    """Change one's own password; all other sessions end."""
    signed_in = await accounts.change_password(
        browser.context,
        actor,
        current_password=body.current_password,
        new_password=body.new_password,
        caller=browser.caller,
    )
    return await browser.welcome(signed_in)


# --- one's own account ------------------------------------------------------------------------------------------


@router.patch("/account")
async def rename(body: Renaming, context: ContextDep, actor: ActorDep) -> Profile:
    """Change one's own name."""
    return Profile.model_validate(await accounts.rename(context, actor, name=body.name))


@router.get("/sessions")
async def list_sessions(context: ContextDep, actor: ActorDep) -> Listing[SessionAnswer]:
    """One's own live sessions."""
    return whole_listing(await sessions.list_sessions(context, actor), SessionAnswer.model_validate)


@router.delete("/sessions/{session_id}", status_code=204)
async def revoke_session(session_id: UUID, context: ContextDep, actor: ActorDep) -> None:
    """End one of one's own sessions."""
    await sessions.revoke_session(context, actor, session_id)
