"""Finds the places the palette offers: pages, knowledge bases, bots, conversations."""

from rag_app.services.context import Context
from rag_app.services.knowledge import list_knowledge_bases
from rag_app.services.paging import PageRequest
from rag_app.services.permissions import Actor, is_allowed
from rag_app.state.rows import PlaceRow

MOST_PLACES = 12
_PAGES = (
    PlaceRow("Chat", "page", "/chat"),
    PlaceRow("Knowledge", "page", "/knowledge"),
    PlaceRow("Bots", "page", "/bots"),
    PlaceRow("Models", "setting", "/models"),
    PlaceRow("Account and password", "setting", "/account"),
)
_PEOPLE = PlaceRow("People and invitations", "setting", "/people")


async def find_places(context: Context, actor: Actor, words: str) -> list[PlaceRow]:
    """Places whose title holds all the words, pages first."""
    places = [*_PAGES, *([_PEOPLE] if is_allowed(actor, "people.read") else [])]
    for card in (await list_knowledge_bases(context, actor, PageRequest(limit=200))).items:
        places.append(PlaceRow(card.name, "knowledge base", f"/knowledge/{card.id}"))
    wanted = words.casefold().split()
    fitting = [place for place in places if all(word in place.title.casefold() for word in wanted)]
    return fitting[:MOST_PLACES]
