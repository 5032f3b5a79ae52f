"""The same picture twice: byte for byte, or so alike that a model would know it again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from workzone.data.prints import COARSE_BITS, CROPS, Hashes
from workzone.errors import UsageError

NEAR_DISTANCE = 6
"""Bits of 64 in which the coarse hashes of two copies may differ; see docs/train/data.md."""
KINDS = ("re-encoded or resized", "mirrored", "cropped", "mirrored and cropped")
LOOKED_FOR = "re-encoded, resized, mirrored, cropped about the centre"
NOT_LOOKED_FOR = (
    f"crops off the centre or below {min(CROPS):g} of the side, turned or overlaid pictures, "
    "other moments of one scene"
)

_FINE_PER_COARSE = 8  # bits of 256 that may differ, for each of 64; see docs/train/data.md
_CELLS = 2_000_000  # comparisons at a time: bounds the memory of a crowded bucket

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """Pairs of images that look the same, each of the arrays ``[M]``.

    ``first`` and ``second``: indices of images; ``kinds``: of the copy, indices of `KINDS`;
    ``bits``: of the 256 of the fine hashes, those that differ.
    """

    first: Indices
    second: Indices
    kinds: Indices
    bits: Indices


def exact_duplicates(hashes: Iterable[str | None]) -> list[list[int]]:
    """Indices of equal content hashes: one list of two or more for each; None equals nothing."""
    same: dict[str, list[int]] = defaultdict(list)
    for index, value in enumerate(hashes):
        if value is not None:
            same[value].append(index)
    return [indices for indices in same.values() if len(indices) > 1]


def near_copies(looks: npt.NDArray[np.uint64], distance: int) -> Iterator[Copies]:
    """All pairs of images one of which looks like a copy of the other, in blocks.

    The whole picture and its mirror image are compared with the whole and the crops of all others:
    first the coarse hashes, then, of those that are near, the fine ones, which may differ in
    8 bits for every bit of ``distance``. A pair may be found as several kinds of copy.

    Args:
        looks: uint64 ``[n, PRINTS, 5]``, as `ImagePrint` has them.
        distance: bits in which the coarse hashes may differ, 0..15.

    Raises:
        UsageError: a distance out of range.
    """
    count = len(looks)
    wholes = looks[:, :2].swapaxes(0, 1).reshape(-1, 5)  # all wholes, then all mirror images
    parts = np.delete(looks, 1, axis=1).swapaxes(0, 1).reshape(-1, 5)  # all wholes, then all crops
    there = np.flatnonzero(parts[:, 0])
    for pairs in near_pairs(wholes[:, 0], parts[there, 0], distance):
        whole, part = pairs[:, 0], there[pairs[:, 1]]
        first, second = whole % count, part % count
        # Wholes are compared with wholes both ways round.
        once = np.where(part < count, first < second, first != second)
        whole, part = whole[once], part[once]
        differing = np.bitwise_count(wholes[whole, 1:] ^ parts[part, 1:])
        bits = differing.sum(axis=1, dtype=np.int64)
        near = bits <= distance * _FINE_PER_COARSE
        whole, part = whole[near], part[near]
        kinds = (whole >= count).astype(np.int64) + 2 * (part >= count)
        if len(whole):
            yield Copies(whole % count, part % count, kinds, bits[near])


def near_pairs(hashes: Hashes, others: Hashes, distance: int) -> Iterator[Indices]:
    """All pairs of a hash and another that differ in at most ``distance`` bits, found exactly.

    By the pigeonhole principle: of ``distance + 1`` bands of bits at least one is equal in such a
    pair, so only hashes that share a band are compared (Manku, Jain & Das Sarma, WWW 2007).

    Args:
        hashes: uint64 ``[n]``.
        others: uint64 ``[m]``.
        distance: largest Hamming distance, 0..15.

    Yields:
        blocks of indices of hashes and of others, int64 ``[M, 2]``; each pair once.

    Raises:
        UsageError: a distance out of range.
    """
    if not 0 <= distance <= 15:
        raise UsageError(
            f"a near distance of {distance} bits is out of range; give 0 to 15 of {COARSE_BITS} "
            f"bits ({NEAR_DISTANCE} finds re-encoded, resized, mirrored and cropped copies)"
        )
    bands = _bands(distance + 1)
    for number, mask in enumerate(bands):
        for bucket, other in _buckets(hashes & mask, others & mask):
            rows = max(1, _CELLS // len(other))
            for start in range(0, len(bucket), rows):
                here = bucket[start : start + rows]
                differing = hashes[here, None] ^ others[None, other]
                row, column = np.nonzero(np.bitwise_count(differing) <= distance)
                found = differing[row, column]
                new = np.ones(len(found), dtype=bool)  # not found by an earlier band
                for earlier in bands[:number]:
                    new &= (found & earlier) != 0
                if new.any():
                    yield np.stack([here[row[new]], other[column[new]]], axis=1).astype(np.int64)


def _bands(count: int) -> list[np.uint64]:
    """Masks of ``count`` bands that share out the 64 bits."""
    edges = [COARSE_BITS * number // count for number in range(count + 1)]
    return [np.uint64(((1 << (high - low)) - 1) << low) for low, high in pairwise(edges)]


def _buckets(keys: Hashes, others: Hashes) -> Iterator[tuple[Indices, Indices]]:
    """Indices of equal keys on both sides."""
    orders = np.argsort(keys, kind="stable"), np.argsort(others, kind="stable")
    keys, others = keys[orders[0]], others[orders[1]]
    shared = np.intersect1d(keys, others)
    ranges = [
        np.searchsorted(values, shared, side)
        for values in (keys, others)
        for side in ("left", "right")
    ]
    for start, end, other_start, other_end in np.stack(ranges, axis=1).tolist():
        yield orders[0][start:end], orders[1][other_start:other_end]
