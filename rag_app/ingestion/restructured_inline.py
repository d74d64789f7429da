"""The words of a line of reStructuredText without its marks, roles and targets."""

import re
from collections.abc import Mapping, Sequence

_LITERAL = re.compile(r"``(.+?)``(?!`)", re.S)
_ROLE = re.compile(r"(?::[\w+.:-]{1,60}:)?`([^`]+)`(?:__?|:[\w+.:-]{1,60}:)?")
_TARGET = re.compile(r"^(.*?)\s*<[^<>]*>$", re.S)
_STRONG = re.compile(r"(?<![\w*\\])(\*\*?)(?=\S)(.+?)(?<=[^\s\\])\1(?![\w*])", re.S)
_SUBSTITUTION = re.compile(r"(?<!\w)\|([^|\s](?:[^|]{0,80}[^|\s])?)\|(?:__?)?")
_REFERENCE = re.compile(r"(?<=[\w\]])__?(?=[\s.,;:!?)\]'\"-]|$)")
_ANCHOR = re.compile(r"_`([^`]+)`")
_DEFINED = re.compile(r"\.\.\s+\|([^|]+)\|\s+(replace|unicode|image)::\s*(.*)")
_ESCAPE = re.compile(r"\\(\s|.)", re.S)
_MARK = "\x00"


def plain(text: str, replaced: Mapping[str, str]) -> str:
    """The words as a reader sees them; `replaced` are the document's own substitutions."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found.group(1))
        return f"{_MARK}{len(kept) - 1}{_MARK}"

    text = _LITERAL.sub(keep, text)
    text = _SUBSTITUTION.sub(lambda found: replaced.get(found.group(1).lower(), found.group(0)), text)
    text = _ANCHOR.sub(r"\1", text)
    text = _ROLE.sub(_shown, text)
    text = _STRONG.sub(r"\2", text)
    text = _REFERENCE.sub("", text)
    text = _ESCAPE.sub(lambda found: "" if found.group(1).isspace() else found.group(1), text)
    return re.sub(f"{_MARK}(\\d+){_MARK}", lambda found: kept[int(found.group(1))], text)


def _shown(found: re.Match[str]) -> str:
    text = found.group(1)
    target = _TARGET.match(text)
    if target and target.group(1).strip():
        return target.group(1)
    return text.lstrip("~!").strip("<>") if found.group(0).startswith(":") else text


def substitutions(lines: Sequence[str]) -> dict[str, str]:
    """What the document says stands for `|name|`, by name in small letters."""
    found: dict[str, str] = {}
    for line in lines:
        defined = _DEFINED.match(line)
        if defined:
            name, kind, value = defined.groups()
            found[name.lower()] = value if kind == "replace" else ""
    return found
