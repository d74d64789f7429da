"""What the running product tells its operator: log lines with a fixed action word, and figures for Prometheus."""

import json
import logging
import math
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LOGGER_NAME = "rag_app"
LONGEST_FIELD = 500
_FIELDS = "rag_fields"
# Everything a terminal or a log collector could take for more than text: C0, DEL, C1, line and paragraph
# separators, and the marks that reverse the reading direction.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ACTION = re.compile(r"[a-z][a-z0-9_]*\Z")

# What a browser has sent, quoted by a library in its complaint.
_QUOTED_EVENT = re.compile(r"(event data:?).*", re.IGNORECASE | re.DOTALL)
# These print to stderr themselves, unless their level has been chosen.
_TALKATIVE = ("engineio.server", "socketio.server")

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """The id of the request (or job) this code runs for; "" outside of one."""
    return _request_id.get()


@contextmanager
def request_scope(request_id: str) -> Iterator[None]:
    """Mark every log line written inside with this id."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


def scrub(value: object) -> str:
    """The value as one harmless line of at most LONGEST_FIELD characters; control characters are written as escapes."""
    text = _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], str(value))
    return text if len(text) <= LONGEST_FIELD else text[: LONGEST_FIELD - 1] + "…"


class Log:
    """Structured logging: a fixed action word and fields. Questions, document text and keys never go into a field."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, action: str, **fields: object) -> None:
        """Only of interest to someone who looks for a fault."""
        self._write(logging.DEBUG, action, fields)

    def info(self, action: str, **fields: object) -> None:
        """Something that is as it should be."""
        self._write(logging.INFO, action, fields)

    def warning(self, action: str, **fields: object) -> None:
        """Something an operator should look at when it repeats."""
        self._write(logging.WARNING, action, fields)

    def error(self, action: str, **fields: object) -> None:
        """Something an operator should look at now."""
        self._write(logging.ERROR, action, fields)

    def exception(self, action: str, **fields: object) -> None:
        """Like error, for an exception being handled; the stack is written at level DEBUG only."""
        problem = sys.exc_info()[1]
        fields = {**fields, "error": type(problem).__name__} if problem is not None else fields
        self._write(logging.ERROR, action, fields, with_stack=self._logger.isEnabledFor(logging.DEBUG))

    def _write(self, level: int, action: str, fields: dict[str, object], *, with_stack: bool = False) -> None:
        if not _ACTION.match(action):
            raise ValueError(f"an action is one fixed lower_case word, not {action!r}")
        if self._logger.isEnabledFor(level):
            self._logger.log(level, action, extra={_FIELDS: fields}, exc_info=with_stack)


log = Log(logging.getLogger(LOGGER_NAME))


class TextFormat(logging.Formatter):
    """One line for a person: time, level, action, field=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        parts = [_time_of(record, "%Y-%m-%d %H:%M:%S"), f"{record.levelname:<7}", _said(record)]
        parts += [f"{name}={_quoted(value)}" for name, value in _fields_of(record).items()]
        if record.exc_info and _stack_is_wanted(record):
            parts.append("\n" + self.formatException(record.exc_info))
        return " ".join(parts)


class JsonFormat(logging.Formatter):
    """One JSON object per line for a log collector."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line: dict[str, Any] = {
            "time": _time_of(record, "%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": record.levelname,
            "action" if record.name.startswith(LOGGER_NAME) else "message": _said(record),
            "logger": record.name,
        }
        for name, value in _fields_of(record).items():
            line[name] = value if _is_plain(value) else scrub(value)
        if record.exc_info and _stack_is_wanted(record):
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, allow_nan=False)


def configure_logging(level: str = "INFO", log_format: str = "text", *, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to the stream (stderr), as `text` or `json`. May be called again."""
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(JsonFormat() if log_format == "json" else TextFormat())
    root = logging.getLogger()
    root.handlers[:] = [output]
    # Libraries speak only when something is wrong: at INFO some of them print whole requests.
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER_NAME).setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)


def _time_of(record: logging.LogRecord, pattern: str) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime(pattern)


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == LOGGER_NAME


def _said(record: logging.LogRecord) -> str:
    said = record.getMessage()
    return scrub(said if _is_own(record) else _QUOTED_EVENT.sub(r"\1 …", said))


def _stack_is_wanted(record: logging.LogRecord) -> bool:
    """The stack of a library's complaint can quote what a person has sent: at DEBUG only, like our own."""
    shown = _is_own(record) or logging.getLogger(LOGGER_NAME).isEnabledFor(logging.DEBUG)
    return shown and record.exc_info is not None and record.exc_info[0] is not None


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = dict(getattr(record, _FIELDS, {}))
    if record.exc_info and record.exc_info[0] and not _stack_is_wanted(record):
        fields.setdefault("error", record.exc_info[0].__name__)
    if current_request_id():
        fields.setdefault("request_id", current_request_id())
    return fields


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _quoted(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else scrub(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[\s"=]', text) or not text else text


# --- figures ----------------------------------------------------------------------------------------------------
# A registry of our own: tests build several applications in one process, and libraries stay out of /metrics.

METRICS = CollectorRegistry(auto_describe=True)
# What workers count; nobody can ask a worker, so the sums of all of them are kept in the database.
WORKER_METRICS = CollectorRegistry(auto_describe=True)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

requests_total = Counter(
    "rag_http_requests_total", "Requests answered", ("method", "route", "status"), registry=METRICS
)
request_seconds = Histogram(
    "rag_http_request_seconds", "Time to the end of the answer", ("method", "route"), buckets=_SECONDS, registry=METRICS
)
answers_total = Counter("rag_answers_total", "Answers finished", ("outcome",), registry=METRICS)
first_token_seconds = Histogram(
    "rag_first_token_seconds", "Time from question to first token", buckets=_SECONDS, registry=METRICS
)
search_seconds = Histogram("rag_search_seconds", "Time of one search", ("leg",), buckets=_SECONDS, registry=METRICS)
tokens_total = Counter("rag_model_tokens_total", "Tokens read and written by models", ("kind",), registry=METRICS)
cost_microusd_total = Counter("rag_model_cost_microusd_total", "Known cost of model calls", registry=METRICS)
documents_total = Counter("rag_documents_total", "Documents that ended", ("outcome",), registry=WORKER_METRICS)
jobs_total = Counter("rag_jobs_total", "Jobs that ended", ("kind", "outcome"), registry=WORKER_METRICS)
queue_depth = Gauge("rag_queue_depth", "Jobs that wait", registry=METRICS)


@contextmanager
def timed(histogram: Histogram, *labels: str) -> Iterator[None]:
    """Observe how long the block takes, in seconds, also when it fails."""
    started = time.perf_counter()
    try:
        yield
    finally:
        (histogram.labels(*labels) if labels else histogram).observe(time.perf_counter() - started)


def exposition() -> bytes:
    """The figures of this process in Prometheus' text format, without those of workers."""
    return generate_latest(METRICS)
