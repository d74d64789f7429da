"""Measures the readers of office files and markup: words, rows, headings kept, and speed, beside other libraries.

The same documents, made of abstracts of SciFact, are written in every format, and read by rag_app and, in an
environment of their own whose Python `--peers` names, by other people's libraries.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.parse import indel_ratio
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument
from tests.written import WRITERS, Part

RESULTS = Path(__file__).parent / "results" / "formats.json"
_PEERS = Path(__file__).parent / "_format_peers.py"
_DOCUMENTS = 12
_ABSTRACTS = 5
_PEERS_LIMIT_S = 900
_WORD = re.compile(r"\w+")
# Words that a markup language would read as something else are left out where they would have to be escaped.
_PLAIN = re.compile(r"[\w.,;()-]+")
_WITH_TABLES = frozenset({"odt", "ods", "xlsx", "pptx", "rtf", "rst", "adoc", "tex"})
_WITH_HEADINGS = frozenset({"odt", "rtf", "rst", "adoc", "tex"})


def documents(data: Path) -> list[list[Part]]:
    """Documents of headings, paragraphs, lists and tables; the words of each are those of some abstracts."""
    with (data / "scifact" / "corpus.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(next(file)) for _ in range(_DOCUMENTS * _ABSTRACTS)]
    return [
        [part for row in rows[at : at + _ABSTRACTS] for part in _parts(row["title"], row["text"])]
        for at in range(0, len(rows), _ABSTRACTS)
    ]


def _parts(title: str, text: str) -> list[Part]:
    sentences = [tuple(_PLAIN.findall(sentence)) for sentence in re.split(r"(?<=[.!?])\s+", text)]
    sentences = [words for words in sentences if words]
    words = [word for word in _PLAIN.findall(text) if any(char.isalpha() for char in word)][:24]
    rows = tuple(tuple(words[at : at + 3]) for at in range(0, len(words) - len(words) % 3, 3))
    return [
        Part("heading", (tuple(_PLAIN.findall(title)),)),
        *(Part("paragraph", (sentence,)) for sentence in sentences[:3]),
        *([Part("list", tuple(sentences[3:]))] if sentences[3:] else []),
        *([Part("table", rows)] if len(rows) > 1 else []),
    ]


def words_kept(parts: Sequence[Part], text: str) -> tuple[float, float]:
    """The longest common sequence of words, as a share of those written and as a share of those read."""
    codes: dict[str, str] = {}

    def coded(words: Sequence[str]) -> str:
        return "".join(codes.setdefault(word, chr(0x10000 + len(codes))) for word in words)

    written = coded(_WORD.findall(" ".join(" ".join(part.words) for part in parts)))
    read = coded(_WORD.findall(text))
    common = indel_ratio(written, read) * (len(written) + len(read)) / 2
    return common / len(written), common / len(read) if read else 0.0


def rows_kept(parts: Sequence[Part], text: str) -> float | None:
    """Share of the rows of tables whose words stand on one line, in order; None without tables."""
    lines = {" ".join(_WORD.findall(line)) for line in text.split("\n")}
    rows = [" ".join(_WORD.findall(" ".join(row))) for part in parts if part.kind == "table" for row in part.lines]
    return sum(row in lines for row in rows) / len(rows) if rows else None


def headings_kept(parts: Sequence[Part], parsed: ParsedDocument) -> float:
    """Share of the headings that are headings of the document that was read."""
    found = {
        " ".join(_WORD.findall(parsed.text[block.char_from : block.char_to]))
        for block in parsed.blocks
        if block.kind == "heading"
    }
    wanted = [" ".join(_WORD.findall(" ".join(part.words))) for part in parts if part.kind == "heading"]
    return sum(each in found for each in wanted) / len(wanted)


def _own(folder: Path, ending: str, made: Sequence[Sequence[Part]]) -> dict[str, Any]:
    words, rows, headings, took = [], [], [], []
    for number, parts in enumerate(made):
        path = folder / f"{number:03}.{ending}"
        begin = time.perf_counter()
        parsed = parse(path, filename=path.name)
        took.append((time.perf_counter() - begin) * 1000)
        words.append(words_kept(parts, parsed.text))
        rows.append(rows_kept(parts, parsed.text) if ending in _WITH_TABLES else None)
        headings.append(headings_kept(parts, parsed))
    kept = _mean(headings) if ending in _WITH_HEADINGS else None
    return _line("rag_app", words, rows, took) | {"headings": kept, "size_mb": 0.0}


def _peer(name: str, read: dict[str, Any], made: Sequence[Sequence[Part]]) -> dict[str, Any]:
    texts = [read["texts"][file] for file in sorted(read["texts"])]
    words = [words_kept(parts, text or "") for parts, text in zip(made, texts, strict=True)]
    rows = [rows_kept(parts, text or "") for parts, text in zip(made, texts, strict=True)]
    return _line(f"{name} {read['version']}", words, rows, read["ms"]) | {
        "headings": None, "size_mb": read["size_mb"], "failed": sum(text is None for text in texts)
    }  # fmt: skip


def _line(
    name: str, words: Sequence[tuple[float, float]], rows: Sequence[float | None], took: Sequence[float]
) -> dict[str, Any]:
    return {
        "reader": name,
        "words": _mean([kept for kept, _ in words]),
        "own": _mean([own for _, own in words]),
        "rows": _mean([row for row in rows if row is not None]),
        "ms": round(statistics.median(took), 1),
        "first_ms": round(took[0], 1),
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 4) if values else None


def measure(data: Path, peers_python: str) -> dict[str, list[dict[str, Any]]]:
    """One list of readers per format."""
    made = documents(data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ending, write in WRITERS.items():
            for number, parts in enumerate(made):
                (folder / f"{number:03}.{ending}").write_bytes(write(parts))
        peers = _read_by_peers(folder, peers_python)
        return {
            ending: [
                _own(folder, ending, made),
                *(_peer(reader, read, made) for reader, read in peers.get(ending, {}).items()),
            ]
            for ending in WRITERS
        }


def _read_by_peers(folder: Path, python: str) -> dict[str, Any]:
    if not python:
        print("skipped: other libraries (--peers names no Python that has them)")
        return {}
    done = subprocess.run(
        [python, str(_PEERS), str(folder)], check=True, stdout=subprocess.PIPE, timeout=_PEERS_LIMIT_S
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and write the JSON beside it."""
    parser = argparse.ArgumentParser(prog="python -m bench formats", description=__doc__)
    parser.add_argument("--peers", default="", help="the Python of an environment with other libraries")
    peers_python: str = parser.parse_args(argv).peers
    data = Path(os.environ.get("RAG_BENCH_DATA", "../shared/bench"))
    if not (data / "scifact").is_dir():
        print(f"skipped: {data / 'scifact'} is missing")
        return 0
    results = measure(data, peers_python)
    print(
        f"{_DOCUMENTS} documents in each format; words, rows, headings: 1 = all kept; own: share of what was read that"
    )
    print("is of the document (names of sheets, keys and paths are not); ms: median of a document, with its language")
    print(
        f"{'format':7}{'reader':26}{'words':>8}{'own':>8}{'rows':>8}{'headings':>10}{'ms':>8}{'first ms':>10}{'MB':>8}"
    )
    for ending, readers in results.items():
        for each in readers:
            figures = [
                each["words"],
                each["own"],
                each["rows"],
                each["headings"],
                each["ms"],
                each["first_ms"],
                each["size_mb"],
            ]
            shown = ["–" if figure is None else str(figure) for figure in figures]
            widths = (8, 8, 8, 10, 8, 10, 8)
            cells = "".join(figure.rjust(width) for figure, width in zip(shown, widths, strict=True))
            failed = f"  {each['failed']} failed" if each.get("failed") else ""
            print(f"{ending:7}{each['reader']:26}{cells}{failed}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
