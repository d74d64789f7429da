"""The bundled embedder: WordLlama's static 256-dimensional embeddings, read from its wheel, never from a network.

The weights are mapped, not loaded, so that all processes of the product share one copy in memory, and `wordllama`
itself is not imported, because its import reconfigures logging and pulls in an HTTP client.
"""

import importlib.util
import json
import struct
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NAME = "local/wordllama-256"
DIMENSIONS = 256
_BATCH = 256
_loading = threading.Lock()


def embed(texts: Sequence[str]) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Embed texts: one float32 row of 256 numbers and length 1 per text (a text without a token gets zeros).

    Blocking (about 0.4 ms a passage); give large batches to a thread.
    """
    import numpy as np

    weights, tokenizer = _model()
    rows = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    for start in range(0, len(texts), _BATCH):
        batch = list(texts[start : start + _BATCH])
        for offset, encoding in enumerate(tokenizer.encode_batch_fast(batch, add_special_tokens=False)):
            if encoding.ids:
                rows[start + offset] = weights[encoding.ids].mean(axis=0, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    np.divide(rows, lengths, out=rows, where=lengths > 0)
    return rows


def warm() -> None:
    """Load the model now (about 0.2 s), so that the first question need not wait for it."""
    _model()


def _model() -> tuple[Any, Any]:
    with _loading:
        return _load()


@lru_cache(maxsize=1)
def _load() -> tuple[Any, Any]:
    from tokenizers import Tokenizer

    folder = _package_folder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _mapped_weights(folder / "weights" / "l2_supercat_256.safetensors"), tokenizer


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
    return np.memmap(path, dtype=np.float16, mode="r", offset=offset, shape=tuple(tensor["shape"]))
