"""The bundled embedder: WordLlama's static 256-dimensional embeddings, read from its wheel, never from a network.

The weights are mapped, not loaded, so that all processes of the product share one copy in memory, and `wordllama`
itself is not imported, because its import reconfigures logging and pulls in an HTTP client.
"""

import importlib.util
import json
import re
import struct
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NAME = "local/wordllama-256"
DIMENSIONS = 256
_BATCH = 256
_FEW = 16  # texts that are not worth to keep converted weights for
_MOST_WORDS = 25_000
_LONGEST_WORD = 32  # characters
_WORD = re.compile(" +[^ ]*")
# What the tokenizer takes for a space or for a sign of its own, and a space that nothing follows.
_UNSPLIT = re.compile("\u2581|</?s>|<unk>| \\Z")
_loading = threading.Lock()


def embed(texts: Sequence[str]) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Embed texts: one float32 row of 256 numbers and length 1 per text (a text without a token gets zeros).

    Blocking (about 0.1 ms a passage); give large batches to a thread.
    """
    import numpy as np

    model = _model()
    rows = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    for start in range(0, len(texts), _BATCH):
        batch = list(map(model.tokens_of, texts[start : start + _BATCH]))
        table = model.converted(batch) if len(texts) > _FEW else model.weights
        for offset, ids in enumerate(batch):
            if ids:
                rows[start + offset] = np.add.reduce(table.take(ids, axis=0), axis=0, dtype=np.float32) / len(ids)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    np.divide(rows, lengths, out=rows, where=lengths > 0)
    return rows


def warm() -> None:
    """Load the model now (about 0.2 s), so that the first question need not wait for it."""
    _model()


class _Model:
    """The mapped weights, and the tokenizer with what was met before."""

    def __init__(self, weights: "np.ndarray[Any, np.dtype[Any]]", tokenizer: Any) -> None:
        import numpy as np

        self.weights = weights
        self._tokenizer = tokenizer
        self._words = _Words(self._encoded)
        self._table = np.empty(weights.shape, dtype=np.float32)  # takes no memory until it is written to
        self._is_there = np.zeros(len(weights), dtype=bool)

    def tokens_of(self, text: str) -> list[int]:
        """The tokens of a text. None reaches over a space, so each word can be looked up by itself."""
        if _UNSPLIT.search(text):
            return self._encoded(text)
        words = _WORD.findall(f" {text}") if text else []
        return list(chain.from_iterable(map(self._words.__getitem__, words)))

    def converted(self, batch: Sequence[Sequence[int]]) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """The weights of all tokens of a batch in float32: to convert them takes longer than to add them up."""
        import numpy as np

        wanted = np.unique(np.fromiter(chain.from_iterable(batch), dtype=np.intp))
        new = wanted[~self._is_there[wanted]]
        self._table[new] = self.weights[new]
        self._is_there[new] = True
        return self._table

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


class _Words(dict[str, list[int]]):
    """The tokens of words met lately, each with the space before it; those that come again and again stay."""

    def __init__(self, encoded: Callable[[str], list[int]]) -> None:
        self._encoded = encoded
        self._before: dict[str, list[int]] = {}

    def __missing__(self, word: str) -> list[int]:
        tokens = self._before.get(word)
        if tokens is None:
            tokens = self._encoded(word[1:])  # the tokenizer puts a space before what it gets
        if len(self) >= _MOST_WORDS:
            self._before = dict(self)
            self.clear()
        if len(word) <= _LONGEST_WORD:
            self[word] = tokens
        return tokens


def _model() -> _Model:
    with _loading:
        return _load()


@lru_cache(maxsize=1)
def _load() -> _Model:
    from tokenizers import Tokenizer

    folder = _package_folder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _Model(_mapped_weights(folder / "weights" / "l2_supercat_256.safetensors"), tokenizer)


def _package_folder() -> Path:
    spec = importlib.util.find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package wordllama is not installed")
    return Path(spec.submodule_search_locations[0])


def _mapped_weights(path: Path) -> "np.ndarray[Any, np.dtype[Any]]":
    """The embedding matrix of a safetensors file, mapped read-only (the format: length, JSON header, raw tensors)."""
    import numpy as np

    with path.open("rb") as file:
        (header_length,) = struct.unpack("<Q", file.read(8))
        tensor = json.loads(file.read(header_length))["embedding.weight"]
    if tensor["dtype"] != "F16":
        raise ValueError(f"{path.name} holds {tensor['dtype']}, expected F16")
    offset = 8 + header_length + tensor["data_offsets"][0]
    return np.asarray(np.memmap(path, dtype=np.float16, mode="r", offset=offset, shape=tuple(tensor["shape"])))
