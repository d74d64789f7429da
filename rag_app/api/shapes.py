"""Shapes at the edge: what a body may hold, how lists and errors look."""

import math
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from rag_app.services.paging import Page

DEEPEST = 32
LARGEST_INTEGER = 2**63 - 1
_HALF = re.compile("[\ud800-\udfff]")


def storable_text(text: str) -> str:
    """The text itself, unless Postgres or UTF-8 could not hold it (NUL, half a surrogate pair). Raises ValueError."""
    if "\x00" in text:
        raise ValueError("must not hold the character NUL")
    if _HALF.search(text):
        raise ValueError("must be valid Unicode")
    return text


PlainText = Annotated[str, AfterValidator(storable_text)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(storable_text)]


class Shape(BaseModel):
    """A body or query: unknown fields are refused, and so is what could not be stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: Any) -> Any:
        _check(data, 0)
        return data


PLACE = (
    "where in the original, beyond pages: part, sheet, rows [first, last], lines [first, last], slide, slide_to, page, "
    "page_to, time_from, time_to; what reaches into another part or sheet ends at the place `to`; {} = nothing known"
)


class View(BaseModel):
    """An answer, made from a frozen view of a service by its attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


Item = TypeVar("Item")
Shown = TypeVar("Shown", bound=BaseModel)


class Listing(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(None, description="pass it as `cursor` for the next page; null at the end")


class ErrorBody(BaseModel):
    """What went wrong."""

    code: str
    message: str
    details: dict[str, Any]
    request_id: str


class ErrorAnswer(BaseModel):
    """Every error has this shape."""

    error: ErrorBody


def listing(found: Page[Any], show: Callable[[Any], Shown]) -> Listing[Shown]:
    """A page of a service as the answer of a list."""
    return Listing[Any](items=[show(each) for each in found.items], next_cursor=found.next_cursor)


def whole_listing(found: Iterable[Any], show: Callable[[Any], Shown]) -> Listing[Shown]:
    """A list that is always short enough for one page."""
    return Listing[Any](items=[show(each) for each in found], next_cursor=None)


def _check(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"must not be nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        storable_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers must be finite")
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ValueError("integers must fit into 64 bits")
    elif isinstance(value, dict):
        for name, each in value.items():
            _check(name, depth + 1)
            _check(each, depth + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            _check(each, depth + 1)
