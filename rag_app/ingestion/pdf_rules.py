"""The straight lines drawn on a PDF page: rules of tables, frames of boxes, edges of shaded cells."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from rag_app.ingestion.pdf_words import Corners, quick, upright

_THIN = 3.0
_SHORTEST = 6.0
_TOLERANCE = 2.5
_MAX_OBJECTS = 20_000
_MAX_SEGMENTS = 2_000
MAX_RULES = 600


_object_at = quick(pdfium.FPDFPage_GetObject, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_kind_of = quick(pdfium.FPDFPageObj_GetType, ctypes.c_int, ctypes.c_void_p)


@dataclass(slots=True)
class Rule:
    """A line along one axis: at `place` on the other axis, from `start` to `end`."""

    place: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Rules:
    """Horizontal rules (place = distance from the top) and vertical ones (place = distance from the left)."""

    horizontal: list[Rule]
    vertical: list[Rule]


def rules_of(page: Any, *, turn: int, box: Corners) -> Rules:
    """All rules of a pypdfium2 page in upright coordinates, pieces of one line joined."""
    horizontal: list[Rule] = []
    vertical: list[Rule] = []
    page_width, page_height = box[2] - box[0], box[3] - box[1]
    for corners in _boxes(page):
        if corners[2] - corners[0] > 0.97 * page_width and corners[3] - corners[1] > 0.9 * page_height:
            continue  # the background
        x0, top, x1, bottom = upright(corners, turn, box)
        if bottom - top <= _THIN:
            if x1 - x0 >= _SHORTEST:
                horizontal.append(Rule((top + bottom) / 2, x0, x1))
        elif x1 - x0 <= _THIN:
            if bottom - top >= _SHORTEST:
                vertical.append(Rule((x0 + x1) / 2, top, bottom))
        else:
            horizontal += [Rule(top, x0, x1), Rule(bottom, x0, x1)]
            vertical += [Rule(x0, top, bottom), Rule(x1, top, bottom)]
    return Rules(_joined(horizontal), _joined(vertical))


def _boxes(page: Any) -> Iterator[Corners]:
    """Boxes of drawn rectangles and lines, in user space."""
    bounds_of = pdfium.FPDFPageObj_GetBounds
    address = ctypes.cast(page.raw, ctypes.c_void_p).value
    sides = [ctypes.c_float() for _ in range(4)]
    references = [ctypes.byref(side) for side in sides]
    for number in range(min(pdfium.FPDFPage_CountObjects(page.raw), _MAX_OBJECTS)):
        if _kind_of(_object_at(address, number)) != pdfium.FPDF_PAGEOBJ_PATH:
            continue
        drawn = pdfium.FPDFPage_GetObject(page.raw, number)
        if not bounds_of(drawn, *references):
            continue
        x0, y0, x1, y1 = (side.value for side in sides)
        if x1 - x0 <= _THIN or y1 - y0 <= _THIN:
            yield x0, y0, x1, y1
        elif pdfium.FPDFPath_CountSegments(drawn) <= 6:
            if _is_rectangle(drawn):
                yield x0, y0, x1, y1
        else:
            yield from _segments(drawn)


def _is_rectangle(drawn: Any) -> bool:
    return all(
        pdfium.FPDFPathSegment_GetType(pdfium.FPDFPath_GetPathSegment(drawn, number)) != pdfium.FPDF_SEGMENT_BEZIERTO
        for number in range(pdfium.FPDFPath_CountSegments(drawn))
    )


def _segments(drawn: Any) -> Iterator[Corners]:
    """The lines along an axis in a path of many strokes."""
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(drawn, ctypes.byref(matrix))
    x, y = ctypes.c_float(), ctypes.c_float()
    last: tuple[float, float] | None = None
    for number in range(min(pdfium.FPDFPath_CountSegments(drawn), _MAX_SEGMENTS)):
        segment = pdfium.FPDFPath_GetPathSegment(drawn, number)
        pdfium.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y))
        here = (
            matrix.a * x.value + matrix.c * y.value + matrix.e,
            matrix.b * x.value + matrix.d * y.value + matrix.f,
        )
        kind = pdfium.FPDFPathSegment_GetType(segment)
        if kind == pdfium.FPDF_SEGMENT_LINETO and last is not None:
            across, along = abs(here[0] - last[0]), abs(here[1] - last[1])
            if min(across, along) <= 0.5:
                yield min(here[0], last[0]), min(here[1], last[1]), max(here[0], last[0]), max(here[1], last[1])
        last = here


def _joined(rules: list[Rule]) -> list[Rule]:
    """Rules on one line that touch or overlap become one."""
    rules.sort(key=lambda rule: (round(rule.place / _TOLERANCE), rule.start))
    joined: list[Rule] = []
    for rule in rules:
        for other in reversed(joined[-6:]):
            if abs(other.place - rule.place) <= _TOLERANCE and rule.start <= other.end + 2 * _TOLERANCE:
                other.end, other.start = max(other.end, rule.end), min(other.start, rule.start)
                break
        else:
            joined.append(Rule(rule.place, rule.start, rule.end))
    return joined[:MAX_RULES]
