"""The tokens of a LaTeX source, and what its commands stand for: accents, signs, what is shown and what is not."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_TOKEN = re.compile(
    r"\\(?P<command>[a-zA-Z@]+\*?)[ \t]*\n?(?=(?P<after>.?))|\\(?P<symbol>.)|(?P<open>\{)|(?P<close>\})"
    r"|(?P<math>\$\$?)|(?P<cell>&)|(?P<blank>\n[ \t]*\n\s*)|(?P<text>[^\\{}$&\n]+|\n)",
    re.S,
)
VERBATIM = re.compile(
    r"\\begin\{(?P<name>verbatim\*?|lstlisting|minted|Verbatim|alltt|comment|filecontents\*?|tikzpicture|pgfpicture)\}"
    r"(?P<body>.*?)\\end\{(?P=name)\}|\\(?:verb\*?|lstinline)(?P<mark>[^\sa-zA-Z{])(?P<inline>[^\n]*?)(?P=mark)",
    re.S,
)
COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*(?:\n[ \t]*(?=\S)|(?=\n|\Z))")
DROPPED_VERBATIM = frozenset({"comment", "filecontents", "filecontents*", "tikzpicture", "pgfpicture"})

_ACCENTS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
            "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "k": "\u0328", "r": "\u030a", "d": "\u0323",
            "b": "\u0331"}  # fmt: skip
SIGNS = {
    "LaTeX": "LaTeX", "TeX": "TeX", "LaTeXe": "LaTeX2e", "ldots": "…", "dots": "…", "textellipsis": "…", "ss": "ß",
    "o": "ø", "O": "Ø", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "l": "ł", "L": "Ł", "i": "ı",
    "j": "ȷ", "S": "§", "P": "¶", "copyright": "©", "textregistered": "®", "texttrademark": "™", "pounds": "£",
    "euro": "€", "texteuro": "€", "EUR": "€", "textendash": "–", "textemdash": "—", "textbackslash": "\\",
    "textbar": "|",
    "textless": "<", "textgreater": ">", "textasciitilde": "~", "textasciicircum": "^", "textunderscore": "_",
    "textbullet": "•", "textdegree": "°", "textquoteleft": "‘", "textquoteright": "’", "textquotedblleft": "“",
    "textquotedblright": "”", "guillemotleft": "«", "guillemotright": "»", "quad": " ", "qquad": " ", "newline": "\n",
    "linebreak": "\n", "par": "\n\n", "and": ", ", "today": "", "dag": "†", "ddag": "‡", "slash": "/", "space": " ",
    "enspace": " ", "thinspace": " ", "xspace": "", "percent": "%", "textquotesingle": "'", "textasciigrave": "`",
    "textcent": "¢", "textyen": "¥", "textdollar": "$", "textsterling": "£", "celsius": "°C", "degree": "°",
}  # fmt: skip
# How many arguments in braces of a command are not shown; those in brackets never are.
UNSHOWN = {
    "documentclass": 1, "usepackage": 1, "RequirePackage": 1, "label": 1, "vspace": 1, "hspace": 1, "vspace*": 1,
    "hspace*": 1, "bibliographystyle": 1, "bibliography": 1, "addbibresource": 1, "setlength": 2, "addtolength": 2,
    "setcounter": 2, "addtocounter": 2, "pagestyle": 1, "thispagestyle": 1, "input": 1, "include": 1,
    "includegraphics": 1, "graphicspath": 1, "geometry": 1, "hypersetup": 1, "lstset": 1, "color": 1, "pagecolor": 1,
    "definecolor": 3, "newcounter": 1, "newlength": 1, "newtheorem": 2, "newtheorem*": 2, "theoremstyle": 1,
    "numberwithin": 2, "usetikzlibrary": 1, "hyphenation": 1, "addcontentsline": 3, "markboth": 2, "markright": 1,
    "fontsize": 2, "selectlanguage": 1, "DeclareMathOperator": 2, "providecommand": 2, "newenvironment": 3,
    "renewenvironment": 3, "index": 1, "nocite": 1, "rule": 2, "cline": 1, "cmidrule": 1, "hline": 0,
    "setstretch": 1, "linespread": 1, "titleformat": 5, "captionsetup": 1, "sisetup": 1, "rowcolor": 1, "cellcolor": 1,
    "columncolor": 1, "textcolor": 1, "colorbox": 1, "multirow": 2, "parbox": 1, "raisebox": 1, "resizebox": 2,
    "scalebox": 1, "hyperlink": 1, "hypertarget": 1, "setmainfont": 1, "setsansfont": 1, "setmonofont": 1, "pdfinfo": 1,
    "phantom": 1, "vphantom": 1, "hphantom": 1, "bibinfo": 1, "bibnamefont": 0, "allowdisplaybreaks": 0,
}  # fmt: skip
SECTIONS = {"part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5,
            "subparagraph": 6}  # fmt: skip
CITES = frozenset(["cite", "citep", "citet", "parencite", "textcite", "autocite", "citeauthor", "citeyear", "footcite",
                   "citealp", "citealt", "ref", "eqref", "pageref", "autoref", "cref", "Cref", "nameref",
                   "vref"])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `text` is its name or its characters."""

    kind: Literal["command", "symbol", "open", "close", "math", "cell", "blank", "text"]
    text: str


def tokens_of(source: str) -> Iterator[Token]:
    """All tokens in order."""
    for found in _TOKEN.finditer(source):
        kind = found.lastgroup if found.lastgroup != "after" else "command"
        if kind == "command":
            yield Token("command", found.group("command"))
        elif kind == "symbol":
            yield Token("symbol", found.group("symbol"))
        elif kind == "open":
            yield Token("open", "{")
        elif kind == "close":
            yield Token("close", "}")
        elif kind == "math":
            yield Token("math", found.group())
        elif kind == "cell":
            yield Token("cell", "&")
        elif kind == "blank":
            yield Token("blank", "\n\n")
        elif kind == "text":
            yield Token("text", found.group())


def accented(accent: str, letter: str) -> str:
    """A letter with its accent; the letter alone for a mark that is none."""
    base = {"ı": "i", "ȷ": "j"}.get(letter[:1], letter[:1])
    mark = _ACCENTS.get(accent, "")
    return unicodedata.normalize("NFC", base + mark) + letter[1:] if base else ""


def is_accent(name: str) -> bool:
    """Whether a command or symbol puts a mark on the letter after it."""
    return name in _ACCENTS


def quoted(text: str) -> str:
    """Running text with the signs that LaTeX makes of several characters."""
    text = text.replace("---", "—").replace("--", "–").replace("``", "“").replace("''", "”").replace("~", " ")
    return re.sub(r"(?<=\s)`(?=\S)", "‘", text)
