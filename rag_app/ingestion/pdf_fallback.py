"""Reads with pypdf the PDF files that pdfium refuses: plain text per page, no layout."""

import logging

from pypdf import PdfReader
from pypdf.errors import DependencyError, DeprecationError, PyPdfError

from rag_app.errors import DamagedFile, EncryptedFile, NoText, PasswordNeeded, PasswordWrong, TooMuchContent
from rag_app.ingestion.draft import Draft
from rag_app.ingestion.original import Original
from rag_app.ingestion.parsed import ParsedDocument

MAX_PAGES = 2_000
# What pypdf lets through on broken files besides its own errors.
_BROKEN = (
    PyPdfError,
    DeprecationError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    AssertionError,
    OSError,
    ZeroDivisionError,
    OverflowError,
    NotImplementedError,
    RecursionError,
)


def parse_with_pypdf(path: Original, password: str | None = None) -> ParsedDocument:
    """Text and pages. Raises PasswordNeeded, PasswordWrong, EncryptedFile, DamagedFile, NoText or TooMuchContent."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    draft = Draft()
    try:
        reader = PdfReader(path, strict=False)
        if reader.is_encrypted:
            _unlock(reader, password)
        count = len(reader.pages)
        if count > MAX_PAGES:
            raise TooMuchContent()
        for number in range(count):
            _add_page(reader, number, draft)
            draft.end_page(number + 1)
    except DependencyError as problem:
        raise EncryptedFile() from problem
    except _BROKEN as problem:
        raise DamagedFile() from problem
    if not len(draft):
        raise (
            NoText("The file is damaged, and what is left of it holds no text.")
            if count
            else DamagedFile("The PDF has no pages.")
        )
    return draft.finish(warnings=["The file is damaged; its text was read without layout."])


def _unlock(reader: PdfReader, password: str | None) -> None:
    try:
        opened = reader.decrypt(password or "")
    except (ValueError, NotImplementedError) as problem:  # an encryption that it does not know
        raise EncryptedFile() from problem
    if not opened:
        raise PasswordNeeded() if password is None else PasswordWrong()


def _add_page(reader: PdfReader, number: int, draft: Draft) -> None:
    try:
        text = reader.pages[number].extract_text()
    except _BROKEN:
        return
    for paragraph in text.split("\n\n"):
        draft.add("paragraph", paragraph)
