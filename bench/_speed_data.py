"""What the speed table works on: filings, documentation pages, texts and questions, the same for all contestants."""

import glob
import os
import random
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pypdfium2 import PdfDocument

from bench import retrieval_sets as sets

HTML_PACKAGE = "postgresql-doc-15"
WORDS_PER_TEXT = 55


def filings() -> list[Path]:
    """The 20 filings of pdf_sec10q; empty when they are missing."""
    return sorted((sets.data_folder() / "pdf_sec10q" / "pdfs").glob("*.pdf"))


def pages_of(paths: list[Path]) -> int:
    """Pages of PDF files."""
    return sum(len(PdfDocument(path)) for path in paths)


def documentation() -> list[Path]:
    """The HTML pages in the folder RAG_BENCH_HTML, else those of Debian's postgresql-doc-15; empty when unreachable."""
    folder = os.environ.get("RAG_BENCH_HTML") or _unpacked_package()
    return sorted(map(Path, glob.glob(f"{folder}/**/*.html", recursive=True))) if folder else []


def _unpacked_package() -> str:
    folder = Path(tempfile.gettempdir()) / f"rag-bench-{HTML_PACKAGE}"
    if not (folder / "x").is_dir():
        folder.mkdir(exist_ok=True)
        try:
            subprocess.run(["apt-get", "download", HTML_PACKAGE], cwd=folder, check=True, capture_output=True)
            [package] = folder.glob("*.deb")
            subprocess.run(["dpkg", "-x", str(package), str(folder / "x")], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError, ValueError):
            return ""
    return str(folder / "x")


def sentences() -> list[str]:
    """All sentences of the public corpora, to build texts of natural language from."""
    found: list[str] = []
    for name in ("scifact", "squad", "claude_docs"):
        asked = sets.load(name)
        for document in asked.documents if asked else []:
            found.extend(each.strip() for each in re.split(r"(?<=[.!?])\s+", document["text"]) if 20 < len(each) < 400)
    return found


def texts(count: int, *, seed: int = 5) -> Iterator[dict[str, str]]:
    """Short texts of sentences drawn at random; each becomes one passage."""
    source, draw = sentences(), random.Random(seed)
    for number in range(count):
        words: list[str] = []
        while len(words) < WORDS_PER_TEXT:
            words.extend(draw.choice(source).split())
        yield {"external_id": f"text-{seed}-{number}", "title": f"Text {number}", "text": " ".join(words)}


def questions(count: int) -> list[str]:
    """Questions of several kinds, mixed."""
    found: list[str] = []
    for name in ("squad", "scifact", "claude_docs"):
        asked = sets.load(name, questions=count // 3 + 1)
        found.extend(text for _, text in (asked.questions if asked else []))
    random.Random(4).shuffle(found)
    return found[:count]
