"""The values in a parquet page: where each lies, and the small numbers that tell it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workzone.data.parquet_bodies import Body


@dataclass(frozen=True, slots=True)
class Plain:
    """Values one behind the other, each led by its length in 4 bytes."""

    body: Body
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a page: which rows have one, and where it lies."""

    order: npt.NDArray[np.int64] | None  # by row; -1 where null
    indices: npt.NDArray[np.int64] | None  # into a dictionary
    plain: Plain

    def place(self, row: int) -> tuple[Body, int, int] | None:
        """Body, first byte and length of a row's value."""
        if self.order is not None:
            row = int(self.order[row])
            if row < 0:
                return None
        if self.indices is not None:
            row = int(self.indices[row])
        return self.plain.body, int(self.plain.starts[row]), int(self.plain.lengths[row])


def read_plain(body: Body, count: int) -> Plain:
    """Find ``count`` plain values.

    Raises:
        ValueError: the page is shorter.
    """
    starts = np.zeros(count, dtype=np.int64)
    lengths = np.zeros(count, dtype=np.int64)
    at = 0
    for number in range(count):
        length = int.from_bytes(body.read(at, 4), "little")
        starts[number], lengths[number] = at + 4, length
        at += 4 + length
    if at > body.size:
        raise ValueError("the page is shorter than its values")
    return Plain(body, starts, lengths)


def read_hybrid(data: bytes, width: int, count: int) -> npt.NDArray[np.int64]:
    """Runs of one number and groups of eight packed ones: parquet's levels and indices.

    Args:
        data: the runs.
        width: bits of a number.
        count: how many numbers.

    Returns:
        int64 ``[count]``.

    Raises:
        IndexError, ValueError: the data are shorter.
    """
    values = np.zeros(count, dtype=np.int64)
    if width == 0:
        return values
    at = done = 0
    while done < count:
        head = shift = 0
        while True:
            byte = data[at]
            at += 1
            head |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if head & 1:
            size = (head >> 1) * width
            bits = np.unpackbits(np.frombuffer(data[at : at + size], np.uint8), bitorder="little")
            found = bits[: len(bits) // width * width].reshape(-1, width) @ (
                1 << np.arange(width, dtype=np.int64)
            )
            at += size
        else:
            size = (width + 7) // 8
            found = np.full(
                min(head >> 1, count - done), int.from_bytes(data[at : at + size], "little")
            )
            at += size
        if not len(found):
            raise ValueError("the page is shorter than its values")
        found = found[: count - done]
        values[done : done + len(found)] = found
        done += len(found)
    return values
