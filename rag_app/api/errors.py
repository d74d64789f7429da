"""One table from error code to status, and one shape for every error that leaves through the API."""

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, IntegrityError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rag_app.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    NotReady,
    RagError,
    RateLimited,
    TooLarge,
    Unauthenticated,
    UnsupportedType,
)
from rag_app.telemetry import current_request_id, log

STATUS: dict[str, int] = {
    "validation_error": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "bot_paused": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "busy": 409,
    "same_name": 409,
    "version_gone": 410,
    "stream_expired": 410,
    "stopped": 409,
    "too_large": 413,
    "unsupported_type": 415,
    "idempotency_mismatch": 422,
    "mixed_embedding_models": 422,
    "rate_limited": 429,
    "budget_exhausted": 429,
    "internal_error": 500,
    "bad_setting": 500,
    "cannot_start": 500,
    "provider_error": 502,
    "interrupted": 503,
    "not_ready": 503,
    "provider_timeout": 504,
    "storage_full": 507,
    "storage_unwritable": 507,
    # Why a document ended as failed; as the answer to a request only when all of it was refused.
    "unreadable": 422,
    "damaged_file": 422,
    "encrypted_file": 422,
    "password_needed": 422,
    "password_wrong": 422,
    "empty_file": 422,
    "no_text": 422,
    "mislabelled_file": 422,
    "too_much_content": 422,
    "parser_timeout": 422,
    "parser_memory": 422,
    "parser_crashed": 422,
    "cancelled": 422,
    "fetch_failed": 422,
    "blocked_address": 422,
}
_OF_STATUS: dict[int, type[RagError]] = {
    400: InvalidInput,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    413: TooLarge,
    415: UnsupportedType,
    422: InvalidInput,
    429: RateLimited,
    503: NotReady,
}
_RETRY_WHEN_NOT_READY_S = 5
_MOST_PROBLEMS = 20
_OUR_FAULT = "Something went wrong on the server. Its log has the reason under this request_id."


def status_of(problem: RagError) -> int:
    """The HTTP status of an error; one without a place in the table is our own fault."""
    return STATUS.get(problem.code, 500)


def error_body(problem: RagError, request_id: str) -> dict[str, Any]:
    """The error as the contract writes it; nothing of a setting or of our own fault leaves the server."""
    hidden = problem.code in ("internal_error", "bad_setting", "cannot_start")
    message = _OUR_FAULT if hidden else problem.message
    details = {} if hidden else problem.details
    return {"error": {"code": problem.code, "message": message, "details": details, "request_id": request_id}}


def error_headers(problem: RagError) -> dict[str, str]:
    """The headers that belong to an error."""
    headers = {"Cache-Control": "no-store"}
    if isinstance(problem, RateLimited):
        headers["Retry-After"] = str(max(1, problem.retry_after_s))
    if isinstance(problem, NotReady):
        headers["Retry-After"] = str(_RETRY_WHEN_NOT_READY_S)
    if isinstance(problem, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="rag_app"'
    return headers


def error_response(problem: RagError) -> Response:
    """The error as an answer, marked with the id of the request under way."""
    body = error_body(problem, current_request_id())
    return JSONResponse(body, status_of(problem), headers=error_headers(problem))


def translate(problem: Exception) -> RagError:
    """Any exception as one of our errors."""
    if isinstance(problem, RagError):
        return problem
    if isinstance(problem, RequestValidationError):
        return _invalid(problem)
    if isinstance(problem.__cause__, RagError):  # raised while the framework read the body
        return problem.__cause__
    if isinstance(problem, HTTPException):
        kind = _OF_STATUS.get(problem.status_code, RagError)
        return InvalidInput(str(problem.detail)) if kind is InvalidInput else kind()
    if isinstance(problem, DataError | UnicodeEncodeError):  # a value that passed the shapes but fits no column
        return InvalidInput("A value is out of range.")
    if isinstance(problem, IntegrityError):  # somebody else was faster
        return Conflict()
    return RagError()


def _invalid(problem: RequestValidationError) -> InvalidInput:
    fields = [
        {
            "field": ".".join(str(part) for part in each["loc"]),
            "problem": str(each["msg"]).removeprefix("Value error, "),
        }
        for each in problem.errors()[:_MOST_PROBLEMS]
    ]
    shown = "; ".join(f"{each['field']}: {each['problem']}" for each in fields[:3])
    return InvalidInput(f"The request is not valid: {shown}.", fields=_printable(fields))


def _printable(fields: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: text.encode("utf-8", "replace").decode()[:300] for name, text in each.items()} for each in fields]


async def answer_error(_: Request, problem: Exception) -> Response:
    """The handler for every exception whose place is known; what is not is caught by the frame around the API."""
    known = translate(problem)
    if status_of(known) >= 500:
        log.warning("request_failed", code=known.code, error=type(problem).__name__)
    headers = getattr(problem, "headers", None) or {}
    response = error_response(known)
    if "Allow" in headers:
        response.headers["Allow"] = headers["Allow"]
    return response


def install_error_handlers(api: FastAPI) -> None:
    """Let every error of this application leave in the one shape."""
    for kind in (RagError, RequestValidationError, HTTPException, DataError, IntegrityError, UnicodeEncodeError):
        api.add_exception_handler(kind, answer_error)
