"""Measures reading: pages per second, what becomes of odd PDF files, exactness of text and of tables."""

import argparse
import asyncio
import itertools
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rag_app.errors import RagError
from rag_app.ingestion.chunk import cut
from rag_app.ingestion.parse import parse
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.sandbox import ParserPool

RESULTS = Path(__file__).parent / "results" / "parse.json"
_HANG_S = 60.0


def speed(data: Path) -> dict[str, Any]:
    """Pages per second, one core, reading and cutting apart, on the filings."""
    pages = passages = 0
    reading = cutting = 0.0
    cpu = time.process_time()
    parse(Path(__file__), filename="warm-up.txt")
    for path in sorted((data / "pdf_sec10q" / "pdfs").glob("*.pdf")):
        begin = time.perf_counter()
        parsed = parse(path, filename=path.name)
        middle = time.perf_counter()
        passages += len(cut(parsed))
        reading, cutting = reading + middle - begin, cutting + time.perf_counter() - middle
        pages += len(parsed.pages)
    cpu = time.process_time() - cpu
    return {"pages": pages, "passages": passages, "pages_per_s": round(pages / reading, 1),
            "pages_per_s_with_cutting": round(pages / (reading + cutting), 1),
            "pages_per_cpu_s_with_cutting": round(pages / cpu, 1)}  # fmt: skip


def robustness(data: Path) -> dict[str, Any]:
    """How each odd file ends, read through the pool of children."""
    return asyncio.run(_robustness(sorted((data / "pdf_robust" / "pdfs").glob("*.pdf"))))


async def _robustness(paths: Sequence[Path]) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    longest = 0.0
    async with ParserPool(1) as pool:
        for path in paths:
            begin = time.perf_counter()
            try:
                await pool.parse(path, filename=path.name, timeout_s=_HANG_S)
                outcomes["opened"] += 1
            except RagError as problem:
                outcomes[problem.code] += 1
            longest = max(longest, time.perf_counter() - begin)
    return {"files": len(paths), **dict(outcomes.most_common()), "longest_s": round(longest, 2)}


def book(data: Path) -> dict[str, Any]:
    """Likeness (Indel ratio, as in the published comparison) of a whole book with its ground truth."""
    folder = data / "pdf_extract" / "pypdf"
    truth = (folder / "GeoTopo-book.ground-truth.txt").read_text(encoding="utf-8")
    path = folder / "GeoTopo-komprimiert.pdf"
    text = parse(path, filename=path.name).text
    normalised = indel_ratio(" ".join(text.split()), " ".join(truth.split()))
    return {"ratio": round(indel_ratio(text, truth), 4), "ratio_spaces_normalised": round(normalised, 4)}


def indel_ratio(one: str, other: str) -> float:
    """2 · longest common subsequence / sum of lengths, by the bit-parallel algorithm of Hyyrö (2004)."""
    if not one or not other:
        return float(one == other)
    places: dict[str, int] = {}
    for number, char in enumerate(one):
        places[char] = places.get(char, 0) | 1 << number
    mask = (1 << len(one)) - 1
    row = mask
    for char in other:
        hits = row & places.get(char, 0)
        row = (row + hits | row - hits) & mask
    return 2 * (len(one) - row.bit_count()) / (len(one) + len(other))


