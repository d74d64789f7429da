"""The places the palette offers: pages by name, things by title."""

from rag_app.services.context import Context
from rag_app.services.permissions import Actor, is_allowed
from rag_app.services.places import find_by_title
from rag_app.state.rows import PlaceRow

MOST_PLACES = 14
_PAGES = (
    PlaceRow("Chat", "page", "/chat"),
    PlaceRow("Knowledge", "page", "/knowledge"),
    PlaceRow("Bots", "page", "/bots"),
    PlaceRow("Models and providers", "setting", "/models"),
    PlaceRow("Account, password, API keys", "setting", "/account"),
)
_PEOPLE = PlaceRow("People and invitations", "setting", "/people")
_ADDRESSES = {
    "bot": "/chat?bot={}",
    "knowledge base": "/knowledge/{}",
    "document": "/documents/{}",
    "chat": "/chat/{}",
}


async def find_places(context: Context, actor: Actor, words: str) -> list[PlaceRow]:
    """Places whose title holds all the words, pages first."""
    wanted = words.casefold().split()
    pages = [*_PAGES, *([_PEOPLE] if is_allowed(actor, "people.read") else [])]
    fitting = [page for page in pages if all(word in page.title.casefold() for word in wanted)]
    found = await find_by_title(context, actor, words)
    things = [PlaceRow(each.title or "Untitled", each.kind, _ADDRESSES[each.kind].format(each.id)) for each in found]
    return [*fitting, *things][:MOST_PLACES]
