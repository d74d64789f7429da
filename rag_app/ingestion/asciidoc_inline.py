"""The words of a line of AsciiDoc without its marks, links and macros."""

import re
from collections.abc import Mapping

_PASS = re.compile(r"\+\+\+(.+?)\+\+\+|\+\+(.+?)\+\+|(?<!\w)\+(?=\S)(.+?)(?<=\S)\+(?!\w)|pass:\w*\[(.*?)\]", re.S)
_LITERAL = re.compile(r"``(.+?)``|(?<!\w)`(?=\S)(.+?)(?<=\S)`(?!\w)", re.S)
_LINK = re.compile(
    r"(?:link|mailto|xref):(\S*?)\[((?:[^\[\]\\]|\\.)*)\]|((?:https?|ftp|irc)://[^\s\[\]<>]+)\[([^\]]*)\]"
)
_CROSS = re.compile(r"<<([^<>,]+)(?:,\s*([^<>]+))?>>")
_MACRO = re.compile(r"(?:footnote(?:ref)?|kbd|btn|menu|image|icon|indexterm2?|anchor|stem|latexmath|asciimath):"
                    r"([^\s\[\]]*)\[([^\]]*)\]")  # fmt: skip
_ANCHOR = re.compile(r"\[\[[^\[\]]+\]\]|\[#[\w-]+\](?=[#*_`])|\[\.[\w.-]+\](?=[#*_`])")
_UNCONSTRAINED = re.compile(r"(\*\*|__|##)(?=\S)(.+?)(?<=\S)\1", re.S)
_CONSTRAINED = re.compile(r"(?<![\w*_#\\])([*_#])(?=[^\s*_#])(.+?)(?<=[^\s])\1(?!\w)", re.S)
_SMALL = re.compile(r"(?<!\\)([\^~])(\S(?:[^\^~]{0,80}\S)?)\1")
_ATTRIBUTE = re.compile(r"(?<!\\)\{([\w][\w-]*)\}")
_INDEX = re.compile(r"\(\(\((.*?)\)\)\)|\(\((?!\()(.*?)\)\)")
_KNOWN = {"nbsp": " ", "zwsp": "", "sp": " ", "empty": "", "blank": "", "plus": "+", "lt": "<", "gt": ">", "amp": "&",
          "apos": "'", "quot": '"', "lsquo": "‘", "rsquo": "’", "ldquo": "“", "rdquo": "”", "startsb": "[",
          "endsb": "]",
          "vbar": "|", "caret": "^", "asterisk": "*", "tilde": "~", "backslash": "\\", "backtick": "`"}  # fmt: skip
_MARK = "\x00"
_MOST_NESTED = 5


def plain(text: str, attributes: Mapping[str, str]) -> str:
    """The words as a reader sees them; `attributes` are what the document says stands for `{name}`."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(next((each for each in found.groups() if each is not None), ""))
        return f"{_MARK}{len(kept) - 1}{_MARK}"

    text = _PASS.sub(keep, text)
    for _ in range(_MOST_NESTED):
        replaced = _ATTRIBUTE.sub(lambda found: _value(found, attributes), text)
        if replaced == text or len(replaced) > 100_000:
            break
        text = replaced
    text = _LITERAL.sub(keep, text)
    text = _LINK.sub(
        lambda found: _label(found.group(2), found.group(1)) or _label(found.group(4), found.group(3)), text
    )
    text = _CROSS.sub(lambda found: found.group(2) or found.group(1).rpartition("#")[2], text)
    text = _MACRO.sub(_shown, text)
    text = _INDEX.sub(lambda found: found.group(2) or "", text)
    text = _ANCHOR.sub("", text)
    text = _UNCONSTRAINED.sub(r"\2", text)
    text = _CONSTRAINED.sub(r"\2", _CONSTRAINED.sub(r"\2", text))
    text = _SMALL.sub(r"\2", text)
    text = re.sub(r"\\(?=[*_`#{^~\[<+:])", "", text)
    return re.sub(f"{_MARK}(\\d+){_MARK}", lambda found: kept[int(found.group(1))], text)


def _value(found: re.Match[str], attributes: Mapping[str, str]) -> str:
    name = found.group(1).lower()
    return attributes.get(name, _KNOWN.get(name, found.group(0)))


def _label(label: str | None, target: str | None) -> str:
    """The words of a link, or its address when it has none."""
    first = (label or "").strip().split(",window=")[0].split(",role=")[0].strip('"').rstrip("^")
    return first or (target or "").rpartition("#")[2] or (target or "")


def _shown(found: re.Match[str]) -> str:
    kind = found.group(0).split(":", 1)[0]
    target, words = found.groups()
    if kind.startswith("footnote"):
        return f" ({words})" if words else ""
    if kind == "menu":
        return f"{target} > {words}".strip(" >")
    if kind in ("icon", "anchor") or kind == "indexterm":
        return ""
    return words.split(",")[0].strip('"') if kind == "image" else words
