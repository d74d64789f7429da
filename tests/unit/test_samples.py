"""The sample documents: they can be read, and the PDF says what the docs say."""

import importlib.util
from pathlib import Path

import pytest

from rag_app.ingestion.parse import parse

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "rag_app" / "samples"
DOCUMENTS = sorted(path for path in SAMPLES.iterdir() if path.suffix in (".md", ".pdf"))


def test_the_pdf_is_made_from_the_docs_as_they_are() -> None:
    spec = importlib.util.spec_from_file_location("handbook", ROOT / "scripts" / "handbook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.handbook()
    assert (SAMPLES / "handbook.pdf").read_bytes() == made, "run .venv/bin/python scripts/handbook.py"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_sample_can_be_read(path: Path) -> None:
    read = parse(path, filename=path.name)
    assert read.title
    assert read.language == "en"
    assert sum(block.kind == "heading" for block in read.blocks) >= 4


def test_the_pdf_keeps_names_in_one_piece_and_knows_its_pages() -> None:
    read = parse(SAMPLES / "handbook.pdf", filename="handbook.pdf")
    assert "RAG_DATABASE_DIRECT_URL" in read.text
    assert "user reset-password" in read.text
    assert [page.page for page in read.pages] == list(range(1, len(read.pages) + 1))
    assert len(read.pages) >= 4


def test_there_are_questions_to_begin_with() -> None:
    questions = (SAMPLES / "questions.txt").read_text(encoding="utf-8").splitlines()
    assert len(questions) >= 3
    assert all(question.endswith("?") and len(question) < 80 for question in questions)
