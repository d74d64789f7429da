"""Spells out the commands that a LaTeX document defines for itself, within limits on how much that may become."""

import re
from dataclasses import dataclass

_DEFINITION = re.compile(
    r"\\(?:newcommand|renewcommand|providecommand|def|DeclareRobustCommand)\*?\s*\{?\\([a-zA-Z]+)\}?"
    r"\s*(?:\[(\d)\]|((?:#\d)+))?\s*(\[[^\]]*\])?\s*\{"
)
_MOST_DEFINITIONS = 500
_LONGEST_DEFINITION = 2_000
_MOST_USES = 20_000
_ROUNDS = 5
_GROWTH = 2


@dataclass(frozen=True, slots=True)
class _Macro:
    """A command with so many arguments, `#1` to `#9` in what it stands for."""

    arguments: int
    body: str


def expanded(source: str) -> str:
    """The source without the definitions of its commands, and with these spelled out."""
    source, macros = _taken(source)
    simple = {name: macro for name, macro in macros.items() if f"\\{name}" not in macro.body}
    if not simple:
        return source
    names = re.compile(r"\\(" + "|".join(sorted(map(re.escape, simple), key=len, reverse=True)) + r")(?![a-zA-Z])")
    limit = len(source) * _GROWTH + 100_000
    uses = 0
    for _ in range(_ROUNDS):
        out: list[str] = []
        place = length = 0
        for found in names.finditer(source):
            uses += 1
            if found.start() < place or uses > _MOST_USES or length > limit:
                continue
            text, after = _used(source, found.end(), simple[found.group(1)])
            out += [source[place : found.start()], text]
            length += len(out[-1]) + len(out[-2])
            place = after
        if not out:
            return source
        source = "".join([*out, source[place:]])
        if len(source) > limit:
            return source
    return source


def _taken(source: str) -> tuple[str, dict[str, _Macro]]:
    macros: dict[str, _Macro] = {}
    out: list[str] = []
    place = 0
    for found in _DEFINITION.finditer(source):
        if found.start() < place or len(macros) >= _MOST_DEFINITIONS:
            continue
        end = group_end(source, found.end())
        count = int(found.group(2)) if found.group(2) else len(found.group(3) or "") // 2
        if end - found.end() <= _LONGEST_DEFINITION and not found.group(4):
            macros[found.group(1)] = _Macro(count, source[found.end() : end - 1])
        out.append(source[place : found.start()])
        place = end
    return "".join([*out, source[place:]]), macros


def _used(source: str, place: int, macro: _Macro) -> tuple[str, int]:
    """What one use stands for, and where the source goes on."""
    values: list[str] = []
    for _ in range(macro.arguments):
        while place < len(source) and source[place] in " \t\n":
            place += 1
        if source[place : place + 1] == "{":
            end = group_end(source, place + 1)
            values.append(source[place + 1 : end - 1])
        else:
            end = min(place + 1, len(source))
            values.append(source[place:end])
        place = end
    body = re.sub(
        r"#(\d)",
        lambda found: values[int(found.group(1)) - 1] if 0 < int(found.group(1)) <= len(values) else "",
        macro.body,
    )
    needs_gap = not macro.arguments and body[-1:].isalpha() and source[place : place + 1].isalpha()
    return body + (" " if needs_gap else ""), place


def group_end(source: str, place: int) -> int:
    """Where the group that began before `place` ends, after its brace."""
    depth = 1
    for found in re.finditer(r"\\.|[{}]", source[place:], re.S):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if depth == 0:
            return place + found.end()
    return len(source)
