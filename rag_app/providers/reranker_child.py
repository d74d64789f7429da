"""The child process of a local reranker: reads questions with passages line by line, writes their scores."""

import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
_LONGEST_TOKENS = 512
_AT_ONCE = 8


class CrossEncoder:
    """A model that reads a question and a passage together and says how well they fit."""

    def __init__(self, folder: Path) -> None:
        runtime: Any = importlib.import_module("onnxruntime")  # of the optional requirements
        options = runtime.SessionOptions()
        options.intra_op_num_threads = max(1, (os.cpu_count() or 2) - 1)
        self._session = runtime.InferenceSession(
            str(folder / MODEL), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._wanted = {each.name for each in self._session.get_inputs()}
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.enable_truncation(_LONGEST_TOKENS)
        self._tokenizer.enable_padding()

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score per text; higher is better."""
        found: list[float] = []
        for start in range(0, len(texts), _AT_ONCE):
            encoded = self._tokenizer.encode_batch([(query, text) for text in texts[start : start + _AT_ONCE]])
            given = {
                "input_ids": [each.ids for each in encoded],
                "attention_mask": [each.attention_mask for each in encoded],
                "token_type_ids": [each.type_ids for each in encoded],
            }
            feed = {name: np.asarray(rows, dtype=np.int64) for name, rows in given.items() if name in self._wanted}
            logits = np.asarray(self._session.run(None, feed)[0])
            found += [float(row) for row in logits.reshape(len(encoded), -1)[:, 0]]
        return found


def main(arguments: Sequence[str]) -> int:
    """Serve until stdin ends."""
    model = CrossEncoder(Path(arguments[0]))
    for line in sys.stdin:
        asked = json.loads(line)
        scores = model.scores(asked["query"], asked["texts"])
        sys.stdout.write(json.dumps({"id": asked["id"], "scores": scores}) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
