"""Reads e-mails (.eml) and saved web pages (.mhtml), which are both MIME messages."""

from collections.abc import Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header
from email.message import Message as MimeMessage
from email.utils import parsedate_to_datetime
from typing import Any

from rag_app.errors import DamagedFile, NoText, TooMuchContent
from rag_app.ingestion.html import parse_html
from rag_app.ingestion.message import Attachment, Message, ParseFile, decoded, header_value, written
from rag_app.ingestion.original import Original, content_of, size_of
from rag_app.ingestion.parsed import ParsedDocument

MAX_BYTES = 200_000_000
MOST_PARTS = 2_000
DEEPEST = 30
_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def parse_eml(original: Original, parse_file: ParseFile) -> ParsedDocument:
    """The message with its attachments. Raises DamagedFile, EmptyFile, TooMuchContent."""
    message = _read(original)
    if not any(message.get(name) for name in (*_HEADERS, "Received", "Content-Type", "Message-ID")):
        raise DamagedFile("The file is not an e-mail: it has none of its headers.")
    return written(_message(message), parse_file)


def parse_mhtml(original: Original) -> ParsedDocument:
    """The page that was saved, without its pictures and styles. Raises DamagedFile, NoText, TooMuchContent."""
    parts = list(_leaves(_read(original)))
    page = next((each for each in parts if each.get_content_type() in ("text/html", "application/xhtml+xml")), None)
    if page is None:
        raise NoText("The saved web page holds no page.")
    parsed = parse_html(decoded(_payload(page), page.get_content_charset()))
    address = header_value(page.get("Content-Location"))
    if address.startswith(("http://", "https://")):
        parsed.metadata["url"] = address[:1000]
    return parsed


def _read(original: Original) -> MimeMessage:
    if size_of(original) > MAX_BYTES:
        raise TooMuchContent()
    try:
        return message_from_bytes(content_of(original))
    except (MessageError, ValueError, LookupError, RecursionError) as problem:
        raise DamagedFile() from problem


def _message(mime: MimeMessage) -> Message:
    html: list[str] = []
    plain: list[str] = []
    attachments: list[Attachment] = []
    for part in _leaves(mime):
        kind = part.get_content_type()
        name = _decoded(part.get_filename() or "")
        if kind == "message/rfc822":
            inner = part.get_payload()
            if isinstance(inner, list) and inner and isinstance(inner[0], MimeMessage):
                nested = _message(inner[0])
                attachments.append(Attachment(nested.headers.get("Subject") or name or "message", nested))
            continue
        is_text = kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment" and not name
        if is_text:
            (html if kind == "text/html" else plain).append(decoded(_payload(part), part.get_content_charset()))
        elif kind != "multipart/mixed":
            inline = part.get_content_disposition() == "inline" or part.get("Content-ID") is not None
            attachments.append(Attachment(name or kind.replace("/", "."), _payload(part), kind, inline))
    headers = {name: _decoded(header_value(mime.get(name))) for name in _HEADERS if mime.get(name)}
    return Message(headers, "\n".join(html), "\n\n".join(plain), _date(mime), attachments)


def _leaves(mime: MimeMessage, depth: int = 0) -> Iterator[MimeMessage]:
    """The parts that hold something; a message inside counts as one. Raises TooMuchContent."""
    if depth > DEEPEST:
        raise TooMuchContent("The message is nested too deeply.")
    payload = mime.get_payload()
    if mime.get_content_type() == "message/rfc822" or not isinstance(payload, list):
        yield mime
        return
    if len(payload) > MOST_PARTS:
        raise TooMuchContent("The message is made of too many parts.")
    for part in payload:
        if isinstance(part, MimeMessage):
            yield from _leaves(part, depth + 1)


def _payload(part: MimeMessage) -> bytes:
    try:
        data: Any = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError) as problem:
        raise DamagedFile("A part of the message is damaged.") from problem
    return data if isinstance(data, bytes) else b""


def _decoded(value: str) -> str:
    """A header in readable letters (RFC 2047); as it stands where it is broken."""
    try:
        pieces = decode_header(value)
        return "".join(
            piece.decode(charset or "utf-8", errors="replace") if isinstance(piece, bytes) else piece
            for piece, charset in pieces
        )
    except (MessageError, ValueError, LookupError, UnicodeError):
        return value


def _date(mime: MimeMessage) -> str:
    try:
        return parsedate_to_datetime(str(mime.get("Date", ""))).isoformat()
    except (TypeError, ValueError, IndexError, OverflowError):
        return ""
