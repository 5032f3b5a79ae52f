"""A polite stop: SIGTERM and Ctrl-C are remembered, and obeyed between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interruption:
    """Whether one was asked for."""

    asked = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While inside, the first signal is remembered; a second one acts as it always did.

        Outside the main thread nothing can be listened to.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def remember(number: int, frame: FrameType | None) -> None:
            self.asked = True
            signal.signal(number, before[signal.Signals(number)])

        for number in before:
            signal.signal(number, remember)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
