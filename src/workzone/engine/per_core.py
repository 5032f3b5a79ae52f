"""What threads with a core each share, beside what a thread with all cores has."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class OnePerCore(Generic[T]):
    """Something that is made once, when the first thread begins; for the threads that began."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self._lock = threading.Lock()
        self._threads = threading.local()

    def begin(self) -> None:
        """Count the calling thread in."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
        self._threads.began = True

    def mine(self) -> T | None:
        """What was made, for a thread that began; None for others."""
        return self._made if getattr(self._threads, "began", False) else None
