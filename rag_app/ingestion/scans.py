"""Reads a file, and with the OCR extra also its pages that are pictures of text, one by one and with progress."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from rag_app.errors import NoText, ParserCrashed, ParserMemory, ParserTimeout
from rag_app.ingestion.parsed import ParsedDocument, RecognisedPage
from rag_app.ingestion.recognition import is_installed
from rag_app.ingestion.sandbox import Aids, ParserPool
from rag_app.telemetry import log

MOST_PAGES = 1_000
PAGE_TIMEOUT_S = 120.0
MOST_BROKEN = 3  # pages in a row that come to nothing: then the rest is left out


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is to be read."""

    path: Path
    filename: str
    media_type: str | None
    password: str | None
    timeout_s: float


async def read(pool: ParserPool, wanted: Wanted, progress: Callable[[float], Awaitable[None]]) -> ParsedDocument:
    """The document, its scanned pages recognised where that is possible. `progress` is told shares from 0 to 1.

    Raises like ParserPool.parse, and what `progress` raises.
    """
    try:
        parsed = await _parse(pool, wanted, {})
        scans = parsed.scans
    except NoText as problem:
        scans = tuple(problem.details.get("scans", ()))
        if not scans or not is_installed():
            raise
        parsed = None
    if parsed is not None and (not scans or not is_installed()):
        return parsed
    recognised = await _recognise(pool, wanted, scans[:MOST_PAGES], progress)
    if parsed is not None and not any(page.lines for page in recognised.values()):
        return parsed
    return await _parse(pool, wanted, recognised)


async def _parse(pool: ParserPool, wanted: Wanted, recognised: dict[int, RecognisedPage]) -> ParsedDocument:
    aids = Aids(wanted.password, recognised)
    return await pool.parse(
        wanted.path, filename=wanted.filename, media_type=wanted.media_type, timeout_s=wanted.timeout_s, aids=aids
    )


async def _recognise(
    pool: ParserPool, wanted: Wanted, scans: tuple[int, ...], progress: Callable[[float], Awaitable[None]]
) -> dict[int, RecognisedPage]:
    found: dict[int, RecognisedPage] = {}
    broken = 0
    for done, page in enumerate(scans):
        await progress(done / len(scans))
        try:
            found[page] = await pool.recognise(
                wanted.path, page=page, password=wanted.password, timeout_s=PAGE_TIMEOUT_S
            )
            broken = 0
        except (ParserTimeout, ParserMemory, ParserCrashed) as problem:
            log.warning("page_not_recognised", page=page, code=problem.code)
            broken += 1
            if broken == MOST_BROKEN:
                break
    return found
