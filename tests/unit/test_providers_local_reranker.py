"""A reranker on this machine: its real child process with a tiny ONNX model, and the download of its files."""

import base64
import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from rag_app.errors import FetchFailed, InvalidInput, NotFound, ProviderError, ProviderTimeout
from rag_app.providers.local_reranker import close_rerankers, rerank
from rag_app.providers.reranker_files import MODEL, TOKENIZER, download, is_there
from rag_app.settings import get_settings

NAME = "local/tiny"
# Counts how often the token 7 is attended to: Equal, Cast, Mul, ReduceSum over input_ids and attention_mask.
COUNTS_SEVENS = base64.b64decode(
    "CAg62wIKKRIFc2V2ZW4iCENvbnN0YW50KhYKBXZhbHVlKgoIARAHOgEHQgFzoAEECigSBGF4aXMiCENvbnN0YW50KhYKBXZhbHVl"
    "KgoIARAHOgEBQgFhoAEECh0KCWlucHV0X2lkcwoFc2V2ZW4SAmlzIgVFcXVhbAoYCgJpcxIBZiIEQ2FzdCoJCgJ0bxgBoAECCiQK"
    "DmF0dGVudGlvbl9tYXNrEgFtIgRDYXN0KgkKAnRvGAGgAQIKDwoBZgoBbRICZm0iA011bAouCgJmbQoEYXhpcxIGbG9naXRzIglS"
    "ZWR1Y2VTdW0qDwoIa2VlcGRpbXMYAaABAhIGY291bnRzWh0KCWlucHV0X2lkcxIQCg4IBxIKCgMSAWIKAxIBdFoiCg5hdHRlbnRp"
    "b25fbWFzaxIQCg4IBxIKCgMSAWIKAxIBdGIZCgZsb2dpdHMSDwoNCAESCQoDEgFiCgIIAUIECgAQEQ=="
)
WORDS = ["[PAD]", "[UNK]", "when", "is", "the", "paid", "lamp", "refund"]


def put_files(folder: Path, model: bytes = COUNTS_SEVENS) -> None:
    """A model whose score is the number of times “refund” stands in question and passage."""
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(model)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / TOKENIZER))


@pytest.fixture(autouse=True)
async def _children_end() -> AsyncIterator[None]:
    yield
    await close_rerankers()


async def scores(data_dir: Path, *texts: str, timeout_s: float = 30) -> list[float | None]:
    return await rerank("when is the refund paid", texts, model=NAME, data_dir=data_dir, timeout_s=timeout_s)


async def test_the_child_scores_question_and_passage_together(tmp_path: Path) -> None:
    put_files(tmp_path / "models" / "tiny")
    assert await scores(tmp_path, "the lamp", "the refund is paid", "refund refund") == [1.0, 2.0, 3.0]
    many = [f"word {n} " + "refund " * n for n in range(20)]
    assert await scores(tmp_path, *many) == [1.0 + n for n in range(20)]


async def test_an_answer_that_comes_late_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    put_files(tmp_path / "models" / "tiny")
    with pytest.raises(ProviderTimeout):
        await scores(tmp_path, "refund", timeout_s=0.01)  # the child is only starting
    assert await scores(tmp_path, "the lamp", "refund") == [1.0, 2.0]


async def test_what_is_missing_or_damaged_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="python -m rag_app reranker tiny"):
        await scores(tmp_path, "refund")
    put_files(tmp_path / "models" / "tiny", model=b"no model")
    with pytest.raises(ProviderError, match=r"damaged|broke off"):
        await scores(tmp_path, "refund")
    with pytest.raises(InvalidInput):
        is_there(tmp_path, "local/../secret")


# --- download ---------------------------------------------------------------------------------------------------


class _Hub(http.server.BaseHTTPRequestHandler):
    """Publishes both files of every model; the model only while it is `open`."""

    open = True

    def do_GET(self) -> None:
        there = self.path.endswith(TOKENIZER) or type(self).open
        body = b"x" * 5000 if there else b""
        self.send_response(200 if there else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    _Hub.open = True
    yield _Hub
    server.shutdown()
    server.server_close()
    get_settings.cache_clear()


async def test_files_are_downloaded_with_progress_and_only_what_is_missing(hub: type[_Hub], tmp_path: Path) -> None:
    model, told = "local/ms-marco-minilm-l6", list[tuple[str, int, int]]()
    hub.open = False
    with pytest.raises(FetchFailed):
        await download(tmp_path, model, lambda *each: told.append(each))
    assert not is_there(tmp_path, model)
    assert told[-1] == (TOKENIZER, 5000, 5000)
    hub.open = True
    told.clear()
    folder = await download(tmp_path, model, lambda *each: told.append(each))
    assert is_there(tmp_path, model) and {name for name, _, _ in told} == {MODEL}
    assert sorted(path.name for path in folder.iterdir()) == [MODEL, TOKENIZER]
    with pytest.raises(NotFound):
        await download(tmp_path, "local/nothing", lambda *_: None)
