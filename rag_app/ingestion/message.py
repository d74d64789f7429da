"""Writes an e-mail as one document: who wrote to whom, the message, then each attachment that can be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

from rag_app.errors import EmptyFile, PasswordNeeded, RagError, TooMuchContent
from rag_app.ingestion.archive import ArchiveWalk, Member
from rag_app.ingestion.assembly import Assembly
from rag_app.ingestion.draft import one_line
from rag_app.ingestion.formats import ARCHIVES, HEAD_BYTES, sniff
from rag_app.ingestion.parsed import ParsedDocument

MOST_ATTACHMENTS = 200
MOST_ATTACHED_BYTES = 200_000_000
DEEPEST = 3
_LONGEST_NAME = 200
_COVERED = 0.8
_PICTURE = "picture"

ParseFile = Callable[..., ParsedDocument]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message, or a message in it."""

    name: str
    content: "bytes | Message"
    media_type: str = ""
    is_inline: bool = False  # shown in the text, as pictures of a signature are


@dataclass(frozen=True, slots=True)
class Message:
    """An e-mail, whichever program has saved it."""

    headers: dict[str, str]  # From, To, Cc, Date, Subject as far as they are there, decoded
    html: str = ""
    plain: str = ""
    date: str = ""  # ISO 8601
    attachments: Sequence[Attachment] = field(default=())


@dataclass(slots=True)
class _Budget:
    files: int = MOST_ATTACHMENTS
    size: int = MOST_ATTACHED_BYTES

    def spend(self, size: int) -> None:
        self.files -= 1
        self.size -= size
        if self.files < 0 or self.size < 0:
            limit = f"{MOST_ATTACHMENTS} attachments or {MOST_ATTACHED_BYTES // 1_000_000} MB"
            raise TooMuchContent(f"The message holds more than {limit}: upload the attachments as files.")


def written(message: Message, parse_file: ParseFile) -> ParsedDocument:
    """The message as a document. Attachments that cannot be read become warnings. Raises EmptyFile, TooMuchContent."""
    whole = Assembly()
    _write(whole, message, _Writing(parse_file, _Budget()), prefix="", depth=1)
    if not len(whole):
        raise EmptyFile("The message holds no text.")
    fields = {"author": message.headers.get("From", ""), "to": message.headers.get("To", ""), "created": message.date}
    metadata = {name: value[:1000] for name, value in fields.items() if value}
    return whole.finish(title=message.headers.get("Subject", ""), metadata=metadata)


@dataclass(frozen=True, slots=True)
class _Writing:
    parse_file: ParseFile
    budget: _Budget


def _write(whole: Assembly, message: Message, writing: _Writing, *, prefix: str, depth: int) -> None:
    head = "\n".join(f"{name}: {one_line(value)}" for name, value in message.headers.items() if value.strip())
    if prefix:
        whole.add(_plainly(head), part=prefix, heading=prefix, level=depth)
    else:
        whole.note(head)
    body = _body(message)
    if body is not None:
        whole.add(body, part=prefix, level=depth)
    for attachment in message.attachments:
        name = one_line(attachment.name.replace("/", "_"))[:_LONGEST_NAME] or "attachment"
        path = f"{prefix}/{name}" if prefix else name
        try:
            _attach(whole, attachment, writing, path=path, depth=depth)
        except TooMuchContent:
            raise
        except RagError as problem:
            if not (attachment.is_inline and _PICTURE in problem.message):
                whole.warn(f"The attachment “{path}” was left out: {_reason(problem)}")


def _attach(whole: Assembly, attachment: Attachment, writing: _Writing, *, path: str, depth: int) -> None:
    content = attachment.content
    if isinstance(content, Message):
        if depth == DEEPEST:
            raise TooMuchContent(f"Messages inside of messages are opened {DEEPEST} deep, and this one lies deeper.")
        _write(whole, content, writing, prefix=path, depth=depth + 1)
        return
    writing.budget.spend(len(content))
    kind = sniff(attachment.name, attachment.media_type or None, content[:HEAD_BYTES])
    if kind not in ARCHIVES:
        parsed = writing.parse_file(
            BytesIO(content), filename=attachment.name, media_type=attachment.media_type or None
        )
        whole.add(parsed, part=path, heading=path, level=depth)
        return
    for entry in ArchiveWalk().entries(BytesIO(content), kind, attachment.name):
        if isinstance(entry, Member):
            data = entry.stream.read()
            writing.budget.spend(len(data))
            _attach_member(whole, writing, f"{path}/{entry.path}", data=data, depth=depth)
        elif entry.reason:
            whole.warn(f"“{path}/{entry.path}” was left out: {entry.reason}")


def _attach_member(whole: Assembly, writing: _Writing, path: str, *, data: bytes, depth: int) -> None:
    try:
        parsed = writing.parse_file(BytesIO(data), filename=path.rpartition("/")[2])
    except RagError as problem:
        whole.warn(f"“{path}” was left out: {_reason(problem)}")
    else:
        whole.add(parsed, part=path, heading=path, level=depth)


def _reason(problem: RagError) -> str:
    if isinstance(problem, PasswordNeeded):
        return "It is protected by a password: upload it as a file."
    return problem.message.partition(" Supported:")[0]


def _body(message: Message) -> ParsedDocument | None:
    """The text that was written; the plain one unless the other says much more or holds a table with a head."""
    plain = _plainly(message.plain) if message.plain.strip() else None
    rich = _richly(message.html) if message.html.strip() else None
    if plain is None or rich is None:
        return plain or rich
    words, more = set(plain.text.split()), set(rich.text.split())
    covered = len(words & more) / max(1, len(more))
    return rich if covered < _COVERED or "<th" in message.html.lower() else plain


def _plainly(text: str) -> ParsedDocument:
    from rag_app.ingestion.encoding import clean
    from rag_app.ingestion.plain import parse_plain

    return replace(parse_plain(clean(text)), title="")


def _richly(html: str) -> ParsedDocument | None:
    from rag_app.ingestion.encoding import clean
    from rag_app.ingestion.html import parse_html

    try:
        return parse_html(clean(html))
    except RagError:
        return None


def decoded(data: bytes, charset: str | None) -> str:
    """Text of some bytes in a named encoding, or in whichever it seems to be."""
    from rag_app.ingestion.encoding import decode

    if charset:
        try:
            return data.decode(charset, errors="replace")
        except (LookupError, ValueError):
            pass
    try:
        return decode(data)
    except RagError:
        return ""


def header_value(value: Any) -> str:
    """One line of a header."""
    return one_line(str(value or ""))
