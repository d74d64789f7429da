"""Messages and citations as the thread shows them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rag_app.errors import BlockedAddress, ProviderError, ProviderTimeout
from rag_app.retrieval.places import described
from rag_app.services.conversations import MessageCard
from rag_app.state.rows import CitationRow, MessageRow
from rag_app.state.wording import milliseconds, money

UNREACHABLE = "The model cannot be reached."
PROVIDER_CODES = frozenset({ProviderError.code, ProviderTimeout.code, BlockedAddress.code})
_MARKER = re.compile(r"\s?\[\d{1,4}\]")


def citation_row(data: Mapping[str, Any]) -> CitationRow:
    """A citation as a chip and its panel need it."""
    return CitationRow(
        n=data["n"],
        title=data["title"],
        page=described(data.get("place", {}), data["page_from"], data["page_to"]),
        first_page=data["page_from"] or 0,
        quote=data["quote"],
        document_id=str(data["document_id"]),
        version_id=str(data["version_id"]),
        char_from=data["char_from"],
        char_to=data["char_to"],
    )


def namesakes(rows: Sequence[MessageRow]) -> list[UUID]:
    """The documents that stand beside another one of the same title in the sources of one answer."""
    found: set[UUID] = set()
    for row in rows:
        titles = {UUID(each.document_id): each.title for each in row.citations}
        counted = Counter(titles.values())
        found |= {document for document, title in titles.items() if counted[title] > 1}
    return sorted(found)


def message_row(message: MessageCard, *, operator: bool) -> MessageRow:
    """A turn as the thread shows it. Why a model failed is for an operator; others could do nothing about it."""
    error, failed = (message.error.message, message.error.code) if message.error else ("", "")
    unreachable = failed in PROVIDER_CODES
    return MessageRow(
        id=str(message.id),
        role=message.role,
        text=message.text,
        status=message.status,
        citations=[citation_row(each) for each in message.citations],
        model=message.model,
        abstained=message.abstained,
        error=UNREACHABLE if unreachable and not operator else error,
        unreachable=unreachable,
        meta=_meta(message.model, message.timings_ms, message.usage) if message.role == "assistant" else "",
        rating=message.feedback.rating if message.feedback else 0,
    )


def answered_row(done: Mapping[str, Any]) -> MessageRow:
    """A turn made of the last event of its run, which comes a moment before the message itself is written."""
    return MessageRow(
        id=str(done["message_id"]),
        role="assistant",
        text=done["answer"],
        citations=[citation_row(each) for each in done["citations"]],
        model=done["model"],
        abstained=done["abstained"],
        meta=_meta(done["model"], done["timings_ms"], done["usage"]),
    )


def _meta(model: str, timings_ms: Mapping[str, float], usage: Mapping[str, Any]) -> str:
    """Model, time and cost, as far as known."""
    cost = usage.get("cost_microusd")
    parts = [
        "quoted, no model" if model == "local/extractive" else model,
        milliseconds(timings_ms["total"]) if "total" in timings_ms else "",
        money(cost) if cost else "",
    ]
    return " · ".join(part for part in parts if part)


def without_sources(text: str) -> str:
    """The words of an answer without its markers, for a screen reader."""
    return _MARKER.sub("", text)
