"""A pile of documents of several formats, made from a seed; each carries a word of its own in every paragraph."""

import hashlib
import io
import random
import zipfile
from dataclasses import dataclass

FORMATS = ("md", "pdf", "docx", "csv")
PARAGRAPHS = 14
WORDS = (
    *("harbour", "lantern", "meadow", "copper", "willow", "granite", "orchard", "signal", "timber", "valley", "anchor"),
    *("barrel", "candle", "dragon", "engine", "feather", "garden", "hammer", "island", "jacket", "kettle", "ladder"),
    *("mirror", "needle", "oyster", "pepper", "quarry", "ribbon", "saddle", "thunder", "umbrella", "velvet", "window"),
)
_TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">{}</Types>'
_RELATIONS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
_OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_OFFICE_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@dataclass(frozen=True)
class Paper:
    """One document: its bytes, and what a searcher must find of it."""

    filename: str
    content: bytes
    word: str  # stands in every paragraph of this document and in no other
    marks: frozenset[str]  # one per paragraph
    text: str = ""  # its paragraphs

    @property
    def sha256(self) -> str:
        """The hash of its bytes."""
        return hashlib.sha256(self.content).hexdigest()


def pile(count: int, *, seed: int) -> list[Paper]:
    """Documents in rotating formats; the same seed gives the same bytes."""
    return [_paper(number, random.Random(seed * 1000 + number), seed) for number in range(count)]


def _paper(number: int, dice: random.Random, seed: int) -> Paper:
    word = f"zq{_letters(seed)}x{_letters(number)}"
    marks = [f"mk{_letters(number)}v{_letters(place)}" for place in range(PARAGRAPHS)]
    paragraphs = [f"{word} {mark} {' '.join(dice.choices(WORDS, k=70))}." for mark in marks]
    kind = FORMATS[number % len(FORMATS)]
    content = {"md": _markdown, "pdf": _pdf, "docx": _docx, "csv": _csv}[kind](paragraphs)
    return Paper(f"paper-{number:02}.{kind}", content, word, frozenset(marks), "\n\n".join(paragraphs))


def _letters(number: int) -> str:
    """A number as letters of one length: digits would be cut into words of their own."""
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:07}")


def _markdown(paragraphs: list[str]) -> bytes:
    parts = [f"## Part {place}\n\n{each}" if place % 4 == 0 else each for place, each in enumerate(paragraphs)]
    return ("# A paper\n\n" + "\n\n".join(parts) + "\n").encode()


def _csv(paragraphs: list[str]) -> bytes:
    return ("number,remark\n" + "".join(f"{place},{each}\n" for place, each in enumerate(paragraphs))).encode()


def _docx(paragraphs: list[str]) -> bytes:
    body = "".join(f"<w:p><w:r><w:t>{each}</w:t></w:r></w:p>" for each in paragraphs)
    parts = {
        "[Content_Types].xml": _TYPES.format(
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{_OFFICE}"/>'
        ),
        "_rels/.rels": _RELATIONS.format(
            f'<Relationship Id="r1" Type="{_OFFICE_RELATION}" Target="word/document.xml"/>'
        ),
        "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>',
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(zipfile.ZipInfo(name), content)
    return target.getvalue()


def _pdf(paragraphs: list[str]) -> bytes:
    pages = [paragraphs[start : start + 5] for start in range(0, len(paragraphs), 5)]
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for page in pages:
        stream = _page(page)
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
        content = len(objects)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % content
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%b] >>" % (len(kids), b" ".join(kids))
    return _assemble(objects)


def _page(paragraphs: list[str]) -> bytes:
    lines: list[str] = []
    for paragraph in paragraphs:
        words = paragraph.split()
        lines += [" ".join(words[start : start + 12]) for start in range(0, len(words), 12)] + [""]
    shown = "".join(f"({line}) Tj 0 -14 Td\n" for line in lines)
    return f"BT /F1 10 Tf 50 740 Td\n{shown}ET".encode()


def _assemble(objects: list[bytes]) -> bytes:
    out = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table) + trailer
