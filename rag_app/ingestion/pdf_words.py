"""Words of one PDF page with their boxes, as pdfium sees them; the only file that calls pdfium's text functions."""

import ctypes
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import pypdfium2.raw as pdfium

# pdfium writes U+FFFE or U+0002 for a hyphen at a line's end and goes on with the rest of the word.
_WORD = re.compile("[^\\s\ufffe\x02]+[\ufffe\x02\u00ad]?")
_LINE_END_HYPHENS = "\ufffe\x02\u00ad"
_NO_GLYPH = re.compile("[\x00-\x01\x03-\x08\x0e-\x1f\ufffd\uffff\ue000-\uf8ff]")
_BULLET_GLYPHS = {"\uf0b7": "•", "\uf0a7": "•", "\uf0d8": "•", "\uf076": "•", "\uf02d": "–", "\uf0fc": "•"}
_BULLETS = str.maketrans(_BULLET_GLYPHS)
_BOLD_NAME = re.compile(rb"bold|black|heavy|semibold|demi", re.I)
_BOLD_WEIGHT = 600
MAX_PAGE_CHARS = 500_000
Corners = tuple[float, float, float, float]


def quick(function: Any, result: Any, *parameters: Any) -> Callable[..., Any]:
    """A pdfium function with plain pointers: checking the kind of each pointer doubles the time of a call."""
    return ctypes.CFUNCTYPE(result, *parameters)(ctypes.cast(function, ctypes.c_void_p).value or 0)


_loose_box = quick(pdfium.FPDFText_GetLooseCharBox, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


@dataclass(slots=True)
class Word:
    """A run of glyphs without space. The origin is the top left corner, `top` < `bottom`, lengths in points."""

    text: str
    x0: float
    x1: float
    top: float
    bottom: float
    line: int  # number of pdfium's line
    hyphen: bool  # ends with a hyphen that breaks a word over two lines
    index: int  # of its first character, to ask for the font

    @property
    def size(self) -> float:
        """Height of the font's box."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class PageWords:
    """The words of one page in the order of the file, and the page's size as read (text upright)."""

    words: list[Word]
    width: float
    height: float
    turn: int  # quarter turns from user space to upright, clockwise
    box: Corners  # of the page in user space
    junk: float = 0.0  # the share of its characters that have no meaning: a font that does not tell its letters


class PageReader:
    """Reads one loaded page; keep it open while fonts are asked for."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._text = page.get_textpage()

    def close(self) -> None:
        """Free the text of the page."""
        self._text.close()

    def words(self) -> PageWords:
        """All words with upright boxes."""
        left, bottom, right, top = self._page.get_bbox()
        codes = self._characters()
        raw = self._raw_words(codes)
        turn = self._turn(raw)
        width, height = right - left, top - bottom
        for word in raw:
            word.x0, word.top, word.x1, word.bottom = upright(
                (word.x0, word.top, word.x1, word.bottom), turn, (left, bottom, right, top)
            )
        if turn % 2:
            width, height = height, width
        return PageWords(raw, width, height, turn, (left, bottom, right, top), _junk_share(codes))

    def is_bold(self, index: int) -> bool:
        """Whether the glyph at `index` is set in a heavy font."""
        if pdfium.FPDFText_GetFontWeight(self._text.raw, index) >= _BOLD_WEIGHT:
            return True
        buffer = ctypes.create_string_buffer(128)
        flags = ctypes.c_int()
        length = pdfium.FPDFText_GetFontInfo(self._text.raw, index, buffer, 128, ctypes.byref(flags))
        return bool(0 < length <= 128 and _BOLD_NAME.search(buffer.value))

    def _characters(self) -> str:
        """One character per index of pdfium's list (its own text function may skip some)."""
        count = min(self._text.count_chars(), MAX_PAGE_CHARS)
        if count <= 0:
            return ""
        buffer = (ctypes.c_ushort * (count + 1))()
        written = pdfium.FPDFText_GetText(self._text.raw, 0, count, buffer)
        text = bytes(buffer)[: max(0, written - 1) * 2].decode("utf-16-le", errors="replace")
        if len(text) == count:
            return text
        get, raw = pdfium.FPDFText_GetUnicode, self._text.raw
        codes = (get(raw, index) for index in range(count))
        return "".join(" " if code == 0 or 0xD800 <= code < 0xE000 else chr(code) for code in codes)

    def _raw_words(self, characters: str) -> list[Word]:
        rect = pdfium.FS_RECTF()
        reference = ctypes.addressof(rect)
        get, raw = _loose_box, ctypes.cast(self._text.raw, ctypes.c_void_p).value
        words: list[Word] = []
        line, position = 0, 0
        for found in _WORD.finditer(characters):
            start, end = found.span()
            line += characters.count("\n", position, start)
            position = end
            text = found.group()
            hyphen = len(text) > 1 and text[-1] in _LINE_END_HYPHENS
            if not text.isascii() or hyphen:
                text = _NO_GLYPH.sub("", text[:-1].translate(_BULLETS) + "-" if hyphen else text.translate(_BULLETS))
            if not text or not get(raw, start, reference):
                continue
            x0, x1, y0, y1 = rect.left, rect.right, rect.bottom, rect.top
            if end - 1 > start and get(raw, end - 1, reference):
                x0, x1 = min(x0, rect.left), max(x1, rect.right)
                y0, y1 = min(y0, rect.bottom), max(y1, rect.top)
            words.append(Word(text, x0, x1, y0, y1, line, hyphen, start))
        return words

    def _turn(self, words: list[Word]) -> int:
        """Quarter turns that bring most of the text upright, from the angles of some words."""
        sample = [word for word in words if len(word.text) > 1]
        sample = sample[:: max(1, len(sample) // 15)]
        if not sample:
            return 0
        angles = [pdfium.FPDFText_GetCharAngle(self._text.raw, word.index) for word in sample]
        return round(float(median(angles)) / (math.pi / 2)) % 4


def _junk_share(characters: str) -> float:
    if not characters:
        return 0.0
    visible = len(characters) - characters.count(" ") - characters.count("\r") - characters.count("\n")
    return len(_NO_GLYPH.findall(characters.translate(_BULLETS))) / max(1, visible)


def upright(corners: Corners, turn: int, page: Corners) -> Corners:
    """A box turned from PDF user space (x0, y0, x1, y1) to upright (x0, top, x1, bottom), origin at the top left."""
    x0, y0, x1, y1 = corners
    left, bottom, right, top = page
    if turn == 0:
        return x0 - left, top - y1, x1 - left, top - y0
    if turn == 1:
        return top - y1, right - x1, top - y0, right - x0
    if turn == 2:
        return right - x1, y0 - bottom, right - x0, y1 - bottom
    return y0 - bottom, x0 - left, y1 - bottom, x1 - left
