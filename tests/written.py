"""Writes small documents of every format, from the same plain description, for the tests of the parsers."""

import json
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape

import openpyxl
import pptx
from pptx.util import Inches

Kind = Literal["heading", "paragraph", "list", "table", "code"]


class Part(NamedTuple):
    """One block: lines of words; of a table, rows of cells."""

    kind: Kind
    lines: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> list[str]:
        """All words in reading order."""
        return [word for line in self.lines for word in line]


_NAMESPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{kind}:1.0"'
    for name, kind in (
        ("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing"), ("style", "style"),
        ("presentation", "presentation"), ("meta", "meta"),
    )
)  # fmt: skip


def open_document(kind: str, body: str, *, styles: str = "", title: str = "", manifest: str = "") -> bytes:
    """An OpenDocument file; `kind` is text, spreadsheet or presentation, `body` the XML inside of it."""
    content = (
        f"<office:document-content {_NAMESPACES}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    meta = (
        f'<office:document-meta {_NAMESPACES} xmlns:dc="http://purl.org/dc/elements/1.1/"><office:meta>'
        f"<dc:title>{escape(title)}</dc:title></office:meta></office:document-meta>"
    )
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as package:
        package.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        package.writestr("content.xml", content)
        package.writestr("meta.xml", meta)
        package.writestr("META-INF/manifest.xml", manifest or _manifest(kind))
    return file.getvalue()


def _manifest(kind: str) -> str:
    entries = "".join(
        f'<m:file-entry m:full-path="{path}" m:media-type="{media_type}"/>'
        for path, media_type in (
            ("/", f"application/vnd.oasis.opendocument.{kind}"), ("content.xml", "text/xml"), ("meta.xml", "text/xml")
        )
    )  # fmt: skip
    return f'<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{entries}</m:manifest>'


def _joined(part: Part) -> str:
    return " ".join(part.words)


def odf_cells(rows: Sequence[Sequence[str]]) -> str:
    """Rows of a table in OpenDocument's XML."""
    return "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )


def odt(parts: Sequence[Part]) -> bytes:
    """A text document."""
    out = []
    for part in parts:
        if part.kind == "heading":
            out.append(f'<text:h text:outline-level="1">{_joined(part)}</text:h>')
        elif part.kind == "list":
            items = "".join(
                f"<text:list-item><text:p>{' '.join(line)}</text:p></text:list-item>" for line in part.lines
            )
            out.append(f"<text:list>{items}</text:list>")
        elif part.kind == "table":
            out.append(f"<table:table>{odf_cells(part.lines)}</table:table>")
        else:
            out.append(f"<text:p>{_joined(part)}</text:p>")
    return open_document("text", "".join(out))


def ods(parts: Sequence[Part]) -> bytes:
    """A spreadsheet, one sheet per block."""
    sheets = (
        f'<table:table table:name="{number}">{odf_cells(part.lines)}</table:table>' for number, part in enumerate(parts)
    )
    return open_document("spreadsheet", "".join(sheets))


def odp(parts: Sequence[Part]) -> bytes:
    """A presentation, one slide per block."""
    pages = (
        "<draw:page>"
        + "".join(f"<draw:frame><draw:text-box><text:p>{' '.join(line)}</text:p></draw:text-box></draw:frame>"
                  for line in part.lines)
        + "</draw:page>"
        for part in parts
    )  # fmt: skip
    return open_document("presentation", "".join(pages))


