"""Places that samples of different splits or groups share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workzone.data.places import distinct, haversine, near_pairs, positions
from workzone.types import Sample

LISTED = 50  # pairs of places that a report lists; a split by row has millions


@dataclass(frozen=True, slots=True)
class NearPlaces:
    """Two samples of different splits, or groups, that show the same place."""

    first: str
    second: str
    metres: float


@dataclass(frozen=True, slots=True)
class SharedPlaces:
    """Places that are in more than one split, or group.

    ``pairs``: of samples; ``sides``: splits or groups that share a place; ``nearest``: the nearest
    50 pairs, equal points once, and of each two sides the nearest only if so asked for.
    """

    pairs: int
    sides: int
    nearest: tuple[NearPlaces, ...]


def shared_places(
    samples: Sequence[Sample],
    metres: float,
    side: Callable[[Sample], str | None],
    *,
    each_two_sides_once: bool = False,
) -> SharedPlaces:
    """Pairs of samples of different sides that are at most ``metres`` apart.

    Args:
        samples: with or without positions.
        metres: the largest distance.
        side: the split or group of a sample; those with None count for nothing.
        each_two_sides_once: list only the nearest pair of each two sides.
    """
    placed, degrees = positions(samples)
    inside = np.array([side(samples[i]) is not None for i in placed], dtype=bool)
    placed, degrees = placed[inside], degrees[inside]
    names = [side(samples[i]) or "" for i in placed]
    sides = np.unique(names, return_inverse=True)[1].reshape(-1)
    # Images of one point and side count together: a parked camera would make millions of pairs.
    spots, which = distinct(np.column_stack([degrees, sides]))
    weights = np.bincount(which, minlength=len(spots))
    placed, degrees, sides = placed[spots], degrees[spots], sides[spots]
    count, sharing, nearest = 0, np.zeros(len(set(names)), dtype=bool), np.empty((0, 3))
    for pairs in near_pairs(degrees, metres):
        parted = pairs[sides[pairs[:, 0]] != sides[pairs[:, 1]]]
        first, second = degrees[parted[:, 0]], degrees[parted[:, 1]]
        apart = haversine(first[:, 0], first[:, 1], second[:, 0], second[:, 1])
        count += int((weights[parted[:, 0]] * weights[parted[:, 1]]).sum())
        sharing[sides[parted]] = True
        nearest = np.concatenate([nearest, np.column_stack([parted, apart])])
        nearest = nearest[np.argsort(nearest[:, 2], kind="stable")]
        if each_two_sides_once:
            two = np.sort(sides[nearest[:, :2].astype(np.int64)], axis=1)
            nearest = nearest[np.sort(np.unique(two, axis=0, return_index=True)[1])]
        nearest = nearest[:LISTED]
    return SharedPlaces(
        count,
        int(sharing.sum()),
        tuple(
            NearPlaces(samples[placed[int(a)]].id, samples[placed[int(b)]].id, float(apart))
            for a, b, apart in nearest
        ),
    )
