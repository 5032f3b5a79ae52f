"""Answers that are made in threads: few of a kind at once, and none for a client that has left."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from starlette.responses import Response

AT_ONCE = 4
"""Answers of a kind that are made at a time. Clients close many requests: a map that is moved asks
for other tiles."""

Answer = asyncio.Future[Response]


class Room:
    """Where answers of one kind are made; all but threads' work happens in the event loop.

    Threads of asyncio are for probes: many would wait here while one makes a page. These are
    daemons, for the process to end without them.
    """

    def __init__(self) -> None:
        self._free = AT_ONCE
        self._queue: dict[Answer, Callable[[], Response]] = {}

    def put(self, future: Answer, make: Callable[[], Response]) -> None:
        """Have an answer made, or what is raised meanwhile, when it is its turn."""
        self._queue[future] = make
        self._go_on()

    def drop(self, future: Answer) -> None:
        """Nobody waits for it any more; where its thread has begun, that ends first."""
        self._queue.pop(future, None)

    def _go_on(self) -> None:
        while self._free and self._queue:
            future = next(iter(self._queue))
            make = self._queue.pop(future)
            self._free -= 1
            work = threading.Thread(
                target=self._run, args=(future, make), name="workzone-map", daemon=True
            )
            work.start()

    def _run(self, future: Answer, make: Callable[[], Response]) -> None:
        result, error = None, None
        try:
            result = make()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended
            future.get_loop().call_soon_threadsafe(self._end, future, result, error)

    def _end(self, future: Answer, result: Response | None, error: BaseException | None) -> None:
        self._free += 1
        settle(future, result, error)
        self._go_on()


def settle(future: Answer, result: Response | None, error: BaseException | None) -> None:
    """Give a future what it waits for, if it still does."""
    if future.done():
        return
    if result is not None:
        future.set_result(result)
    elif error is not None:
        future.set_exception(error)
