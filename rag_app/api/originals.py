"""The bytes of a document as they came in: what a browser may show, and parts of it for viewers that ask for parts."""

import re
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.services import documents
from rag_app.services.documents import Original

router = APIRouter(tags=["documents"])
# Shown inside the browser; everything else is saved. No HTML, no SVG: they could run script on our origin.
INLINE = ("application/pdf", "text/plain")
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


@router.get(
    "/documents/{document_id}/original",
    response_class=Response,
    responses={
        200: {"description": "The whole file, as application/pdf, text/plain or application/octet-stream", **_BYTES},
        206: {"description": "The part that `Range` asked for", **_BYTES},
    },
)
async def original(context: ContextDep, actor: ActorDep, document_id: UUID, request: Request) -> Response:
    """The bytes as they came in. PDF and plain text are shown in the browser, everything else is saved."""
    found = await documents.document_original(context, actor, document_id)
    headers, media_type = _headers(found)
    span = asked_span(request, found.byte_count, headers["ETag"])
    first, last = span or (0, found.byte_count - 1)
    headers["Content-Length"] = str(last - first + 1)
    if span:
        headers["Content-Range"] = f"bytes {first}-{last}/{found.byte_count}"
    content = documents.original_bytes(context, found, first=first, count=last - first + 1)
    return StreamingResponse(content, 206 if span else 200, headers, media_type)


def asked_span(request: Request, size: int, tag: str) -> tuple[int, int] | None:
    """First and last byte of the one part that is asked for; None = all, as for a range that makes no sense here."""
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if match is None or not any(match.groups()) or request.headers.get("if-range", tag) != tag:
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) and size else None
    end = min(int(last), size - 1) if last else size - 1
    return (int(first), end) if int(first) <= end else None


def _headers(found: Original) -> tuple[dict[str, str], str]:
    media_type = found.media_type if found.media_type in INLINE else "application/octet-stream"
    if found.head.startswith(b"%PDF-"):
        media_type = "application/pdf"
    place = "inline" if media_type in INLINE else "attachment"
    headers = {
        "Content-Disposition": f"{place}; filename*=UTF-8''{quote(found.filename, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, max-age=300",
        "Accept-Ranges": "bytes",
        "ETag": f'"{found.version_id}"',
    }
    return headers, "text/plain; charset=utf-8" if media_type == "text/plain" else media_type
