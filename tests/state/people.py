"""People of a test, each with the session of a browser."""

from rag_app.services import accounts, invitations, setup
from rag_app.services.accounts import Caller, SignedIn
from rag_app.services.context import Context
from rag_app.services.permissions import Actor, Role

PASSWORD = "four unrelated words here"
CALLER = Caller("127.0.0.1", "test")


async def owner(context: Context) -> tuple[Actor, SignedIn]:
    """The owner, with a fresh session."""
    if not await setup.is_set_up(context):
        await setup.create_first_owner(context, email="ada@example.com", password=PASSWORD, name="Ada")
    actor = await accounts.operator(context)
    return actor, await accounts.begin_session(context, actor.user_id, CALLER)


async def join(context: Context, role: Role, email: str) -> tuple[Actor, SignedIn]:
    """A new person with a role."""
    first, _ = await owner(context)
    _, link = await invitations.invite(context, first, email=email, role=role)
    signed_in = await invitations.accept_invitation(
        context, token=link.token, name=role.title(), password=PASSWORD, caller=CALLER
    )
    actor = await accounts.actor_of_session(context, signed_in.token)
    assert actor is not None
    return actor, signed_in
