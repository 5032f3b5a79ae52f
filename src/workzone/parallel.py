"""Work done ahead by threads, in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], *, threads: int = 2, ahead: int = 16
) -> Iterator[tuple[T, R]]:
    """Yield ``(item, function(item))`` in order while threads work up to ``ahead`` items ahead.

    Threads suit work that releases the interpreter's lock, as decoding and resizing do. An
    exception of ``function`` is raised when its item's turn comes. A single item is worked on by
    the caller: torch starts helpers for every new thread, and for some time after their work they
    would keep those of the caller waiting.
    """
    source = iter(items)
    first = list(islice(source, 2))
    if len(first) == 1:
        yield first[0], function(first[0])
        return
    source = chain(first, source)
    with ThreadPoolExecutor(threads) as executor:
        waiting: deque[tuple[T, Future[R]]] = deque(
            (item, executor.submit(function, item)) for item in islice(source, ahead)
        )
        try:
            while waiting:
                item, future = waiting.popleft()
                result = future.result()
                waiting.extend(
                    (next_, executor.submit(function, next_)) for next_ in islice(source, 1)
                )
                yield item, result
        finally:
            for _, future in waiting:
                future.cancel()


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
