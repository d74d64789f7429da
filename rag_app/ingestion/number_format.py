"""Shows the numbers of a spreadsheet as their cells do: decimals, separators, percent, currency, dates and times."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

# Formats that every spreadsheet knows by number (ECMA-376 part 1, 18.8.30). What follows the reader's country is ISO.
BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "General", 13: "General",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm",
    21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)", 41: "#,##0;-#,##0;-", 42: "$#,##0;-$#,##0;-", 43: "#,##0.00;-#,##0.00;-",
    44: "$#,##0.00;-$#,##0.00;-", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "0.0E+0", 49: "@",
}  # fmt: skip
_EPOCH, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)
_LAST_DAY = 2_958_466
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TOKEN = re.compile(
    r"""(?P<quoted>"[^"]*"?)|(?P<escaped>\\.)|(?P<gap>[_*].)|(?P<currency>\[\$(?P<sign>[^\]-]*)[^\]]*\])"""
    r"""|(?P<elapsed>\[(?:h+|m+|s+)\])|(?P<bracket>\[[^\]]*\])|(?P<half>AM/PM|A/P)|(?P<fraction>\.0+)"""
    r"""|(?P<date>[yY]+|[mM]+|[dD]+|[hH]+|[sS]+)|(?P<digits>[0#?][0#?,]*(?:\.[0#?]*)?|\.[0#?]+)"""
    r"""|(?P<power>[eE][+-]0+)|(?P<other>.)""",
    re.S,
)
_SHOWN = frozenset({"digits", "text", "other"})
_FRACTION = re.compile(r"[#?0]\s*/\s*[#?\d]")


@dataclass(frozen=True, slots=True)
class _Section:
    """One of up to four parts of a format: for positive and negative numbers, zero, text."""

    tokens: tuple[tuple[str, str], ...]
    is_date: bool


def shown_number(value: float, code: str, *, since_1904: bool = False) -> str:
    """A number as the format `code` shows it ("" and "General" show up to 11 digits)."""
    sections = _sections(code)
    if not sections or not sections[0].tokens:
        return general(value)
    section, number = _chosen(sections, value)
    kinds = {kind for kind, _ in section.tokens}
    if section.is_date:
        return _moment(value, section, since_1904=since_1904)
    if "digits" not in kinds:
        words = _literals(section)
        return general(value) if any(kind == "general" for kind in kinds) or not words else words
    return _decimal(number, section)