def tables(data: Path) -> dict[str, Any]:
    """Cell recall and adjacency relations (ICDAR 2013) over whole documents, tables to be found by the parser."""
    folder = data / "pdf_extract"
    wanted: dict[str, list[Any]] = {}
    for row in (folder / "icdar2013_tables.jsonl").read_text(encoding="utf-8").splitlines():
        table = json.loads(row)
        wanted.setdefault(table["pdf"], []).append(table)
    right = found = true = cells = seen = 0
    per_file: dict[str, float] = {}
    for path in sorted((folder / "icdar2013").glob("*.pdf")):
        parsed = parse(path, filename=path.name)
        mine = Counter(pair for grid in grids(parsed) for pair in _pairs_of_grid(grid))
        truth: Counter[Any] = Counter()
        squeezed = _squeeze(parsed.text.replace("\\|", "|"))
        for table in wanted.get(path.name, []):
            for region in table["regions"]:
                truth.update(_pairs_of_truth(region["cells"]))
                texts = [_squeeze(cell["text"]) for cell in region["cells"]]
                cells += len([text for text in texts if text])
                seen += sum(text in squeezed for text in texts if text)
        common = sum((mine & truth).values())
        right, found, true = right + common, found + sum(mine.values()), true + sum(truth.values())
        per_file[path.name] = round(2 * common / max(1, sum(mine.values()) + sum(truth.values())), 3)
    precision, recall = right / max(1, found), right / max(1, true)
    return {"cell_recall": round(seen / max(1, cells), 4), "adjacency_precision": round(precision, 4),
            "adjacency_recall": round(recall, 4), "adjacency_f1": round(2 * right / max(1, found + true), 4),
            "f1_by_file": per_file}  # fmt: skip


def grids(parsed: ParsedDocument) -> Iterator[list[list[str]]]:
    """The tables of a document as rows of cells, read back from its text."""
    for block in parsed.blocks:
        if block.kind == "table":
            lines = parsed.text[block.char_from : block.char_to].split("\n")
            rows = [
                re.split(r"(?<!\\)\|", line.strip())[1:-1]
                for line in lines
                if not re.fullmatch(r"[|\s-]+", line) or "---" not in line
            ]
            yield [[_squeeze(cell.replace("\\|", "|")) for cell in row] for row in rows]


def _squeeze(text: str) -> str:
    return re.sub(r"[\s\u00ad]+", "", text).casefold()


def _pairs_of_grid(grid: list[list[str]]) -> Iterator[tuple[str, str, str]]:
    for row in grid:
        filled = [cell for cell in row if cell]
        yield from (("right", one, other) for one, other in itertools.pairwise(filled))
    for column in zip(*grid, strict=False):
        filled = [cell for cell in column if cell]
        yield from (("down", one, other) for one, other in itertools.pairwise(filled))


def _pairs_of_truth(cells: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Nearest filled neighbour to the right and below, once for each pair of cells."""
    place: dict[tuple[int, int], int] = {}
    texts = [_squeeze(cell["text"]) for cell in cells]
    for number, cell in enumerate(cells):
        if texts[number]:
            for row in range(cell["r0"], cell["r1"] + 1):
                for column in range(cell["c0"], cell["c1"] + 1):
                    place[row, column] = number
    height = max((row for row, _ in place), default=0) + 1
    width = max((column for _, column in place), default=0) + 1
    pairs: set[tuple[str, int, int]] = set()
    for way, lines in (
        ("right", [[(row, column) for column in range(width)] for row in range(height)]),
        ("down", [[(row, column) for row in range(height)] for column in range(width)]),
    ):
        for line in lines:
            numbers = [place[spot] for spot in line if spot in place]
            pairs |= {(way, one, other) for one, other in itertools.pairwise(numbers) if one != other}
    for way, one, other in sorted(pairs):
        yield way, texts[one], texts[other]


_PARTS = {"speed": ("pdf_sec10q", speed), "robustness": ("pdf_robust", robustness),
          "book": ("pdf_extract", book), "tables": ("pdf_extract", tables)}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen parts (all by default), print one table, write the JSON beside it."""
    parser = argparse.ArgumentParser(prog="python -m bench.parse", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of: {', '.join(_PARTS)} (default: all)")
    chosen = parser.parse_args(argv).parts or list(_PARTS)
    data = Path(os.environ.get("RAG_BENCH_DATA", "../shared/bench"))
    results: dict[str, Any] = {}
    for name in chosen:
        folder, measure = _PARTS[name]
        if not (data / folder).is_dir():
            print(f"{name:12} skipped: {data / folder} is missing")
            continue
        results[name] = measure(data)
        for key, value in results[name].items():
            if not isinstance(value, dict):
                print(f"{name:12} {key:28} {value}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
