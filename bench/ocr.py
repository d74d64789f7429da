"""How well and how fast scanned pages are read: pages with a text layer are turned into pictures and read by OCR."""

import argparse
import asyncio
import io
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pypdfium2
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from bench._installation import descendants, write_result
from rag_app.ingestion.recognition import is_installed
from rag_app.ingestion.sandbox import ParserPool

SCAN_DPI = 200
TIMEOUT_S = 300.0


def scanned(path: Path, target: Path) -> str:
    """Write the first page as a picture; the words that were on it."""
    document = pypdfium2.PdfDocument(path)
    page = document[0]
    width, height = page.get_size()
    picture = io.BytesIO()
    page.render(scale=SCAN_DPI / 72).to_pil().convert("RGB").save(picture, "JPEG", quality=80)
    words = page.get_textpage().get_text_bounded()
    canvas = Canvas(str(target), pagesize=(width, height))
    canvas.drawImage(ImageReader(picture), 0, 0, width, height)
    canvas.save()
    document.close()
    return str(words)


def found_share(wanted: str, read: str) -> float:
    """The share of words that were read exactly."""
    words, seen = Counter(wanted.split()), Counter(read.split())
    return sum((words & seen).values()) / max(1, sum(words.values()))


def resident_mb() -> float:
    """Memory of the largest process below this one."""
    sizes = [0.0]
    for pid in descendants(os.getpid()):
        try:
            sizes.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
        except OSError:
            continue
    return max(sizes)


async def measured(paths: list[Path]) -> list[dict[str, Any]]:
    """One row per page."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        async with ParserPool(1) as pool:
            for path in paths:
                target = Path(folder) / "scan.pdf"
                wanted = scanned(path, target)
                began = time.perf_counter()
                page = await pool.recognise(target, page=1, password=None, timeout_s=TIMEOUT_S)
                seconds = time.perf_counter() - began
                read = " ".join(line[0] for line in page.lines)
                rows.append({"file": path.name, "words": len(wanted.split()), "share": found_share(wanted, read),
                             "seconds": round(seconds, 1), "mb": round(resident_mb())})  # fmt: skip
    return rows


def main(argv: list[str]) -> int:
    """Print the table; 0 also when the extra or the data is missing."""
    parser = argparse.ArgumentParser(prog="scripts/bench ocr", description=__doc__)
    parser.add_argument("--pages", type=int, default=10)
    wanted = parser.parse_args(argv)
    folder = Path(os.environ.get("RAG_BENCH_DATA", "../shared/bench")) / "pdf_extract" / "icdar2013"
    paths = sorted(folder.glob("*.pdf"))
    if not is_installed() or not paths:
        print("the OCR extra is not installed (scripts/install ocr); skipped" if paths else f"missing: {folder}")
        return 0
    chosen = paths[:: max(1, len(paths) // wanted.pages)][: wanted.pages]
    rows = asyncio.run(measured(chosen))
    for row in rows:
        print(f"{row['file']:<16}{row['words']:>6} words {row['share']:>7.1%} {row['seconds']:>6} s {row['mb']:>5} MB")
    words = sum(row["words"] for row in rows)
    figures = {
        "pages": len(rows),
        "words": words,
        "words read exactly": round(sum(row["share"] * row["words"] for row in rows) / max(1, words), 4),
        "seconds per page": round(sum(row["seconds"] for row in rows) / max(1, len(rows)), 1),
        "most memory, MB": max((row["mb"] for row in rows), default=0),
    }
    for name, value in figures.items():
        print(f"{name:<22}{value}")
    write_result("ocr", {**figures, "rows": rows})
    return 0
