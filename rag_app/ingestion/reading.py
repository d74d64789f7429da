"""Reads one version: fetched if need be, parsed in a child and cut; or taken as an earlier attempt kept it."""

import asyncio
from dataclasses import dataclass, replace

from rag_app.database.engine import transaction
from rag_app.errors import DocumentFailed, NotFound, PasswordNeeded, SettingsError
from rag_app.ingestion import scans
from rag_app.ingestion.cutting import cut_by, kept_reading
from rag_app.ingestion.fetch import fetch_page
from rag_app.ingestion.parsed import Cut, ParsedDocument
from rag_app.ingestion.texts import parse_text
from rag_app.ingestion.title import title_of
from rag_app.ingestion.versions import Claimed, note_phase, save_cuts, save_fetched
from rag_app.ingestion.workshop import Workshop

PLAIN = ("text", "note")  # kinds of documents that are words and nothing else


@dataclass(frozen=True, slots=True)
class Read:
    """A version that was read and cut."""

    claimed: Claimed
    body: str
    language: str
    cuts: tuple[Cut, ...]
    unsaved: ParsedDocument | None = None  # what the database does not have yet


async def read(workshop: Workshop, claimed: Claimed) -> Read | None:
    """Text and cuts of a version; None when it was overtaken, or is an archive that has been unpacked.

    Raises DocumentFailed, UnsupportedType, ProviderError, NotReady and StorageFull.
    """
    if claimed.text is not None and claimed.cuts:
        return Read(claimed, claimed.text, claimed.language, claimed.cuts)
    if claimed.kind == "archive":
        await _note(workshop, claimed, "unpacking", 0.02)
        await workshop.expand(claimed, password_of(workshop, claimed))
        return None
    if claimed.text is not None:
        return await _cut_anew(workshop, claimed)
    if claimed.kind == "page" and claimed.original_key is None:
        claimed = await _fetch(workshop, claimed)
    parsed = await _parse(workshop, claimed)
    return read_of(claimed, parsed, await asyncio.to_thread(cut_by, parsed, claimed.cutting))


def read_of(claimed: Claimed, parsed: ParsedDocument, cuts: tuple[Cut, ...]) -> Read:
    """What was just read, and is in no table yet."""
    return Read(claimed, parsed.text, claimed.wanted_language or parsed.language, cuts, parsed)


def password_of(workshop: Workshop, claimed: Claimed) -> str | None:
    """The password that was given for a version, None when none was. Raises PasswordNeeded when it is unreadable."""
    if claimed.sealed_password is None:
        return None
    try:
        return workshop.unseal(claimed.sealed_password, claimed.id)
    except SettingsError as problem:
        raise PasswordNeeded("The password was kept under a key that has changed: enter it again.") from problem


async def _cut_anew(workshop: Workshop, claimed: Claimed) -> Read | None:
    """A version whose text is kept, but not as the knowledge base is cut now; None when overtaken."""
    async with transaction(workshop.engine) as session:
        parsed = await kept_reading(session, claimed.knowledge_base_id, claimed.id)
    if parsed is None:
        return None
    cuts = await asyncio.to_thread(cut_by, parsed, claimed.cutting)
    async with transaction(workshop.engine) as session:
        kept = await save_cuts(session, claimed, cuts)
    return Read(claimed, parsed.text, claimed.language, cuts) if kept else None


async def _fetch(workshop: Workshop, claimed: Claimed) -> Claimed:
    await _note(workshop, claimed, "fetching", 0.05)
    fetched = await fetch_page(workshop.egress, workshop.files, claimed, max_bytes=workshop.max_bytes)
    async with transaction(workshop.engine) as session:
        await save_fetched(session, claimed, fetched)
    return replace(
        claimed,
        original_key=fetched.key,
        byte_count=fetched.byte_count,
        filename=fetched.filename,
        media_type=fetched.media_type,
    )


async def _parse(workshop: Workshop, claimed: Claimed) -> ParsedDocument:
    if claimed.original_key is None:
        raise DocumentFailed("The original of this document is missing.")
    if claimed.kind in PLAIN:
        content = await workshop.files.read(claimed.original_key, claimed.original_offset, claimed.byte_count)
        return await asyncio.to_thread(parse_text, claimed, content.decode())
    try:
        path = await workshop.files.local_path(claimed.original_key)
    except NotFound as problem:
        raise DocumentFailed(problem.message) from problem

    async def progress(share: float) -> None:
        await _note(workshop, claimed, "recognising", 0.1 + 0.35 * share)

    password = password_of(workshop, claimed)
    timeout_s = workshop.parse_timeout_s
    parsed = await scans.read(
        workshop.pool, scans.Wanted(path, claimed.filename, claimed.media_type or None, password, timeout_s), progress
    )
    if claimed.kind == "page":
        return parsed if parsed.title else replace(parsed, title=claimed.title)
    title = title_of(given=claimed.title, filename=claimed.filename, found=parsed.title, is_paged=bool(parsed.pages))
    return replace(parsed, title=title)


async def _note(workshop: Workshop, claimed: Claimed, phase: str, progress: float) -> None:
    async with transaction(workshop.engine) as session:
        await note_phase(session, claimed, phase, progress)
