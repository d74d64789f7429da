"""Completes the OpenAPI description: who may call, and which refusals each call can meet; and shows it as a page."""

from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse

from rag_app.api.shapes import ErrorAnswer
from rag_app.services.sessions import COOKIE

Json = dict[str, Any]
METHODS = ("get", "put", "post", "delete", "patch")
# Calls that anybody may make, and those that tell callers who are known more.
OPEN = frozenset(
    {
        "GET /api/v1/health", "POST /api/v1/auth/token", "POST /api/v1/auth/session", "DELETE /api/v1/auth/session",
        "GET /api/v1/auth/setup", "POST /api/v1/auth/setup", "POST /api/v1/auth/invitation", "POST /api/v1/auth/reset",
    }
)  # fmt: skip
HALF_OPEN = frozenset({"GET /api/v1/ready", "GET /api/v1/metrics"})
_ASKS_MODELS = ("/chat", "/query", "/regenerate", "/models/test")
# What follows from no rule below.
_MORE: dict[str, tuple[int, ...]] = {
    "POST /api/v1/knowledge-bases": (404,),
    "PATCH /api/v1/knowledge-bases/{knowledge_base_id}": (409,),
    "POST /api/v1/knowledge-bases/{knowledge_base_id}/documents": (415, 507),
    "GET /api/v1/documents/{document_id}/text": (409, 410),
    "POST /api/v1/documents/{document_id}/versions": (409, 415, 507),
    "GET /api/v1/documents/{document_id}/versions/{from_version}/diff/{to_version}": (409, 410),
    "POST /api/v1/documents/{document_id}/versions/{version_id}/restore": (410,),
    "POST /api/v1/documents/{document_id}/edits": (410, 507),
    "POST /api/v1/edits/{edit_id}/resolve": (410,),
    "POST /api/v1/knowledge-bases/{knowledge_base_id}/notes": (507,),
    "PUT /api/v1/notes/{document_id}": (409, 507),
    "PATCH /api/v1/sources/{source_id}": (409,),
    "GET /api/v1/sources/{source_id}/pages/{page_id}/diff": (409,),
    "POST /api/v1/bots": (404,),
    "PATCH /api/v1/bots/{bot_id}": (409,),
    "DELETE /api/v1/bots/{bot_id}": (409,),
    "POST /api/v1/query": (404,),
    "GET /api/v1/messages/{message_id}/stream": (410,),
    "PATCH /api/v1/people/{user_id}": (409,),
    "DELETE /api/v1/people/{user_id}": (409,),
    "PATCH /api/v1/providers/{provider_id}": (409,),
    "DELETE /api/v1/providers/{provider_id}": (409,),
    "POST /api/v1/models/test": (404,),
}
_WORDS = {
    400: "The address or the Host header is not valid",
    401: "It is not known who calls",
    403: "Known, but not allowed to do this kind of thing",
    404: "Not there, or not yours",
    409: "Does not go together with what is there, or something is still under way",
    410: "It was there and is gone",
    413: "Larger than the server accepts",
    415: "This type is not read",
    422: "The input is not valid; `details` says where",
    429: "Too many attempts; `Retry-After` says when",
    500: "A fault of ours; the log has the request id",
    502: "The model provider answered with an error",
    503: "The server is starting, or its database is away",
    504: "The model provider did not answer in time",
    507: "The disk is full; nothing was lost",
}


class DescribedApi(FastAPI):
    """FastAPI with a complete description."""

    def openapi(self) -> Json:
        """The description; made once."""
        if self.openapi_schema is None:
            complete(super().openapi())
        return self.openapi_schema or {}


def complete(schema: Json) -> None:
    """Add to a description what the framework cannot know."""
    parts = schema.setdefault("components", {})
    known = parts.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        known.pop(name, None)
    shape = ErrorAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
    known |= shape.pop("$defs")
    known["ErrorAnswer"] = shape
    parts["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (`rk_…`) or a token"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Set by the console"},
    }
    for path, operations in schema["paths"].items():
        for method in METHODS:
            if method in operations:
                known |= _own_shapes(operations[method])
                _complete_operation(f"{method.upper()} {path}", operations[method])


def _own_shapes(operation: Json) -> Json:
    """The shapes that a route wrote into its body itself, taken out of it."""
    content = operation.get("requestBody", {}).get("content", {})
    return {name: each for kind in content.values() for name, each in kind.get("schema", {}).pop("$defs", {}).items()}


