"""A scriptable model provider on a real socket, speaking OpenAI's wire format (and Ollama's list of models).

`python -m tests.provider_double --port 4010` runs it alone, for benches and manual tries.
"""

import argparse
import asyncio
import hashlib
import json
import math
import re
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the double does with one request. The defaults make a short, correct answer."""

    text: str = "All right."
    pieces: tuple[str, ...] | None = None  # how the text is cut into chunks; None = word by word
    first_token_delay_s: float = 0.0
    tokens_per_s: float | None = None  # None = as fast as the socket takes them
    status: int = 200
    error: Body | None = None  # the object under "error" when status is not 200
    headers: dict[str, str] = field(default_factory=dict)
    stall: Literal["before", "midway", None] = None  # says nothing more, but keeps the connection
    cut_after: int | None = None  # breaks the connection after so many chunks
    malformed_after: int | None = None  # sends a broken event after so many chunks
    error_after: int | None = None  # sends an error object inside the stream after so many chunks
    finish_reason: str = "stop"
    usage: tuple[int, int] | None = (11, 7)
    dimensions: int | None = None  # of embeddings; None = the double's own
    lost_rows: int = 0  # so many embeddings are left out
    bad_number: bool = False  # the first embedding holds NaN
    location: str | None = None  # answers with a redirect there
    results: list[Body] | None = None  # of a reranking, as they are; None = by words shared with the query

    def chunks(self) -> Iterator[str]:
        """The text in the pieces in which it is sent."""
        yield from self.pieces if self.pieces is not None else re.findall(r"\s*\S+|\s+$", self.text)


Step = Answer | Callable[["Recorded"], Answer]


@dataclass(slots=True)
class Recorded:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Body
    at: float = field(default_factory=time.monotonic)
    left_early: bool = False  # the client closed the connection before the answer was complete


def rate_limited(retry_after: str | None = "1") -> Answer:
    """429, with Retry-After in seconds or as a date."""
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    return Answer(status=429, headers=headers, error={"message": "Rate limit reached", "type": "requests"})


def server_error(status: int = 500) -> Answer:
    """5xx."""
    return Answer(status=status, error={"message": "The server had an error", "type": "server_error"})


def context_too_long() -> Answer:
    """The prompt is longer than the model's context."""
    message = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
    return Answer(status=400, error=_error(message, "context_length_exceeded"))


def refused_key(echo: str = "") -> Answer:
    """401, as for a wrong or expired key; like real providers it repeats part of the key."""
    return Answer(status=401, error=_error(f"Incorrect API key provided: {echo}.", "invalid_api_key"))


def no_quota() -> Answer:
    """429 of an account without money, which no retry can mend."""
    message = "You exceeded your current quota, please check your plan and billing details."
    return Answer(status=429, error={"message": message, "type": "insufficient_quota", "code": "insufficient_quota"})


def unknown_model(name: str = "nothing") -> Answer:
    """404 for a model that does not exist."""
    return Answer(status=404, error=_error(f"The model `{name}` does not exist.", "model_not_found"))


RERANK_PATHS = ("/v1/rerank", "/v2/rerank")
MARKERS: dict[str, Answer] = {
    "good": Answer("The answer stands in the document [1]."),
    "missing": Answer("The answer stands in the document."),
    "foreign": Answer("The answer stands in the document [99]."),
    "split": Answer(pieces=("The answer stands", " in the document [", "1", "]", ".")),
    "in_code": Answer("Use `items[1]` so:\n\n```python\nvalue = items[1]\n```\n\nThat is all [1]."),
    "thousandfold": Answer("The answer stands in the document " + "[1]" * 1000 + "."),
    "half": Answer(pieces=("The answer stands in the document [", "1"), finish_reason="length"),
    "half_cut": Answer(pieces=("The answer stands in the document [", "1", "]."), cut_after=2),
}


