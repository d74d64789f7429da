"""What may be said of a document on its way in: its name, its id elsewhere, its metadata."""

from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from rag_app.errors import InvalidInput

LONGEST_TITLE = 300
LONGEST_EXTERNAL_ID = 500
MOST_METADATA_KEYS = 50
LONGEST_METADATA_CHARS = 10_000


def check_labels(external_id: str | None, title: str | None, metadata: Mapping[str, Any]) -> None:
    """Raise InvalidInput when a label is too long or metadata is not a flat list of simple values."""
    if external_id is not None and not 1 <= len(external_id) <= LONGEST_EXTERNAL_ID:
        raise InvalidInput(f"external_id: between 1 and {LONGEST_EXTERNAL_ID} characters are expected")
    if title is not None and len(title) > LONGEST_TITLE:
        raise InvalidInput(f"title: at most {LONGEST_TITLE} characters are expected")
    if "\0" in f"{external_id}{title}{metadata}":
        raise InvalidInput("NUL characters are not allowed")
    if len(metadata) > MOST_METADATA_KEYS or len(str(metadata)) > LONGEST_METADATA_CHARS:
        raise InvalidInput(f"metadata: at most {MOST_METADATA_KEYS} keys and {LONGEST_METADATA_CHARS} characters")
    for key, value in metadata.items():
        simple = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str | int | float | bool) or each is None for each in simple):
            raise InvalidInput(f"metadata: “{key[:50]}” must be a text, a number, true, false, or a list of these")


def base_name(filename: str) -> str:
    """The last part of a file name as a browser may send it, without control characters; never a path."""
    name = PureWindowsPath(PurePosixPath(filename).name).name
    cleaned = "".join(char for char in name if char.isprintable()).strip(" .")
    return cleaned[-200:] or "document"


def first_line(body: str) -> str:
    """The first line of a text, short enough for a title."""
    line = body.strip().split("\n", 1)[0].strip()
    return line if len(line) <= 80 else line[:79] + "…"
