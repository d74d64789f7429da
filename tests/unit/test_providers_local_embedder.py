"""The bundled embedder gives what WordLlama itself gives, and costs nothing until it is used."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_app.providers import local_embedder

_SCRAPS = [" ", "  ", "\u2581", "\n", "<s>", "</s>", "<unk>", "word", "words, ", "1,000", "\u00a0", "\u6e2f", " ."]
TEXTS = ["The quick brown fox", "Ein Hund läuft über die Straße. " * 50, "日本語のテキスト", "emoji 🙂\ttab", "x"]


def test_rows_are_float32_and_of_length_one() -> None:
    rows = local_embedder.embed(TEXTS * 100)
    assert rows.dtype == np.float32
    assert rows.shape == (500, 256)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_text_without_a_token_gives_zeros_not_nan() -> None:
    rows = local_embedder.embed(["", "word"])
    assert not rows[0].any()
    assert np.isfinite(rows).all()
    assert local_embedder.embed([]).shape == (0, 256)


def test_the_row_does_not_depend_on_its_neighbours() -> None:
    together = local_embedder.embed(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        assert np.array_equal(local_embedder.embed([text])[0], row)


def test_similar_meaning_is_nearer_than_foreign_meaning() -> None:
    question, near, far = local_embedder.embed(
        ["How do I get my money back?", "Refunds are paid to the customer's account.", "The glacier melted in summer."]
    )
    assert float(question @ near) > float(question @ far)


def test_it_equals_the_reference_implementation() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wordllama

        folder = Path(wordllama.__file__).parent
        reference = wordllama.WordLlama.load(cache_dir=folder, disable_download=True, dim=256)
        expected = reference.embed(TEXTS, norm=True)
    assert np.allclose(local_embedder.embed(TEXTS), expected, atol=1e-6)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_SCRAPS) | st.text(max_size=6), max_size=12).map("".join))
def test_words_looked_up_one_by_one_give_the_tokens_of_the_whole_text(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    model = local_embedder._model()
    assert model.tokens_of(text) == model._tokenizer.encode(text, add_special_tokens=False).ids


def test_words_are_forgotten_but_for_those_met_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_embedder, "_MOST_WORDS", 10)
    asked: list[str] = []
    words = local_embedder._Words(lambda word: asked.append(word) or [len(word)])  # type: ignore[func-returns-value]  # a note beside
    for number in range(100):
        assert words[" often"] == [5] and words[f" {number}"] == [len(str(number))]
    assert asked.count("often") == 1 and len(words) <= 10


def test_importing_the_module_loads_nothing_heavy() -> None:
    script = (
        "import sys, rag_app.providers.local_embedder\n"
        "print([name for name in ('numpy', 'tokenizers', 'wordllama', 'litellm', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
