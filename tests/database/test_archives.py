"""Archives and encrypted files from the door to the search: unpacked, updated, deleted, opened with a password."""

import io
import tarfile
import zipfile
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import text

from rag_app.errors import InvalidInput, NotFound
from rag_app.services import archives
from rag_app.services.acceptance import Accepted
from rag_app.services.context import Context
from rag_app.services.documents import (
    DocumentCard,
    DocumentFilter,
    delete_document,
    get_document,
    list_documents,
    retry_document,
)
from rag_app.services.intake import IncomingFile, add_file
from rag_app.services.knowledge import NewKnowledgeBase, create_knowledge_base
from rag_app.services.paging import PageRequest
from rag_app.services.permissions import Actor
from rag_app.services.search import Query, search_knowledge_base
from rag_app.services.tasks import cancel_task, get_task
from tests.workspaces import make_actor, open_workshop, work_off

REFUNDS = b"# Refunds\n\nThe refund is paid within five working days.\n"
OPENING = b"The shop opens at nine in the morning.\n"


async def stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(members: dict[str, bytes], how: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{how}") as archive:  # type: ignore[call-overload]  # one of its modes
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


class Shelf:
    """One knowledge base and who fills it."""

    def __init__(self, context: Context, actor: Actor, base: UUID) -> None:
        self.context, self.actor, self.base = context, actor, base

    async def add(self, name: str, content: bytes, **how: Any) -> Accepted:
        return await add_file(self.context, self.actor, self.base, IncomingFile(name, stream(content), **how))

    async def read(self) -> None:
        async with open_workshop(self.context) as workshop:
            await work_off(self.context, workshop)

    async def card(self, accepted: Accepted) -> DocumentCard:
        assert accepted.id
        return await get_document(self.context, self.actor, accepted.id)

    async def members(self, accepted: Accepted) -> dict[str | None, DocumentCard]:
        wanted = DocumentFilter(parent_id=accepted.id)
        page = await list_documents(self.context, self.actor, self.base, wanted=wanted, page=PageRequest(limit=200))
        return {card.external_id: card for card in page.items}

    async def found(self, question: str) -> list[str]:
        found = await search_knowledge_base(self.context, self.actor, self.base, Query(question))
        return [passage.external_id or "" for passage in found.passages]


@pytest.fixture
async def shelf(context: Context) -> Shelf:
    actor = await make_actor(context)
    base = await create_knowledge_base(context, actor, NewKnowledgeBase("Handbook"))
    return Shelf(context, actor, base.id)


async def test_each_member_becomes_a_document_and_what_is_left_out_is_said(shelf: Shelf) -> None:
    inner = zipped({"deep.txt": OPENING})
    packed = zipped({"shop/refunds.md": REFUNDS, "more.zip": inner, "setup.exe": b"MZ\x90\0", ".git/config": b"x"})
    accepted = await shelf.add("handbook.zip", packed, metadata={"year": 2024})
    assert (accepted.external_id, accepted.status) == ("handbook.zip", "queued")
    await shelf.read()
    card = await shelf.card(accepted)
    assert (card.status, card.kind, card.passages, card.has_original) == ("ready", "archive", 0, False)
    assert card.warnings[0] == "Unpacked into 2 documents."
    assert any("“setup.exe” was left out: This is a program" in each for each in card.warnings)
    members = await shelf.members(accepted)
    assert set(members) == {"handbook.zip/shop/refunds.md", "handbook.zip/more.zip/deep.txt"}
    refunds = members["handbook.zip/shop/refunds.md"]
    assert (refunds.status, refunds.error) == ("ready", None)
    assert refunds.metadata.items() >= {"path": "shop/refunds.md", "archive": "handbook.zip", "year": 2024}.items()
    assert (await shelf.found("how long does a refund take?"))[0] == "handbook.zip/shop/refunds.md"
    assert accepted.task_id
    task = await get_task(shelf.context, shelf.actor, accepted.task_id)
    assert task.status == "done"
    assert (task.result["documents"], task.result["refused_count"], task.result["hidden"]) == (2, 1, 1)


@pytest.mark.parametrize("how", ["", "gz", "bz2", "xz"])
async def test_tar_files_are_unpacked_however_they_are_compressed(shelf: Shelf, how: str) -> None:
    accepted = await shelf.add(f"notes.tar.{how}".rstrip("."), tarred({"a.md": REFUNDS, "b/c.txt": OPENING}, how))
    await shelf.read()
    assert len(await shelf.members(accepted)) == 2


async def test_the_same_archive_again_updates_its_members_and_says_what_is_gone(shelf: Shelf) -> None:
    first = await shelf.add("a.zip", zipped({"refunds.md": REFUNDS, "hours.txt": OPENING, "old.txt": b"Old news."}))
    await shelf.read()
    before = await shelf.members(first)
    again = await shelf.add("a.zip", zipped({"refunds.md": REFUNDS, "hours.txt": b"The shop opens at ten."}))
    assert again.id == first.id
    await shelf.read()
    after = await shelf.members(first)
    assert after["a.zip/refunds.md"].version_id == before["a.zip/refunds.md"].version_id
    assert after["a.zip/hours.txt"].id == before["a.zip/hours.txt"].id
    assert after["a.zip/hours.txt"].version_id != before["a.zip/hours.txt"].version_id
    card = await shelf.card(first)
    assert card.warnings[0] == "Unpacked into 2 documents, 1 of them as before."
    assert "“old.txt” is no longer in the archive; its document stays until you delete it." in card.warnings
    assert "a.zip/old.txt" in after


async def test_a_deleted_member_comes_back_with_the_same_archive(shelf: Shelf) -> None:
    packed = zipped({"refunds.md": REFUNDS, "hours.txt": OPENING})
    accepted = await shelf.add("a.zip", packed)
    await shelf.read()
    doomed = (await shelf.members(accepted))["a.zip/hours.txt"]
    await delete_document(shelf.context, shelf.actor, doomed.id)
    assert not (await shelf.add("a.zip", packed)).duplicate
    await shelf.read()
    assert "a.zip/hours.txt" in await shelf.found("when does the shop open?")


async def test_with_an_archive_go_its_members(shelf: Shelf) -> None:
    accepted = await shelf.add("a.zip", zipped({"refunds.md": REFUNDS, "hours.txt": OPENING}))
    await shelf.read()
    assert accepted.id
    await delete_document(shelf.context, shelf.actor, accepted.id)
    assert await shelf.found("how long does a refund take?") == []
    await shelf.read()
    async with shelf.context.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM documents"))).scalar_one() == 0
        assert (await session.execute(text("SELECT count(*) FROM passages"))).scalar_one() == 0


async def test_broken_off_between_two_batches_nothing_is_lost_or_doubled(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MEMBERS_PER_COMMIT", 2)
    accepted = await shelf.add("a.zip", zipped({f"{number}.txt": b"Note %d." % number for number in range(5)}))
    whole, calls = archives._take, 0

    async def breaking(*how: object) -> bool:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("broken off")
        return await whole(*how)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(archives, "_take", breaking)
    await shelf.read()
    assert len(await shelf.members(accepted)) == 2
    assert (await shelf.card(accepted)).status == "queued"
    async with open_workshop(shelf.context) as workshop:
        from rag_app.services.ingestion import sweep

        async with shelf.context.transaction() as session:
            await session.execute(text("UPDATE versions SET updated_at = now() - interval '1 minute'"))
        assert await sweep(shelf.context) == 1
        await work_off(shelf.context, workshop)
    members = await shelf.members(accepted)
    assert [card.status for card in members.values()] == ["ready"] * 5
    assert (await shelf.card(accepted)).warnings[0] == "Unpacked into 5 documents, 2 of them as before."


async def test_an_archive_without_anything_to_read_fails_and_says_why(shelf: Shelf) -> None:
    accepted = await shelf.add("a.zip", zipped({"setup.exe": b"MZ\x90\0"}))
    await shelf.read()
    card = await shelf.card(accepted)
    assert card.status == "failed" and card.error
    assert card.error.code == "empty_file" and "setup.exe" in card.error.message


async def test_an_archive_and_a_file_do_not_share_an_external_id(shelf: Shelf) -> None:
    await shelf.add("notes.md", REFUNDS, external_id="notes")
    refused = await shelf.add("notes.zip", zipped({"a.md": REFUNDS}), external_id="notes")
    assert refused.id is None and refused.error and refused.error.code == "conflict"


def locked_pdf(password: str) -> bytes:
    plain, locked = io.BytesIO(), io.BytesIO()
    canvas = Canvas(plain)
    canvas.drawString(72, 700, "The refund is paid within five working days.")
    canvas.save()
    writer = PdfWriter(PdfReader(plain))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
    writer.write(locked)
    return locked.getvalue()


async def kept_passwords(context: Context) -> list[bytes]:
    async with context.transaction() as session:
        found = await session.execute(text("SELECT sealed_password FROM versions WHERE sealed_password IS NOT NULL"))
        return [bytes(each) for each in found.scalars()]


async def test_an_encrypted_file_is_opened_with_its_password_which_is_then_forgotten(shelf: Shelf) -> None:
    accepted = await shelf.add("secret.pdf", locked_pdf("open sesame"))
    await shelf.read()
    card = await shelf.card(accepted)
    assert card.error and card.error.code == "password_needed" and "enter the password" in card.error.message
    await retry_document(shelf.context, shelf.actor, card.id, password="guess")
    await shelf.read()
    card = await shelf.card(accepted)
    assert card.error and card.error.code == "password_wrong"
    assert await kept_passwords(shelf.context) == []
    await retry_document(shelf.context, shelf.actor, card.id, password="open sesame")
    [sealed] = await kept_passwords(shelf.context)
    assert b"sesame" not in sealed
    await shelf.read()
    assert (await shelf.card(accepted)).status == "ready"
    assert await kept_passwords(shelf.context) == []


async def test_a_password_is_forgotten_when_the_reading_is_cancelled(shelf: Shelf) -> None:
    accepted = await shelf.add("secret.pdf", locked_pdf("open sesame"), password="open sesame")
    assert len(await kept_passwords(shelf.context)) == 1 and accepted.task_id
    await cancel_task(shelf.context, shelf.actor, accepted.task_id)
    assert await kept_passwords(shelf.context) == []


async def test_a_password_sent_with_the_file_opens_it(shelf: Shelf) -> None:
    accepted = await shelf.add("secret.pdf", locked_pdf("open sesame"), password="open sesame")
    await shelf.read()
    assert (await shelf.card(accepted)).status == "ready"


async def test_a_password_sealed_under_another_key_is_asked_for_again(shelf: Shelf) -> None:
    accepted = await shelf.add("secret.pdf", locked_pdf("open sesame"), password="open sesame")
    async with shelf.context.transaction() as session:
        await session.execute(text("UPDATE versions SET sealed_password = '\\x00112233'::bytea || sealed_password"))
    await shelf.read()
    card = await shelf.card(accepted)
    assert card.error and card.error.code == "password_needed"


async def test_only_who_asked_for_a_password_is_given_one(shelf: Shelf) -> None:
    accepted = await shelf.add("broken.pdf", b"%PDF-1.7 and then nothing")
    await shelf.read()
    assert accepted.id
    with pytest.raises(InvalidInput, match="does not ask"):
        await retry_document(shelf.context, shelf.actor, accepted.id, password="x")
    with pytest.raises(NotFound):
        await retry_document(shelf.context, await make_actor(shelf.context), accepted.id, password="x")
