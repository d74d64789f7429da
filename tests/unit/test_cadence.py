"""When schedules are due: cron as cron means it, in its time zone, and intervals; missed moments count as one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rag_app.errors import InvalidInput
from rag_app.jobs.cadence import due_after
from rag_app.state.schedule_words import choice_of, in_words, schedule_of

NOW = datetime(2026, 3, 27, 12, 30, tzinfo=UTC)  # a Friday, two days before the clocks of Europe change


@pytest.mark.parametrize(
    ("line", "zone", "expected"),
    [
        ("0 3 * * *", "UTC", "2026-03-28T03:00"),
        ("0 3 * * *", "Europe/Berlin", "2026-03-28T02:00"),
        ("30 12 * * *", "UTC", "2026-03-28T12:30"),
        ("0 9 * * 0", "UTC", "2026-03-29T09:00"),
        ("0 9 * * 7", "UTC", "2026-03-29T09:00"),
        ("0 9 * * 1", "UTC", "2026-03-30T09:00"),
        ("0 9 * * 1-5", "UTC", "2026-03-30T09:00"),
        ("0 9 * * sat", "UTC", "2026-03-28T09:00"),
        ("0 9 * * 6-7", "UTC", "2026-03-28T09:00"),
        ("0 9 * * */2", "UTC", "2026-03-28T09:00"),
        ("0 9 13 * 1", "UTC", "2026-03-30T09:00"),
        ("*/15 * * * *", "UTC", "2026-03-27T12:45"),
        ("0 0 1 jan *", "UTC", "2027-01-01T00:00"),
        ("@weekly", "UTC", "2026-03-29T00:00"),
        ("30 2 29 3 *", "Europe/Berlin", "2026-03-29T01:30"),
    ],
)
def test_cron_means_what_it_means_everywhere(line: str, zone: str, expected: str) -> None:
    found = due_after({"cron": line, "time_zone": zone}, NOW)
    assert found is not None and found.isoformat()[:16] == expected


def test_an_interval_counts_from_where_it_was_and_missed_moments_are_one() -> None:
    since = datetime(2026, 3, 27, 3, 10, tzinfo=UTC)
    assert due_after({"every_minutes": 60}, NOW, since=since) == datetime(2026, 3, 27, 13, 10, tzinfo=UTC)
    assert due_after({"every_minutes": 60}, NOW) == datetime(2026, 3, 27, 13, 30, tzinfo=UTC)
    assert due_after({}, NOW) is None
    assert due_after({"cron": "0 0 31 2 *", "time_zone": "UTC"}, NOW) is None


@pytest.mark.parametrize(
    "schedule",
    [
        {"every_minutes": 1}, {"every_minutes": True}, {"every_minutes": 10**9}, {"cron": ""}, {"cron": "* * * *"},
        {"cron": "61 * * * *"}, {"cron": "0 0 * * 8"}, {"cron": "0 0 * * x"},
        {"cron": "0 0 * * *", "time_zone": "Mars"},
        {"cron": "0 0 * * *", "time_zone": "../etc/passwd"}, {"time_zone": "UTC"}, {"cron": "0 0 * * 1/0"},
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(schedule: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        due_after(schedule, NOW)


@pytest.mark.parametrize(
    ("form", "schedule", "words"),
    [
        ({"schedule": ""}, {}, "only by hand"),
        ({"schedule": "60"}, {"every_minutes": 60}, "every hour"),
        ({"schedule": "360"}, {"every_minutes": 360}, "every 6 hours"),
        (
            {"schedule": "daily", "at": "04:05", "time_zone": "Europe/Berlin"},
            {"cron": "5 4 * * *", "time_zone": "Europe/Berlin"},
            "every day at 04:05 (Europe/Berlin)",
        ),
        (
            {"schedule": "weekly", "at": "x", "weekday": "0"},
            {"cron": "0 3 * * 0", "time_zone": "UTC"},
            "every Sunday at 03:00 (UTC)",
        ),
        ({"schedule": "cron", "cron": "1 2 3 * *"}, {"cron": "1 2 3 * *", "time_zone": "UTC"}, "cron 1 2 3 * * (UTC)"),
    ],
)
def test_a_schedule_reads_as_it_was_chosen(form: dict[str, str], schedule: dict[str, Any], words: str) -> None:
    assert schedule_of(form) == schedule
    assert in_words(schedule) == words
    assert choice_of(schedule) == form["schedule"]
    due_after(schedule, NOW)
