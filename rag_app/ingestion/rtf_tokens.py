"""The tokens of a rich text file: braces, control words with their numbers, bytes; and what some words stand for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

CHARACTERS = {
    "tab": "\t", "line": "\n", "lbr": "\n", "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’",
    "ldblquote": "“", "rdblquote": "”", "emspace": " ", "enspace": " ", "qmspace": " ", "softline": "\n",
}  # fmt: skip
# Groups that hold no text of the document.
SKIPPED = frozenset(
    ["colortbl", "pict", "object", "objdata", "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr",
     "footerf", "themedata", "colorschememapping", "datastore", "listtable", "listoverridetable", "rsidtbl",
     "generator", "xmlnstbl", "fldinst", "bkmkstart", "bkmkend", "nonshppict", "revtbl", "latentstyles", "pgdsctbl",
     "mmathPr", "filetbl", "annotation", "atnid", "atnauthor", "atndate", "atnref", "sp", "ftnsep", "ftnsepc",
     "aftnsep",
     "aftnsepc", "xe", "tc", "private", "passwordhash", "pnseclvl", "template", "falt", "panose", "comment", "operator",
     "creatim", "revtim", "printim", "buptim", "company", "manager", "category", "doccomm", "hlinkbase", "docvar",
     "defchp", "defpap", "wgrffmtfilter", "fontemb", "background", "ud", "upr", "blipuid", "picprop", "ftncn"]
)  # fmt: skip
# Character sets of fonts and the code pages that hold them.
CODE_PAGES = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "cp936", 136: "cp950", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)", re.S
)
_SYMBOLS = {b"~": b" ", b"_": b"-", b"\\": b"\\", b"{": b"{", b"}": b"}"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `data` of bytes, `name` and `number` of a word."""

    kind: Literal["open", "close", "word", "star", "bytes"]
    name: str = ""
    number: int | None = None
    data: bytes = b""


_OPEN, _CLOSE, _STAR = Token("open"), Token("close"), Token("star")
_PARAGRAPH, _TAB = Token("word", "par"), Token("word", "tab")


def tokens_of(data: bytes) -> Iterator[Token]:
    """All tokens in order. Binary data (`\\bin`) is left out."""
    place = 0
    while found := _TOKEN.match(data, place):
        place = found.end()
        word, number, code, symbol, brace, text = found.groups()
        if word is not None:
            if word == b"bin" and number:
                place += max(0, int(number))
            else:
                yield Token("word", word.decode("ascii"), int(number) if number else None)
        elif brace is not None:
            yield _OPEN if brace == b"{" else _CLOSE
        elif text is not None:
            yield Token("bytes", data=text)
        elif code is not None:
            yield Token("bytes", data=bytes.fromhex(code.decode("ascii")))
        elif symbol is not None:
            yield from _symbol(symbol)


def _symbol(symbol: bytes) -> Iterator[Token]:
    if symbol == b"*":
        yield _STAR
    elif symbol in _SYMBOLS:
        yield Token("bytes", data=_SYMBOLS[symbol])
    elif symbol in (b"\n", b"\r"):
        yield _PARAGRAPH
    elif symbol == b"\t":
        yield _TAB
