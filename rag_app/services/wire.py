"""How passages, citations and answers look to the outside, as plain JSON values (contract: REST and SSE)."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from rag_app.chat.events import Citation, Cited, Done, Event, Failed, Found, Searching, Token
from rag_app.retrieval.passages import Passage

Json = dict[str, Any]
ENDS = frozenset({"done", "error"})


def passage_json(passage: Passage) -> Json:
    """A passage as a search returns it."""
    ranks = passage.ranks
    return {
        "id": str(passage.id),
        "knowledge_base_id": str(passage.knowledge_base_id),
        "document_id": str(passage.document_id),
        "version_id": str(passage.version_id),
        "external_id": passage.external_id,
        "title": passage.title,
        "url": passage.url,
        "text": passage.text,
        "heading": passage.heading,
        "page_from": passage.page_from,
        "page_to": passage.page_to,
        "char_from": passage.char_from,
        "char_to": passage.char_to,
        "place": dict(passage.place),
        "score": round(passage.score, 6),
        "ranks": {
            "dense": ranks.dense,
            "lexical": ranks.lexical,
            "fused": ranks.fused,
            "rerank": ranks.rerank,
        },
    }


def citation_json(citation: Citation) -> Json:
    """A citation, its ids as text."""
    return {name: str(value) if isinstance(value, UUID) else value for name, value in asdict(citation).items()}


def event_json(event: Event, *, conversation_id: UUID, message_id: UUID) -> tuple[str, Json]:
    """Name and data of one event of the stream."""
    if isinstance(event, Searching):
        return event.kind, {"queries": list(event.queries)}
    if isinstance(event, Found):
        return event.kind, {"passages": [passage_json(passage) for passage in event.passages]}
    if isinstance(event, Token):
        return event.kind, {"text": event.text}
    if isinstance(event, Cited):
        return event.kind, citation_json(event.citation)
    if isinstance(event, Failed):
        return event.kind, {"code": event.code, "message": event.message}
    return event.kind, done_json(event, conversation_id=conversation_id, message_id=message_id)


def done_json(done: Done, *, conversation_id: UUID, message_id: UUID) -> Json:
    """The whole answer."""
    return {
        "conversation_id": str(conversation_id),
        "message_id": str(message_id),
        "answer": done.answer,
        "citations": [citation_json(each) for each in done.citations],
        "abstained": done.abstained,
        "model": done.model,
        "usage": asdict(done.usage),
        "timings_ms": dict(done.timings_ms),
    }
