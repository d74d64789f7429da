"""The fields of a bot's search as a form shows and sends them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag_app.errors import InvalidInput
from rag_app.services.retrieval_settings import RetrievalSettings
from rag_app.state.session import as_text

LONGEST_FILTER = 4_000
_SPECIAL = re.compile(r'[,"\\\n\r]|^$')
_VALUES = re.compile(r'\s*"(?:[^"\\]|\\.)*"|[^,]+')


@dataclass
class RetrievalForm:
    """The values of the fields; "" = the default."""

    limit: str = "8"
    mode: str = "hybrid"
    filter: str = ""
    dense_weight: str = ""
    rerank: str = ""
    minimum_evidence: str = ""
    hops: str = "1"
    context_tokens: str = ""
    split: bool = True


def form_of(settings: RetrievalSettings) -> RetrievalForm:
    """The settings as the fields show them."""
    return RetrievalForm(
        limit=str(settings.limit),
        mode=settings.mode,
        filter="\n".join(f"{key} = {_shown(value)}" for key, value in settings.filter.items()),
        dense_weight=_figure(settings.dense_weight),
        rerank=settings.rerank.model if settings.rerank else "",
        minimum_evidence=_figure(settings.minimum_evidence),
        hops=str(settings.hops),
        context_tokens=str(settings.context_tokens),
        split=settings.split,
    )


def changes_from(form: Mapping[str, Any], settings: RetrievalSettings) -> dict[str, Any]:
    """What the fields say as a change of the settings; an empty field means the default. Raises InvalidInput."""
    model = as_text(form.get("rerank"), 200).strip()
    rerank: dict[str, Any] | None = {"model": model} if model else None
    if rerank and settings.rerank and settings.rerank.model == model:  # what the form does not show stays
        rerank |= {"candidates": settings.rerank.candidates, "timeout_s": settings.rerank.timeout_s}
    return {
        "limit": _whole("passages", form.get("limit")),
        "mode": as_text(form.get("mode"), 20) or None,
        "filter": _filter(as_text(form.get("filter"), LONGEST_FILTER)) or None,
        "dense_weight": _number("weight of meaning", form.get("dense_weight")),
        "rerank": rerank,
        "minimum_evidence": _number("least probability", form.get("minimum_evidence")),
        "hops": _whole("searches", form.get("hops")),
        "context_tokens": _whole("tokens", form.get("context_tokens")),
        "split": bool(form.get("split")),
    }


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _shown(value: Any) -> str:
    """A value as `_filter` reads it back: texts that look like something else stand in quotes."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    plain = isinstance(value, str) and value == value.strip() and not _SPECIAL.search(value) and _value(value) == value
    return value if plain else json.dumps(value, ensure_ascii=False)


def _filter(text: str) -> dict[str, Any]:
    """Lines like `team = sales, support`; several values mean any of them."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        key, sign, values = line.partition("=")
        listed = [_value(each.strip()) for each in _VALUES.findall(values) if each.strip()]
        if line.strip() and not (sign and key.strip() and listed):
            raise InvalidInput("Filter: one line per key is expected, like “team = sales, support”.")
        if line.strip():
            found[key.strip()] = listed if len(listed) > 1 else listed[0]
    return found


def _value(text: str) -> Any:
    """Numbers, true, false and what stands in quotes as such, everything else as text."""
    try:
        found = json.loads(text, parse_constant=_refused)
    except ValueError:
        return text
    return found if isinstance(found, bool | int | float | str) else text


def _refused(constant: str) -> Any:
    raise ValueError(constant)  # NaN and infinities are texts here


def _whole(name: str, value: Any) -> int | None:
    number = _number(name, value)
    if number is not None and number != int(number):
        raise InvalidInput(f"{name}: a whole number is expected")
    return None if number is None else int(number)


def _number(name: str, value: Any) -> float | None:
    text = as_text(value, 20).strip().replace(",", ".")
    if not text:
        return None
    try:
        return float(text)
    except ValueError as problem:
        raise InvalidInput(f"{name}: a number is expected") from problem
