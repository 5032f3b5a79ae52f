"""How much each caller may ask, and how much may come before it is known who asks."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

from workzone.errors import UsageError
from workzone.subnet.wire.claim import Refused

_SLOWEST = 1e-6
"""Requests a second; one in eleven days."""
_BURST = 4.0
"""Seconds whose requests a caller may send at once."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Limits of one caller, and of one address.

    Raises:
        UsageError: one out of range.
    """

    per_second: float = 5.0
    """Requests of a caller in the long run."""
    burst: int = 20
    """Requests of a caller at once after a pause."""
    at_once: int = 16
    """Requests of a caller without their answer."""
    unknown_at_once: int = 64
    """Requests from one address whose signature has not been checked."""
    unknown_reading: int = 8
    """Of these so many are read at a time; the others wait for their turn."""

    def __post_init__(self) -> None:
        if not _SLOWEST <= self.per_second < math.inf:
            raise UsageError(
                f"--rate {self.per_second:g}: of requests a second at least {_SLOWEST:f} are "
                "allowed; give a number such as 5"
            )
        wrong = [f"{name} {value}" for name, value in vars(self).items() if not value > 0]
        if wrong:
            raise UsageError(f"rates out of range: {', '.join(wrong)}; each must be above 0")

    @classmethod
    def of(cls, per_second: float) -> Rates:
        """Those of callers that may ask so often.

        Raises:
            UsageError: out of range.
        """
        rates = cls(per_second=per_second)
        return replace(rates, burst=max(1, round(_BURST * per_second)))


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
        self._turns: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def unknown(self, address: str, deadline: float) -> AsyncIterator[None]:
        """Count a request from an address while its body is read and its signature checked.

        Args:
            address: that it comes from.
            deadline: of `time.monotonic`, until which it waits for its turn.

        Raises:
            Refused: 429.
        """
        rates = self._rates
        try:
            with _counted(self._unknown, address, rates.unknown_at_once, "this address"):
                turn = self._turns.setdefault(address, asyncio.Semaphore(rates.unknown_reading))
                try:
                    async with asyncio.timeout(deadline - time.monotonic()):
                        await turn.acquire()
                except TimeoutError:
                    raise _too_many("this address", rates.unknown_reading) from None
                try:
                    yield
                finally:
                    turn.release()
        finally:
            if address not in self._unknown:
                self._turns.pop(address, None)

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
                {"Retry-After": str(math.ceil(wait))},
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
        raise _too_many(who, most)
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]


def _too_many(who: str, most: int) -> Refused:
    return Refused(
        429,
        "too-many-at-once",
        f"{who} has {most} requests without their answer: wait for one",
        {"Retry-After": "1"},
    )
