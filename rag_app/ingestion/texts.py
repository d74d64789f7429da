"""Reads a batch of texts that came in one request: fetched, parsed and cut together."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from rag_app.database.files import FileStore
from rag_app.errors import DocumentFailed, TooMuchContent
from rag_app.ingestion.cutting import cut_by
from rag_app.ingestion.draft import MAX_CHARS
from rag_app.ingestion.encoding import clean
from rag_app.ingestion.language import detect
from rag_app.ingestion.names import names_of
from rag_app.ingestion.parsed import Cut, ParsedDocument
from rag_app.ingestion.plain import parse_plain
from rag_app.ingestion.versions import Claimed

ReadText = tuple[Claimed, ParsedDocument, tuple[Cut, ...]]


async def read_texts(files: FileStore, claimed: Sequence[Claimed]) -> list[ReadText]:
    """What stands in these texts, and how it is cut. Raises DocumentFailed when an original is missing."""
    contents = await contents_of(files, claimed)
    return await asyncio.to_thread(_read_all, claimed, contents)


async def contents_of(files: FileStore, claimed: Sequence[Claimed]) -> list[bytes]:
    """The bytes of each text; every original is read once, from its first wanted byte to its last.

    Raises DocumentFailed when an original is missing.
    """
    if any(each.original_key is None for each in claimed):
        raise DocumentFailed("The original of this document is missing.")
    spans: dict[str, tuple[int, int]] = {}
    for each in claimed:
        key, start, end = each.original_key or "", each.original_offset, each.original_offset + each.byte_count
        low, high = spans.get(key, (start, end))
        spans[key] = (min(low, start), max(high, end))
    packs = {key: await files.read(key, low, high - low) for key, (low, high) in spans.items()}
    contents = []
    for each in claimed:
        key = each.original_key or ""
        start = each.original_offset - spans[key][0]
        contents.append(packs[key][start : start + each.byte_count])
    return contents


def _read_all(claimed: Sequence[Claimed], contents: Sequence[bytes]) -> list[ReadText]:
    return [_read(each, content.decode()) for each, content in zip(claimed, contents, strict=True)]


def _read(claimed: Claimed, content: str) -> ReadText:
    parsed = parse_text(claimed, content)
    return claimed, parsed, cut_by(parsed, claimed.cutting)


def parse_text(claimed: Claimed, content: str) -> ParsedDocument:
    """A text that came as such; its title stays the one it came with. Blocking. Raises TooMuchContent."""
    if len(content) > MAX_CHARS:
        raise TooMuchContent(f"The text holds more than {MAX_CHARS // 1_000_000} million characters: split it.")
    parsed = parse_plain(clean(content))
    language = claimed.wanted_language or detect(parsed.text)
    return replace(parsed, title=claimed.title, language=language, names=names_of(parsed.text))
