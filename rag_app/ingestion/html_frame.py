"""Takes away what surrounds the content of a web page: navigation, footers, side columns, cookie banners."""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

_FRAME = (
    "nav, footer, aside, [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=complementary], "
    "body > header"
)
# Named as navigation; taken away only when it mostly consists of links.
_NAMED = ", ".join(
    f'[{place}*="{word}"]'
    for place in ("class", "id")
    for word in ("nav", "Nav", "breadcrumb", "sidebar", "menu", "pagination", "pager", "skip", "footer", "related")
)
_CONSENT = ", ".join(
    f'[{place}*="{word}"]'
    for place in ("class", "id")
    for word in ("cookie", "Cookie", "consent", "Consent", "gdpr", "onetrust")
)
_CONTENT = "main, article, [role=main], h1"
_MAIN = "main, [role=main]"
_LINKS = 0.5  # share of text that links, or says where they lead, from which a thing named as navigation is navigation
_LEAST_MAIN = 0.3  # share of the text that the main part must hold to be taken for it
_LONGEST_BANNER = 3_000
_LONGEST_STRIP = 1_000  # longer navigation holds many links, which are enough to know it by
_SPACE = re.compile(r"\s+")


def strip_frame(tree: LexborHTMLParser) -> bool:
    """Remove the frame of a page in place; True when there was one."""
    found = False
    for node in tree.css(_FRAME):
        if node.css_first("main, article, [role=main]") is None:
            node.decompose()
            found = True
    titled = tree.css_first("title")
    title = _text(titled) if titled is not None else ""
    for node in tree.css(_NAMED):
        if node.tag not in ("html", "body", "main", "article") and _is_navigation(node, title):
            node.decompose()
            found = True
    for node in tree.css(_CONSENT):
        if node.tag not in ("html", "body", "main", "article") and _is_banner(node):
            node.decompose()
    return found


def _is_navigation(node: LexborNode, title: str) -> bool:
    text = _text(node)
    return not text or (node.css_first(_CONTENT) is None and _leading(node, text, title) >= _LINKS * len(text))


def _is_banner(node: LexborNode) -> bool:
    is_asking = node.css_first("button, input, [role=button]") is not None
    return is_asking and node.css_first(_CONTENT) is None and _length(node) <= _LONGEST_BANNER


def main_part(tree: LexborHTMLParser) -> LexborNode | None:
    """The part that the page itself calls its main one, if it is one and holds enough; else the body."""
    body = tree.body
    named = tree.css(_MAIN)
    if body is None or len(named) != 1:
        return body
    return named[0] if _length(named[0]) >= _LEAST_MAIN * _length(body) else body


def _leading(node: LexborNode, text: str, title: str) -> int:
    """How much of a text links or, in a short one, names this page or where a link leads ("Next … Installation")."""
    links = node.css("a[href]")
    linked = [_text(link) for link in links]
    length = sum(len(each) for each in linked)
    if not links or len(text) > _LONGEST_STRIP:
        return length
    names = {_one_line(link.attributes.get("title") or "") for link in links} | {title}
    return length + sum(len(name) for name in names.difference(linked) if name in text)


def _length(node: LexborNode) -> int:
    return len(_text(node))


def _text(node: LexborNode) -> str:
    return _one_line(node.text() or "")


def _one_line(text: str) -> str:
    return _SPACE.sub(" ", text).strip()
