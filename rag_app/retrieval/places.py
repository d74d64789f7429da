"""Where in its original a stretch of text stands, beyond pages: sheet and rows, slide, part, time; joined and worded.

A place is a flat object of some of these: `part` (name of an attachment or member), `sheet`, `rows` [first, last] as
the spreadsheet counts them, `lines` [first, last] of a file of records, `slide` and `slide_to`, `page` and `page_to`,
`time_from` and `time_to` (HH:MM:SS.mmm). A stretch that reaches into another part or sheet ends at the place `to`.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

Place = Mapping[str, Any]
Span = tuple[int, int, Place]
"""char_from, char_to and the place of what stands there; spans are sorted and do not overlap."""

_CONTAINERS = ("part", "sheet")
_RANGES = ("rows", "lines")
_NUMBERS = ("slide", "page")
_TIMES = ("time_from", "time_to")
_LONGEST_NAME = 300


def place_of(spans: Sequence[Span], text: str, *, char_from: int, char_to: int, offset: int = 0) -> dict[str, Any]:
    """The place of a stretch of a document, {} when nothing is known of it.

    `text` is the text of the document from `offset` on, as far as the touched spans reach; a span of as many rows as
    lines is narrowed to those lines that the stretch touches.
    """
    touched = touched_spans(spans, char_from=char_from, char_to=char_to)
    narrowed: list[Place] = [_narrowed(span, text, stretch=(char_from, char_to), offset=offset) for span in touched]
    return dict(joined_all(narrowed))


def touched_spans(spans: Sequence[Span], *, char_from: int, char_to: int) -> Sequence[Span]:
    """Those spans that hold a character of a stretch."""
    low = max(0, bisect_right(spans, char_from, key=lambda span: span[0]) - 1)
    high = bisect_right(spans, char_to - 1, key=lambda span: span[0])
    return [span for span in spans[low:high] if span[0] < char_to and char_from < span[1]]


def _narrowed(span: Span, text: str, *, stretch: tuple[int, int], offset: int) -> Place:
    start, end, place = span
    key = next((each for each in _RANGES if each in place), None)
    if key is None:
        return place
    first, last = place[key]
    if first == last or text.count("\n", start - offset, end - offset) != last - first:
        return place
    begin = text.count("\n", start - offset, max(start, stretch[0]) - offset)
    count = text.count("\n", max(start, stretch[0]) - offset, min(end, stretch[1]) - offset)
    return {**place, key: [first + begin, first + begin + count]}


def joined_all(places: Sequence[Place]) -> Place:
    """The place that begins at the first and ends at the last of them, {} for none."""
    found: Place = {}
    for place in places:
        found = joined(found, place) if found and place else found or place
    return found


def joined(one: Place, other: Place) -> Place:
    """The place that begins at `one` and ends at `other`."""
    if "to" in other:
        return {**joined(one, {key: other[key] for key in other if key != "to"}), "to": other["to"]}
    if "to" in one:
        return {**one, "to": joined(one["to"], other) if _container(one["to"]) == _container(other) else other}
    if _container(one) != _container(other):
        return {**one, "to": other}
    found = {**other, **one}
    for key in _RANGES:
        if key in one and key in other:
            found[key] = [min(one[key][0], other[key][0]), max(one[key][1], other[key][1])]
    for key in _NUMBERS:
        if key in one and key in other:
            last = max(each.get(f"{key}_to", each[key]) for each in (one, other))
            found[key] = min(one[key], other[key])
            found |= {f"{key}_to": last} if last != found[key] else {}
    if all(key in each for key in _TIMES for each in (one, other)):
        found["time_from"] = min(one["time_from"], other["time_from"])
        found["time_to"] = max(one["time_to"], other["time_to"])
    return found


def _container(place: Place) -> tuple[Any, ...]:
    return tuple(place.get(key) for key in _CONTAINERS)


def checked(place: Mapping[Any, Any]) -> dict[str, Any]:
    """A place as it may be stored, from a source that is not trusted. Raises ValueError for anything else."""
    found: dict[str, Any] = {}
    for key, value in place.items():
        if key in (*_CONTAINERS, *_TIMES):
            found[key] = str(value).replace("\0", "")[:_LONGEST_NAME]
        elif key in _RANGES:
            first, last = value
            found[key] = [int(first), int(last)]
        elif key in (*_NUMBERS, *(f"{each}_to" for each in _NUMBERS)):
            found[key] = int(value)
        else:
            raise ValueError(key)
    return found


def described(place: Place, page_from: int | None = None, page_to: int | None = None) -> str:
    """A place, or some pages, in words: “sheet Q1, rows 2–40”, “slide 3”, “1:02–1:40”, “pages 3–4”; "" for neither."""
    if page_from is not None:
        place = {**place, "page": page_from, "page_to": page_to or page_from}
    words = [place["part"]] if "part" in place else []
    words += [f"sheet {place['sheet']}"] if "sheet" in place else []
    words += [_ranged(key[:-1], *place[key]) for key in _RANGES if key in place]
    words += [_ranged(key, place[key], place.get(f"{key}_to", place[key])) for key in _NUMBERS if key in place]
    if "time_from" in place:
        words.append(f"{_clock(place['time_from'])}–{_clock(place.get('time_to', place['time_from']))}")
    ends = f" to {described(place['to'])}" if "to" in place else ""
    return ", ".join(words) + ends


def _ranged(name: str, first: int, last: int) -> str:
    return f"{name} {first}" if first == last else f"{name}s {first}–{last}"


def _clock(moment: str) -> str:
    """00:01:02.000 as 1:02, 01:01:02.500 as 1:01:02."""
    hours, _, rest = moment.partition(".")[0].partition(":")
    return f"{int(hours)}:{rest}" if hours.isdigit() and int(hours) else rest.removeprefix("0")
