"""Work done ahead by threads, in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], *, threads: int = 2, ahead: int = 16
) -> Iterator[tuple[T, R]]:
    """Yield ``(item, function(item))`` in order, one by one; see `batches_ahead`."""
    batches = batches_ahead(function, items, size=1, threads=threads, ahead=ahead)
    with closing(batches):
        for batch in batches:
            yield from batch


def batches_ahead(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    size: int,
    threads: int = 2,
    ahead: int = 16,
) -> Generator[list[tuple[T, R]]]:
    """Yield lists of ``(item, function(item))`` in order while threads work ahead.

    A list begins with the next item, and holds up to ``size``: those after it whose results are
    there by then. No result waits for a list to be full. Results of at most ``ahead`` items are
    kept beside the list that was yielded.

    Threads suit work that releases the interpreter's lock, as decoding and resizing do. A single
    item is worked on by the caller: torch starts helpers for every new thread, and for some time
    after their work they would keep those of the caller waiting.

    An exception of ``function`` is raised when its item's turn comes, one of ``items`` after the
    results of all items before it. ``items`` are taken in the caller's thread, ``ahead`` of them
    before the first list: they should come quickly, and leave the slow work to ``function``.
    """
    source = _Source(items)
    if source.has_one():
        yield [(item, function(item)) for item in source.take(1)]
        return
    with ThreadPoolExecutor(threads) as executor:
        waiting: deque[tuple[T, Future[R]]] = deque()

        def fill() -> None:
            for item in source.take(ahead - len(waiting)):
                waiting.append((item, executor.submit(function, item)))

        try:
            fill()
            while waiting:
                batch = [_result(waiting.popleft())]
                while waiting and len(batch) < size and _succeeded(waiting[0][1]):
                    batch.append(_result(waiting.popleft()))
                fill()
                yield batch
        finally:
            for _, future in waiting:
                future.cancel()
    if source.failure is not None:
        raise source.failure


class _Source(Generic[T]):
    """An iterator that keeps its exception until what came before it is worked on."""

    def __init__(self, items: Iterable[T]) -> None:
        self.failure: Exception | None = None
        self._items = iter(items)

    def take(self, count: int) -> list[T]:
        """Up to ``count`` items more."""
        taken: list[T] = []
        try:
            for item in islice(self._items, count):
                taken.append(item)
        except Exception as error:
            self.failure, self._items = error, iter(())
        return taken

    def has_one(self) -> bool:
        """Whether there is one item and no more; none is used up."""
        first = self.take(2)
        self._items = chain(first, self._items)
        return len(first) == 1 and self.failure is None


def _result(pending: tuple[T, Future[R]]) -> tuple[T, R]:
    item, future = pending
    return item, future.result()


def _succeeded(future: Future[R]) -> bool:
    return future.done() and future.exception() is None


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
