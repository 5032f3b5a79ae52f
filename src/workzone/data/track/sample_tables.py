"""The tables of one track of an MP4 or MOV file, spread over its samples.

ISO/IEC 14496-12, 8.6 and 8.7.
Damaged tables tell counts that would fill any memory: none is believed above `MOST`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Tables = Mapping[bytes, memoryview]

MOST = 2**24
"""Samples of a track; at 60 a second, three days."""


def sample_count(tables: Tables) -> int:
    """How many samples the tables are of.

    Raises:
        ValueError: more than `MOST`, or than sizes are told of.
    """
    if b"stsz" not in tables:
        return 0
    same, count = struct.unpack_from(">II", tables[b"stsz"], 4)
    if count > MOST:
        raise ValueError(f"{count:,} samples in a track")
    if not same and 12 + 4 * count > len(tables[b"stsz"]):
        raise ValueError("a table of sizes that is cut off")
    return int(count)


def sample_sizes(tables: Tables) -> Ints:
    """Bytes of each sample, ``[n]``.

    Raises:
        ValueError: see `sample_count`.
    """
    count = sample_count(tables)
    if not count:
        return np.zeros(0, dtype=np.int64)
    same = struct.unpack_from(">I", tables[b"stsz"], 4)[0]
    if same:
        return np.full(count, same, dtype=np.int64)
    return np.frombuffer(tables[b"stsz"], ">u4", count, 12).astype(np.int64)


def sample_times(tables: Tables) -> tuple[Ints, Ints]:
    """When each sample is shown and how long, in the track's scale, before edits, ``[n]`` each.

    Raises:
        ValueError: the tables contradict each other.
    """
    count = sample_count(tables)
    steps = _spread(tables.get(b"stts", memoryview(b"")), "u", count)
    decoded = np.cumsum(steps) - steps
    if b"ctts" in tables:
        decoded += _spread(tables[b"ctts"], "i", count)
    return decoded, steps


def sample_offsets(tables: Tables, sizes: Ints, limit: int) -> Ints:
    """Where each sample begins in a file of ``limit`` bytes, ``[n]``, 0 to ``limit``.

    Raises:
        ValueError: the tables contradict each other.
    """
    if not len(sizes):
        return sizes
    wide = b"co64" in tables
    data = tables[b"co64" if wide else b"stco"]
    count = struct.unpack_from(">I", data, 4)[0]
    stored = np.frombuffer(data, ">u8" if wide else ">u4", count, 8).astype(np.uint64)
    chunks = np.minimum(stored, np.uint64(limit)).astype(np.int64)
    of_chunk = _samples_of_chunks(tables[b"stsc"], len(chunks))
    last = np.cumsum(of_chunk)
    if not count or last[-1] < len(sizes):
        raise ValueError("chunks for fewer samples than there are")
    chunk = np.searchsorted(last, np.arange(len(sizes)), side="right")
    begins = np.cumsum(sizes) - sizes
    first = (last - of_chunk)[chunk]  # the first sample of its chunk
    offsets: Ints = np.clip(chunks[chunk] + begins - begins[first], 0, limit)
    return offsets


def _samples_of_chunks(data: memoryview, count: int) -> Ints:
    """How many samples each of ``count`` chunks has, from runs of alike chunks."""
    number = struct.unpack_from(">I", data, 4)[0]
    runs = np.frombuffer(data, ">u4", 3 * number, 8).reshape(-1, 3).astype(np.int64)
    if not number or runs[0, 0] != 1 or (np.diff(runs[:, 0]) <= 0).any():
        raise ValueError("a table of chunks that is out of order")
    run = np.searchsorted(runs[:, 0], np.arange(1, count + 1), side="right") - 1
    samples: Ints = runs[run, 1]
    return samples


def _spread(data: memoryview, sign: str, wanted: int) -> Ints:
    """A table of counts and values, spread over ``wanted`` samples."""
    if not wanted:
        return np.zeros(0, dtype=np.int64)
    count = struct.unpack_from(">I", data, 4)[0]
    if 8 + 8 * count > len(data):
        raise ValueError("a table of times that is cut off")
    pairs = np.frombuffer(data, [("n", ">u4"), ("v", f">{sign}4")], count, 8)
    numbers = pairs["n"].astype(np.int64)
    if int(numbers.sum()) != wanted:
        raise ValueError(f"times of {int(numbers.sum()):,} samples where {wanted:,} are")
    return np.repeat(pairs["v"].astype(np.int64), numbers)
