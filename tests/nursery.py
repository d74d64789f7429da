"""A process that has imported everything and forks processes of the product from itself, so that one costs no second.

`python -m tests.nursery` reads lines of JSON: {"fork": what to do} answers with a number, {"poll": number} with how it
ended. What is forked dies with it.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from rag_app import worker
from rag_app.api.app import PREFIX, create_api
from rag_app.database.migration import upgrade
from rag_app.ingestion import embed
from rag_app.ingestion.language import detect
from rag_app.providers import library, local_embedder
from rag_app.services.context import Context, open_context
from rag_app.settings import Settings, get_settings
from rag_app.telemetry import configure_logging
from tests.tripwires import Trap, Wire, lay

EDGE = "edge-of-the-parts"
PIECE = 4096
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until stdin closes."""
    local_embedder.embed(["warm"])
    detect("What is large is loaded once, before the first fork.")
    if "--providers" in sys.argv:
        library.load()
    _answer(ready=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "fork" in order:
            number = os.fork()
            if number == 0:
                _live(order["fork"])
            _answer(pid=number)
        else:
            pid, status = os.waitpid(order["poll"], os.WNOHANG)
            _answer(status=None if pid == 0 else os.waitstatus_to_exitcode(status))


def _answer(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _live(order: dict[str, Any]) -> None:
    """What a forked process does, to its end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    configure_logging("WARNING", "text")
    wire = Wire(**order["wire"]) if order["wire"] else None
    trap = Trap(Path(order["folder"]), order["number"], wire)
    lay(trap)
    code = 1
    try:
        _ROLES[order["role"]](trap, order)
        code = 0
    finally:
        os._exit(code)


def _work(_: Trap, order: dict[str, Any]) -> None:
    embed.BATCH = int(order["embed_batch"])  # small, so that few passages make many batches
    asyncio.run(worker.main(get_settings()))


def _migrate(_: Trap, order: dict[str, Any]) -> None:
    upgrade(order["url"])


def _send(trap: Trap, order: dict[str, Any]) -> None:
    asyncio.run(_send_all(get_settings(), trap, order))


_ROLES = {"work": _work, "migrate": _migrate, "send": _send}


async def _send_all(settings: Settings, trap: Trap, order: dict[str, Any]) -> None:
    """The API in this process, and a program that sends it requests one by one."""
    async with open_context(settings, pool_size=4) as context:
        living = asyncio.create_task(context.claim.keep())
        await context.claim.number()
        api = create_api(context)
        transport = httpx.ASGITransport(api, client=("127.0.0.1", 50000))
        headers = {"Authorization": f"Bearer {order['key']}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
            for request in order["requests"]:
                await _send_one(context, client, trap, request)
        living.cancel()
        with suppress(asyncio.CancelledError):
            await living


async def _send_one(context: Context, client: httpx.AsyncClient, trap: Trap, request: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": request["id"]} if request["method"] == "POST" else {}
    options: dict[str, Any] = {}
    if "file" in request:
        body = _form(request, Path(request["file"]).read_bytes())
        headers |= {"Content-Type": f"multipart/form-data; boundary={EDGE}", "Content-Length": str(len(body))}
        options["content"] = _pieces(context, trap, body)
    elif "json" in request:
        options["json"] = request["json"]
    answer = await client.request(request["method"], PREFIX + request["path"], headers=headers, **options)
    trap.say(answered=request["id"], status=answer.status_code, body=answer.text[:2000])


def _form(request: dict[str, Any], content: bytes) -> bytes:
    label = f'--{EDGE}\r\nContent-Disposition: form-data; name="external_id"\r\n\r\n{request["name"]}\r\n'
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="files"; filename="{request["name"]}"\r\n\r\n'
    return label.encode() + head.encode() + content + f"\r\n--{EDGE}--\r\n".encode()


async def _pieces(context: Context, trap: Trap, body: bytes) -> AsyncIterator[bytes]:
    """The body in pieces; between two of them lies a step, once something of it is in a file."""
    incoming = context.settings.data_dir / "originals" / "incoming"
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]
        await asyncio.sleep(0)
        if incoming.is_dir() and any(incoming.iterdir()):
            trap.step("call", "body", "before")


if __name__ == "__main__":
    main()
