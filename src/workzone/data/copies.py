"""Pictures that occur more than once among samples, and what that means for labels and splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workzone.data.duplicates import KINDS, Copies, exact_duplicates, near_copies
from workzone.data.prints import PRINTS, ImagePrint
from workzone.types import Sample

SAME_BYTES = "same bytes"
LISTED = 50
"""Findings of one kind that are listed; the counts hold all."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Samples that show the same picture.

    ``kind``: `SAME_BYTES`, or one of `KINDS` of the pair that differs least; ``distance``: bits of
    256 in which perceptual hashes differ, None where the files are equal byte for byte. With None
    and 0 these are all samples that are equal; with more, for each of two hashes the first sample
    of every label, split and group.
    """

    ids: tuple[str, ...]
    distance: int | None
    kind: str


@dataclass(frozen=True, slots=True)
class Repeats:
    """Samples that share a picture: how many, and the nearest sets of them."""

    images: int
    sets: tuple[Duplicates, ...]


@dataclass(frozen=True, slots=True)
class FoundCopies:
    """What was found twice; the last three hold those of the first two that are at fault.

    ``exact_duplicates``: all equal files; ``near_duplicates``: other pictures that look the same;
    ``two_labels``: pictures with both labels; ``duplicates_across_splits`` and
    ``duplicates_across_groups``: pictures in more than one of them.
    """

    exact_duplicates: Repeats
    near_duplicates: Repeats
    two_labels: Repeats
    duplicates_across_splits: Repeats
    duplicates_across_groups: Repeats


def same_looks(prints: Sequence[ImagePrint | None]) -> list[list[int]]:
    """Indices of images with equal perceptual hashes, also of those that are alone with theirs.

    Thousands of frames of one view may have one hash, and would make millions of pairs.
    """
    alike: dict[bytes, list[int]] = defaultdict(list)
    for index, image in enumerate(prints):
        if image is not None and image.looks is not None:
            alike[image.looks.tobytes()].append(index)
    return list(alike.values())


def copies_between(
    prints: Sequence[ImagePrint | None], sets: Sequence[Sequence[int]], distance: int
) -> Iterator[Copies]:
    """Copies of other looks, in blocks: pairs of sets of `same_looks`, by the sets' numbers."""
    looks = [image.looks for members in sets if (image := prints[members[0]]) is not None]
    found = [each for each in looks if each is not None]
    yield from near_copies(
        np.stack(found) if found else np.empty((0, PRINTS, 5), np.uint64), distance
    )


def find_copies(
    prints: Sequence[ImagePrint | None], samples: Sequence[Sample], distance: int
) -> FoundCopies:
    """All pictures that occur more than once.

    Args:
        prints: of the samples, in their order; None where an image could not be read.
        samples: whose labels, splits and groups count.
        distance: see `near_copies`.
    """
    content = [image.content_hash if image else None for image in prints]
    exact = exact_duplicates(content)
    sets = same_looks(prints)
    alike = [(number, s) for number, s in enumerate(sets) if len({content[i] for i in s}) > 1]
    tests: dict[str, Callable[[Sample], object]] = {
        "two_labels": lambda sample: sample.label,
        "duplicates_across_splits": lambda sample: sample.split,
        "duplicates_across_groups": lambda sample: sample.group,
    }
    tallies = {name: _Tally(samples, sets) for name in ("near_duplicates", *tests)}
    for _, members in alike:
        tallies["near_duplicates"].add_set(members, 0, KINDS[0])
    values = {name: _SetValues(samples, sets, value) for name, value in tests.items()}
    for name, value in tests.items():
        for members, bits, kind in (
            *((members, None, SAME_BYTES) for members in exact),
            *((members, 0, KINDS[0]) for _, members in alike),
        ):
            if len({value(samples[i]) for i in members} - {None}) > 1:
                tallies[name].add_set(members, bits, kind)
    for pairs in copies_between(prints, sets, distance):
        tallies["near_duplicates"].add_pairs(pairs, np.ones(len(pairs.first), dtype=bool))
        for name, held in values.items():
            tallies[name].add_pairs(pairs, held.differ(pairs))
    repeated = Repeats(
        sum(map(len, exact)),
        tuple(Duplicates(tuple(samples[i].id for i in s), None, SAME_BYTES) for s in exact),
    )
    return FoundCopies(repeated, **{name: tally.result() for name, tally in tallies.items()})


class _SetValues:
    """What the samples of each set have for a value: none, one, or several."""

    def __init__(
        self,
        samples: Sequence[Sample],
        sets: Sequence[Sequence[int]],
        value: Callable[[Sample], object],
    ) -> None:
        numbers: dict[object, int] = {None: -1}
        held = [
            {numbers.setdefault(value(samples[i]), len(numbers)) for i in members} - {-1}
            for members in sets
        ]
        self.one = np.array([min(each, default=-1) for each in held], dtype=np.int64)
        self.several = np.array([len(each) > 1 for each in held], dtype=bool)

    def differ(self, pairs: Copies) -> npt.NDArray[np.bool_]:
        """Whether the two sets of each pair hold more than one value together."""
        first, second = self.one[pairs.first], self.one[pairs.second]
        both = (first >= 0) & (second >= 0)
        several = self.several[pairs.first] | self.several[pairs.second]
        different: npt.NDArray[np.bool_] = both & (several | (first != second))
        return different


class _Tally:
    """Counts images, and keeps the nearest pairs: a parked camera makes millions of them."""

    def __init__(self, samples: Sequence[Sample], sets: Sequence[Sequence[int]]) -> None:
        self._samples, self._sets = samples, sets
        self._whole: list[Duplicates] = []
        self._rows = np.zeros(len(samples), dtype=bool)
        self._concerned = np.zeros(len(sets), dtype=bool)
        self._nearest = np.empty((0, 4), dtype=np.int64)

    def add_set(self, members: Sequence[int], bits: int | None, kind: str) -> None:
        self._rows[members] = True
        self._whole.append(Duplicates(tuple(self._samples[i].id for i in members), bits, kind))

    def add_pairs(self, pairs: Copies, chosen: npt.NDArray[np.bool_]) -> None:
        first, second = pairs.first[chosen], pairs.second[chosen]
        self._concerned[first] = self._concerned[second] = True
        ordered = np.sort(np.stack([first, second], axis=1), axis=1)
        rows = np.column_stack([pairs.bits[chosen], ordered, pairs.kinds[chosen]])
        rows = np.concatenate([self._nearest, rows])
        rows = rows[np.lexsort(rows.T[[3, 2, 1, 0]])]
        rows = rows[np.sort(np.unique(rows[:, 1:3], axis=0, return_index=True)[1])]
        self._nearest = rows[:LISTED]

    def result(self) -> Repeats:
        for number in np.flatnonzero(self._concerned).tolist():
            self._rows[self._sets[number]] = True
        listed = [
            Duplicates(
                tuple(self._samples[i].id for i in sorted(self._of_each(a) + self._of_each(b))),
                bits,
                KINDS[kind],
            )
            for bits, a, b, kind in self._nearest.tolist()
        ]
        return Repeats(int(self._rows.sum()), (*self._whole, *listed))

    def _of_each(self, number: int) -> list[int]:
        """The first of every label, split and group: as good as all, to tell what is at fault."""
        first: dict[tuple[object, ...], int] = {}
        for index in self._sets[number]:
            sample = self._samples[index]
            first.setdefault((sample.label, sample.split, sample.group), index)
        return list(first.values())[:LISTED]