def xlsx(parts: Sequence[Part]) -> bytes:
    """A workbook, one sheet per block."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, part in enumerate(parts):
        sheet = book.create_sheet(str(number))
        for line in part.lines:
            sheet.append(list(line))
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def pptx_file(parts: Sequence[Part]) -> bytes:
    """A presentation, one slide per block."""
    deck = pptx.Presentation()
    for part in parts:
        slide = deck.slides.add_slide(deck.slide_layouts[6])
        if part.kind == "table":
            width = max(len(line) for line in part.lines)
            place = (Inches(1), Inches(1), Inches(4), Inches(2))
            table = slide.shapes.add_table(len(part.lines), width, *place).table
            for row, line in enumerate(part.lines):
                for column, word in enumerate(line):
                    table.cell(row, column).text = word
        else:
            box = slide.shapes.add_textbox(Inches(1), Inches(1), Inches(4), Inches(2))
            box.text_frame.text = "\n".join(" ".join(line) for line in part.lines)
    file = BytesIO()
    deck.save(file)
    return file.getvalue()


def _escaped(text: str) -> str:
    """Text of a rich text file: what is not ASCII as numbers of UTF-16."""
    units = text.encode("utf-16-le")
    codes = (int.from_bytes(units[at : at + 2], "little", signed=True) for at in range(0, len(units), 2))
    return "".join(chr(code) if 0 <= code < 128 else f"\\u{code}?" for code in codes)


def rtf(parts: Sequence[Part]) -> bytes:
    """A rich text file."""
    out = ["{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}}{\\stylesheet{\\s1\\outlinelevel0 heading 1;}}"]
    for part in parts:
        if part.kind == "table":
            for line in part.lines:
                cells = "".join(f"{_escaped(word)}\\cell " for word in line)
                out.append(f"\\trowd\\cellx1000\\pard\\intbl {cells}\\row")
        else:
            style = "\\s1" if part.kind == "heading" else ""
            mark = "{\\listtext\\bullet\\tab}" if part.kind == "list" else ""
            lines = part.lines if part.kind == "list" else (tuple(part.words),)
            out.extend(f"\\pard\\plain{style} {mark}{_escaped(' '.join(line))}\\par" for line in lines)
    return "\n".join([*out, "}"]).encode("ascii")


def rst(parts: Sequence[Part]) -> bytes:
    """A reStructuredText file."""
    out = []
    for part in parts:
        lines = [" ".join(line) for line in part.lines]
        if part.kind == "heading":
            out.append(f"{_joined(part)}\n{'=' * (2 * len(_joined(part)) + 4)}")
        elif part.kind == "list":
            out.append("\n".join(f"* {line}" for line in lines))
        elif part.kind == "table":
            rows = "\n".join("   * - " + "\n     - ".join(line) for line in part.lines)
            out.append(f".. list-table::\n\n{rows}")
        else:
            out.append("::\n\n" + "\n".join(f"    {line}" for line in lines) if part.kind == "code" else _joined(part))
    return "\n\n".join(out).encode()


def asciidoc(parts: Sequence[Part]) -> bytes:
    """An AsciiDoc file."""
    out = []
    for part in parts:
        lines = [" ".join(line) for line in part.lines]
        if part.kind == "heading":
            out.append(f"== {_joined(part)}")
        elif part.kind == "list":
            out.append("\n".join(f"* {line}" for line in lines))
        elif part.kind == "table":
            rows = "\n".join("".join(f"|{word} " for word in line) for line in part.lines)
            out.append(f"|===\n{rows}\n|===")
        else:
            out.append("----\n" + "\n".join(lines) + "\n----" if part.kind == "code" else _joined(part))
    return "\n\n".join(out).encode()


def latex(parts: Sequence[Part]) -> bytes:
    """A LaTeX file."""
    out = ["\\documentclass{article}\\begin{document}"]
    for part in parts:
        lines = [" ".join(line) for line in part.lines]
        if part.kind == "heading":
            out.append(f"\\section{{{_joined(part)}}}")
        elif part.kind == "list":
            out.append("\\begin{itemize}" + "".join(f"\n\\item {line}" for line in lines) + "\n\\end{itemize}")
        elif part.kind == "table":
            rows = " \\\\\n".join(" & ".join(line) for line in part.lines)
            out.append(f"\\begin{{tabular}}{{lll}}\n{rows}\n\\end{{tabular}}")
        elif part.kind == "code":
            out.append("\\begin{verbatim}\n" + "\n".join(lines) + "\n\\end{verbatim}")
        else:
            out.append(_joined(part))
    return "\n\n".join([*out, "\\end{document}"]).encode()


def json_file(parts: Sequence[Part]) -> bytes:
    """A JSON file: a list of records."""
    return json.dumps([{"-": [list(line) for line in part.lines]} for part in parts], ensure_ascii=False).encode()


def json_lines(parts: Sequence[Part]) -> bytes:
    """A JSON Lines file: one record per block."""
    return "\n".join(json.dumps({"-": part.words}) for part in parts).encode()


def xml(parts: Sequence[Part]) -> bytes:
    """An XML file."""
    body = "".join(
        "<_>"
        + "".join(f"<_>{' '.join(line)}</_>" for line in part.lines)
        + f"<p>{part.words[0]} <b>{part.words[-1]}</b></p></_>"
        for part in parts
    )  # fmt: skip
    return f"<_>{body}</_>".encode()


def captions(parts: Sequence[Part]) -> bytes:
    """A WebVTT file: one cue per line."""
    lines = [" ".join(line) for part in parts for line in part.lines]
    cues = (
        f"00:{n // 60:02}:{n % 60:02}.000 --> 00:{n // 60:02}:{n % 60:02}.900\n{line}" for n, line in enumerate(lines)
    )
    return ("WEBVTT\n\n" + "\n\n".join(cues)).encode()


WRITERS: dict[str, Callable[[Sequence[Part]], bytes]] = {
    "odt": odt, "ods": ods, "odp": odp, "xlsx": xlsx, "pptx": pptx_file, "rtf": rtf, "rst": rst, "adoc": asciidoc,
    "tex": latex, "json": json_file, "jsonl": json_lines, "xml": xml, "vtt": captions,
}  # fmt: skip
