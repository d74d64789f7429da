"""Log lines are one harmless line each, and say which request they belong to."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from rag_app import telemetry
from rag_app.telemetry import (
    LONGEST_FIELD,
    Log,
    configure_logging,
    current_request_id,
    log,
    request_scope,
    scrub,
    timed,
)


@pytest.fixture
def root_logging() -> Iterator[None]:
    """Gives the root logger back as it was."""
    root, ours = logging.getLogger(), logging.getLogger(telemetry.LOGGER_NAME)
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before


def written(log_format: str, level: str = "INFO") -> io.StringIO:
    """Where the log lines of this test go."""
    stream = io.StringIO()
    configure_logging(level, log_format, stream=stream)
    return stream


@pytest.mark.usefixtures("root_logging")
def test_text_line_has_action_and_fields() -> None:
    stream = written("text")
    log.info("document_ready", document_id="d1", passages=12, took_s=0.12345, title="two words", empty="")
    line = stream.getvalue()
    assert line.endswith('INFO    document_ready document_id=d1 passages=12 took_s=0.123 title="two words" empty=""\n')


@pytest.mark.usefixtures("root_logging")
def test_json_line_is_one_object_with_plain_values() -> None:
    stream = written("json")
    log.warning("job_retried", attempt=2, ratio=0.5, none=None, right=True, endless=float("inf"))
    found = json.loads(stream.getvalue())
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "WARNING", "action": "job_retried", "logger": "rag_app",
        "attempt": 2, "ratio": 0.5, "none": None, "right": True, "endless": "inf",
    }  # fmt: skip


@pytest.mark.usefixtures("root_logging")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_lines_of_a_request_carry_its_id(log_format: str) -> None:
    stream = written(log_format)
    with request_scope("r-1"):
        with request_scope("r-2"):
            log.info("inner")
        log.info("outer")
    log.info("outside")
    inner, outer, outside = stream.getvalue().splitlines()
    assert "r-2" in inner
    assert "r-1" in outer
    assert "request_id" not in outside
    assert current_request_id() == ""


@pytest.mark.usefixtures("root_logging")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_field_cannot_begin_a_line_of_its_own(log_format: str) -> None:
    stream = written(log_format)
    log.info("upload_refused", name="x\n2026-01-01 ERROR   forged\r\x1b[2J\u2028\u202e")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


@given(st.text())
def test_scrubbed_text_is_printable_and_short(text: str) -> None:
    found = scrub(text)
    assert len(found) <= LONGEST_FIELD
    assert len(found.splitlines()) <= 1
    assert not any(ord(each) < 32 or 0x7F <= ord(each) <= 0x9F for each in found)


@given(st.text(alphabet=st.characters(categories=("L", "N", "P")), max_size=LONGEST_FIELD))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize("action", ["Two words", "with-dash", "", "1st", "line\nbreak", "Üml"])
def test_an_action_is_a_fixed_word(action: str) -> None:
    with pytest.raises(ValueError, match="one fixed"):
        log.info(action)


@pytest.mark.usefixtures("root_logging")
def test_the_stack_is_written_at_debug_only() -> None:
    for level, stack in (("INFO", False), ("DEBUG", True)):
        stream = written("text", level)
        try:
            raise KeyError("secret text")
        except KeyError:
            log.exception("job_failed", kind="ingest")
        assert ("Traceback" in stream.getvalue()) is stack
        assert "error=KeyError" in stream.getvalue()
        assert ("secret text" in stream.getvalue()) is stack


@pytest.mark.usefixtures("root_logging")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_a_library_quotes_of_a_browser_is_not_written(log_format: str) -> None:
    stream = written(log_format)
    library = logging.getLogger("reflex.app")
    library.warning("Received event data as a string. Event data: %s", "secret text")
    try:
        raise ValueError("Failed to deserialize event data: secret text")
    except ValueError:
        library.exception("message async handler error")
    assert "secret text" not in stream.getvalue()
    assert "Traceback" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 2
    assert "ValueError" in stream.getvalue()


@pytest.mark.usefixtures("root_logging")
def test_the_level_holds() -> None:
    stream = written("text", "WARNING")
    log.info("unheard")
    log.debug("unheard")
    log.error("heard")
    logging.getLogger("some.library").info("chatter")
    assert [line.split()[3] for line in stream.getvalue().splitlines()] == ["heard"]


def test_a_log_of_another_name_works_alike(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="elsewhere"):
        Log(logging.getLogger("elsewhere")).info("spoken")
    assert [record.getMessage() for record in caplog.records] == ["spoken"]


def test_time_is_observed_also_when_the_block_fails() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("tried_seconds", "x", ("leg",), registry=registry)
    with pytest.raises(RuntimeError), timed(histogram, "dense"):
        raise RuntimeError
    assert registry.get_sample_value("tried_seconds_count", {"leg": "dense"}) == 1


def test_figures_can_be_read() -> None:
    telemetry.answers_total.labels("done").inc()
    assert b'rag_answers_total{outcome="done"}' in telemetry.exposition()
