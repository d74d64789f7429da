"""How often one address may open websockets: each costs memory for half an hour, and a stranger needs few."""

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

WINDOW_S = 60.0
OF_STRANGERS = 120
OF_SIGNED_IN = 1200
MOST_REMEMBERED = 10_000


class ConnectLimit:
    """Counts connections per address in windows of a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._counts: dict[tuple[str, bool], int] = {}

    def admits(self, address: str, *, has_session: bool) -> bool:
        """True unless this address has opened too many in this minute. Who brings a session cookie may open more."""
        if self._clock() - self._began >= WINDOW_S or len(self._counts) >= MOST_REMEMBERED:
            self._began = self._clock()
            self._counts.clear()
        key = (_network(address), has_session)
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._counts[key] <= (OF_SIGNED_IN if has_session else OF_STRANGERS)


def _network(address: str) -> str:
    """The address itself, or of IPv6 the /64 that one customer usually has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(int(parsed) >> 64) if isinstance(parsed, IPv6Address) else str(parsed)