class ProviderDouble:
    """The server. `script()` queues answers; without one every request gets `default`."""

    def __init__(self, *, port: int = 0, dimensions: int = 64, default: Step | None = None) -> None:
        self.dimensions = dimensions
        self.default: Step = default or quote_first_passage
        self.models = ["double-large", "double-small"]
        self.ollama_models = ["llama3.2:latest"]
        self.requests: list[Recorded] = []
        self._queues: dict[str | None, deque[Step]] = defaultdict(deque)
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def base_url(self) -> str:
        """The address a client of OpenAI's wire format needs."""
        return f"http://127.0.0.1:{self._port}/v1"

    def script(self, *steps: Step, model: str | None = None) -> None:
        """Queue what happens with the next requests (of one model, or of any)."""
        self._queues[model].extend(steps)

    def reset(self) -> None:
        """Forget queued answers and recorded requests."""
        self._queues.clear()
        self.requests.clear()

    def start(self) -> "ProviderDouble":
        """Listen; returns when connections are accepted."""
        listening = socket.create_server(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listening, ready), daemon=True, name="provider-double")
        self._thread.start()
        ready.wait(10)
        return self

    def stop(self) -> None:
        """Close the socket and every connection; afterwards the port refuses."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._thread = None

    def __enter__(self) -> "ProviderDouble":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, listening: socket.socket, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=listening))
        ready.set()
        self._loop.run_forever()
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; True when the connection can serve another one."""
        path = request.path.split("?")[0]
        if path == "/api/tags":
            return await _send(writer, {"models": [{"name": name, "model": name} for name in self.ollama_models]})
        if path == "/v1/models":
            return await _send(writer, {"object": "list", "data": [{"id": each} for each in self.models]})
        if path not in ("/v1/chat/completions", "/v1/embeddings", *RERANK_PATHS):
            return await _send(writer, {"error": _error(f"no such path: {path}", "not_found")}, status=404)
        answer = self._next(request)
        if answer.stall == "before" or answer.first_token_delay_s:
            seconds = 3600 if answer.stall == "before" else answer.first_token_delay_s
            if await _client_left(reader, seconds):
                request.left_early = True
                return False
        if answer.location:
            return await _send(writer, {}, status=307, headers={"Location": answer.location})
        if answer.status != 200:
            return await _send(writer, {"error": answer.error}, status=answer.status, headers=answer.headers)
        if path != "/v1/chat/completions":
            made = self._embeddings if path == "/v1/embeddings" else _reranked
            return await _send(writer, made(request.body, answer))
        if request.body.get("stream"):
            request.left_early = not await _Stream(request, answer, reader, writer).send()
            return False
        return await _send(writer, _completion(request.body, answer))

    def _next(self, request: Recorded) -> Answer:
        model = str(request.body.get("model"))
        queue = self._queues.get(model) or self._queues.get(None)
        step = queue.popleft() if queue else self.default
        return step if isinstance(step, Answer) else step(request)

    def _embeddings(self, body: Body, answer: Answer) -> Body:
        texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
        dimensions = answer.dimensions or body.get("dimensions") or self.dimensions
        rows: list[list[float]] = [embed_text(str(text), dimensions) for text in texts]
        if answer.bad_number:
            rows[0][0] = math.nan
        data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
        count = sum(len(str(text).split()) for text in texts)
        usage = {"prompt_tokens": count, "total_tokens": count}
        return {"object": "list", "model": body["model"], "data": data[answer.lost_rows :], "usage": usage}


class _Stream:
    """One streamed answer as server-sent events."""

    def __init__(
        self, request: Recorded, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._request, self._answer, self._reader, self._writer = request, answer, reader, writer

    async def send(self) -> bool:
        """Send everything the answer asks for; False when the client left before the end."""
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._writer.write(head.encode())
        answer = self._answer
        for n, piece in enumerate(answer.chunks()):
            if answer.cut_after == n:
                self._writer.transport.abort()
                return True
            if answer.malformed_after == n:
                await self._raw('data: {"id": "x", "choices": [{"delta": {"conte\n\n')
            if answer.error_after == n:
                await self._event({"error": {"message": "The server is overloaded", "type": "server_error"}})
            if (answer.stall == "midway" and n == 1 and await _client_left(self._reader, 3600)) or await self._left():
                return False
            await self._event(self._chunk({"role": "assistant", "content": piece}, None))
        await self._event(self._chunk({}, answer.finish_reason))
        if answer.usage and (self._request.body.get("stream_options") or {}).get("include_usage"):
            await self._event({**self._chunk({}, None), "choices": [], "usage": _usage(answer)})
        await self._raw("data: [DONE]\n\n")
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        return True

    async def _left(self) -> bool:
        pause = 1 / self._answer.tokens_per_s if self._answer.tokens_per_s else 0
        return await _client_left(self._reader, pause)

    def _chunk(self, delta: Body, finish_reason: str | None) -> Body:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        model = self._request.body["model"]
        return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}

    async def _event(self, body: Body) -> None:
        await self._raw(f"data: {json.dumps(body)}\n\n")

    async def _raw(self, text: str) -> None:
        data = text.encode()
        self._writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self._writer.drain()


