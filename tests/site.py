"""A small website on a real socket: pages, headers and faults as the test sets them, every request counted."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.served import Served


@dataclass
class Answer:
    """What an address answers."""

    body: bytes = b""
    status: int = 200
    media_type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    has_etag: bool = True


class Site(Served):
    """Serves `pages` (path -> Answer). An unchanged page with an ETag answers 304 to who knows it."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.is_down = False
        super().__init__(self._visitor())

    def put(self, path: str, text: str = "", *links: str, **answer: object) -> None:
        """Put a page with a heading, a text and links."""
        anchors = "".join(f'<p><a href="{each}">to {each}</a></p>' for each in links)
        body = f"<html><head><title>{path}</title></head><body><h1>{path}</h1><p>{text}</p>{anchors}</body></html>"
        self.pages[path] = Answer(body.encode(), **answer)  # type: ignore[arg-type]  # named by the test

    def _visitor(site) -> type[BaseHTTPRequestHandler]:
        class Visitor(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked[self.path] += 1
                found = site.pages.get(self.path) or Answer(b"nothing here", 404)
                if site.is_down:
                    found = Answer(b"away", 502)
                tag = f'"{hashlib.sha256(found.body).hexdigest()[:16]}"'
                if found.status == 200 and found.has_etag and self.headers.get("If-None-Match") == tag:
                    found = Answer(b"", 304)
                self.send_response(found.status)
                self.send_header("Content-Length", str(len(found.body)))
                if found.status == 200:
                    self.send_header("Content-Type", found.media_type)
                    if found.has_etag:
                        self.send_header("ETag", tag)
                for name, value in found.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(found.body)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        return Visitor
