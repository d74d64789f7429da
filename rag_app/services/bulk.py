"""Adds many sources at once for the command line: files, folders, addresses; and watches them to their end."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rag_app.database.files import CHUNK
from rag_app.errors import InvalidInput, NotFound
from rag_app.ingestion.formats import ENDINGS
from rag_app.services.acceptance import ARCHIVE, Accepted
from rag_app.services.context import Context
from rag_app.services.document_passwords import check_password
from rag_app.services.documents import DocumentCard, DocumentFilter, get_document, list_documents
from rag_app.services.intake import IncomingFile, add_addresses, add_file
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base, find_knowledge_base
from rag_app.services.paging import PageRequest
from rag_app.services.permissions import Actor

POLL_S = 0.3


@dataclass(frozen=True, slots=True)
class Refused:
    """A source that was not taken."""

    name: str
    reason: str


@dataclass(slots=True)
class Batch:
    """What was taken, and what was not."""

    documents: list[UUID] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unchanged: int = 0

    def note(self, name: str, accepted: Accepted) -> None:
        """Sort one item in."""
        if accepted.error:
            self.refused.append(Refused(name, accepted.error.message))
        elif accepted.id and accepted.id not in self.documents:
            self.documents.append(accepted.id)
            self.unchanged += accepted.duplicate

    def said(self, name: str) -> str:
        """What became of it, in a sentence."""
        unchanged = f", {self.unchanged} of them unchanged" if self.unchanged else ""
        return f"{len(self.documents)} documents accepted into “{name}”{unchanged}."


async def add_sources(
    context: Context, actor: Actor, name: str, sources: Sequence[str], *, password: str | None = None
) -> Batch:
    """Add files, folders (files of supported kinds in them) and addresses to the knowledge base of this name.

    A file is known by its path from the folder that was given, so that adding the folder again makes a new version of
    what has changed and leaves the rest alone. The password is tried on each file that asks for one.
    """
    if password is not None:
        check_password(password)
    for source in sources:
        if not _is_address(source) and not Path(source).exists():
            raise InvalidInput(f"{source}: there is no such file or folder")
    base = await find_knowledge_base(context, actor, name)
    base = base or await create_knowledge_base(context, actor, NewKnowledgeBase(name))
    batch = Batch()
    for source in sources:
        if _is_address(source):
            [accepted] = await add_addresses(context, actor, base.id, [source])
            batch.note(source, accepted)
            continue
        for path in _files(Path(source)):
            known_as = path_of(path, Path(source))
            file = IncomingFile(path.name, _chunks(path), password=password, path=known_as)
            batch.note(str(path), await add_file(context, actor, base.id, file))
    return batch


def _is_address(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def path_of(file: Path, given: Path) -> str:
    """By which path a file is known: from the folder that was given, or else its own folder, and with its name.

    So two folders, or two files of one name, do not become versions of each other.
    """
    whole = Path(os.path.abspath(given))  # a link keeps its own name
    inside = file.relative_to(given).parts if file != given else ()
    return "/".join([*([whole.parent.name] if not inside else []), whole.name, *inside]).lstrip("/")


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for each in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in each.relative_to(path).parts)
        if each.is_file() and not hidden and each.suffix.lower() in ENDINGS:
            yield each


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


async def watch(context: Context, actor: Actor, batch: Batch) -> bool:
    """Show progress until every document has ended, then a table. True when all are ready."""
    console = Console()
    cards: dict[UUID, DocumentCard | None] = dict.fromkeys(batch.documents)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("reading", total=len(cards))
        while open_ones := [each for each, card in cards.items() if card is None or not _ended(card)]:
            for document_id in open_ones:
                cards[document_id] = card = await _look(context, actor, document_id)
                if card is not None and card.kind == ARCHIVE and _ended(card):
                    cards |= {each: None for each in await _members(context, actor, card) if each not in cards}
                    progress.update(bar, total=len(cards))
            ended = [card for card in cards.values() if card and _ended(card)]
            progress.update(bar, completed=len(ended))
            if len(ended) < len(cards):
                await asyncio.sleep(POLL_S)
    shown = [card for card in cards.values() if card]
    console.print(_table(shown))
    return all(card.status == "ready" and not (card.update and card.update.error) for card in shown)


async def _members(context: Context, actor: Actor, archive: DocumentCard) -> list[UUID]:
    """The documents that an archive was unpacked into."""
    found: list[UUID] = []
    wanted, cursor = DocumentFilter(parent_id=archive.id), None
    while True:
        request = PageRequest(limit=200, cursor=cursor)
        page = await list_documents(context, actor, archive.knowledge_base_id, wanted=wanted, page=request)
        found += [card.id for card in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def _look(context: Context, actor: Actor, document_id: UUID) -> DocumentCard | None:
    try:
        return await get_document(context, actor, document_id)
    except NotFound:  # deleted meanwhile by somebody else
        return None


def _ended(card: DocumentCard) -> bool:
    state = card.update.status if card.update else card.status
    return state in ("ready", "failed")


def _table(cards: Sequence[DocumentCard]) -> Table:
    table = Table("document", "status", "pages", "passages")
    table.add_column("reason", overflow="fold")
    for card in cards:
        error = card.error or (card.update.error if card.update else None)
        reason = error.message if error else " ".join(card.warnings[:3])
        table.add_row(card.title, card.status, str(card.pages or ""), str(card.passages), reason)
    return table
