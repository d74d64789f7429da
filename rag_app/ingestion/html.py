"""Reads web pages: the main text of an article page, everything visible of any other."""

import logging
import re
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from rag_app.errors import NoText, TooMuchContent
from rag_app.ingestion.draft import Draft, one_line
from rag_app.ingestion.html_frame import main_part, strip_frame
from rag_app.ingestion.html_walk import Walker, cell_grid
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.tables import pipe_table

MAX_HTML_CHARS = 30_000_000
# Which of two readings stands for a page; measured, see docs/sources.md.
_ARTICLE_CHARS = 250
_ARTICLE_SHARE = 0.1  # of what is visible; a shorter article was not found but missed
_TECHNICAL = "pre, code, kbd, samp, var, dt"
_TECHNICAL_TAGS = 3  # so many, or so much text in code and tables, and the page is documentation
_REFERENCE_SHARE = 0.08
# Programs that make documentation and nothing else: a page of theirs without code is documentation too.
_GENERATORS = re.compile(
    r"docbook|sphinx|mkdocs|docusaurus|asciidoctor|antora|doxygen|gitbook|honkit|mdbook|vitepress|vuepress|javadoc|"
    r"jsdoc|typedoc|rustdoc|makeinfo|texinfo|latex2html|pkgdown|bookdown|quarto",
    re.IGNORECASE,
)
_LANGUAGE = re.compile(r"[a-zA-Z]{2}(?=$|[-_])")


def parse_html(source: str) -> ParsedDocument:
    """Text, headings, lists, tables and code of a page. Raises NoText when nothing of it is visible."""
    if len(source) > MAX_HTML_CHARS:
        raise TooMuchContent()
    tree = LexborHTMLParser(source)
    title, metadata = _title(tree), _metadata(tree)
    framed = strip_frame(tree)
    part = main_part(tree)
    draft = Walker().read(part) if part is not None else Draft()
    if part is not None and not _is_generated(tree) and not _is_documentation(part, draft):
        article = _article(source)
        if article is not None and len(article) >= max(_ARTICLE_CHARS, _ARTICLE_SHARE * len(draft)):
            draft = article
    if not len(draft) and framed:  # a page that is nothing but navigation is better than nothing
        whole = LexborHTMLParser(source).body
        draft = Walker().read(whole) if whole is not None else draft
    if not len(draft):
        raise NoText("The page holds no visible text; perhaps it is drawn by scripts.")
    return draft.finish(title=title, metadata=metadata)


def _is_generated(tree: LexborHTMLParser) -> bool:
    """Whether a program for documentation made the page."""
    node = tree.css_first("meta[name=generator]")
    return node is not None and _GENERATORS.search(_attribute(node, "content")[:200]) is not None


def _is_documentation(part: LexborNode, draft: Draft) -> bool:
    """Whether the structure of a page counts: the finder of articles would lose most of its code and tables."""
    if draft.share("code", "table") >= _REFERENCE_SHARE:
        return True
    return len(part.css(_TECHNICAL)) >= _TECHNICAL_TAGS


def _title(tree: LexborHTMLParser) -> str:
    for selector, name in (("meta[property='og:title']", "content"), ("title", ""), ("h1", "")):
        node = tree.css_first(selector)
        text = _attribute(node, name) if node is not None and name else node.text() if node is not None else ""
        if text and text.strip():
            return one_line(text)
    return ""


def _metadata(tree: LexborHTMLParser) -> dict[str, str]:
    found = {}
    for key, selector, name in (
        ("canonical", "link[rel=canonical]", "href"),
        ("description", "meta[name=description]", "content"),
        ("author", "meta[name=author]", "content"),
        ("language", "html", "lang"),
    ):
        node = tree.css_first(selector)
        value = one_line(_attribute(node, name)) if node is not None else ""
        if value:
            found[key] = value[:1000]
    if "language" in found:
        code = _LANGUAGE.match(found["language"])
        found["language"] = code.group().lower() if code else ""
    return {key: value for key, value in found.items() if value}


def _attribute(node: LexborNode, name: str) -> str:
    return node.attributes.get(name) or ""


def _article(source: str) -> Draft | None:
    """The main text as trafilatura finds it, None when it finds none."""
    from trafilatura import bare_extraction  # half a second to import, and only article pages need it

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    try:
        found: Any = bare_extraction(source, include_comments=False, include_tables=True, with_metadata=False)
    except (ValueError, AttributeError, TypeError, RecursionError):  # it trips over some broken pages
        return None
    body = getattr(found, "body", None)
    if body is None:
        return None
    draft = Draft()
    for element in body.iter("head", "p", "list", "table", "code", "quote", "ab"):
        if _is_nested(element, body):
            continue
        _add_element(draft, element)
    return draft


def _is_nested(element: Any, body: Any) -> bool:
    outer = element.getparent()
    while outer is not None and outer is not body:
        if outer.tag in ("head", "p", "list", "table", "code", "quote", "ab"):
            return True
        outer = outer.getparent()
    return False


def _add_element(draft: Draft, element: Any) -> None:
    if element.tag == "head":
        level = str(element.get("rend", "h2"))[-1]
        draft.add("heading", one_line(_content(element)), level=int(level) if level in "123456" else 2)
    elif element.tag == "list":
        items = (one_line(_content(item)) for item in element.iter("item"))
        draft.add("list", "\n".join(f"- {item}" for item in items if item))
    elif element.tag == "table":
        rows = [[_content(cell) for cell in row.iter("cell")] for row in element.iter("row")]
        text, header_chars = pipe_table(cell_grid(rows))
        draft.add("table", text, header_chars=header_chars)
    elif element.tag == "code":
        draft.add("code", _content(element))
    else:
        draft.add("paragraph", "\n".join(one_line(line) for line in _content(element).split("\n") if line.strip()))


def _content(element: Any) -> str:
    for line_break in element.iter("lb"):
        line_break.tail = "\n" + (line_break.tail or "")
    return "".join(element.itertext())
