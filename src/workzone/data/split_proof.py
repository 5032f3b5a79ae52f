"""The proof that a split holds, measured from the finished samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from workzone.data.copies import SAME_BYTES, Repeats, find_copies
from workzone.data.duplicates import LOOKED_FOR, NEAR_DISTANCE, NOT_LOOKED_FOR
from workzone.data.manifest import Manifest
from workzone.data.passed_over import counted
from workzone.data.places import EARTH_RADIUS, positions
from workzone.data.prints import Fingerprints
from workzone.data.split_scenes import PLACE_METRES, LookalikeScenes
from workzone.types import Sample

APART = "not-"
"""Before a split's name: rows that train unless that split validates or tests."""

_MILLIMETRE = 1e-3  # two formulas of one distance may differ by rounding


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """What one split holds."""

    name: str
    rows: int
    positives: int
    negatives: int
    unlabelled: int
    groups: int


@dataclass(frozen=True, slots=True)
class Looks:
    """What looking at the pictures of a finished split has shown.

    ``on_two_sides``: images whose copy is in another split; ``unreadable`` and ``even``: images
    that could not be read, and those too even to compare (night, fog, one flat colour).
    """

    on_two_sides: Repeats
    unreadable: int
    even: int


@dataclass(frozen=True)
class SplitProof:
    """A finished assignment, measured anew from the samples alone, and the pictures if asked to.

    ``least_metres`` is the least distance on the ground between images of two splits, None where
    no two splits have positions; ``looks`` is None where the pictures were not looked at.
    """

    splits: tuple[SplitCounts, ...]
    shared_groups: tuple[str, ...]  # groups in more than one split
    shared_hashes: tuple[str, ...]  # content hashes in more than one split
    least_metres: float | None
    place_metres: float  # what is asked for
    without_split: int  # rows
    without_group: int  # rows that nothing but place and content could join
    without_position: int
    without_hash: int
    looks: Looks | None = None
    lookalikes: LookalikeScenes | None = None

    @property
    def problems(self) -> list[str]:
        """Plain sentences; empty where the split holds."""
        found = []
        if self.without_split:
            found.append(f"{counted(self.without_split, 'row')} in no split")
        if self.shared_groups:
            found.append(_several(self.shared_groups, "group is", "groups are") + " on both sides")
        if self.shared_hashes:
            found.append(
                _several(self.shared_hashes, "image is", "images are") + " on both sides as copies"
            )
        if self.looks is not None:
            alike = [s for s in self.looks.on_two_sides.sets if s.kind != SAME_BYTES]
            if alike:
                found.append(
                    f"images on both sides look alike ({' and '.join(alike[0].ids[:2])}, "
                    f"{alike[0].kind}, for one)"
                )
        if not self.places_hold:
            found.append(
                f"images of different splits are only {self.least_metres:.1f} m apart; "
                f"at least {self.place_metres:g} m are asked for"
            )
        return found

    @property
    def places_hold(self) -> bool:
        """Whether no place is in two splits, as far as positions tell."""
        return self.least_metres is None or self.least_metres >= self.place_metres - _MILLIMETRE

    @property
    def looked_for(self) -> tuple[str, ...]:
        """What may not be on two sides."""
        rest = () if self.looks is None else (f"copies ({LOOKED_FOR})",)
        return ("groups", "places", "files of the same bytes", *rest)

    @property
    def not_looked_for(self) -> tuple[str, ...]:
        """What may be on two sides, for all that is known."""
        rest = (NOT_LOOKED_FOR,)
        return rest if self.looks is not None else (f"copies ({LOOKED_FOR})", *rest)

    @property
    def sentences(self) -> list[str]:
        """What was measured, what was not looked for, and what pictures joined."""
        least = "no positions" if self.least_metres is None else f"{self.least_metres:,.0f} m"
        places = 0 if self.places_hold else "some"
        copies, kinds = len(self.shared_hashes), "same bytes"
        if self.looks is not None:
            copies = max(copies, self.looks.on_two_sides.images)
            kinds = f"same bytes, {LOOKED_FOR}"
        said = [
            f"Measured again: {len(self.shared_groups)} groups, {places} places and {copies} "
            f"copies ({kinds}) on two sides; nearest images of different splits: {least}.",
            f"Not looked for: {'; '.join(self.not_looked_for)}.",
        ]
        if self.lookalikes is not None and self.lookalikes.joined:
            one, other, kind = self.lookalikes.examples[0]
            said.append(
                f"{self.lookalikes.joined} scenes were joined to others, for their pictures look "
                f"alike ({one} and {other}, {kind}, for one)."
            )
        return said

    @property
    def warnings(self) -> list[str]:
        """What may part although it should not, or was joined although it should not be."""
        found = []
        if self.looks is not None and self.looks.unreadable:
            found.append(
                f"{counted(self.looks.unreadable, 'image')} cannot be read: copies are not known."
            )
        if self.looks is not None and self.looks.even:
            found.append(
                f"{counted(self.looks.even, 'image')} too even to compare (one flat colour, fog, "
                "night): of their copies only those of the same bytes are known."
            )
        rows = sum(split.rows for split in self.splits)
        if self.lookalikes is not None and self.lookalikes.is_large(rows):
            found.append(
                f"One scene holds {self.lookalikes.largest_rows} of {rows} rows: looks joined "
                f"{self.lookalikes.largest_parts} scenes from picture to picture. Look at them "
                "(`workzone data preview`); if they are not copies, lower --near-distance."
            )
        for count, what in (
            (self.without_group, "a group"),
            (self.without_position, "a position"),
            (self.without_hash, "a content hash"),
        ):
            if count:
                found.append(f"{count} rows are without {what}: nothing is known of them there.")
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain values, with problems, warnings, and what was looked for."""
        return asdict(self) | {
            "problems": self.problems,
            "warnings": self.warnings,
            "looked_for": self.looked_for,
            "not_looked_for": self.not_looked_for,
        }


def check_split(
    manifest: Manifest,
    *,
    place_metres: float = PLACE_METRES,
    seen: Fingerprints | None = None,
    near_distance: int = NEAR_DISTANCE,
) -> SplitProof:
    """Measure a finished split from its samples, by other means than those that made it.

    Rows in ``not-val``, say, count as on one side with ``val``.

    Args:
        manifest: samples with splits.
        place_metres: least distance on the ground that is asked for.
        seen: `fingerprints` of the manifest, to look for copies by how pictures look.
        near_distance: bits in which copies may differ, see `near_copies`.
    """
    samples = manifest.samples
    sides = [dataclasses.replace(sample, split=side_of(sample.split)) for sample in samples]
    names = sorted({sample.split for sample in samples if sample.split is not None})
    read = [image.content_hash if image else None for image in seen.prints] if seen else []
    hashed = [(sample.content_hash, sample.split) for sample in sides]
    hashed += [(content, sample.split) for content, sample in zip(read, sides, strict=False)]
    return SplitProof(
        tuple(_counts(name, samples) for name in names),
        _shared((sample.group, sample.split) for sample in sides),
        _shared(hashed),
        _least_distance(sides),
        place_metres,
        without_split=sum(sample.split is None for sample in samples),
        without_group=sum(sample.group is None for sample in samples),
        without_position=len(samples) - len(positions(samples)[0]),
        without_hash=sum(
            sample.content_hash is None and not (seen and seen.prints[row])
            for row, sample in enumerate(samples)
        ),
        looks=None if seen is None else _looks(seen, sides, near_distance),
    )


def side_of(split: str | None) -> str | None:
    """The split with which rows of ``split`` never part: ``val`` for ``not-val``."""
    return None if split is None else split.removeprefix(APART)


def _looks(seen: Fingerprints, sides: Sequence[Sample], near_distance: int) -> Looks:
    return Looks(
        find_copies(seen.prints, sides, near_distance).duplicates_across_splits,
        unreadable=len(seen.unreadable),
        even=sum(image is not None and image.looks is None for image in seen.prints),
    )


def _counts(name: str, samples: Sequence[Sample]) -> SplitCounts:
    inside = [sample for sample in samples if sample.split == name]
    labels = [sample.label for sample in inside]
    groups = {sample.group for sample in inside if sample.group is not None}
    return SplitCounts(
        name, len(inside), labels.count(1), labels.count(0), labels.count(None), len(groups)
    )


def _shared(values: Iterable[tuple[str | None, str | None]]) -> tuple[str, ...]:
    """The values that occur in more than one split."""
    splits: dict[str, set[str]] = {}
    for value, split in values:
        if value is not None and split is not None:
            splits.setdefault(value, set()).add(split)
    return tuple(sorted(value for value, inside in splits.items() if len(inside) > 1))


def _least_distance(samples: Sequence[Sample]) -> float | None:
    """Metres between the nearest two samples of different splits.

    Through chords of the unit sphere in three dimensions, not through the haversine that joined
    them.
    """
    placed, degrees = positions(samples)
    splits = np.array([samples[index].split or "" for index in placed])
    latitude, longitude = np.radians(degrees).T
    points = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        axis=1,
    )
    chords = []
    for name in set(splits.tolist()) - {""}:
        others = points[(splits != name) & (splits != "")]
        if len(others):
            here = np.unique(points[splits == name], axis=0)
            chords.append(cKDTree(np.unique(others, axis=0)).query(here)[0].min())
    if not chords:
        return None
    return float(2 * EARTH_RADIUS * np.arcsin(min(min(chords) / 2, 1.0)))


def _several(values: Sequence[str], one: str, many: str) -> str:
    return f"{len(values)} {one if len(values) == 1 else many}"
