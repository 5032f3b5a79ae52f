"""Work done ahead by threads, in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice
from typing import Generic, TypeVar

from workzone.cores import core_count
from workzone.errors import ImageError

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")


def map_ahead(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    threads: int = 2,
    ahead: int = 16,
    begin: Callable[[], None] | None = None,
) -> Generator[tuple[T, R]]:
    """Yield ``(item, function(item))`` in order, one by one; see `batches_ahead`."""
    batches = batches_ahead(function, items, size=1, threads=threads, ahead=ahead, begin=begin)
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
    begin: Callable[[], None] | None = None,
) -> Generator[list[tuple[T, R]]]:
    """Yield lists of ``(item, function(item))`` in order while threads work ahead.

    A list begins with the next item, and holds up to ``size``: those after it whose results are
    there by then. No result waits for a list to be full. Results of at most ``ahead`` items are
    kept beside the list that was yielded. ``begin`` is called once in every thread.

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
    with ThreadPoolExecutor(threads, initializer=begin) as executor:
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


def judged_ahead(
    prepare: Callable[[T], P],
    compute: Callable[[Sequence[P]], Sequence[R]],
    items: Iterable[T],
    *,
    streams: int,
    ahead: int,
    begin: Callable[[], None] | None = None,
    at_once: int | None = None,
) -> Generator[tuple[T, R | ImageError]]:
    """Images to results, in order and in bounded memory: the one way from files to a backbone.

    Of two ways to work. On a processor each of as many threads as there are streams prepares and
    computes an image of its own: nothing waits, and views are computed while they are in the cache.
    Where something else computes (a GPU), as many threads as there are cores prepare, and what is
    ready is computed together.

    Args:
        prepare: an image's views; an `ImageError` comes out in place of its result.
        compute: results of some images, in order; an exception comes in place of all of them.
        items: see `batches_ahead`.
        streams: threads that compute at the same time.
        ahead: images in memory at most, beside those that are computed.
        begin: if given, called once in every thread that computes.
        at_once: images that are computed together at most; None: on a processor, one each.
    """

    def prepared(item: T) -> P | ImageError:
        try:
            return prepare(item)
        except ImageError as error:
            return error

    def whole(item: T) -> R | ImageError:
        ready = prepared(item)
        return ready if isinstance(ready, ImageError) else compute([ready])[0]

    def together(batch: Sequence[tuple[T, P | ImageError]]) -> list[R | ImageError]:
        good = [ready for _, ready in batch if not isinstance(ready, ImageError)]
        results = iter(compute(good) if good else ())
        return [ready if isinstance(ready, ImageError) else next(results) for _, ready in batch]

    if at_once is None:
        most = max(ahead, 2 * streams)
        with closing(map_ahead(whole, items, threads=streams, ahead=most, begin=begin)) as results:
            yield from results
        return
    cores = core_count()
    most = max(ahead, 2 * at_once, 2 * cores)
    batches = batches_ahead(prepared, items, size=at_once, threads=cores, ahead=most)
    computed = map_ahead(together, batches, threads=streams, ahead=streams, begin=begin)
    with closing(batches), closing(computed):
        for batch, results_of_batch in computed:
            for (item, _), result in zip(batch, results_of_batch, strict=True):
                yield item, result


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