def quote_first_passage(request: Recorded) -> Answer:
    """The default behaviour: the first sentence of the passage numbered 1 with its marker, if the prompt has one."""
    prompt = "\n".join(str(message.get("content", "")) for message in request.body.get("messages", []))
    found = re.search(r"\[1\][^\n]*\n+(.{20,400}?[.!?。](?=\s|$))", prompt, re.DOTALL)
    return Answer(f"{found.group(1).strip()[:-1]} [1]." if found else "All right.")


def embed_text(text: str, dimensions: int) -> list[float]:
    """A deterministic vector of length 1: every word is hashed to a direction, so shared words mean similarity."""
    row = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [""]:
        digest = hashlib.sha256(word.encode()).digest()
        for start in range(0, 24, 3):
            row[int.from_bytes(digest[start : start + 2]) % dimensions] += 1.0 if digest[start + 2] & 1 else -1.0
    length = math.sqrt(sum(value * value for value in row))
    return [value / length for value in row] if length else [1.0] + [0.0] * (dimensions - 1)


def refusing_url() -> str:
    """A base URL at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}/v1"


def _error(message: str, code: str) -> Body:
    return {"message": message, "type": "invalid_request_error", "param": None, "code": code}


def _usage(answer: Answer) -> Body | None:
    if answer.usage is None:
        return None
    prompt, completion = answer.usage
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _reranked(body: Body, answer: Answer) -> Body:
    """In the wire format of Cohere and Jina, best first."""
    asked, results = set(str(body["query"]).lower().split()), answer.results
    if results is None:
        shared = [len(asked & set(str(text).lower().split())) / len(asked) for text in body["documents"]]
        order = sorted(range(len(shared)), key=lambda n: -shared[n])
        results = [{"index": n, "relevance_score": shared[n]} for n in order]
    return {"id": "r1", "results": results}


def _completion(body: Body, answer: Answer) -> Body:
    message = {"role": "assistant", "content": "".join(answer.chunks())}
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    full = {"id": "c1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
    return {**full, "usage": _usage(answer)} if answer.usage else full


async def _client_left(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Wait; True as soon as the client has closed its side."""
    if not seconds:
        await asyncio.sleep(0)
        return reader.at_eof()
    try:
        async with asyncio.timeout(seconds):
            return not await reader.read(1)
    except TimeoutError:
        return False


async def _read_request(reader: asyncio.StreamReader) -> Recorded | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
    }
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Recorded(method, path, headers, json.loads(raw) if raw else {})


async def _send(
    writer: asyncio.StreamWriter, body: Body, *, status: int = 200, headers: dict[str, str] | None = None
) -> bool:
    data = json.dumps(body).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
    head = f"HTTP/1.1 {status} Said\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(head.encode() + b"\r\n" + data)
    await writer.drain()
    return True


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4010)
    parser.add_argument("--first-token-ms", type=float, default=0)
    parser.add_argument("--tokens-per-s", type=float, default=None)
    parser.add_argument("--text", default="")
    asked = parser.parse_args()

    def step(request: Recorded) -> Answer:
        text = asked.text or quote_first_passage(request).text
        return Answer(text, first_token_delay_s=asked.first_token_ms / 1000, tokens_per_s=asked.tokens_per_s)

    double = ProviderDouble(port=asked.port, default=step).start()
    print(double.base_url, flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        double.stop()


if __name__ == "__main__":
    main()
