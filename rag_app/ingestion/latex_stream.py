"""The tokens of a LaTeX source one after the other, with a look ahead and a way to put characters back."""

import re
from collections.abc import Callable, Iterable

from rag_app.ingestion.latex_tokens import Token


class TokenStream:
    """Gives the tokens of a source in order."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = list(tokens)
        self._place = 0

    def next(self) -> Token | None:
        """The next token, None at the end."""
        token = self.peek()
        self._place += token is not None
        return token

    def peek(self) -> Token | None:
        """The token that `next` will give."""
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def put_back(self, text: str) -> None:
        """What is left of the token given last comes again."""
        self._place -= 1
        self._tokens[self._place] = Token("text", text)

    def begins_group(self) -> bool:
        """Whether an argument in braces comes next, perhaps behind white space; that is passed over."""
        while (token := self.peek()) is not None and token.kind == "text" and not token.text.strip():
            self._place += 1
        if token is None or token.kind != "open":
            return False
        self._place += 1
        return True

    def source_until(self, ends: Callable[[Token], bool]) -> str:
        """The source up to the token that ends it, which is taken."""
        out: list[str] = []
        while (token := self.next()) is not None and not ends(token):
            out.append(source_of(token))
        return _tight("".join(out))

    def optional(self) -> str:
        """An argument in brackets, if one comes next."""
        token = self.peek()
        if token is None or token.kind != "text" or not token.text.startswith("["):
            return ""
        out: list[str] = []
        while (token := self.next()) is not None and token.kind != "blank":
            head, closing, tail = token.text.partition("]") if token.kind == "text" else (source_of(token), "", "")
            out.append(head)
            if closing:
                if tail:
                    self.put_back(tail)
                break
        return "".join(out).removeprefix("[")


def source_of(token: Token) -> str:
    """A token as it stood in the source."""
    if token.kind == "command":
        return f"\\{token.text} "
    return f"\\{token.text}" if token.kind == "symbol" else token.text


def _tight(source: str) -> str:
    """Source without the spaces behind commands that need none."""
    return re.sub(r"(\\[a-zA-Z@]+\*?) (?![a-zA-Z])", r"\1", source)
