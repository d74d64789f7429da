"""Reads JSON and JSON Lines as readable records: one `path: value` line per value, numbers as they are written."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rag_app.errors import DamagedFile, EmptyFile
from rag_app.ingestion.draft import Draft, one_line
from rag_app.ingestion.parsed import ParsedDocument

MAX_DEPTH = 200
_SMALL_CHARS = 1_000
_DEEPEST_HEADING = 5
_KEY_CHARS = 120
_NAMES = ("title", "name", "label", "heading", "question", "subject", "id", "key")


@dataclass(frozen=True, slots=True)
class _Object:
    """A JSON object with its pairs in order, also those whose key stands twice."""

    pairs: tuple[tuple[str, Any], ...]


def parse_json(text: str) -> ParsedDocument:
    """The values of one JSON document, or of JSON Lines under the wrong name. Raises DamagedFile, EmptyFile."""
    try:
        root = _loaded(text)
    except json.JSONDecodeError as problem:
        lines = [line for line in text.split("\n", 3)[:3] if line.strip()]
        if problem.msg == "Extra data" and len(lines) > 1:
            return parse_json_lines(text)
        raise DamagedFile(f"The file is not valid JSON: {problem.msg.lower()} in line {problem.lineno}.") from problem
    draft = Draft()
    _write(draft, root, level=2)
    return _finished(draft, _title(root))


def parse_json_lines(text: str) -> ParsedDocument:
    """One record per line, each with the number of its line. Raises DamagedFile, EmptyFile."""
    draft = Draft()
    count = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = _loaded(line)
        except json.JSONDecodeError as problem:
            raise DamagedFile(f"Line {number} of the file is not valid JSON: {problem.msg.lower()}.") from problem
        _write(draft, record, level=2)
        draft.end_place({"lines": [number, number]})
        count += 1
    return _finished(draft, "", {"records": str(count)})


def _finished(draft: Draft, title: str, metadata: dict[str, str] | None = None) -> ParsedDocument:
    if not len(draft):
        raise EmptyFile("The file holds no value.")
    return draft.finish(title=title, metadata=metadata)


def _loaded(text: str) -> Any:
    # Numbers stay as they are written: 1.50 is not 1.5, and a number of 40 digits loses none.
    return json.loads(
        text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=lambda pairs: _Object(tuple(pairs))
    )


def _title(root: Any) -> str:
    if not isinstance(root, _Object):
        return ""
    found = dict(root.pairs)
    return next((one_line(found[name]) for name in ("title", "name") if isinstance(found.get(name), str)), "")


def _write(draft: Draft, value: Any, *, level: int) -> None:
    """Write a value: a small one as one list, a large one part by part under the names of its parts."""
    lines = list(_limited(_lines(value, "", 0)))
    if lines or not isinstance(value, list | _Object):
        draft.add("list", "\n".join(lines))
    elif isinstance(value, list):
        for each in value:
            _write(draft, each, level=level)
    else:
        _write_parts(draft, value, level=level)


def _write_parts(draft: Draft, value: _Object, *, level: int) -> None:
    plain = [pair for pair in value.pairs if not isinstance(pair[1], list | _Object)]
    heading = next((text for name in _NAMES for key, text in plain if key == name and isinstance(text, str)), "")
    if heading and level > 2 and len(heading) <= _KEY_CHARS:
        draft.add("heading", one_line(heading), level=min(6, level))
    waiting: list[str] = []
    for key, each in value.pairs:
        small = list(_limited(_lines(each, key, 1)))
        if small or not isinstance(each, list | _Object) or level > _DEEPEST_HEADING:
            waiting.extend(small or _lines(each, key, 1))
            continue
        draft.add("list", "\n".join(waiting))
        waiting = []
        draft.add("heading", one_line(key)[:_KEY_CHARS], level=level)
        _write(draft, each, level=level + 1)
    draft.add("list", "\n".join(waiting))


def _limited(lines: Iterator[str]) -> Sequence[str]:
    """The lines, or none when they are more than a small record has."""
    found: list[str] = []
    length = 0
    for line in lines:
        length += len(line)
        if length > _SMALL_CHARS and found:
            return ()
        found.append(line)
    return found


def _lines(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise DamagedFile("The file is nested too deeply to be read.")
    if isinstance(value, _Object):
        for key, each in value.pairs:
            yield from _lines(each, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list) and all(not isinstance(each, list | _Object) for each in value):
        if value:
            shown = ", ".join(_shown(each) for each in value)
            yield f"{path}: {shown}" if path else shown
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _lines(each, f"{path}[{number}]", depth + 1)
    elif value is not None and value != "":
        yield f"{one_line(path)[:_KEY_CHARS]}: {_shown(value)}" if path else _shown(value)


def _shown(value: Any) -> str:
    """A single value; a long text keeps its lines."""
    if value is True or value is False:
        return "true" if value else "false"
    return "" if value is None else str(value).strip()
