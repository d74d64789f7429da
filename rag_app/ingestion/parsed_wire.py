"""How a parsed document travels from a parser child to the worker, as JSON that the worker does not trust."""

from itertools import pairwise
from typing import Any, cast, get_args

from rag_app.errors import DocumentFailed, ParserCrashed, RagError, all_codes
from rag_app.ingestion.parsed import Block, BlockKind, PageSpan, ParsedDocument, PlaceSpan, RecognisedPage
from rag_app.retrieval.places import checked

MOST_MESSAGE_CHARS = 500


def packed(parsed: ParsedDocument) -> dict[str, Any]:
    """The document as JSON values."""
    return {
        "text": parsed.text,
        "blocks": [[each.kind, each.char_from, each.char_to, each.level, each.header_to] for each in parsed.blocks],
        "pages": [[each.page, each.char_from, each.char_to] for each in parsed.pages],
        "title": parsed.title,
        "language": parsed.language,
        "metadata": parsed.metadata,
        "warnings": list(parsed.warnings),
        "places": [[each.char_from, each.char_to, each.place] for each in parsed.places],
        "scans": list(parsed.scans),
        "names": list(parsed.names),
    }


def refusal(problem: RagError) -> dict[str, Any]:
    """Why a file could not be read, as JSON values."""
    return {"error": problem.code, "message": problem.message, "scans": problem.details.get("scans", [])}


def raise_refusal(answer: dict[str, Any]) -> None:
    """Raise the error that the child answered with, if it did."""
    if "error" not in answer:
        return
    kind = all_codes().get(str(answer["error"]), DocumentFailed)
    message = _words(answer.get("message") or "")[:MOST_MESSAGE_CHARS]
    if not issubclass(kind, RagError):
        raise DocumentFailed(message)
    scans = answer.get("scans")
    details = {"scans": [each for each in scans if isinstance(each, int)]} if isinstance(scans, list) and scans else {}
    raise kind(message, **details)


def document(answer: dict[str, Any]) -> ParsedDocument:
    """The answer as a document; a refusal as its error. The child is not trusted: everything is checked."""
    raise_refusal(answer)
    try:
        body = answer["document"]
        text = str(body["text"])
        blocks = tuple(_block(*row) for row in body["blocks"])
        pages = tuple(PageSpan(int(page), int(a), int(b)) for page, a, b in body["pages"])
        metadata = {_words(name): _words(value) for name, value in body["metadata"].items()}
        warnings = tuple(_words(each) for each in body["warnings"])
        places = tuple(PlaceSpan(int(a), int(b), checked(_place(place))) for a, b, place in body["places"])
        scans = tuple(int(each) for each in body["scans"])
        names = tuple(_words(each) for each in body["names"])
        title, language = _words(body["title"]), _words(body["language"])
        parsed = ParsedDocument(text, blocks, pages, title, language, metadata, warnings, places, scans, names)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise ParserCrashed() from problem
    spans = [(each.char_from, each.char_to) for kind in (blocks, pages, places) for each in kind]
    if any(not 0 <= start <= end <= len(text) for start, end in spans) or "\x00" in text:
        raise ParserCrashed()
    if any(before.char_to > after.char_from for before, after in pairwise(places)):
        raise ParserCrashed()
    return parsed


def _words(value: object) -> str:
    """Words that are no part of the text: a title may hold a NUL, which no table takes."""
    return str(value).replace("\x00", "")


def _place(given: Any) -> Any:
    return {name: _words(each) if isinstance(each, str) else each for name, each in given.items()}


def recognised_page(answer: dict[str, Any]) -> RecognisedPage:
    """What was recognised on a page, out of JSON values. Raises ParserCrashed."""
    try:
        lines = tuple(
            (str(text), float(x0), float(top), float(x1), float(bottom))
            for text, x0, top, x1, bottom in answer["lines"]
        )
        return RecognisedPage(float(answer["height"]), lines)
    except (KeyError, TypeError, ValueError) as problem:
        raise ParserCrashed() from problem


def _block(kind: str, char_from: int, char_to: int, level: int, header_to: int) -> Block:
    if kind not in get_args(BlockKind):
        raise ValueError(kind)
    return Block(cast(BlockKind, kind), int(char_from), int(char_to), int(level), int(header_to))