def general(value: float) -> str:
    """A number without a format: whole numbers without a point, others with up to 11 digits."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.11g}"


def is_date(code: str) -> bool:
    """Whether a format shows dates or times."""
    sections = _sections(code)
    return bool(sections) and sections[0].is_date


@lru_cache(maxsize=2048)
def _sections(code: str) -> tuple[_Section, ...]:
    if not code or code.lower() == "general" or _FRACTION.search(code):
        return ()
    parts: list[list[tuple[str, str]]] = [[]]
    for found in _TOKEN.finditer(code.replace("General", "\x01")):
        kind, part = found.lastgroup or "other", found.group()
        if kind == "sign":
            kind = "currency"
        if kind == "currency":
            parts[-1].append(("text", found.group("sign")))
        elif part == ";":
            parts.append([])
        elif part == "\x01":
            parts[-1].append(("general", ""))
        elif kind == "quoted":
            parts[-1].append(("text", part.strip('"')))
        elif kind == "escaped":
            parts[-1].append(("text", part[1]))
        elif kind not in ("gap", "bracket") and part != "@":
            parts[-1].append((kind, part))
    return tuple(_section(part) for part in parts[:4])


def _section(tokens: list[tuple[str, str]]) -> _Section:
    dated = any(kind in ("date", "elapsed", "half") for kind, _ in tokens)
    if not dated:
        tokens = [("digits" if kind == "fraction" else kind, part) for kind, part in tokens]
        joined: list[tuple[str, str]] = []
        for kind, part in tokens:
            if kind == "digits" and joined and joined[-1][0] == "digits":
                joined[-1] = ("digits", joined[-1][1] + part)
            else:
                joined.append((kind, part))
        tokens = joined
    return _Section(tuple(tokens), dated)


def _chosen(sections: tuple[_Section, ...], value: float) -> tuple[_Section, float]:
    """The section for a value and the number it shows: one of its own for negative numbers shows no sign."""
    if value < 0 and len(sections) > 1:
        return sections[1], -value
    if value == 0 and len(sections) > 2:
        return sections[2], value
    return sections[0], value


def _literals(section: _Section) -> str:
    return "".join(part for kind, part in section.tokens if kind in ("text", "other")).strip()


def _decimal(value: float, section: _Section) -> str:
    digits = next(part for kind, part in section.tokens if kind == "digits")
    whole, _, decimals = digits.partition(".")
    value *= 100 ** sum(part == "%" for kind, part in section.tokens if kind == "other")
    value /= 1000 ** (len(whole) - len(whole.rstrip(",")))
    power = next((part for kind, part in section.tokens if kind == "power"), "")
    if power:
        number = f"{abs(value):.{len(decimals)}E}"
    else:
        number = f"{abs(value):{',' if ',' in whole.rstrip(',') else ''}.{len(decimals)}f}"
        number = _without_optional(number, decimals)
        least = sum(char == "0" for char in whole)
        head, point, tail = number.partition(".")
        number = head.rjust(least, "0") + point + tail
    sign = "-" if value < 0 and any(char in "123456789" for char in number) else ""
    groups = [part for kind, part in section.tokens if kind == "digits"]
    shares = iter(_shared_out(number, groups))
    shown = (next(shares) if kind == "digits" else part for kind, part in section.tokens if kind in _SHOWN)
    return sign + "".join(shown).strip()


def _shared_out(number: str, groups: list[str]) -> list[str]:
    """The digits for each group of a format such as 000-0000, from the right; the first takes what is left."""
    if len(groups) == 1 or not number.isdecimal():
        return [number] + [""] * (len(groups) - 1)
    shares: list[str] = []
    for group in reversed(groups[1:]):
        shares.append(number[-len(group) :].rjust(group.count("0"), "0"))
        number = number[: -len(group)]
    return [number.rjust(groups[0].count("0"), "0"), *reversed(shares)]


def _without_optional(number: str, decimals: str) -> str:
    """The number without closing zeros where the format asks for them only as far as needed (# and ?)."""
    optional = len(decimals) - len(decimals.rstrip("#?"))
    for _ in range(optional):
        if not number.endswith("0"):
            return number
        number = number[:-1]
    return number.removesuffix(".")


def _moment(value: float, section: _Section, *, since_1904: bool) -> str:
    if not -1 < value < _LAST_DAY:
        return general(value)
    has_parts = any(kind == "fraction" for kind, _ in section.tokens)
    seconds = round(value * 86_400, 3) if has_parts else round(value * 86_400)
    moment = (_EPOCH_1904 if since_1904 else _EPOCH) + timedelta(seconds=seconds)
    if 0 < value < 60 and not since_1904:
        moment += timedelta(days=1)  # 1900 was no leap year, but spreadsheets count its 29th of February
    halves = any(kind == "half" for kind, _ in section.tokens)
    out: list[str] = []
    previous = ""
    for place, (kind, part) in enumerate(section.tokens):
        if kind == "date":
            following = next((after for sort, after in section.tokens[place + 1 :] if sort == "date"), "")
            is_minute = part[0] in "mM" and (previous[:1] in ("h", "H", "[") or following[:1] in ("s", "S"))
            out.append(_clock(moment, part, halves) if is_minute or part[0] in "hHsS" else _day(moment, part))
            previous = part
        elif kind == "elapsed":
            out.append(_elapsed(seconds, part))
            previous = part
        elif kind == "half":
            out.append("AM" if moment.hour < 12 else "PM")
        elif kind == "fraction":
            out.append(f"{moment.microsecond / 1e6:.{len(part) - 1}f}"[1:])
        else:
            out.append(part)
    return "".join(out).strip()


def _day(moment: datetime, part: str) -> str:
    letter, length = part[0].lower(), len(part)
    if letter == "y":
        return f"{moment.year:04}" if length > 2 else f"{moment.year % 100:02}"
    name, number = (_MONTHS[moment.month - 1], moment.month) if letter == "m" else (_DAYS[moment.weekday()], moment.day)
    return {1: str(number), 2: f"{number:02}", 3: name[:3], 5: name[:1] if letter == "m" else name}.get(length, name)


def _clock(moment: datetime, part: str, halves: bool) -> str:
    letter = part[0].lower()
    hour = (moment.hour % 12 or 12) if halves else moment.hour
    number = hour if letter == "h" else moment.minute if letter == "m" else moment.second
    return f"{number:02}" if len(part) > 1 else str(number)


def _elapsed(seconds: float, part: str) -> str:
    return str(int(seconds // {"h": 3600, "m": 60, "s": 1}[part[1].lower()]))
