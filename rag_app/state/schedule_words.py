"""Schedules as people choose and read them: “every day at 03:00 (Europe/Berlin)”."""

import re
from collections.abc import Mapping
from typing import Any

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
CHOICES = (
    ("", "Only when I say so"),
    ("60", "Every hour"),
    ("360", "Every 6 hours"),
    ("daily", "Every day"),
    ("weekly", "Every week"),
    ("cron", "By a line of cron"),
)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_SIMPLE = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* (\*|[0-7])")


def schedule_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The schedule that a form asks for: fields schedule, at, weekday, cron, time_zone."""
    choice, zone = form.get("schedule", ""), form.get("time_zone", "").strip() or "UTC"
    if choice.isdigit():
        return {"every_minutes": int(choice)}
    if choice == "cron":
        return {"cron": form.get("cron", "").strip(), "time_zone": zone}
    if choice not in ("daily", "weekly"):
        return {}
    found = _TIME.fullmatch(form.get("at", "").strip())
    hour, minute = (int(found.group(1)), int(found.group(2))) if found else (3, 0)
    day = form.get("weekday", "1") if choice == "weekly" else "*"
    return {"cron": f"{minute} {hour} * * {day if day in '*0123456' else '1'}", "time_zone": zone}


def choice_of(schedule: Mapping[str, Any]) -> str:
    """Which of the choices a schedule is."""
    if not schedule:
        return ""
    if "every_minutes" in schedule:
        return str(schedule["every_minutes"]) if schedule["every_minutes"] in (60, 360) else ""
    simple = _SIMPLE.fullmatch(str(schedule.get("cron", "")))
    return "cron" if simple is None else "daily" if simple.group(3) == "*" else "weekly"


def in_words(schedule: Mapping[str, Any]) -> str:
    """A schedule as a sentence reads it."""
    if not schedule:
        return "only by hand"
    minutes = schedule.get("every_minutes")
    if isinstance(minutes, int):
        if minutes % 60:
            return f"every {minutes} minutes"
        return "every hour" if minutes == 60 else f"every {minutes // 60} hours"
    line, zone = str(schedule.get("cron", "")), schedule.get("time_zone") or "UTC"
    simple = _SIMPLE.fullmatch(line)
    if simple is None:
        return f"cron {line} ({zone})"
    minute, hour, day = simple.groups()
    when = "day" if day == "*" else DAYS[int(day) % 7]
    return f"every {when} at {int(hour):02}:{int(minute):02} ({zone})"
