"""Reads letters off the picture of a PDF page, if the OCR extra is installed (requirements-ocr.txt)."""

import re
from collections.abc import Sequence
from statistics import median
from typing import Any

import pypdfium2

from rag_app.errors import DamagedFile
from rag_app.ingestion.original import Original
from rag_app.ingestion.parsed import RecognisedLine as Box
from rag_app.ingestion.parsed import RecognisedPage
from rag_app.ingestion.pdf import open_pdf
from rag_app.ingestion.pdf_layout import PageContent
from rag_app.ingestion.pdf_lines import Line

DPI = 150
LONGEST_SIDE_PX = 2_000
_DETECTION_PX = 1_280
_SURE = 0.5  # how sure the recogniser must be of a line, 0..1
_SAME_SIZE = 0.35  # boxes vary by so much around one size of letters
_COLUMN_LINES = 4  # the fewest lines of a column
_WORD = re.compile(r"\S+")


class Recogniser:
    """The loaded models. Takes seconds and some hundred MB, so it lives in children that do nothing else."""

    def __init__(self) -> None:
        import numpy
        from rapidocr import RapidOCR

        self._engine = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.text_score": _SURE,
                "Global.max_side_len": LONGEST_SIDE_PX,
                "Global.use_cls": False,  # pages lie the right way up
                "Det.limit_type": "max",
                "Det.limit_side_len": _DETECTION_PX,
                "Rec.rec_batch_num": 1,  # more at a time is no faster on a core, and takes more memory
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._engine(numpy.full((64, 256, 3), 255, dtype=numpy.uint8))  # loads what is loaded on first use

    def read(self, original: Original, page: int, password: str | None) -> RecognisedPage:
        """The lines of a page (counted from 1) in reading order. Raises DamagedFile."""
        try:
            document = open_pdf(original, password)
            try:
                return self._read(document[page - 1])
            finally:
                document.close()
        except pypdfium2.PdfiumError as problem:
            raise DamagedFile() from problem

    def _read(self, page: Any) -> RecognisedPage:
        width, height = page.get_size()
        scale = min(DPI / 72, LONGEST_SIDE_PX / max(width, height, 1.0))
        picture = page.render(scale=scale).to_numpy()
        found = self._engine(picture)
        boxes = found.boxes if found.boxes is not None else ()
        lines = [
            (
                str(text),
                float(min(corner[0] for corner in box)) / scale,
                float(min(corner[1] for corner in box)) / scale,
                float(max(corner[0] for corner in box)) / scale,
                float(max(corner[1] for corner in box)) / scale,
            )
            for text, box in zip(found.txts or (), boxes, strict=True)
            if str(text).strip()
        ]
        return RecognisedPage(float(height), tuple(in_reading_order(lines)))


def content_of_page(number: int, page: RecognisedPage) -> PageContent:
    """The recognised lines as the layout takes those of a text layer."""
    usual = median(bottom - top for _, _, top, _, bottom in page.lines) if page.lines else 10.0
    items = []
    for text, x0, top, x1, bottom in page.lines:
        height = bottom - top
        size = usual if abs(height - usual) <= _SAME_SIZE * usual else height
        items.append(Line(text, x0, x1, top, bottom, size, False, text.endswith("-"), len(_WORD.findall(text))))
    return PageContent(number, page.height, list(items))


def in_reading_order(lines: Sequence[Box]) -> list[Box]:
    """Lines column by column where a page has columns, from the top to the bottom elsewhere."""
    if len(lines) < 2 * _COLUMN_LINES:
        return _downwards(lines)
    if columns := _columns(lines):
        return in_reading_order(columns[0]) + in_reading_order(columns[1])
    by_top = sorted(lines, key=lambda each: each[2])
    for place in range(1, len(by_top)):
        upper, lower = by_top[:place], by_top[place:]
        if max(each[4] for each in upper) <= lower[0][2] + 2 and (columns := _columns(lower)):
            return _downwards(upper) + in_reading_order(columns[0]) + in_reading_order(columns[1])
        if max(each[4] for each in upper) <= lower[0][2] + 2 and (columns := _columns(upper)):
            rest = place
            while rest < len(by_top) and (more := _columns(by_top[: rest + 1])):
                columns, rest = more, rest + 1
            ordered = in_reading_order(columns[0]) + in_reading_order(columns[1])
            return ordered + in_reading_order(by_top[rest:])
    return _downwards(lines)


def _columns(lines: Sequence[Box]) -> tuple[list[Box], list[Box]] | None:
    """What stands left and right of a white stripe from the top to the bottom, each side with several lines."""
    by_left = sorted(lines, key=lambda each: each[1])
    right = by_left[0][3]
    for place in range(1, len(by_left)):
        gap = by_left[place][1] - right
        if gap > 4 and min(place, len(by_left) - place) >= _COLUMN_LINES:
            one, other = by_left[:place], by_left[place:]
            if _is_prose(one) and _is_prose(other):
                return one, other
        right = max(right, by_left[place][3])
    return None


def _is_prose(lines: Sequence[Box]) -> bool:
    """Whether lines are as long as those of a column of text; cells of a table are not."""
    return median(len(each[0]) for each in lines) >= 18


def _downwards(lines: Sequence[Box]) -> list[Box]:
    """From the top to the bottom; lines beside each other from the left to the right."""
    ordered: list[Box] = []
    row: list[Box] = []
    for line in sorted(lines, key=lambda each: (each[2] + each[4]) / 2):
        middle = (line[2] + line[4]) / 2
        if row and middle > row[0][4]:
            ordered += sorted(row, key=lambda each: each[1])
            row = []
        row.append(line)
    return ordered + sorted(row, key=lambda each: each[1])
