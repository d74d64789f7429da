"""A Git repository of the test's own, served over smart HTTP by the program that ships with Git."""

import base64
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.served import Served

GIT = shutil.which("git") or ""
Answer = Callable[[str, bytes], tuple[int, dict[str, str], bytes] | None]
needs_git = pytest.mark.skipif(not GIT, reason="Git is not installed")


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    line: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Repository:
    """A working folder whose commits are served."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, *options: str) -> "Repository":
        """An empty repository."""
        folder.mkdir(parents=True)
        names = {f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(folder)}
        made = cls(folder, {**os.environ, **names, **quiet})
        made.git("init", "-q", "-b", "main", *options)
        made.git("config", "uploadpack.allowFilter", "true")
        return made

    def git(self, *words: str, content: bytes | None = None) -> str:
        """Run Git; what it prints."""
        done = subprocess.run(
            [GIT, *words], cwd=self.folder, env=self.environment, input=content, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def put(self, path: str, content: str | bytes) -> None:
        """Write a file."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self) -> str:
        """Commit all that is there; the id of the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")


class GitServer(Served):
    """Serves the repositories below a folder. `answer` may answer instead (None = as usual)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[Asked] = []
        self.token = ""  # "" = open to everybody
        self.answer: Answer = lambda *_: None
        super().__init__(self._visitor())

    def posts(self) -> list[bytes]:
        """What was posted so far; forgotten by asking."""
        found = [each.body for each in self.asked if each.line.startswith("POST")]
        self.asked.clear()
        return found

    def serve(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        """The answer to a request."""
        self.asked.append(asked)
        canned = self.answer(asked.line, asked.body)
        if canned is not None:
            return canned
        given = asked.headers.get("authorization", "").removeprefix("Basic ")
        if self.token and not base64.b64decode(given).decode().endswith(f":{self.token}"):
            return 401, {"WWW-Authenticate": "Basic"}, b"who are you?"
        method, target = asked.line.split(" ")[:2]
        path, _, query = target.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": asked.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(asked.body)),
            "GIT_PROTOCOL": asked.headers.get("git-protocol", ""),
        }
        done = subprocess.run([GIT, "http-backend"], input=asked.body, env=environment, capture_output=True)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        return int(fields.pop("Status", "200").split(" ")[0]), fields, body

    def _visitor(server) -> type[BaseHTTPRequestHandler]:
        class Visitor(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, fields, content = server.serve(Asked(self.requestline, headers, body))
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        return Visitor
