"""Tells what a PDF page without a text layer holds instead: a picture of text, drawings, or nothing."""

from collections.abc import Sequence
from typing import Any, Literal

import pypdfium2
import pypdfium2.raw as pdfium

from rag_app.errors import NoText
from rag_app.ingestion.pdf_layout import PageContent

Look = Literal["text", "picture", "drawing", "blank", "recognised"]

OCR_HINT = "To have it read here, install the OCR extra (scripts/install ocr) and retry."
_FEW_CHARS = 60  # a stamp or a page number on a scan
_COVERED = 0.5  # of the page by pictures
_JUNK = 0.5  # of the characters without a meaning
_MOST_OBJECTS = 2_000
_NAMED_PAGES = 5


def look_of(page: Any, content: PageContent) -> Look:
    """What there is to read on a loaded page whose text layer has been read."""
    chars = sum(len(item.text) for item in content.items)
    if chars >= _FEW_CHARS and content.junk < _JUNK:
        return "text"
    covered, objects = _objects(page)
    if covered >= _COVERED or (covered > 0 and not chars):
        return "picture"
    if chars and content.junk < _JUNK:
        return "text"
    return "drawing" if objects else "blank"


def _objects(page: Any) -> tuple[float, int]:
    """The share of the page that pictures cover (they may overlap), and how many things are drawn."""
    area = max(1.0, page.get_width() * page.get_height())
    covered, count = 0.0, 0
    try:
        for each in page.get_objects(max_depth=3):
            count += 1
            if each.type == pdfium.FPDF_PAGEOBJ_IMAGE:
                left, bottom, right, top = each.get_bounds()
                covered += abs(right - left) * abs(top - bottom)
            if count >= _MOST_OBJECTS:
                break
    except pypdfium2.PdfiumError:
        pass
    return min(1.0, covered / area), count


def unread_pages(looks: Sequence[Look]) -> list[int]:
    """The pages that OCR might read: pictures, and drawings, which may be letters drawn as shapes."""
    return [number for number, look in enumerate(looks, 1) if look in ("picture", "drawing")]


def no_text(looks: Sequence[Look]) -> NoText:
    """The honest reason why nothing could be read, with the pages that OCR might read in `details`."""
    if "recognised" in looks:
        return NoText("The pages of the file are pictures, and no letters were found on them.")
    if "picture" in looks:
        message = f"{_named(looks)} of text without a text layer (a scan). {OCR_HINT}"
    elif "drawing" in looks:
        message = f"The file holds drawings, but no letters that could be read. If there are any: {OCR_HINT}"
    else:
        message = "The pages of the file are empty."
    return NoText(message, scans=unread_pages(looks))


def remarks(looks: Sequence[Look]) -> list[str]:
    """Sentences on the pages that are pictures in a file with text: left out, or read by OCR."""
    hint = "" if "recognised" in looks else f" {OCR_HINT}"
    found = [f"{_named(looks)} without a text layer and left out.{hint}"] if "picture" in looks else []
    if count := looks.count("recognised"):
        which = "1 page is a picture, whose" if count == 1 else f"{count:,} pages are pictures, whose"
        found.append(f"{which} text was recognised by OCR; some letters may be wrong.")
    return found


def _named(looks: Sequence[Look]) -> str:
    """“Page 3 is a picture” or “Pages 3, 4, 5, 6, 7 and 12 more are pictures”."""
    numbers = [number for number, look in enumerate(looks, 1) if look == "picture"]
    if len(numbers) == 1:
        return f"Page {numbers[0]} is a picture"
    shown = ", ".join(map(str, numbers[:_NAMED_PAGES]))
    more = f" and {len(numbers) - _NAMED_PAGES} more" if len(numbers) > _NAMED_PAGES else ""
    return f"Pages {shown}{more} are pictures"
