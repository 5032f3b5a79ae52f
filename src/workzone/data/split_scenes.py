"""Samples that a split may not part: of one group, one place, or one picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from workzone.data.copies import LISTED, copies_between, same_looks
from workzone.data.duplicates import KINDS
from workzone.data.places import distinct, near_pairs, positions
from workzone.data.prints import Fingerprints, ImagePrint
from workzone.types import Sample

PLACE_METRES = 100.0
"""Images nearer than this show the same place."""

_MANY_PARTS, _LARGE_SHARE = 10, 0.1

T = TypeVar("T")
Scenes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LookalikeScenes:
    """What the looks of pictures joined before a split was made.

    ``joined``: scenes that became parts of others; ``examples``: ids of the nearest pairs;
    ``largest_rows``, ``largest_parts``: rows of the largest scene made so, and scenes in it.
    """

    joined: int
    examples: tuple[tuple[str, str, str], ...]  # ids, and the kind of copy
    largest_rows: int
    largest_parts: int

    def is_large(self, rows: int) -> bool:
        """Whether so much was joined, of ``rows`` in all, that chance may have made it alike."""
        return self.largest_parts >= _MANY_PARTS and self.largest_rows >= _LARGE_SHARE * rows


def join_scenes(
    samples: Sequence[Sample], *, place_metres: float = PLACE_METRES
) -> npt.NDArray[np.int64]:
    """Scene number of each sample, int64 ``[n]``: connected by group, place or content hash."""
    scenes = np.arange(len(samples))
    for value in (lambda s: s.group, lambda s: s.content_hash):
        scenes = _joined(scenes, _links(samples, value))
    placed, degrees = positions(samples)
    points, which = distinct(degrees)
    scenes = _joined(scenes, np.stack([placed[points][which], placed], axis=1))
    for pairs in near_pairs(degrees[points], place_metres):
        scenes = _joined(scenes, placed[points][pairs])
    return scenes


def join_lookalikes(
    scenes: Scenes, samples: Sequence[Sample], seen: Fingerprints, distance: int
) -> tuple[Scenes, LookalikeScenes]:
    """Scenes after those with the same picture have become one."""
    scenes = _joined(scenes, _links(seen.prints, _content_hash))
    before = scenes
    sets = same_looks(seen.prints)
    first = np.array([members[0] for members in sets], dtype=np.int64)
    stars = np.array([(s[0], i) for s in sets for i in s[1:]], dtype=np.int64).reshape(-1, 2)
    found = np.empty((0, 4), dtype=np.int64)  # bits, two samples, kind

    def join(pairs: Scenes, bits: Scenes, kinds: Scenes) -> None:
        nonlocal scenes, found
        parted = scenes[pairs[:, 0]] != scenes[pairs[:, 1]]
        if parted.any():
            rows = np.column_stack([bits[parted], pairs[parted], kinds[parted]])
            found = np.concatenate([found, rows])
            found = found[np.lexsort(found.T[[3, 2, 1, 0]])][: 4 * LISTED]
            scenes = _joined(scenes, pairs[parted])

    join(stars, *np.zeros((2, len(stars)), dtype=np.int64))
    for block in copies_between(seen.prints, sets, distance):
        pairs = np.sort(np.stack([first[block.first], first[block.second]], axis=1), axis=1)
        join(pairs, block.bits, block.kinds)
    examples: dict[tuple[str, str], str] = {}
    for _, a, b, kind in found.tolist():
        examples.setdefault((samples[a].id, samples[b].id), KINDS[kind])
    return scenes, _lookalike_scenes(before, scenes, examples)


def _lookalike_scenes(
    before: Scenes, after: Scenes, examples: Mapping[tuple[str, str], str]
) -> LookalikeScenes:
    parts = np.unique(np.stack([after, before], axis=1), axis=0)[:, 0]
    counts = np.bincount(parts)
    rows = np.where(counts > 1, np.bincount(after), 0)
    largest = int(rows.argmax())
    return LookalikeScenes(
        joined=len(parts) - len(counts),
        examples=tuple((*ids, kind) for ids, kind in examples.items())[:LISTED],
        largest_rows=int(rows[largest]),
        largest_parts=int(counts[largest]) if rows[largest] else 0,
    )


def _content_hash(image: ImagePrint | None) -> str | None:
    return image.content_hash if image else None


def _links(items: Sequence[T], value: Callable[[T], str | None]) -> npt.NDArray[np.int64]:
    """Pairs of items of equal value: each with the first that has it."""
    first: dict[str, int] = {}
    pairs = [
        (first.setdefault(key, index), index)
        for index, item in enumerate(items)
        if (key := value(item)) is not None
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _joined(scenes: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Scene numbers after the scenes of each pair of samples have become one."""
    ends = scenes[pairs]
    graph = coo_array(
        (np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), (len(scenes),) * 2
    )
    numbers = connected_components(graph, directed=False)[1]
    joined: npt.NDArray[np.int64] = numbers[scenes].astype(np.int64)
    return joined
