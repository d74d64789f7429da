"""When a schedule is due next: every so many minutes, or by a cron line in a time zone."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from rag_app.errors import InvalidInput

LEAST_MINUTES = 5
MOST_MINUTES = 366 * 24 * 60
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def due_after(schedule: dict[str, Any], moment: datetime, *, since: datetime | None = None) -> datetime | None:
    """The first moment after `moment` that a schedule names; None for one that never comes.

    `since` is where an interval counts from. However many moments were missed, one follows.
    Raises InvalidInput for a schedule that cannot be read.
    """
    if not schedule:
        return None
    if "every_minutes" in schedule:
        return _interval_after(schedule["every_minutes"], moment, since or moment)
    zone = _zone(schedule.get("time_zone") or "UTC")
    trigger = _cron(str(schedule.get("cron", "")), zone)
    found = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
    return found.astimezone(UTC) if found else None


def _interval_after(minutes: Any, moment: datetime, since: datetime) -> datetime:
    if not isinstance(minutes, int) or isinstance(minutes, bool) or not LEAST_MINUTES <= minutes <= MOST_MINUTES:
        raise InvalidInput(
            f"schedule: every_minutes must be between {LEAST_MINUTES} and {MOST_MINUTES}", field="schedule"
        )
    trigger = IntervalTrigger(minutes=minutes, start_date=since, timezone=UTC)
    found: datetime = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
    return found.astimezone(UTC)


def _zone(name: str) -> ZoneInfo:
    if name not in available_timezones():
        raise InvalidInput(f"schedule: “{name[:60]}” is not a time zone such as Europe/Berlin", field="schedule")
    return ZoneInfo(name)


def _cron(line: str, zone: ZoneInfo) -> Any:
    """A trigger with the meaning that cron gives to a line: Sunday is 0 or 7, and two kinds of day mean either."""
    fields = _NAMED.get(line.strip().lower(), line).split()
    if len(fields) != 5:
        raise InvalidInput(
            "schedule: cron needs five fields (minute hour day month weekday), for example 0 3 * * *", field="schedule"
        )
    minute, hour, day, month, weekday = fields
    try:
        days = _weekdays(weekday)
        parts = {"minute": minute, "hour": hour, "month": month, "timezone": zone}
        if day.startswith("*") or weekday.startswith("*"):
            return CronTrigger(day=day, day_of_week=days, **parts)
        return OrTrigger([CronTrigger(day=day, **parts), CronTrigger(day_of_week=days, **parts)])
    except (ValueError, TypeError) as problem:
        raise InvalidInput(f"schedule: “{line[:80]}” is not a line of cron: {problem}", field="schedule") from problem


def _weekdays(field: str) -> str:
    """The days of a cron field by name, because the library counts from Monday and cron from Sunday."""
    if field == "*":
        return field
    chosen: set[str] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0-6" if span == "*" else span).partition("-")
        begin = _weekday(first)
        end = _weekday(last) if last else (6 if step else begin)
        if end < begin:
            end += 7
        chosen |= {_DAYS[number % 7] for number in range(begin, end + 1, int(step or 1))}
    return ",".join(day for day in _DAYS if day in chosen)


def _weekday(name: str) -> int:
    number = _DAYS.index(name[:3]) if name[:3] in _DAYS else int(name)
    if not 0 <= number <= 7:
        raise ValueError(f"there is no weekday {number}")
    return number
