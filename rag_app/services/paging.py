"""Lists: newest first, with a cursor that stays right while things are added."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from rag_app.errors import InvalidInput

T = TypeVar("T")
DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How many, and after which place."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None

    def place(self) -> tuple[datetime | None, UUID | None]:
        """The moment and id after which the page begins; (None, None) = at the newest. Raises InvalidInput."""
        if not self.cursor:
            return None, None
        try:
            moment, identity = base64.urlsafe_b64decode(self.cursor.encode() + b"==").decode().split("|")
            return datetime.fromisoformat(moment), UUID(identity)
        except (ValueError, binascii.Error) as problem:
            raise InvalidInput("cursor: not one that this server gave out", field="cursor") from problem


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items and how to get the next ones."""

    items: tuple[T, ...]
    next_cursor: str | None = None


def page_of(items: Sequence[T], limit: int, place: Callable[[T], tuple[datetime, UUID]]) -> Page[T]:
    """Cut a list that was asked for with `limit + 1` rows."""
    if len(items) <= limit:
        return Page(tuple(items))
    moment, identity = place(items[limit - 1])
    cursor = base64.urlsafe_b64encode(f"{moment.isoformat()}|{identity}".encode()).decode().rstrip("=")
    return Page(tuple(items[:limit]), cursor)
