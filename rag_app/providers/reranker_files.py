"""The files of rerankers that run on this machine: which there are, where they lie, and how they are downloaded."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rag_app.egress import Limits
from rag_app.errors import InvalidInput, NotFound
from rag_app.providers.library import provider_egress

PREFIX = "local/"
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
_HUB = "https://huggingface.co"
_LIMITS = {MODEL: 1_500_000_000, TOKENIZER: 50_000_000}
_TIMEOUT_S = 1_800.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")

Progress = Callable[[str, int, int], None]  # file, bytes that have come, bytes in all (0 = unknown)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files of a model are published."""

    repository: str
    model: str
    tokenizer: str = TOKENIZER

    def paths(self) -> dict[str, str]:
        """Our name of each file -> its path in the repository."""
        return {TOKENIZER: self.tokenizer, MODEL: self.model}


SOURCES = MappingProxyType(
    {
        "ms-marco-minilm-l6": Source("Xenova/ms-marco-MiniLM-L-6-v2", "onnx/model_quantized.onnx"),
        "ms-marco-minilm-l12": Source("Xenova/ms-marco-MiniLM-L-12-v2", "onnx/model_quantized.onnx"),
        "jina-reranker-v1-tiny-en": Source("jinaai/jina-reranker-v1-tiny-en", "onnx/model_quantized.onnx"),
    }
)


def folder_of(data_dir: Path, model: str) -> Path:
    """Where the files of `local/NAME` lie, whether they are there or not. Raises InvalidInput for another name."""
    name = model.removeprefix(PREFIX)
    if not model.startswith(PREFIX) or not _NAME.fullmatch(name):
        raise InvalidInput(f"“{model[:80]}” is not the name of a local reranker.", field="model")
    return data_dir / "models" / name


def is_there(data_dir: Path, model: str) -> bool:
    """Whether both files of a model lie in its folder; they may have been put there by hand."""
    folder = folder_of(data_dir, model)
    return all((folder / name).is_file() for name in (MODEL, TOKENIZER))


async def download(data_dir: Path, model: str, progress: Progress) -> Path:
    """Fetch what is missing of a model; its folder. Raises NotFound for an unknown name, FetchFailed, InvalidInput.

    The usual variable HF_ENDPOINT names a mirror. A file is complete or not there.
    """
    folder = folder_of(data_dir, model)
    source = SOURCES.get(folder.name)
    if source is None:
        raise NotFound(f"There is no reranker “{folder.name}”; known are {', '.join(SOURCES)}.")
    folder.mkdir(parents=True, exist_ok=True)
    hub = os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")
    for name, path in source.paths().items():
        if (folder / name).is_file():
            continue
        limits = Limits(_LIMITS[name], _TIMEOUT_S, on_bytes=_told(progress, name))
        found = await provider_egress().fetch(f"{hub}/{source.repository}/resolve/main/{path}", limits)
        _write(folder / name, found.body)
    return folder


def _told(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda come, total: progress(name, come, total)


def _write(target: Path, body: bytes) -> None:
    temporary = target.with_suffix(".part")
    with temporary.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
