"""Reads PDF files with pdfium; pypdf stands in where pdfium cannot open a file or page."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from unicodedata import normalize

import pypdfium2
import pypdfium2.raw as pdfium

from rag_app.errors import DamagedFile, EncryptedFile, PasswordNeeded, PasswordWrong, TooMuchContent
from rag_app.ingestion.draft import MAX_CHARS, Draft, one_line
from rag_app.ingestion.original import Original
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.pdf_layout import PageContent, plain, write_pages
from rag_app.ingestion.pdf_page import read_page
from rag_app.ingestion.pdf_scan import Look, look_of, no_text, remarks, unread_pages

MAX_PAGES = 10_000
_MAX_OUTLINE = 5_000
_JUNK_TITLE = re.compile(
    r"^(?:untitled\b|microsoft (?:word|powerpoint|excel)|document\d*$|slide 1$|title$|[\d_.-]+$"
    r"|.*\.(?:docx?|pdf|indd|tex|dvi|rtf|qxd|xlsx?|html?|ps|eps|p65|wpd|pptx?)\b)",
    re.I,
)
_FIELDS = {
    "Title": "title",
    "Author": "author",
    "Subject": "subject",
    "Keywords": "keywords",
    "CreationDate": "created",
    "ModDate": "modified",
    "Producer": "producer",
}
_DATE = re.compile(r"^D?:?(\d{4})(\d\d)?(\d\d)?")


def parse_pdf(
    path: Original, password: str | None = None, recognised: Mapping[int, PageContent] = MappingProxyType({})
) -> ParsedDocument:
    """Text with pages, headings, lists and tables; `recognised` are pages that are pictures, as OCR has read them.

    Raises PasswordNeeded, PasswordWrong, EncryptedFile, DamagedFile, NoText, TooMuchContent.
    """
    try:
        document = open_pdf(path, password)
    except (pypdfium2.PdfiumError, PasswordWrong):  # the fallback knows some ways to lock a file better
        return _by_fallback(path, password)
    try:
        return _parse(document, path, password, recognised)
    finally:
        document.close()


def open_pdf(path: Original, password: str | None) -> Any:
    """The opened document. Raises PasswordNeeded, PasswordWrong, EncryptedFile, and PdfiumError when it is damaged."""
    if password is not None and (prepared := normalize("NFKC", password.replace("\u00ad", ""))) != password:
        with contextlib.suppress(PasswordWrong):  # newer files want it as RFC 4013 prepares it, older ones as typed
            return open_pdf(path, prepared)
    # Some failures leave the reason of the file before in place: this one cannot be taken for it.
    pdfium.FPDF_LoadMemDocument(b"", 0, None)
    try:
        return pypdfium2.PdfDocument(path, password=password)
    except pypdfium2.PdfiumError as problem:
        reason = pdfium.FPDF_GetLastError()
        if reason == pdfium.FPDF_ERR_PASSWORD:
            raise (PasswordNeeded() if password is None else PasswordWrong()) from problem
        if reason == pdfium.FPDF_ERR_SECURITY:
            raise EncryptedFile() from problem
        raise


def _parse(
    document: Any, path: Original, password: str | None, recognised: Mapping[int, PageContent]
) -> ParsedDocument:
    count = len(document)
    if count == 0:
        raise DamagedFile("The PDF has no pages.")
    if count > MAX_PAGES:
        raise TooMuchContent(f"The PDF has {count:,} pages, more than the {MAX_PAGES:,} that can be read: split it.")
    unread: list[int] = []
    looks: list[Look] = []
    pages = list(_pages(document, count, unread, looks))
    if len(unread) == count:
        return _by_fallback(path, password)
    for number in recognised.keys() & set(unread_pages(looks)):
        pages[number - 1], looks[number - 1] = recognised[number], "recognised"
    draft = Draft()
    guess = write_pages(pages, draft, _outline(document))
    if not len(draft):
        raise no_text(looks)
    metadata = _metadata(document)
    warnings = (
        [f"{len(unread)} of {count} pages are damaged and were left out (first: page {unread[0]})."] if unread else []
    )
    parsed = draft.finish(
        title=_title(metadata, guess),
        metadata={**metadata, "pages": str(count)},
        warnings=[*warnings, *remarks(looks)],
    )
    return replace(parsed, scans=tuple(unread_pages(looks)))


def _pages(document: Any, count: int, unread: list[int], looks: list[Look]) -> Iterator[PageContent]:
    chars = 0
    for number in range(count):
        try:
            page = document[number]
        except pypdfium2.PdfiumError:
            unread.append(number + 1)
            looks.append("blank")
            yield PageContent(number + 1, 0.0, [])
            continue
        try:
            content = read_page(page, number + 1)
            looks.append(look_of(page, content))
        except pypdfium2.PdfiumError:
            unread.append(number + 1)
            looks.append("blank")
            content = PageContent(number + 1, 0.0, [])
        finally:
            page.close()
        chars += sum(len(item.text) for item in content.items)
        if chars > MAX_CHARS:
            raise TooMuchContent(f"The PDF holds more than {MAX_CHARS // 1_000_000} million characters: split it.")
        yield content


def _outline(document: Any) -> dict[str, int]:
    """Titles of the outline (plain form) with their levels."""
    found: dict[str, int] = {}
    try:
        for number, entry in enumerate(document.get_toc(max_depth=6)):
            if number >= _MAX_OUTLINE:
                break
            name = plain(entry.get_title())
            if len(name) >= 3:
                found.setdefault(name, min(6, entry.level + 1))
    except (pypdfium2.PdfiumError, RecursionError, ValueError):
        return found
    return found


def _metadata(document: Any) -> dict[str, str]:
    try:
        raw = document.get_metadata_dict(skip_empty=True)
    except (pypdfium2.PdfiumError, UnicodeDecodeError):
        return {}
    found = {name: one_line(raw[key])[:1000] for key, name in _FIELDS.items() if raw.get(key)}
    for key in ("created", "modified"):
        date = _DATE.match(found.get(key, ""))
        if date:
            found[key] = "-".join(part for part in date.groups() if part)
    return found


def _title(metadata: dict[str, str], guess: str) -> str:
    title = metadata.get("title", "")
    good = len(title) >= 3 and not _JUNK_TITLE.match(title) and any(char.isalpha() for char in title)
    return title if good else guess


def _by_fallback(path: Original, password: str | None) -> ParsedDocument:
    from rag_app.ingestion.pdf_fallback import parse_with_pypdf  # slow to import and rarely needed

    return parse_with_pypdf(path, password)
