"""Finds a name or number that stands in a statement where the source, in the same words around it, has another one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rag_app.chat.facts import fold, plain
from rag_app.retrieval.terms import terms_of

_TOKEN = re.compile(r"\d[\d.,:\u2013-]*\d|\d|[^\W\d_]+(?:['’.\u2010\u2011-][^\W_]+)*[^\W_]*|[.!?;:](?=\s|$)")


@dataclass(frozen=True, slots=True)
class Unit:
    """One word, number, or run of capitalised words."""

    kind: Literal["word", "name", "number", "stop"]
    text: str
    carries: bool  # has a term of its own, so that it can identify a place in a text


@lru_cache(maxsize=2048)
def units_of(text: str, language: str) -> tuple[Unit, ...]:
    """The words of a text in order; neighbouring capitalised words are one unit."""
    found: list[Unit] = []
    for token in _TOKEN.finditer(plain(text)):
        word = token.group()
        carries = bool(terms_of(word, language))
        if word in ".!?;:":
            found.append(Unit("stop", word, False))
        elif word[0].isdigit():
            found.append(Unit("number", word, True))
        elif word[0].isupper() and carries:
            if found and found[-1].kind == "name":
                found[-1] = Unit("name", f"{found[-1].text} {fold(word)}", True)
            else:
                found.append(Unit("name", fold(word), True))
        else:
            found.append(Unit("word", fold(word), carries))
    return tuple(found)


def substitutions(statement: str, source: str, language: str) -> int:
    """How many names and numbers of the statement have another one in their place in the source."""
    said = units_of(statement, language)
    there = units_of(source, language)
    held = [(at, unit) for at, unit in enumerate(there) if unit.kind in ("name", "number")]
    count = 0
    for at, unit in enumerate(said):
        if unit.kind not in ("name", "number"):
            continue
        same = [where for where, other in held if other.kind == unit.kind and _agree(unit, other)]
        if any(_fits(said, at, there, where) for where in same):
            continue
        count += any(
            other.kind == unit.kind and where not in same and _fits(said, at, there, where) for where, other in held
        )
    return count


def _agree(one: Unit, other: Unit) -> bool:
    """Whether two units name the same: equal numbers, or names of which one holds all words of the other."""
    if one.kind == "number":
        return one.text.replace(",", "") == other.text.replace(",", "")
    mine, yours = set(one.text.split()), set(other.text.split())
    return mine <= yours or yours <= mine


def _fits(said: Sequence[Unit], at: int, there: Sequence[Unit], where: int) -> bool:
    """Whether the words around both places are the same: one on each side, or two on one side."""
    left = _run(said[:at][::-1], there[:where][::-1])
    right = _run(said[at + 1 :], there[where + 1 :])
    if not (left and right) and max(len(left), len(right)) < 2:
        return False
    return any(unit.carries for unit in (*left, *right))


def _run(one: Sequence[Unit], other: Sequence[Unit]) -> list[Unit]:
    """The equal units at the start of both, at most three."""
    found: list[Unit] = []
    for a, b in zip(one[:3], other[:3], strict=False):
        if a.text != b.text:
            break
        found.append(a)
    return found
