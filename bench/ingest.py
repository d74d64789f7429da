"""How quickly documents become searchable: from the first byte of the upload over REST to the last passage."""

import argparse
import json
import os
import time
from pathlib import Path

from bench._search_server import running_server

RESULTS = Path(__file__).with_name("results")


def main(argv: list[str]) -> int:
    """Upload the filings of pdf_sec10q to a fresh server and print the figures; 0 also when the data is missing."""
    parser = argparse.ArgumentParser(prog="scripts/bench ingest", description=__doc__)
    parser.add_argument("--files", type=int, default=0, help="only so many files")
    wanted = parser.parse_args(argv)
    folder = Path(os.environ.get("RAG_BENCH_DATA", "../shared/bench")) / "pdf_sec10q" / "pdfs"
    paths = sorted(folder.glob("*.pdf"))[: wanted.files or None]
    if not paths:
        print(f"missing: {folder} (set RAG_BENCH_DATA); skipped")
        return 0
    with running_server() as client:
        base = client.create("Filings")
        began = time.perf_counter()
        client.upload(base, paths)
        uploaded = time.perf_counter() - began
        client.wait(base)
        seconds = time.perf_counter() - began
        documents = client.documents(base)
    pages = sum(each["pages"] or 0 for each in documents)
    passages = sum(each["passages"] for each in documents)
    figures = {
        "files": len(paths),
        "pages": pages,
        "passages": passages,
        "upload_s": round(uploaded, 1),
        "searchable_s": round(seconds, 1),
        "pages_per_s": round(pages / seconds, 1),
        "passages_per_s": round(passages / seconds, 1),
    }
    for name, value in figures.items():
        print(f"{name:<16} {value}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ingest.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0
