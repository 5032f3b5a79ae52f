"""Files fetched ahead of what works on them, where reading waits for a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from workzone.errors import ImageError
from workzone.parallel import map_ahead
from workzone.run.images import Encoded

T = TypeVar("T")

Fetched = tuple[T, Encoded | ImageError]
_THREADS = 16
_AHEAD = 32
"""Files in memory that wait for the model."""


def fetched_ahead(
    inputs: Iterable[tuple[str, T]], load: Callable[[T], Encoded]
) -> Iterator[tuple[str, Fetched[T]]]:
    """The inputs in order, each with its file, or why there is none."""

    def fetch(item: tuple[str, T]) -> Encoded | ImageError:
        try:
            return load(item[1])
        except ImageError as error:
            return error

    for (name, source), file in map_ahead(fetch, inputs, threads=_THREADS, ahead=_AHEAD):
        yield name, (source, file)


def load_fetched(fetched: Fetched[T]) -> Encoded:
    """The file.

    Raises:
        ImageError: it could not be read.
    """
    if isinstance(fetched[1], ImageError):
        raise fetched[1]
    return fetched[1]
