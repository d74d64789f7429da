"""The port people come in by: opened before anything starts, kept while the web process is replaced."""

import asyncio
import contextlib
import errno
import socket
import time

from rag_app.errors import StartError

BACKLOG = 1024
PATIENCE_S = 1.5
RETRY_S = 0.1
PROBE_S = 2.0
_NOT_OURS = (errno.EADDRNOTAVAIL, errno.EACCES)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that nobody else shares. Raises StartError with the fix when the port cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as problem:
        raise StartError(f"The address {host} is unknown ({problem.strerror}): set RAG_HOST or --host.") from problem
    deadline = time.monotonic() + PATIENCE_S
    while True:
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(BACKLOG)
            return made
        except OSError as problem:
            made.close()
            # The web process of a supervisor that was just killed may need a moment to go.
            if problem.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise StartError(_explain(problem, host, port)) from problem
        time.sleep(RETRY_S)


def _explain(problem: OSError, host: str, port: int) -> str:
    if problem.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 8000
        return f"Port {port} is taken by another program: stop it, or start with --port {other}."
    if problem.errno in _NOT_OURS:
        return f"{host}:{port} cannot be opened ({problem.strerror}): choose another with --host and --port."
    return f"{host}:{port} cannot be opened: {problem.strerror or problem}."


async def answers(host: str, port: int, path: str) -> bool:
    """True when the web server answers GET with 200 on that path."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(PROBE_S):
            reader, writer = await asyncio.open_connection(target, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
                return (await reader.readline()).split(b" ")[1:2] == [b"200"]
            finally:
                writer.close()
    return False
