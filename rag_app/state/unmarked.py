"""Shows text as it reads: without the marks of Markdown, where a quote stands beside its surroundings."""

import re

_RULE_ROW = re.compile(r"^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?[ \t]*(?:\n|\Z)", re.MULTILINE)
_HEADING = re.compile(r"^[ ]{0,3}#{1,6}[ \t]+", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*\|(.*?)\|?[ \t]*$", re.MULTILINE)
_STRONG = re.compile(r"(?<!\w)\*\*(?=\S)([^\n]{1,400}?)(?<=\S)\*\*(?!\w)")


def unmarked(text: str) -> str:
    """The words of a passage without heading signs, table bars and doubled stars; all else stays as it is.

    >>> unmarked("## Hotels\\n\\n**At most** 140")
    'Hotels\\n\\nAt most 140'
    """
    text = _RULE_ROW.sub("", text)
    text = _ROW.sub(lambda row: "  ·  ".join(cell.strip() for cell in row[1].split("|") if cell.strip()), text)
    return _STRONG.sub(r"\1", _HEADING.sub("", text))
