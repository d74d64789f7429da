"""What a document is called: what a person chose, else what it says of itself, told apart by its file name."""

import re
from pathlib import PurePath

LONGEST = 200


def title_of(*, given: str, filename: str, found: str, is_paged: bool) -> str:
    """The title of a file. `given` is the file name unless a person chose something else.

    Titles found in PDFs are often forms' names that many files share, so the file name is added where it says more.
    """
    if given and given != filename:
        return given
    stem = PurePath(filename).stem.replace("_", " ").strip() or filename
    if not found:
        return stem
    if not is_paged or _words(stem) <= _words(found):
        return found[:LONGEST]
    return f"{found[:LONGEST]} ({stem})"


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))
