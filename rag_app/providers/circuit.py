"""Circuit breakers: after repeated failures a model is left alone, apart from one probe every ten seconds."""

import time
from collections import deque
from dataclasses import dataclass, field

Key = tuple[str, str, str]
FAILURES_TO_OPEN = 5
WINDOW_S = 60.0
PROBE_EVERY_S = 10.0


@dataclass(slots=True)
class Circuit:
    """The recent failures of one model behind one address. Times are seconds of a monotonic clock."""

    failures: deque[float] = field(default_factory=deque)
    open_since: float | None = None
    last_probe: float = 0.0

    def admit(self, now: float) -> bool:
        """May a call go out? When open, only one probe per PROBE_EVERY_S may."""
        if self.open_since is None:
            return True
        if now - max(self.last_probe, self.open_since) < PROBE_EVERY_S:
            return False
        self.last_probe = now
        return True

    def succeeded(self) -> None:
        """It answers: close."""
        self.failures.clear()
        self.open_since = None

    def failed(self, now: float) -> None:
        """Count a failure; the last of FAILURES_TO_OPEN within WINDOW_S opens."""
        self.failures.append(now)
        while self.failures and now - self.failures[0] > WINDOW_S:
            self.failures.popleft()
        if len(self.failures) >= FAILURES_TO_OPEN and self.open_since is None:
            self.open_since = now

    def wait_s(self, now: float) -> float:
        """Seconds until the next probe may go out; 0 when calls are admitted."""
        if self.open_since is None:
            return 0.0
        return max(0.0, PROBE_EVERY_S - (now - max(self.last_probe, self.open_since)))


class Switchboard:
    """All circuits of this process."""

    def __init__(self) -> None:
        self._circuits: dict[Key, Circuit] = {}

    def circuit(self, key: Key) -> Circuit:
        """The circuit of (provider, base URL, model)."""
        return self._circuits.setdefault(key, Circuit())

    def reset(self) -> None:
        """Close all, for example after the credentials have changed."""
        self._circuits.clear()


SWITCHBOARD = Switchboard()


def now_s() -> float:
    """The clock of the circuits."""
    return time.monotonic()
