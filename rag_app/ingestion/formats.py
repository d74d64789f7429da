"""Decides what kind of document some bytes are: their first bytes count, then the file's name."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from rag_app.errors import EmptyFile, MislabelledFile, UnsupportedType

HEAD_BYTES = 4096


class Format(StrEnum):
    """The kinds of document that can be read."""

    PDF = "pdf"
    DOCX = "docx"
    HTML = "html"
    MARKDOWN = "markdown"
    TEXT = "text"
    CSV = "csv"
    TSV = "tsv"
    PPTX = "pptx"
    XLSX = "xlsx"
    ODT = "odt"
    ODS = "ods"
    ODP = "odp"
    RTF = "rtf"
    RST = "rst"
    ASCIIDOC = "asciidoc"
    LATEX = "latex"
    JSON = "json"
    JSONL = "jsonl"
    XML = "xml"
    CAPTIONS = "captions"
    EPUB = "epub"
    EML = "eml"
    MSG = "msg"
    MHTML = "mhtml"
    ZIP = "zip"
    TAR = "tar"


@dataclass(frozen=True, slots=True)
class FormatRow:
    """One line of the table of supported formats, as people see it."""

    format: Format
    label: str
    extensions: tuple[str, ...]
    media_types: tuple[str, ...]


_OPEN_XML = "application/vnd.openxmlformats-officedocument"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument"
SUPPORTED: tuple[FormatRow, ...] = (
    FormatRow(Format.PDF, "PDF", (".pdf",), ("application/pdf", "application/x-pdf")),
    FormatRow(Format.DOCX, "Word (.docx)", (".docx", ".docm"), (f"{_OPEN_XML}.wordprocessingml.document",)),
    FormatRow(Format.HTML, "Web page", (".html", ".htm", ".xhtml"), ("text/html", "application/xhtml+xml")),
    FormatRow(
        Format.MARKDOWN, "Markdown", (".md", ".markdown", ".mdown", ".mkd"), ("text/markdown", "text/x-markdown")
    ),
    FormatRow(Format.TEXT, "Plain text", (".txt", ".text", ".log"), ("text/plain",)),
    FormatRow(Format.CSV, "Table (CSV)", (".csv",), ("text/csv",)),
    FormatRow(Format.TSV, "Table (TSV)", (".tsv", ".tab"), ("text/tab-separated-values",)),
    FormatRow(
        Format.PPTX,
        "PowerPoint (.pptx)",
        (".pptx", ".pptm", ".ppsx"),
        (f"{_OPEN_XML}.presentationml.presentation", f"{_OPEN_XML}.presentationml.slideshow"),
    ),
    FormatRow(Format.XLSX, "Excel (.xlsx)", (".xlsx", ".xlsm"), (f"{_OPEN_XML}.spreadsheetml.sheet",)),
    FormatRow(Format.ODT, "OpenDocument text (.odt)", (".odt", ".ott"), (f"{_OPEN_DOCUMENT}.text",)),
    FormatRow(Format.ODS, "OpenDocument spreadsheet (.ods)", (".ods", ".ots"), (f"{_OPEN_DOCUMENT}.spreadsheet",)),
    FormatRow(
        Format.ODP,
        "OpenDocument presentation (.odp)",
        (".odp", ".otp", ".odg"),
        (f"{_OPEN_DOCUMENT}.presentation", f"{_OPEN_DOCUMENT}.graphics"),
    ),
    FormatRow(Format.RTF, "Rich text (.rtf)", (".rtf",), ("application/rtf", "text/rtf", "text/richtext")),
    FormatRow(Format.RST, "reStructuredText", (".rst", ".rest"), ("text/x-rst", "text/prs.fallenstein.rst")),
    FormatRow(Format.ASCIIDOC, "AsciiDoc", (".adoc", ".asciidoc", ".asc"), ("text/asciidoc", "text/x-asciidoc")),
    FormatRow(
        Format.LATEX, "LaTeX", (".tex", ".latex", ".ltx"), ("application/x-tex", "application/x-latex", "text/x-tex")
    ),
    FormatRow(Format.JSON, "JSON", (".json",), ("application/json", "text/json")),
    FormatRow(
        Format.JSONL,
        "JSON Lines",
        (".jsonl", ".ndjson"),
        ("application/jsonl", "application/x-ndjson", "application/x-jsonlines"),
    ),
    FormatRow(
        Format.XML,
        "XML",
        (".xml", ".rss", ".atom", ".dita", ".dbk", ".docbook", ".tei"),
        ("application/xml", "text/xml", "application/rss+xml", "application/atom+xml"),
    ),
    FormatRow(Format.CAPTIONS, "Subtitles (.vtt, .srt)", (".vtt", ".srt"), ("text/vtt", "application/x-subrip")),
    FormatRow(Format.EPUB, "E-book (.epub)", (".epub",), ("application/epub+zip",)),
    FormatRow(Format.EML, "E-mail (.eml)", (".eml",), ("message/rfc822",)),
    FormatRow(Format.MSG, "Outlook message (.msg)", (".msg",), ("application/vnd.ms-outlook",)),
    FormatRow(
        Format.MHTML, "Saved web page (.mhtml)", (".mhtml", ".mht"), ("multipart/related", "application/x-mimearchive")
    ),
    FormatRow(Format.ZIP, "Zip archive", (".zip",), ("application/zip", "application/x-zip-compressed")),
    FormatRow(
        Format.TAR,
        "Tar archive (.tar, .tar.gz, .tar.bz2, .tar.xz)",
        (".tar", ".gz", ".tgz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz"),
        ("application/x-tar", "application/gzip", "application/x-gzip", "application/x-bzip2", "application/x-xz"),
    ),
)
ENDINGS = tuple(extension for row in SUPPORTED for extension in row.extensions)
# Unpacked into a document for each member; everything else becomes one document.
ARCHIVES = frozenset({Format.ZIP, Format.TAR})
CONTAINERS = frozenset({Format.EPUB, Format.EML, Format.MSG, Format.MHTML})  # of other documents, read as one
_BY_EXTENSION = {extension: row.format for row in SUPPORTED for extension in row.extensions}
_BY_MEDIA_TYPE = {media_type: row.format for row in SUPPORTED for media_type in row.media_types}
_LABELS = {row.format: row.label for row in SUPPORTED}

OFFICE = frozenset({Format.DOCX, Format.PPTX, Format.XLSX})  # those that a password packs into an OLE file
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PDF_MAGIC = re.compile(rb"%PDF-\d")
_HTML_MAGIC = re.compile(
    rb"\s*(?:<!--.{0,500}?-->\s*)*(?:<\?xml[^>]{0,200}>\s*)?(?:<!doctype\s+html|<html[\s>])", re.I | re.S
)
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
_OFFICE_PARTS = (b"[Content_Types].xml", b"_rels/", b"word/", b"xl/", b"ppt/", b"docProps/")
OPEN_DOCUMENT = frozenset({Format.ODT, Format.ODS, Format.ODP})
_OPEN_DOCUMENT_KINDS = {
    b"text": Format.ODT, b"spreadsheet": Format.ODS, b"presentation": Format.ODP, b"graphics": Format.ODP
}  # fmt: skip
_OPEN_DOCUMENT_KIND = re.compile(rb"application/vnd\.oasis\.opendocument\.([a-z]+)")
_OFFICE_FOLDERS = ((b"word/", Format.DOCX), (b"ppt/", Format.PPTX), (b"xl/", Format.XLSX))
_ZIPPED = frozenset({*OFFICE, *OPEN_DOCUMENT, Format.EPUB})
_PACKED = frozenset({*_ZIPPED, Format.PDF, Format.MSG, Format.ZIP, Format.TAR, Format.RTF})
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_FOREIGN_MAGIC: tuple[tuple[bytes, str], ...] = (
    (OLE_MAGIC, "an old Office file (.doc, .xls or .ppt)"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\x00", "a program"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"ID3", "a sound file"),
    (b"OggS", "a sound or video file"),
    (b"RIFF", "a sound, picture or video file"),
    (b"%!PS", "a PostScript file"),
)
_TEXT_FORMATS = frozenset(
    [Format.HTML, Format.MARKDOWN, Format.TEXT, Format.CSV, Format.TSV, Format.RST, Format.ASCIIDOC, Format.LATEX,
     Format.JSON, Format.JSONL, Format.XML, Format.CAPTIONS]
)  # fmt: skip
FORMAT_NAMES = ", ".join(row.label for row in SUPPORTED)


def sniff(filename: str, media_type: str | None, head: bytes) -> Format:
    """The format of a file, from its first bytes (`HEAD_BYTES` are enough), then its name, then its media type.

    Raises EmptyFile, UnsupportedType (a kind that cannot be read) or MislabelledFile (the name says another kind
    than the content); both name what was seen.
    """
    if len(head) < HEAD_BYTES and not head.strip(b"\x00 \t\r\n"):
        raise EmptyFile()
    named = _named(filename, media_type)
    seen = _seen(head)
    if seen is not None:
        return _agreed(seen, named, filename)
    foreign = _foreign(head, named)
    if foreign:
        raise _refusal(foreign, named, filename)
    if named in _PACKED:
        return _damaged_or_text(named, head, filename)
    if named is not None:
        return named
    extension = PurePath(filename).suffix.lower()
    if extension and (media_type is None or _clean(media_type) not in _BY_MEDIA_TYPE):
        raise UnsupportedType(f"Files ending in “{extension[:20]}” cannot be read yet.")
    return Format.TEXT


def _named(filename: str, media_type: str | None) -> Format | None:
    by_name = _BY_EXTENSION.get(PurePath(filename).suffix.lower())
    return by_name or _BY_MEDIA_TYPE.get(_clean(media_type or ""))


def _clean(media_type: str) -> str:
    return media_type.split(";", 1)[0].strip().lower()


def _seen(head: bytes) -> Format | None:
    if _PDF_MAGIC.search(head[:1024]):
        return Format.PDF
    if head.startswith(_ZIP_MAGIC):
        return _seen_in_zip(head)
    if head.startswith(_COMPRESSED) or head[257:262] == b"ustar":
        return Format.TAR
    if head.lstrip()[:5] == b"{\\rtf":
        return Format.RTF
    if _HTML_MAGIC.match(head.removeprefix(_BOMS[0])):
        return Format.HTML
    return None


def _seen_in_zip(head: bytes) -> Format | None:
    """What a zip file is by the names in its first bytes; None for an office document of whatever kind."""
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first == b"mimetype":
        if b"application/epub+zip" in head[:200]:
            return Format.EPUB
        kind = _OPEN_DOCUMENT_KIND.search(head[:200])
        return _OPEN_DOCUMENT_KINDS.get(kind.group(1)) if kind else None
    if not first.startswith(_OFFICE_PARTS):
        return Format.ZIP
    return next((kind for folder, kind in _OFFICE_FOLDERS if folder in head), None)


def _agreed(seen: Format, named: Format | None, filename: str) -> Format:
    """A web page may be saved as .txt, .md or .asp, and a PDF without any ending; a PDF named .docx is refused."""
    if seen is Format.ZIP and named in _ZIPPED:
        return named  # some programs put other parts first
    if (seen is Format.HTML and named is Format.XML) or (seen is Format.RTF and named is Format.TEXT):
        return seen
    if named in (None, seen) or (seen is Format.HTML and named in (Format.TEXT, Format.MARKDOWN)):
        return named if seen is Format.HTML and named is not None else seen
    if named in _TEXT_FORMATS and seen in _TEXT_FORMATS:
        return named
    raise MislabelledFile(
        f"“{_short(filename)}” is named like {_LABELS[named]}, but its content is {_LABELS[seen]}: "
        f"give it the right ending and upload it again."
    )


def _foreign(head: bytes, named: Format | None) -> str:
    if named is Format.MSG and head.startswith(OLE_MAGIC):
        return ""
    if named in OFFICE and head.startswith(OLE_MAGIC):
        return ""  # an encrypted one is packed like an old Office file: opening it tells them apart
    for magic, what in _FOREIGN_MAGIC:
        if head.startswith(magic):
            return what
    if head.startswith(_ZIP_MAGIC):
        return "" if named in _ZIPPED else "an office document of a kind that its name does not tell"
    if not head.startswith(_BOMS) and _is_binary(head):
        return "binary data"
    return ""


def _is_binary(head: bytes) -> bool:
    """Many control characters or NULs that do not look like UTF-16 without a mark."""
    sample = head[:2048]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if even + odd > len(sample) // 10:
        half = len(sample) / 2
        return not (max(even, odd) > half * 0.4 and min(even, odd) < half * 0.05)
    control = sum(byte < 32 and byte not in (0, 9, 10, 11, 12, 13, 27) for byte in sample)
    return (even + odd > 0 and control > len(sample) * 0.05) or control > len(sample) * 0.2


def _refusal(what: str, named: Format | None, filename: str) -> UnsupportedType | MislabelledFile:
    if named is None:
        return UnsupportedType(f"This is {what}, which cannot be read yet.")
    return MislabelledFile(f"“{_short(filename)}” is named like {_LABELS[named]}, but its content is {what}.")


def _damaged_or_text(named: Format, head: bytes, filename: str) -> Format:
    """A .pdf or .docx and the like without its mark: let the parser try, unless it plainly is text."""
    if head.startswith((*_ZIP_MAGIC, OLE_MAGIC)) or _is_binary(head) or (named is Format.PDF and b"obj" in head):
        return named
    raise MislabelledFile(
        f"“{_short(filename)}” is named like {_LABELS[named]}, but its content is plain text or something else."
    )


def _short(filename: str) -> str:
    name = PurePath(filename).name
    return name if len(name) <= 80 else name[:77] + "…"