def _complete_operation(call: str, operation: Json) -> None:
    known: list[Json] = [{"bearer": []}, {"cookie": []}]
    if call in HALF_OPEN:
        known.insert(0, {})
    operation["security"] = [] if call in OPEN else known
    answers = operation["responses"]
    answers.pop("422", None)
    for status in sorted(refusals(call, operation)):
        answers[str(status)] = {
            "description": _WORDS[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
        }


def refusals(call: str, operation: Json) -> set[int]:
    """The statuses, from 400 on, that a call can answer with."""
    method, _, path = call.partition(" ")
    found = {400, 422, 500, *_MORE.get(call, ())}
    if path != "/api/v1/health":
        found.add(503)
    if call not in OPEN and path != "/api/v1/ready":
        found |= {401, 403}
    if path.startswith("/api/v1/auth/") and method == "POST":
        found |= {401, 403, 404, 409, 429}
    if path == "/api/v1/auth/session":
        found.add(403)
    if "{" in path:
        found.add(404)
    if method != "GET":
        found.add(409)  # something is in its way: the same Idempotency-Key at work, another transaction
    if "requestBody" in operation:
        found.add(413)
    if path.endswith(_ASKS_MODELS):
        found |= {429, 502, 504}
    return found


# --- the page ---------------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
summary { cursor: pointer; padding: .3rem 0 } code, pre { font: 13px/1.45 ui-monospace, monospace }
pre { overflow-x: auto; padding: .6rem; border: 1px solid #8885; border-radius: 4px }
details { border-bottom: 1px solid #8883 } details > :not(summary) { margin-inline-start: 1rem }
.m { display: inline-block; min-width: 4rem; font-weight: 600 } h2 { margin-top: 2rem; text-transform: capitalize }
"""


async def reference_page(request: Request) -> HTMLResponse:
    """The description for people: no script and nothing from elsewhere, so that it works on every machine."""
    schema = request.app.openapi()
    grouped: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method in METHODS:
            if method in operations:
                tag = (operations[method].get("tags") or [""])[0]
                grouped.setdefault(tag, []).append(_entry(method, path, operations[method], schema))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(entries)}" for tag, entries in grouped.items())
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>REST API</title><style>{_STYLE}</style><h1>REST API</h1>"
        f"<p>The same for programs: <a href='openapi.json'>openapi.json</a>.</p>{body}</html>"
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def _entry(method: str, path: str, operation: Json, schema: Json) -> str:
    lines = [f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"]
    for each in operation.get("parameters", ()):
        told = escape(each.get("description", ""))
        lines.append(f"<p><code>{escape(each['name'])}</code> in {each['in']}. {told}</p>")
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        lines.append(f"<p>Body, {escape(kind)}</p><pre>{escape(_outline(content.get('schema', {}), schema))}</pre>")
    for status, answer in operation["responses"].items():
        lines.append(f"<p><code>{status}</code> {escape(answer['description'])}</p>")
        shown = answer.get("content", {}).get("application/json", {}).get("schema")
        if shown and int(status) < 400:
            lines.append(f"<pre>{escape(_outline(shown, schema))}</pre>")
    title = f"<span class=m>{method.upper()}</span> <code>{escape(path)}</code>"
    return f"<details><summary>{title}</summary>{''.join(lines)}</details>"


def _outline(shape: Json, schema: Json, depth: int = 0) -> str:
    """A shape as a person would jot it down."""
    if "$ref" in shape:
        shape = schema["components"]["schemas"].get(shape["$ref"].rsplit("/", 1)[1], {})
    choices = shape.get("anyOf") or shape.get("oneOf")
    if choices:
        return " | ".join(_outline(each, schema, depth) for each in choices)
    if "enum" in shape or "const" in shape:
        return " | ".join(repr(each) for each in shape.get("enum", [shape.get("const")]))
    if shape.get("type") == "array":
        return f"[{_outline(shape.get('items', {}), schema, depth)}, …]"
    if "properties" in shape and depth < 4:
        pad, needed = "  " * (depth + 1), shape.get("required", ())
        rows = [
            f"{pad}{name}{'' if name in needed else '?'}: {_outline(each, schema, depth + 1)}"
            for name, each in shape["properties"].items()
        ]
        return "{\n" + "\n".join(rows) + "\n" + "  " * depth + "}"
    return str(shape.get("format") or shape.get("type") or "any")
