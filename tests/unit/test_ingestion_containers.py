"""Archives, e-mails, saved pages and e-books: what is taken out of them, and what hostile ones come to."""

import bz2
import contextlib
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msoffcrypto.format.ooxml import OOXMLFile

from rag_app.errors import (
    DamagedFile,
    EmptyFile,
    EncryptedFile,
    MislabelledFile,
    PasswordNeeded,
    PasswordWrong,
    RagError,
    TooMuchContent,
)
from rag_app.ingestion import archive
from rag_app.ingestion.archive import ArchiveWalk, Member
from rag_app.ingestion.formats import Format
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.sandbox import ParserPool
from rag_app.ingestion.unpack import Packed, open_archive
from tests.ole_file import Tree, ole_file

NOTE = b"The refund is paid within five working days."


def zipped(members: Mapping[str, bytes], *, packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", packing) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return packed.getvalue()


def walked(
    content: bytes, kind: Format = Format.ZIP, name: str = "a.zip", *, password: str | None = None
) -> dict[str, str]:
    """Path -> the text of a member, or why it was left out."""
    return {
        entry.path: entry.stream.read().decode() if isinstance(entry, Member) else f"! {entry.reason}"
        for entry in ArchiveWalk(password).entries(BytesIO(content), kind, name)
    }


def test_names_that_lead_elsewhere_are_labels_of_nothing() -> None:
    names = ["../up.txt", "/etc/abs.txt", "C:\\win.txt", "a/../../b.txt", ".hidden/x.txt", "__MACOSX/._a.txt"]
    found = walked(zipped({**dict.fromkeys(names, NOTE), "./good//a.txt": NOTE}))
    assert found.pop("good/a.txt") == NOTE.decode()
    assert {reason for path, reason in found.items() if "hidden" in path or "MACOSX" in path} == {"! "}
    left = {path: reason for path, reason in found.items() if reason != "! "}
    assert len(left) == 4 and set(left.values()) == {"! Its name leads out of the archive."}


def test_links_and_devices_of_a_tar_file_are_not_followed() -> None:
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for kind, name in (
            (tarfile.SYMTYPE, "s"),
            (tarfile.LNKTYPE, "h"),
            (tarfile.FIFOTYPE, "f"),
            (tarfile.CHRTYPE, "c"),
        ):
            info = tarfile.TarInfo(f"{name}.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            made.addfile(info)
        info = tarfile.TarInfo("folder")
        info.type = tarfile.DIRTYPE
        made.addfile(info)
    found = walked(packed.getvalue(), Format.TAR, "a.tar")
    assert found == {f"{name}.txt": "! It is a link or a device, not a file." for name in "shfc"}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_single_compressed_file_is_one_member(pack: object) -> None:
    assert callable(pack)
    assert walked(pack(NOTE), Format.TAR, "note.txt.gz") == {"note.txt": NOTE.decode()}


def test_archives_inside_are_opened_to_a_depth() -> None:
    inner = zipped({"deep.txt": NOTE})
    for _ in range(3):
        inner = zipped({"in.zip": inner})
    assert "lies deeper" in walked(inner)["in.zip/in.zip/in.zip"]
    assert walked(zipped({"in.zip": zipped({"deep.txt": NOTE})})) == {"in.zip/deep.txt": NOTE.decode()}


@pytest.mark.parametrize(
    ("limit", "value", "content"),
    [
        ("MOST_MEMBERS", 3, zipped({f"{number}.txt": NOTE for number in range(4)})),
        ("MOST_ENTRIES", 3, zipped({f".{number}": NOTE for number in range(4)})),
        ("MOST_BYTES", 1000, zipped({"a.txt": b"word " * 300})),
        ("RATIO_FROM_BYTES", 1000, zipped({"a.txt": b"word " * 300_000})),
        ("MOST_ENTRIES", 3, zipped({"in.zip": zipped({f".{number}": NOTE for number in range(4)})})),
    ],
)
def test_an_archive_beyond_a_limit_is_refused_whole(
    limit: str, value: int, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, limit, value)
    with pytest.raises(TooMuchContent, match="archive"):
        walked(content)


def test_a_zip_file_that_lies_of_its_sizes_is_counted_as_it_unpacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 10_000)
    content = zipped({"a.txt": b"word " * 10_000}).replace(struct.pack("<I", 50_000), struct.pack("<I", 5_000))
    with pytest.raises((TooMuchContent, DamagedFile)):
        walked(content)


BOMBS: dict[str, bytes] = {
    "zeros.zip": zipped({"a.txt": b"words\n" + b"a" * 40_000_000}),
    "members.zip": zipped({f"{number}.txt": b"" for number in range(60_000)}, packing=zipfile.ZIP_STORED),
    "nested.zip": zipped({"a.zip": zipped({"b.zip": zipped({"c.zip": zipped({"d.txt": b"0" * 10_000_000})})})}),
    "zeros.tar.xz": lzma.compress(b"words\n" + b"a" * 40_000_000),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_bombs_end_with_a_reason_within_the_limits_of_a_child(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(BOMBS[name])
    packed = Packed(path, name, None, None, 1_000_000)
    async with ParserPool(1, memory_bytes=300_000_000) as pool:
        with contextlib.suppress(TooMuchContent):
            async with open_archive(pool, packed) as opened:
                assert opened.contents.members == {}
                assert all(reason for _, reason in opened.contents.left_out) and opened.contents.left_out
        (tmp_path / "good.md").write_bytes(b"# Good\n\nAfter the bomb.")
        assert (await pool.parse(tmp_path / "good.md", filename="good.md")).title == "Good"


def test_an_encrypted_zip_asks_for_its_password() -> None:
    content = bytearray(zipped({"a.txt": NOTE}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    with pytest.raises(PasswordNeeded, match="archive"):
        walked(bytes(content))
    with pytest.raises(PasswordWrong):
        walked(bytes(content), password="guess")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_archives_end_in_a_typed_error_or_members(data: st.DataObject) -> None:
    kind, name, content = data.draw(
        st.sampled_from(
            [
                (Format.ZIP, "a.zip", zipped({"a.txt": NOTE, "b.zip": zipped({"c.md": NOTE})})),
                (Format.TAR, "a.tar.gz", tarred()),
            ]
        )
    )
    broken = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RagError):
        for entry in ArchiveWalk().entries(BytesIO(bytes(broken)), kind, name):
            if isinstance(entry, Member):
                entry.stream.read()


def tarred() -> bytes:
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as made:
        info = tarfile.TarInfo("a.txt")
        info.size = len(NOTE)
        made.addfile(info, BytesIO(NOTE))
    return packed.getvalue()


def mail() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ärne <arne@example.com>", "bob@example.com", "Offer für Bob"
    made["Date"] = "Fri, 20 Nov 2026 10:00:00 +0100"
    made.set_content("Dear Bob,\n\nhere is our offer.\n")
    made.add_alternative("<p>Dear Bob,</p><p>here is our offer.</p>", subtype="html")
    return made


def read(content: bytes, name: str, password: str | None = None) -> ParsedDocument:
    return parse(BytesIO(content), filename=name, password=password)


def places(parsed: ParsedDocument) -> dict[str, dict[str, object]]:
    return {parsed.text[each.char_from : each.char_to]: dict(each.place) for each in parsed.places}


def test_an_email_is_read_with_its_attachments_and_says_where_each_word_stood() -> None:
    made = mail()
    made.add_attachment(b"item,price\nboat,10\n", maintype="text", subtype="csv", filename="prices.csv")
    made.add_attachment(
        zipped({"in/deep.md": b"# Deep\n\nHello."}), maintype="application", subtype="zip", filename="more.zip"
    )
    made.add_attachment(b"\x89PNG\r\n\x1a\n", maintype="image", subtype="png", filename="photo.png")
    older = EmailMessage()
    older["From"], older["Subject"] = "carol@example.com", "Older mail"
    older.set_content("The older text.")
    made.add_attachment(older)
    parsed = read(made.as_bytes(), "a.eml")
    assert parsed.title == "Offer für Bob"
    assert parsed.metadata["author"] == "Ärne <arne@example.com>"
    assert parsed.metadata["created"] == "2026-11-20T10:00:00+01:00"
    assert parsed.text.startswith("From: Ärne <arne@example.com>\nTo: bob@example.com\nDate: ")
    assert parsed.text.count("here is our offer.") == 1
    found = places(parsed)
    assert found["| boat | 10 |"] == {"part": "prices.csv", "rows": [2, 2]}
    assert {"part": "more.zip/in/deep.md"} in found.values()
    assert next(place for words, place in found.items() if "The older text." in words) == {"part": "Older mail"}
    assert [each for each in parsed.warnings if "photo.png" in each]


def test_an_email_without_plain_text_or_with_a_table_is_read_from_its_html() -> None:
    made = EmailMessage()
    made["Subject"] = "Prices"
    made.set_content("See the table.")
    made.add_alternative(
        "<p>See the table.</p><table><tr><th>Item</th><th>Price</th></tr><tr><td>Boat</td><td>10</td></tr></table>",
        subtype="html",
    )
    assert "| Boat | 10 |" in read(made.as_bytes(), "a.eml").text


def test_an_email_says_what_is_wrong_with_it() -> None:
    with pytest.raises(DamagedFile, match="e-mail"):
        read(b"just some words\n\nand more", "a.eml")
    with pytest.raises(EmptyFile):
        read(b"Content-Type: text/plain\r\n\r\n   \r\n", "a.eml")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_a_damaged_email_ends_in_a_typed_error_or_a_text(seed: int, count: int) -> None:
    made = mail()
    made.add_attachment(NOTE, maintype="text", subtype="plain", filename="note.txt")
    broken, chance = bytearray(made.as_bytes()), random.Random(seed)
    for _ in range(count):
        broken[chance.randrange(len(broken))] = chance.randrange(256)
    with contextlib.suppress(RagError):
        assert read(bytes(broken), "a.eml").text


def outlook(text: str, attachments: Tree) -> bytes:
    def words(value: str) -> bytes:
        return value.encode("utf-16-le")

    sent = struct.pack("<IIQ", 0x00390040, 6, 134_073_000_000_000_000)
    tree: Tree = {
        "__properties_version1.0": b"\0" * 32 + sent,
        "__substg1.0_0037001F": words("Offer"),
        "__substg1.0_0C1A001F": words("Ärne"),
        "__substg1.0_5D01001F": words("arne@example.com"),
        "__substg1.0_0E04001F": words("Bob"),
        "__substg1.0_1000001F": words(text),
        **attachments,
    }
    return ole_file(tree)


def test_an_outlook_message_is_read_with_its_attachments() -> None:
    attached: Tree = {
        "__properties_version1.0": b"\0" * 8,
        "__substg1.0_3707001F": "prices.csv".encode("utf-16-le"),
        "__substg1.0_37010102": b"item,price\nboat,10\n",
    }
    inner: Tree = {
        "__properties_version1.0": b"\0" * 24,
        "__substg1.0_0037001F": "Older".encode("utf-16-le"),
        "__substg1.0_1000001E": b"The older text.",
    }
    parsed = read(
        outlook(
            "Dear Bob, here is our offer.\r\n" + "And more of it. " * 500,
            {
                "__attach_version1.0_#00000000": attached,
                "__attach_version1.0_#00000001": {"__properties_version1.0": b"\0" * 8, "__substg1.0_3701000D": inner},
            },
        ),
        "a.msg",
    )
    assert parsed.title == "Offer" and parsed.metadata["author"] == "Ärne <arne@example.com>"
    assert parsed.metadata["created"].startswith("2025-11-1")
    assert "Dear Bob, here is our offer." in parsed.text
    assert places(parsed)["| boat | 10 |"] == {"part": "prices.csv", "rows": [2, 2]}
    assert {"part": "Older"} in [dict(each.place) for each in parsed.places] and "The older text." in parsed.text
    with pytest.raises(MislabelledFile):
        read(ole_file({"WordDocument": b"x" * 5000}), "a.msg")


def test_a_saved_web_page_is_read_without_what_belongs_to_it() -> None:
    content = (
        b'Subject: Page\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="B"\r\n\r\n--B\r\n'
        b"Content-Type: text/html\r\nContent-Location: https://example.com/x\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<title>T=C3=A4st</title><h1>Hi</h1><p>caf=C3=A9</p>\r\n"
        b"--B\r\nContent-Type: text/css\r\n\r\nbody {}\r\n--B--\r\n"
    )
    parsed = read(content, "a.mhtml")
    assert (parsed.title, parsed.text, parsed.metadata["url"]) == ("Täst", "Hi\n\ncafé", "https://example.com/x")


def book(*, head: str = "", title: str = "The Book", more: Mapping[str, str] | None = None) -> bytes:
    container = '<container xmlns="urn:x"><rootfiles><rootfile full-path="O/c.opf"/></rootfiles></container>'
    opf = (
        f'<?xml version="1.0"?>{head}<package xmlns="http://www.idpf.org/2007/opf">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title><dc:creator>Ann</dc:creator>'
        '</metadata><manifest><item id="n" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
        '<item id="b" href="c2.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="a" href="c%201.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
    )
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container,
        "O/c.opf": opf,
        "O/nav.xhtml": '<html xmlns="urn:h"><a href="c%201.xhtml">One</a><a href="c2.xhtml#x">Two</a></html>',
        "O/c 1.xhtml": "<html><body><h1>The first chapter</h1><p>It was dark.</p></body></html>",
        "O/c2.xhtml": "<html><body><p>It was light.</p></body></html>",
        **(more or {}),
    }
    return zipped({name: content.encode() for name, content in parts.items()})


def test_a_book_is_read_chapter_by_chapter() -> None:
    parsed = read(book(), "a.epub")
    assert (parsed.title, parsed.metadata["author"]) == ("The Book", "Ann")
    assert parsed.text == "The first chapter\n\nIt was dark.\n\nTwo\n\nIt was light."
    assert [each.place for each in parsed.places] == [{"part": "One"}, {"part": "Two"}]


def test_a_book_resolves_no_entities_and_says_that_it_is_protected(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden words")
    hostile = f'<!DOCTYPE p [<!ENTITY x SYSTEM "file://{secret}"><!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>'
    parsed = read(book(head=hostile, title="Book &x; &b;"), "a.epub")
    assert "hidden" not in parsed.title + parsed.text and "lol" not in parsed.title
    rights = '<encryption><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></encryption>'
    with pytest.raises(EncryptedFile, match="copy-protected"):
        read(book(more={"META-INF/encryption.xml": rights}), "a.epub")
    with pytest.raises(DamagedFile):
        read(zipped({"mimetype": b"application/epub+zip"}, packing=zipfile.ZIP_STORED), "a.epub")


def test_a_word_file_with_a_password_is_opened_with_it() -> None:
    plain, locked = BytesIO(), io.BytesIO()
    document = docx.Document()
    document.add_paragraph("The refund is paid within five working days.")
    document.save(plain)
    plain.seek(0)
    OOXMLFile(plain).encrypt("open sesame", locked)
    with pytest.raises(PasswordNeeded):
        read(locked.getvalue(), "a.docx")
    with pytest.raises(PasswordWrong):
        read(locked.getvalue(), "a.docx", "guess")
    assert "five working days" in read(locked.getvalue(), "a.docx", "open sesame").text
