"""Reads a folder of documents with other people's libraries; runs in an environment of its own, prints JSON."""

import importlib
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any


def _openpyxl(path: Path) -> str:
    book = importlib.import_module("openpyxl").load_workbook(path, read_only=True, data_only=True)
    return "\n".join(" ".join(str(cell) for cell in row if cell is not None) for page in book for row in page.values)


def _calamine(path: Path) -> str:
    book = importlib.import_module("python_calamine").CalamineWorkbook.from_path(str(path))
    rows = (row for name in book.sheet_names for row in book.get_sheet_by_name(name).to_python())
    return "\n".join(" ".join(str(cell) for cell in row if cell != "") for row in rows)


def _pptx(path: Path) -> str:
    out = []
    for slide in importlib.import_module("pptx").Presentation(path).slides:
        for shape in slide.shapes:
            if shape.has_text_frame:
                out.append(shape.text_frame.text)
            elif shape.has_table:
                out.extend(" ".join(cell.text for cell in row.cells) for row in shape.table.rows)
    return "\n".join(out)


def _markitdown(path: Path) -> str:
    return str(_converter().convert(str(path)).text_content)


@lru_cache(maxsize=1)
def _converter() -> Any:
    return importlib.import_module("markitdown").MarkItDown()


def _odfpy(path: Path) -> str:
    body = importlib.import_module("odf.opendocument").load(str(path)).body
    return str(importlib.import_module("odf.teletype").extractText(body))


def _striprtf(path: Path) -> str:
    reader = importlib.import_module("striprtf.striprtf")
    return str(reader.rtf_to_text(path.read_text(encoding="latin-1"), errors="ignore"))


def _docutils(path: Path) -> str:
    quiet = {"report_level": 5, "file_insertion_enabled": False, "raw_enabled": False}
    tree = importlib.import_module("docutils.core").publish_doctree(
        path.read_text(encoding="utf-8"), settings_overrides=quiet
    )
    return str(tree.astext())


def _pylatexenc(path: Path) -> str:
    reader = importlib.import_module("pylatexenc.latex2text").LatexNodes2Text()
    return str(reader.latex_to_text(path.read_text(encoding="utf-8")))


PEERS: dict[str, tuple[tuple[str, Callable[[Path], str]], ...]] = {
    "xlsx": (("openpyxl", _openpyxl), ("python-calamine", _calamine), ("markitdown", _markitdown)),
    "pptx": (("python-pptx", _pptx), ("markitdown", _markitdown)),
    "odt": (("odfpy", _odfpy),),
    "ods": (("odfpy", _odfpy), ("python-calamine", _calamine)),
    "odp": (("odfpy", _odfpy),),
    "rtf": (("striprtf", _striprtf),),
    "rst": (("docutils", _docutils),),
    "tex": (("pylatexenc", _pylatexenc),),
}


def size_mb(distribution: str) -> float:
    """What the files of a library take, without what it needs itself."""
    files = importlib.metadata.files(distribution) or ()
    paths = (Path(str(file.locate())) for file in files)
    return round(sum(path.stat().st_size for path in paths if path.is_file()) / 1e6, 1)


def read_all(folder: Path, ending: str, *, name: str, reader: Callable[[Path], str]) -> dict[str, Any]:
    """Texts by file name (None where the library failed), milliseconds each, and what the first one cost more."""
    texts: dict[str, str | None] = {}
    took: list[float] = []
    for path in sorted(folder.glob(f"*.{ending}")):
        begin = time.perf_counter()
        try:
            texts[path.name] = reader(path)
        except Exception as problem:
            texts[path.name] = None
            print(name, path.name, type(problem).__name__, file=sys.stderr)
        took.append((time.perf_counter() - begin) * 1000)
    return {"texts": texts, "ms": took, "size_mb": size_mb(name), "version": importlib.metadata.version(name)}


def main() -> None:
    """`python _format_peers.py FOLDER`: everything in the folder that some library reads."""
    folder = Path(sys.argv[1])
    found: dict[str, dict[str, Any]] = {}
    for ending, readers in PEERS.items():
        for name, reader in readers:
            try:
                importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
            found.setdefault(ending, {})[name] = read_all(folder, ending, name=name, reader=reader)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
