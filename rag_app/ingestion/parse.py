"""Reads one file of any supported format into text with structure. Synchronous; meant for a child process."""

from dataclasses import replace
from pathlib import Path

from rag_app.errors import DamagedFile, DocumentFailed, EmptyFile, TooMuchContent
from rag_app.ingestion.draft import MAX_CHARS
from rag_app.ingestion.formats import HEAD_BYTES, Format, sniff
from rag_app.ingestion.parsed import ParsedDocument

MAX_TEXT_BYTES = 100_000_000


def parse(path: Path, *, filename: str, media_type: str | None = None) -> ParsedDocument:
    """The document with text, blocks, pages, title, language and metadata.

    Raises a subclass of DocumentFailed (or UnsupportedType) whose message a person understands.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as problem:
        raise DocumentFailed("The stored file cannot be opened.") from problem
    kind = sniff(filename, media_type, head)
    try:
        parsed = _parse_as(kind, path)
    except RecursionError as problem:
        raise DamagedFile("The file is nested too deeply to be read.") from problem
    if not parsed.text.strip():
        raise EmptyFile("The file holds no text.")
    if len(parsed.text) > MAX_CHARS:
        raise TooMuchContent()
    metadata = {**parsed.metadata, "format": kind.value}
    return replace(parsed, language=_language(parsed), metadata=metadata)


def _parse_as(kind: Format, path: Path) -> ParsedDocument:
    # Each parser is imported when it is first needed: a warm child that reads text stays small.
    if kind is Format.PDF:
        from rag_app.ingestion.pdf import parse_pdf

        return parse_pdf(path)
    if kind is Format.DOCX:
        from rag_app.ingestion.docx import parse_docx

        return parse_docx(path)
    return _parse_text(kind, path)


def _parse_text(kind: Format, path: Path) -> ParsedDocument:
    from rag_app.ingestion.encoding import decode

    if path.stat().st_size > MAX_TEXT_BYTES:
        raise TooMuchContent(
            f"Text files of more than {MAX_TEXT_BYTES // 1_000_000} MB cannot be read: split the file."
        )
    text = decode(path.read_bytes(), html=kind is Format.HTML)
    if kind is Format.HTML:
        from rag_app.ingestion.html import parse_html

        return parse_html(text)
    if kind is Format.MARKDOWN:
        from rag_app.ingestion.markdown import parse_markdown

        return parse_markdown(text)
    if kind in (Format.CSV, Format.TSV):
        from rag_app.ingestion.delimited import parse_delimited

        return parse_delimited(text, tab=kind is Format.TSV)
    from rag_app.ingestion.plain import parse_plain

    return parse_plain(text)


def _language(parsed: ParsedDocument) -> str:
    from rag_app.ingestion.language import LANGUAGES, detect

    declared = parsed.metadata.get("language", "")[:2].lower()
    return detect(parsed.text) or (declared if declared in LANGUAGES else "")
