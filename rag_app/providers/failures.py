"""Turns whatever LiteLLM raises into one of our errors with a plain sentence, once, without key or prompt in it."""

import email.utils
import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from rag_app.errors import FetchFailed, ProviderError, ProviderTimeout
from rag_app.providers.credentials import Route

_SAFE_CODE = re.compile(r"[a-z][a-z0-9_]{2,40}\Z")
_LONGEST_RETRY_AFTER_S = 3600.0
# fmt: off
_UNTRANSLATED: tuple[type[Exception], ...] = (
    httpx.HTTPError, FetchFailed, ProviderError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError,
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, in words, and what that means for the next attempt."""

    error: ProviderError
    retry: bool = False  # the same call may succeed a moment later
    retry_after_s: float | None = None  # the provider asked for this pause
    counts: bool = False  # speaks for a provider that is down: opens the circuit in the end

    def pause_s(self, attempt: int, *, backoff_s: float) -> float | None:
        """Seconds to wait after this attempt (from 1): doubling, with jitter, at least Retry-After; None = give up."""
        if not self.retry:
            return None
        jittered: float = backoff_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, no secret
        return max(jittered, self.retry_after_s or 0.0)


def failure_of(problem: BaseException, route: Route, *, said_something: bool = False) -> Failure:
    """Judge an exception from a call along this route; `said_something` = part of the answer had already arrived."""
    chain = list(_chain(problem))
    found = _from_our_side(chain) or _from_transport(chain, route, said_something=said_something)
    return found or _from_status(problem, chain, route, said_something=said_something)


def provider_problems(litellm: Any) -> tuple[type[Exception], ...]:
    """What a call through LiteLLM may raise: its own errors, and what slips through from transport and parsers."""
    return (litellm.exceptions.OpenAIError, litellm.exceptions.openai.OpenAIError, *_UNTRANSLATED)


def too_slow(route: Route, seconds: float, *, what: str) -> Failure:
    """A limit of our own ran out; `what` ends the sentence "… did not …"."""
    message = f"{route.label} did not {what} within {seconds:g} seconds."
    return Failure(ProviderTimeout(message, provider=route.provider, model=route.model), counts=True)


def left_alone(route: Route, wait_s: float) -> ProviderError:
    """The error of a call that is not made, because the circuit is open."""
    message = f"{route.label} failed repeatedly and is being left alone; the next try is in {wait_s:.0f} seconds."
    return ProviderError(message, provider=route.provider, model=route.model)


def _chain(problem: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [problem]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__context__, each.__cause__, getattr(each, "original_exception", None)]


def _from_our_side(chain: list[BaseException]) -> Failure | None:
    for each in chain:
        if isinstance(each, ProviderError):
            return Failure(each)
        if isinstance(each, FetchFailed):  # the guarded transport refused the address
            return Failure(ProviderError(each.message, refused=each.code))
    return None


def _from_transport(chain: list[BaseException], route: Route, *, said_something: bool) -> Failure | None:
    about = {"provider": route.provider, "model": route.model}
    if said_something:
        return None
    if any(isinstance(each, httpx.ConnectTimeout) for each in chain):
        return Failure(
            ProviderTimeout(f"{route.label} could not be reached in time.", **about), retry=True, counts=True
        )
    unreachable = next((each for each in chain if isinstance(each, httpx.ConnectError)), None)
    if unreachable is not None:
        return Failure(ProviderError(_unreachable(unreachable, route), **about), retry=True, counts=True)
    if any(isinstance(each, httpx.TimeoutException) for each in chain):
        return Failure(ProviderTimeout(f"{route.label} did not answer in time.", **about), counts=True)
    return None


def _unreachable(problem: httpx.ConnectError, route: Route) -> str:
    if "is not known" in str(problem):
        return f"{route.label} could not be reached: its name is not known. Check the address and the connection."
    if "CERTIFICATE" in str(problem).upper() or "SSL" in str(problem).upper():
        return f"{route.label} could not be reached: its certificate or encryption is not valid."
    if route.provider == "ollama":
        return f"{route.label} is not running. Start it with `ollama serve`, or check the address."
    return f"{route.label} could not be reached: nothing answers there. Check the address and the connection."


def _from_status(problem: BaseException, chain: list[BaseException], route: Route, *, said_something: bool) -> Failure:
    about: dict[str, Any] = {"provider": route.provider, "model": route.model}
    if said_something:
        return Failure(ProviderError(f"{route.label} broke off in the middle of the answer.", **about), counts=True)
    if any(isinstance(each, json.JSONDecodeError) for each in chain):
        return Failure(ProviderError(f"{route.label} sent an answer that cannot be read.", **about), retry=True)
    status, code = _status(problem, chain), _code(chain)
    about |= {"status": status, "reason": code}
    refusal = _refusal(status, code, {type(each).__name__ for each in chain}, route)
    if refusal is not None:
        return Failure(ProviderError(refusal, **about))
    if status == 429:
        pause = _retry_after(chain)
        wait = f" Try again in {pause:.0f} seconds." if pause else " Try again in a little while."
        message = f"{route.label} is limiting the number of requests.{wait}"
        return Failure(ProviderError(message, **about), retry=True, retry_after_s=pause)
    if status is not None and status >= 500 and _answered(chain):
        message = f"{route.label} has a problem of its own (status {status})."
        return Failure(ProviderError(message, **about), retry=True, counts=True)
    return Failure(ProviderError(f"The connection to {route.label} broke off.", **about), retry=True, counts=True)


def _refusal(status: int | None, code: str | None, kinds: set[str], route: Route) -> str | None:
    """The sentence for what no second attempt can mend, or None."""
    if "ContextWindowExceededError" in kinds or code == "context_length_exceeded":
        return f"The question with its passages is too long for {route.model}. Choose a model with a larger context."
    if status in (401, 403) or "AuthenticationError" in kinds:
        return f"The key was refused by {route.label}. Enter a valid one on the Models page."
    if status == 402 or code in ("insufficient_quota", "billing_hard_limit_reached"):
        return f"The account at {route.label} has no credit or quota left."
    if status == 404 or code == "model_not_found" or "LiteLLMUnknownProvider" in kinds:
        return f"{route.label} has no model named {route.model}."
    if "ContentPolicyViolationError" in kinds:
        return f"{route.label} refused to answer this for reasons of its content policy."
    if status is not None and 400 <= status < 500 and status != 429:
        detail = f" ({code})" if code else ""
        return f"{route.label} refused the request with status {status}{detail}."
    return None


def _status(problem: BaseException, chain: list[BaseException]) -> int | None:
    for each in [problem, *chain]:
        status = getattr(each, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _answered(chain: list[BaseException]) -> bool:
    return any(isinstance(each, httpx.HTTPStatusError) for each in chain)


def _code(chain: list[BaseException]) -> str | None:
    """The provider's own short word for the error, if it is only a word."""
    for each in chain:
        code = getattr(each, "code", None)
        if isinstance(code, str) and _SAFE_CODE.match(code):
            return code
        body = getattr(each, "body", None)
        kind = body.get("type") if isinstance(body, dict) else None
        if isinstance(kind, str) and _SAFE_CODE.match(kind) and kind != "invalid_request_error":
            return kind
    return None


def _retry_after(chain: list[BaseException]) -> float | None:
    """Seconds from Retry-After (a number or a date), or from retry-after-ms; between 0 and an hour."""
    for each in chain:
        headers = getattr(getattr(each, "response", None), "headers", None) or getattr(
            each, "litellm_response_headers", None
        )
        value = headers.get("retry-after") if headers else None
        if value is None:
            continue
        seconds = _seconds(str(value))
        if seconds is not None:
            return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S)
    return None


def _seconds(value: str) -> float | None:
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except ValueError:
        return None
