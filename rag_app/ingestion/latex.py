"""Reads LaTeX: sections, lists, tables, code, notes, formulas as their source; nothing is included from elsewhere."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from rag_app.errors import NoText
from rag_app.ingestion.draft import one_line
from rag_app.ingestion.flow import Flow
from rag_app.ingestion.latex_macros import expanded
from rag_app.ingestion.latex_stream import TokenStream
from rag_app.ingestion.latex_tokens import (
    CITES,
    COMMENT,
    DROPPED_VERBATIM,
    SECTIONS,
    SIGNS,
    UNSHOWN,
    VERBATIM,
    Token,
    accented,
    is_accent,
    quoted,
    tokens_of,
)
from rag_app.ingestion.parsed import ParsedDocument

_BODY = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|\Z)", re.S)
_KEPT = "\ue000{}\ue001"
_KEPT_MARK = re.compile("\ue000(\\d+)\ue001")
_LISTS = frozenset({"itemize", "enumerate", "description", "compactitem", "compactenum", "thebibliography"})
_TABLES = frozenset({"tabular", "tabular*", "tabularx", "tabulary", "longtable", "supertabular"})
_FORMULAS = frozenset(
    ["equation", "align", "gather", "multline", "eqnarray", "displaymath", "flalign", "alignat", "math"]
)
_ARGUMENTS = {"tabular": 1, "tabular*": 2, "tabularx": 2, "tabulary": 2, "longtable": 1, "supertabular": 1,
              "minipage": 1, "thebibliography": 1, "multicols": 1, "wrapfigure": 2, "adjustbox": 1,
              "alignat": 1}  # fmt: skip
_NAMED = frozenset(["theorem", "lemma", "definition", "proposition", "corollary", "proof", "example", "remark",
                   "abstract",
                    "exercise", "claim", "conjecture", "axiom", "note", "solution"])  # fmt: skip
_OPTIONS = re.compile(r"\A[ \t]*(?:\[[^\]\n]*\])?(?:\{[^}\n]*\})?")
_DEPTH = 150


@dataclass(slots=True)
class _Level:
    """An environment that is open."""

    name: str
    number: int = 0


def parse_latex(text: str) -> ParsedDocument:
    """The document with its structure. The text must be clean (see encoding.clean). Raises NoText."""
    kept: list[tuple[str, bool]] = []
    text = text.replace("\ue000", "").replace("\ue001", "")

    def keep(found: re.Match[str]) -> str:
        inline = found.group("inline")
        if inline is None and found.group("name") in DROPPED_VERBATIM:
            return ""
        body = (
            inline
            if inline is not None
            else re.sub(r"\A[ \t]*(?:\[[^\]\n]*\])?(?:\{[^}\n]*\})?", "", found.group("body"))
        )
        kept.append((body, inline is None))
        return _KEPT.format(len(kept) - 1)

    source = expanded(COMMENT.sub(r"\1", VERBATIM.sub(keep, text)))
    reader = _Reader(kept)
    body = _BODY.search(source)
    if body:
        reader.preamble(source[: body.start()])
    reader.read(body.group(1) if body else source)
    reader.flow.flush()
    if not len(reader.flow.draft):
        raise NoText("The document holds no text.")
    return reader.flow.draft.finish(title=reader.metadata.get("title", ""), metadata=reader.metadata)


class _Reader:
    """Follows the tokens and writes what they show."""

    def __init__(self, kept: list[tuple[str, bool]]) -> None:
        self.flow = Flow()
        self.metadata: dict[str, str] = {}
        self._kept = kept
        self._stream = TokenStream(())
        self._text: list[str] = []
        self._levels: list[_Level] = []
        self._notes: list[str] = []
        self._marker = ""
        self._rows: list[list[str]] = []
        self._words: dict[str, Callable[[], None]] = {
            "begin": self._begin, "end": self._end, "item": self._item, "bibitem": self._entry,
            "maketitle": self._make_title, "caption": self._caption, "footnote": self._footnote,
            "thanks": self._footnote, "href": self._link, "multicolumn": self._spanned,
            **dict.fromkeys(CITES, self._cite),
        }  # fmt: skip

    def preamble(self, source: str) -> None:
        """Title and author as they are declared."""
        self._stream = TokenStream(tokens_of(source))
        while (token := self._stream.next()) is not None:
            if token.kind == "command" and token.text in ("title", "author", "date"):
                self._declare(token.text)

    def read(self, source: str) -> None:
        """The whole body."""
        self._stream = TokenStream(tokens_of(source))
        while (token := self._stream.next()) is not None:
            self._take(token)
        self._end_paragraph()

    def _take(self, token: Token) -> None:
        if token.kind == "text":
            self._put(token.text)
        elif token.kind == "blank":
            self._end_paragraph()
        elif token.kind == "math":
            self._formula(token.text)
        elif token.kind == "symbol":
            self._symbol(token.text)
        elif token.kind == "command":
            self._command(token.text.rstrip("*") if token.text.rstrip("*") in SECTIONS else token.text)
        elif token.kind == "cell":
            self._end_cell()

    def _put(self, text: str) -> None:
        place = 0
        for found in _KEPT_MARK.finditer(text):
            self._text.append(quoted(text[place : found.start()]))
            body, is_block = self._kept[int(found.group(1))]
            if is_block:
                self._end_paragraph()
                self.flow.code(body.strip("\n"))
            else:
                self._text.append(body)
            place = found.end()
        self._text.append(quoted(text[place:]))

    def _formula(self, mark: str) -> None:
        """A formula stays as its source."""
        source = self._stream.source_until(lambda token: token.kind in ("math", "blank"))
        self._text.append(f"{mark}{source}{mark}")

    def _symbol(self, symbol: str) -> None:
        if symbol in "([":
            self._displayed({"(": ")", "[": "]"}[symbol])
        elif is_accent(symbol):
            self._text.append(accented(symbol, self._letter()))
        elif symbol == "\\":
            self._stream.optional()
            if self._in_table():
                self._end_row()
            else:
                self._text.append("\n")
        elif symbol in "%$&#_{}":
            self._text.append(symbol)
        elif symbol in " ,;:\n":
            self._text.append(" ")

    def _displayed(self, closing: str) -> None:
        source = self._stream.source_until(lambda token: token.kind == "symbol" and token.text == closing)
        self._text.append(f" $${one_line(source)}$$ ")

    def _letter(self) -> str:
        """The letter that an accent is put on."""
        token = self._stream.peek()
        if token is None or token.kind == "open":
            return self._argument()
        self._stream.next()
        if token.kind == "command":
            return SIGNS.get(token.text, "")
        text = token.text.lstrip()
        if len(text) > 1:
            self._stream.put_back(text[1:])
        return text[:1]

    def _command(self, name: str) -> None:
        if name in SIGNS:
            self._text.append(SIGNS[name])
            if name == "par":
                self._end_paragraph()
        elif name in self._words:
            self._words[name]()
        elif name in SECTIONS:
            self._stream.optional()
            self._end_paragraph()
            self.flow.heading(self._argument(), SECTIONS[name])
        elif name in ("title", "author", "date"):
            self._declare(name)
        elif is_accent(name):
            self._text.append(accented(name, self._letter()))
        elif name in UNSHOWN:
            self._skip(UNSHOWN[name])
        else:
            self._stream.optional()

    def _make_title(self) -> None:
        self._end_paragraph()
        self.flow.heading(self.metadata.get("title", ""), 1)

    def _caption(self) -> None:
        self._stream.optional()
        self._notes.append(self._argument())

    def _footnote(self) -> None:
        self._stream.optional()
        self._notes.append(f"Note: {self._argument()}")

    def _cite(self) -> None:
        self._stream.optional()
        self._stream.optional()
        self._text.append(f"[{self._argument()}]")

    def _link(self) -> None:
        self._argument()
        self._text.append(self._argument())

    def _entry(self) -> None:
        self._item()
        self._text.append(f"[{self._argument()}] ")

    def _skip(self, count: int) -> None:
        self._stream.optional()
        for _ in range(count):
            token = self._stream.peek()
            if token is None or token.kind not in ("open", "text", "command"):
                return
            if token.kind == "open":
                self._argument()
            self._stream.optional()

    def _declare(self, name: str) -> None:
        self._stream.optional()
        value = one_line(self._argument())
        if value:
            self.metadata[name] = value[:1000]

    def _argument(self) -> str:
        """The words of the next argument in braces, "" when none comes next."""
        if not self._stream.begins_group():
            return ""
        before, self._text = self._text, []
        level = 1
        while (token := self._stream.next()) is not None:
            level += {"open": 1, "close": -1}.get(token.kind, 0)
            if level == 0:
                break
            if token.kind == "blank":
                self._text.append(" ")
            elif token.kind in ("text", "symbol", "math", "command"):
                self._inside(token)
        text, self._text = "".join(self._text), before
        return text

    def _inside(self, token: Token) -> None:
        """A token within an argument: no blocks begin there."""
        if token.kind == "command" and token.text in ("begin", "end", "item", "maketitle", *SECTIONS):
            return
        if token.kind == "symbol" and token.text == "\\":
            self._text.append(" ")
            return
        if len(self._levels) < _DEPTH:
            self._levels.append(_Level("argument"))
            self._take(token)
            self._levels.pop()

    # --- environments ---

    def _begin(self) -> None:
        name = one_line(self._argument())
        title = self._stream.optional()
        plain = name.rstrip("*")
        if plain in _FORMULAS:
            self._environment_source(name)
            return
        self._skip(_ARGUMENTS.get(name, 0))
        self._end_paragraph()
        if plain in _NAMED:
            self._text.append(f"{plain.capitalize()}{f' ({title})' if title else ''}: ")
        if len(self._levels) < _DEPTH:
            self._levels.append(_Level(name))

    def _environment_source(self, name: str) -> None:
        def ends(token: Token) -> bool:
            return token.kind == "command" and token.text == "end"

        out = self._stream.source_until(ends)
        while (closed := self._argument().strip()) not in (name, ""):
            out += f"\\end{{{closed}}}{self._stream.source_until(ends)}"
        self._end_paragraph()
        self.flow.code(out.strip("\n"))

    def _end(self) -> None:
        name = one_line(self._argument())
        if name in _TABLES:
            self._end_row()
            rows, self._rows = self._rows, []
            self.flow.table([row for row in rows if any(row)])
        else:
            self._end_paragraph()
        names = [level.name for level in self._levels]
        if name in names:
            del self._levels[len(names) - 1 - names[::-1].index(name) :]

    def _lists(self) -> list[_Level]:
        return [level for level in self._levels if level.name in _LISTS]

    def _item(self) -> None:
        self._end_paragraph()
        label = one_line(self._stream.optional())
        lists = self._lists()
        if not lists:
            return
        lists[-1].number += 1
        is_numbered = lists[-1].name in ("enumerate", "compactenum")
        self._marker = f"{lists[-1].number}." if is_numbered else "-"
        if label:
            self._text.append(f"{label}: " if lists[-1].name == "description" else f"{label} ")

    def _end_paragraph(self) -> None:
        if self._in_table():
            self._text.append(" ")
            return
        text, self._text = "".join(self._text), []
        lists = self._lists()
        if self._marker and text.strip():
            self.flow.item(self._marker, text, depth=len(lists) - 1)
            self._marker = ""
        else:
            self.flow.paragraph(text, depth=len(lists))
        notes, self._notes = self._notes, []
        for note in notes:
            self.flow.paragraph(note, depth=len(lists))

    def _in_table(self) -> bool:
        return any(level.name in _TABLES for level in self._levels)

    def _end_cell(self) -> None:
        if not self._in_table():
            return
        if not self._rows:
            self._rows.append([])
        self._rows[-1].append(one_line("".join(self._text)))
        self._text = []

    def _end_row(self) -> None:
        if any(part.strip() for part in self._text) or (self._rows and self._rows[-1]):
            self._end_cell()
        self._text = []
        self._rows.append([])

    def _spanned(self) -> None:
        count = one_line(self._argument())
        self._argument()
        text = self._argument()
        self._text.append(text)
        for _ in range(min(int(count), 100) - 1 if count.isdecimal() else 0):
            self._end_cell()
