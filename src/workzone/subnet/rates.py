"""How much each caller may ask, and how much may come before it is known who asks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workzone.subnet.wire.claim import Refused


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Limits of one caller, and of one address."""

    per_second: float = 5.0
    """Requests of a caller in the long run."""
    burst: int = 20
    """Requests of a caller at once after a pause."""
    at_once: int = 16
    """Requests of a caller without their answer."""
    unknown_at_once: int = 64
    """Requests from one address whose signature has not been checked."""


class Admission:
    """Counts, in one event loop.

    Only a request whose signature holds, and that is no replay, counts against its caller: nobody
    can spend another's share.
    """

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._left: dict[str, tuple[float, float]] = {}  # requests that are left, and when
        self._working: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()

    @contextmanager
    def unknown(self, address: str) -> Iterator[None]:
        """Count a request from an address while its body is read and its signature checked.

        Raises:
            Refused: 429.
        """
        most = self._rates.unknown_at_once
        with _counted(self._unknown, address, most, "this address"):
            yield

    @contextmanager
    def known(self, hotkey: str) -> Iterator[None]:
        """Count a request of a caller while it is answered.

        Raises:
            Refused: 429.
        """
        self._spend(hotkey)
        with _counted(self._working, hotkey, self._rates.at_once, "this hotkey"):
            yield

    def _spend(self, hotkey: str) -> None:
        now, full = time.monotonic(), float(self._rates.burst)
        left, since = self._left.get(hotkey, (full, now))
        left = min(full, left + (now - since) * self._rates.per_second)
        if left < 1:
            wait = (1 - left) / self._rates.per_second
            raise Refused(
                429,
                "rate",
                f"this hotkey asks more than {self._rates.per_second:g} times a second: ask again "
                f"in {wait:.1f} s",
                {"Retry-After": str(max(1, round(wait)))},
            )
        self._left[hotkey] = (left - 1, now)
        if len(self._left) > 4096:  # those who are gone have all of it again
            self._left = {
                key: (rest, then)
                for key, (rest, then) in self._left.items()
                if rest + (now - then) * self._rates.per_second < full
            }


@contextmanager
def _counted(counts: Counter[str], key: str, most: int, who: str) -> Iterator[None]:
    if counts[key] >= most:
        raise Refused(
            429,
            "too-many-at-once",
            f"{who} has {most} requests without their answer: wait for one",
            {"Retry-After": "1"},
        )
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
