"""Turns bytes into clean text: finds the encoding, unifies line ends, drops what no reader can see."""

import re

from charset_normalizer import from_bytes

from rag_app.errors import EmptyFile, MislabelledFile

_BOMS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SAMPLE_BYTES = 200_000
# Invisible: controls but tab and LF, soft hyphen, zero-width space/joiners, word joiner and other invisible
# operators, direction overrides, interlinear marks, variation selectors, BOM, tag characters, lone surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)
# Joiners carry meaning in Arabic, Persian, Indic scripts; elsewhere they only hide text.
_NEEDLESS_JOINER = re.compile("(?<![\u0600-\u08ff\u0900-\u0dff\u0e80-\u109f\u1780-\u17ff])[\u200c\u200d]")
_IS_CLEAN = re.compile(r"[\t\n -~]*")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CHARSET_MARK = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([a-zA-Z0-9_:.-]{2,40})""", re.I)


def decode(data: bytes, *, html: bool = False) -> str:
    """Clean text of some bytes in any common encoding. Raises EmptyFile, or MislabelledFile if it is no text."""
    if not data.strip(b"\x00 \t\r\n"):
        raise EmptyFile()
    text = clean(_decoded(data, html=html))
    if not text.strip():
        raise EmptyFile()
    return text


def clean(text: str) -> str:
    """The text with LF line ends and without invisible characters (hidden instructions travel in those)."""
    if _IS_CLEAN.fullmatch(text):  # most lines are, and parsers ask line by line
        return text
    text = _LINE_ENDS.sub("\n", text)
    return _NEEDLESS_JOINER.sub("", _INVISIBLE.sub("", text))


def _decoded(data: bytes, *, html: bool) -> str:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    guess = _bare_utf16(data)
    if guess:
        return data.decode(guess, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        # One cut or wrong character in a long UTF-8 text does not make it another encoding.
        text = data.decode("utf-8", errors="replace")
        multibyte = sum(char > "\x7f" for char in text[:_SAMPLE_BYTES])
        if problem.start > 0 and text.count("\ufffd") * 20 < multibyte:
            return text
    if html and (declared := _declared(data)):
        return declared
    return _guessed(data)


def _bare_utf16(data: bytes) -> str:
    """UTF-16 without a mark shows as a NUL in every other byte."""
    sample = data[:2048]
    even, odd, half = sample[0::2].count(0), sample[1::2].count(0), max(1, len(sample) // 2)
    if odd > half * 0.4 and even < half * 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > half * 0.4 and odd < half * 0.05 else ""


def _declared(data: bytes) -> str:
    found = _CHARSET_MARK.search(data[:4096])
    if not found:
        return ""
    try:
        return data.decode(found.group(1).decode("ascii"))
    except (LookupError, UnicodeDecodeError):
        return ""


def _guessed(data: bytes) -> str:
    best = from_bytes(data[:_SAMPLE_BYTES]).best()
    # Short texts from western desktops are where guessing fails most; cp1252 reads any of them.
    if best is None and data.count(0) > len(data) // 100:
        raise MislabelledFile("The file is named like text, but its content is binary data.")
    western = len(data) < 256 and best is not None and not best.multi_byte_usage > 0.2
    encoding = "cp1252" if best is None or western else best.encoding
    return data.decode(encoding, errors="replace")
