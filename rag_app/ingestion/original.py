"""The bytes that a parser reads: a file on disk, or one in memory that was taken out of another."""

from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from rag_app.errors import DocumentFailed

Original: TypeAlias = Path | BytesIO


def head_of(original: Original, count: int) -> bytes:
    """Its first bytes. Raises DocumentFailed when the file cannot be opened."""
    if isinstance(original, BytesIO):
        return bytes(original.getbuffer()[:count])
    try:
        with original.open("rb") as file:
            return file.read(count)
    except OSError as problem:
        raise DocumentFailed("The stored file cannot be opened.") from problem


def size_of(original: Original) -> int:
    """How many bytes it has."""
    return original.getbuffer().nbytes if isinstance(original, BytesIO) else original.stat().st_size


def content_of(original: Original) -> bytes:
    """All of its bytes."""
    return original.getvalue() if isinstance(original, BytesIO) else original.read_bytes()
