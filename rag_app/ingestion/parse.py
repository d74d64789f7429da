"""Reads one file of any supported format into text with structure. Synchronous; meant for a child process."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from rag_app.errors import DamagedFile, EmptyFile, TooMuchContent, UnsupportedType
from rag_app.ingestion.draft import MAX_CHARS, MOST_BLOCKS
from rag_app.ingestion.formats import ARCHIVES, CONTAINERS, HEAD_BYTES, OFFICE, OLE_MAGIC, OPEN_DOCUMENT, Format, sniff
from rag_app.ingestion.names import names_of
from rag_app.ingestion.original import Original, content_of, head_of, size_of
from rag_app.ingestion.parsed import ParsedDocument, RecognisedPage

NOTHING_RECOGNISED: Mapping[int, RecognisedPage] = MappingProxyType({})
MAX_TEXT_BYTES = 100_000_000


def parse(
    path: Original,
    *,
    filename: str,
    media_type: str | None = None,
    password: str | None = None,
    recognised: Mapping[int, RecognisedPage] = NOTHING_RECOGNISED,
) -> ParsedDocument:
    """The document with text, blocks, pages, title, language and metadata.

    `recognised` is what OCR has read on pages of a PDF that are pictures, by their number (from 1).
    Raises a subclass of DocumentFailed (or UnsupportedType) whose message a person understands.
    """
    kind = sniff(filename, media_type, head_of(path, HEAD_BYTES))
    if kind in ARCHIVES:
        raise UnsupportedType("An archive can be uploaded as a file, but not be fetched or be part of another file.")
    try:
        if kind is Format.PDF:
            from rag_app.ingestion.ocr import content_of_page
            from rag_app.ingestion.pdf import parse_pdf

            contents = {number: content_of_page(number, page) for number, page in recognised.items()}
            parsed = parse_pdf(path, password, contents)
        else:
            parsed = _parse_as(kind, _unlocked(kind, path, password))
    except RecursionError as problem:
        raise DamagedFile("The file is nested too deeply to be read.") from problem
    if not parsed.text.strip():
        raise EmptyFile("The file holds no text.")
    if len(parsed.blocks) > MOST_BLOCKS:
        raise TooMuchContent(f"The file is made of more than {MOST_BLOCKS:,} paragraphs: split it.")
    if len(parsed.text) > MAX_CHARS:
        raise TooMuchContent(f"The file holds more than {MAX_CHARS // 1_000_000} million characters: split it.")
    metadata = {**parsed.metadata, "format": kind.value}
    return replace(parsed, language=_language(parsed), metadata=metadata, names=names_of(parsed.text))


def _unlocked(kind: Format, path: Original, password: str | None) -> Original:
    """The document itself where an Office file with a password is packed around it."""
    if kind in OFFICE and head_of(path, len(OLE_MAGIC)) == OLE_MAGIC:
        from rag_app.ingestion.office_password import unlocked

        return unlocked(path, password)
    return path


def _parse_as(kind: Format, path: Original) -> ParsedDocument:
    # Each parser is imported when it is first needed: a warm child that reads text stays small.
    if kind is Format.DOCX:
        from rag_app.ingestion.docx import parse_docx

        return parse_docx(path)
    if kind is Format.PPTX:
        from rag_app.ingestion.pptx import parse_pptx

        return parse_pptx(path)
    if kind is Format.XLSX:
        from rag_app.ingestion.xlsx import parse_xlsx

        return parse_xlsx(path)
    if kind in OPEN_DOCUMENT:
        from rag_app.ingestion.odf import parse_odf

        return parse_odf(path)
    if kind is Format.RTF:
        from rag_app.ingestion.rtf import parse_rtf

        return parse_rtf(path)
    if kind is Format.XML:
        from rag_app.ingestion.xml_tree import parse_xml

        return parse_xml(path)
    if kind in CONTAINERS:
        return _parse_container(kind, path)
    return _parse_text(kind, path)


def _parse_container(kind: Format, path: Original) -> ParsedDocument:
    if kind is Format.EPUB:
        from rag_app.ingestion.epub import parse_epub

        return parse_epub(path)
    if kind is Format.MSG:
        from rag_app.ingestion.msg import parse_msg

        return parse_msg(path, parse)
    from rag_app.ingestion.eml import parse_eml, parse_mhtml

    return parse_mhtml(path) if kind is Format.MHTML else parse_eml(path, parse)


def _parse_text(kind: Format, path: Original) -> ParsedDocument:
    from rag_app.ingestion.encoding import decode

    if size_of(path) > MAX_TEXT_BYTES:
        raise TooMuchContent(
            f"Text files of more than {MAX_TEXT_BYTES // 1_000_000} MB cannot be read: split the file."
        )
    text = decode(content_of(path), html=kind is Format.HTML)
    if kind is Format.HTML:
        from rag_app.ingestion.html import parse_html

        return parse_html(text)
    if kind is Format.MARKDOWN:
        from rag_app.ingestion.markdown import parse_markdown

        return parse_markdown(text)
    if kind in (Format.CSV, Format.TSV):
        from rag_app.ingestion.delimited import parse_delimited

        return parse_delimited(text, tab=kind is Format.TSV)
    return _parse_markup(kind, text)


def _parse_markup(kind: Format, text: str) -> ParsedDocument:
    if kind is Format.RST:
        from rag_app.ingestion.restructured import parse_restructured

        return parse_restructured(text)
    if kind is Format.ASCIIDOC:
        from rag_app.ingestion.asciidoc import parse_asciidoc

        return parse_asciidoc(text)
    if kind is Format.LATEX:
        from rag_app.ingestion.latex import parse_latex

        return parse_latex(text)
    if kind is Format.JSON:
        from rag_app.ingestion.records import parse_json

        return parse_json(text)
    if kind is Format.JSONL:
        from rag_app.ingestion.records import parse_json_lines

        return parse_json_lines(text)
    if kind is Format.CAPTIONS:
        from rag_app.ingestion.captions import parse_captions

        return parse_captions(text)
    from rag_app.ingestion.plain import parse_plain

    return parse_plain(text)


def _language(parsed: ParsedDocument) -> str:
    from rag_app.ingestion.language import LANGUAGES, detect

    declared = parsed.metadata.get("language", "")[:2].lower()
    return detect(parsed.text) or (declared if declared in LANGUAGES else "")
