"""The works of the speed table as people build them with LangChain + pgvector or Chroma; runs in their environment.

Reads one JSON request from stdin and prints one JSON answer. The embeddings are the same as the product's own.
"""

import json
import statistics
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
WARM = 50


class Embeddings:
    """WordLlama behind LangChain's interface."""

    def __init__(self) -> None:
        import wordllama

        folder = Path(wordllama.__file__).parent
        self._model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True, dim=256)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A row for each text."""
        return [row.tolist() for row in self._model.embed(texts, norm=True)]

    def embed_query(self, text: str) -> list[float]:
        """The row of a question."""
        return self.embed_documents([text])[0]


def pdf_chunks(paths: list[str]) -> list[Any]:
    """What the usual loader and splitter make of PDF files; a file that the loader cannot read is left out."""
    from langchain_community.document_loaders import PyPDFLoader

    pages = []
    for path in paths:
        try:
            pages.extend(PyPDFLoader(path).load())
        except Exception as problem:  # a peer's failure is a figure of the table
            print(f"{Path(path).name}: {type(problem).__name__}", file=sys.stderr)
    return split(pages)


def html_chunks(paths: list[str]) -> list[Any]:
    """The same of HTML files."""
    from langchain_community.document_loaders import BSHTMLLoader

    return split([page for path in paths for page in BSHTMLLoader(path, open_encoding="utf-8").load()])


def split(pages: list[Any]) -> list[Any]:
    """Passages of about the product's size."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    chunks: list[Any] = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=0).split_documents(pages)
    return chunks


def store_of(peer: str, url: str, embeddings: Embeddings) -> Any:
    """An empty vector store."""
    if peer == "chroma":
        from langchain_chroma import Chroma

        return Chroma("bench", embeddings, persist_directory=tempfile.mkdtemp(prefix="rag-bench-chroma-"))
    from langchain_postgres import PGVector

    return PGVector(embeddings, connection=url, collection_name=f"bench{time.time()}", use_jsonb=True)


def added(store: Any, chunks: list[Any]) -> None:
    """Put passages in, in batches that both stores take."""
    for start in range(0, len(chunks), 1000):
        store.add_documents(chunks[start : start + 1000])


def ingest(peer: str, url: str, paths: list[str], *, kind: str) -> dict[str, float]:
    """From files to searchable passages, with the lexical index where the peer has one."""
    embeddings = Embeddings()
    began = time.perf_counter()
    chunks = pdf_chunks(paths) if kind == "pdf" else html_chunks(paths)
    parsed = time.perf_counter() - began
    added(store_of(peer, url, embeddings), chunks)
    if peer == "langchain":
        lexical_of(chunks)
    seconds = time.perf_counter() - began
    return {"seconds": round(seconds, 1), "of_that_reading": round(parsed, 1), "passages": len(chunks),
            "passages_per_s": round(len(chunks) / seconds, 1)}  # fmt: skip


def lexical_of(chunks: list[Any]) -> Any:
    """LangChain's BM25, which lives in memory."""
    from langchain_community.retrievers import BM25Retriever

    return BM25Retriever.from_documents(chunks, k=10)


def search(peer: str, url: str, texts: list[dict[str, str]], questions: list[str]) -> dict[str, float]:
    """p50 and p95 of one client, and searches per second of eight."""
    from langchain_core.documents import Document

    embeddings = Embeddings()
    chunks = [Document(each["text"], metadata={"id": each["external_id"]}) for each in texts]
    began = time.perf_counter()
    store = store_of(peer, url, embeddings)
    added(store, chunks)
    retriever = store.as_retriever(search_kwargs={"k": 10})
    if peer == "langchain":
        from langchain_classic.retrievers import EnsembleRetriever

        retriever = EnsembleRetriever(retrievers=[lexical_of(chunks), retriever], weights=[0.5, 0.5])
    filled = time.perf_counter() - began
    for question in questions[:WARM]:
        retriever.invoke(question)
    took = []
    for question in questions[WARM:]:
        began = time.perf_counter()
        retriever.invoke(question)
        took.append((time.perf_counter() - began) * 1000)
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as several:
        list(several.map(retriever.invoke, questions))
    rate = len(questions) / (time.perf_counter() - began)
    return {"p50": round(statistics.median(took), 1), "p95": round(statistics.quantiles(took, n=20)[18], 1),
            "searches_per_s_of_8": round(rate, 1), "ingest_passages_per_s": round(len(texts) / filled, 1)}  # fmt: skip


def main() -> None:
    """One request, one answer."""
    asked = json.load(sys.stdin)
    peer, url, given = asked["peer"], asked["url"], asked["given"]
    if asked["work"] == "search":
        answer = search(peer, url, given["texts"], given["questions"])
    else:
        answer = ingest(peer, url, given, kind=asked["work"])
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
