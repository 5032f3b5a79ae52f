"""What is wrong with a data set, before a model learns it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from workzone.data.duplicates import (
    Fingerprints,
    ImagePrint,
    UnreadableImage,
    exact_duplicates,
    fingerprints,
    near_duplicates,
)
from workzone.data.leaks import ColumnLeak, find_leaks
from workzone.data.manifest import METADATA_FIELDS, Manifest
from workzone.data.places import distinct, haversine, near_pairs, positions
from workzone.data.repeats import LABEL_CONFLICT
from workzone.data.splits import PLACE_METRES
from workzone.errors import ManifestError
from workzone.types import Sample

_NEAREST = 50  # pairs of places that the report lists; a split by row has millions


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Samples with the same image.

    ``distance``: bits in which perceptual hashes differ; None where the files are equal byte for
    byte. With None and 0 these are all samples that are equal; with more, for each of two hashes
    the first sample of every label and split.
    """

    ids: tuple[str, ...]
    distance: int | None


@dataclass(frozen=True, slots=True)
class NearPlaces:
    """Two samples of different splits that show the same place."""

    first: str
    second: str
    metres: float


@dataclass(frozen=True)
class Facts:
    """What the manifest holds, without judgement.

    ``labels``: rows by label (``road work``, ``none``, ``unlabelled``); ``splits``: the same for
    each split; ``missing``: rows without a field; ``sizes``: the most frequent image sizes,
    ``width x height`` in pixels; ``shorter_side``: least, median and largest, in pixels.
    """

    rows: int
    labels: dict[str, int]
    splits: dict[str, dict[str, int]]
    groups: int
    sources: int
    missing: dict[str, int]
    sizes: dict[str, int]
    shorter_side: tuple[int, int, int] | None
    blank: int


@dataclass(frozen=True)
class AuditReport:
    """The findings of an audit; ``problems`` and ``verdict`` say them in sentences."""

    facts: Facts
    unreadable: tuple[UnreadableImage, ...]
    changed: tuple[str, ...]  # ids of images whose bytes are not those that were imported
    exact_duplicates: tuple[Duplicates, ...]
    near_duplicates: tuple[Duplicates, ...]  # look the same, but differ in their bytes
    two_labels: tuple[Duplicates, ...]  # the duplicates above that are labelled both ways
    labels_cleared: tuple[str, ...]  # ids of images that the source lists with both labels
    groups_across_splits: tuple[str, ...]
    places_across_splits: tuple[NearPlaces, ...]  # the nearest 50, equal points once
    places_across_splits_count: int
    duplicates_across_splits: tuple[Duplicates, ...]
    leaks: tuple[ColumnLeak, ...]
    near_distance: int
    place_metres: float

    @property
    def problems(self) -> list[str]:
        """What must be put right, one plain sentence each; empty where all is well."""
        found = []
        labels = self.facts.labels
        work, none = labels["road work"], labels["none"]
        if not work and not none:
            found.append(f"No row has a label: {_rows(self.facts.rows)} that teach nothing.")
        elif not work or not none:
            found.append(
                f"No row {'is without' if work else 'has'} road work: {_rows(none)} with label 0, "
                f"{work} with label 1; a model needs both."
            )
        if self.unreadable:
            codes = Counter(image.code for image in self.unreadable)
            kinds = ", ".join(f"{count} {code}" for code, count in codes.most_common())
            found.append(f"{_count(self.unreadable, 'image', 'images')} cannot be read ({kinds}).")
        if self.changed:
            found.append(
                f"{_count(self.changed, 'image', 'images')} changed since the import; import again."
            )
        if self.two_labels:
            found.append(
                f"{_count(self.two_labels, 'image occurs', 'images occur')} with both labels: "
                "one of them must be wrong."
            )
        if self.labels_cleared:
            found.append(
                f"{_count(self.labels_cleared, 'image was', 'images were')} listed with both "
                "labels, which the import cleared; correct them and import again."
            )
        if self.groups_across_splits:
            found.append(
                f"{_count(self.groups_across_splits, 'group lies', 'groups lie')} on both sides "
                "of a split; split by group: `workzone data split`."
            )
        if self.places_across_splits_count:
            least = self.places_across_splits[0].metres
            found.append(
                f"{self.places_across_splits_count} pairs of images in different splits are at "
                f"most {self.place_metres:g} m apart (the nearest {least:.1f} m); split by place: "
                "`workzone data split`."
            )
        if self.duplicates_across_splits:
            found.append(
                f"{_count(self.duplicates_across_splits, 'image is', 'images are')} on both sides "
                "of a split, as they are or slightly changed."
            )
        found += [
            f"Column {leak.column} gives the label away: {leak.note}."
            for leak in self.leaks
            if leak.verdict == "leak"
        ]
        return found

    @property
    def notes(self) -> list[str]:
        """What is worth knowing but no fault."""
        found = []
        if self.exact_duplicates:
            found.append(
                f"{_count(self.exact_duplicates, 'image occurs', 'images occur')} more than once."
            )
        if self.near_duplicates:
            found.append(f"{_count(self.near_duplicates, 'set', 'sets')} of images look the same.")
        if self.facts.blank:
            found.append(f"{self.facts.blank} images are blank (one flat colour).")
        found += [
            f"Column {leak.column} is suspicious: {leak.note}."
            for leak in self.leaks
            if leak.verdict == "suspicious"
        ]
        return found

    @property
    def verdict(self) -> str:
        """The whole audit in one sentence."""
        if not self.problems:
            return f"No problems found in {self.facts.rows} rows."
        plural = "problem" if len(self.problems) == 1 else "problems"
        return f"{len(self.problems)} {plural} found in {self.facts.rows} rows; mend them first."

    def to_json(self) -> dict[str, Any]:
        """As plain values, with problems, notes and verdict."""
        sentences = {"verdict": self.verdict, "problems": self.problems, "notes": self.notes}
        return sentences | asdict(self)


def audit(
    manifest: Manifest, *, near_distance: int = 4, place_metres: float = PLACE_METRES
) -> AuditReport:
    """Look for everything that makes a score on this data worth less than it looks.

    Every image is read once.

    Args:
        manifest: samples, with or without labels and splits.
        near_distance: bits of 64 in which the perceptual hashes of two pictures of one scene may
            differ; 4 finds copies that were re-encoded or resized.
        place_metres: images at most this far apart show one place.

    Raises:
        ManifestError: the manifest has no rows.
        UsageError: ``near_distance`` is out of range.
    """
    if not len(manifest):
        raise ManifestError("the manifest has no rows to audit; import some images first")
    samples = manifest.samples
    seen = fingerprints(manifest)
    exact, near = _duplicates(seen, samples, near_distance)
    both = [*exact, *near]
    pairs, pair_count = _places_across_splits(samples, place_metres)
    return AuditReport(
        facts=_facts(samples, seen.prints),
        unreadable=tuple(seen.unreadable),
        changed=tuple(
            sample.id
            for sample, image in zip(samples, seen.prints, strict=True)
            if image and sample.content_hash not in (None, image.content_hash)
        ),
        exact_duplicates=_named(exact, samples),
        near_duplicates=_named(near, samples),
        two_labels=_named(
            [found for found in both if {samples[i].label for i in found[0]} >= {0, 1}], samples
        ),
        labels_cleared=tuple(s.id for s in samples if LABEL_CONFLICT in s.extra),
        groups_across_splits=_groups_across_splits(samples),
        places_across_splits=pairs,
        places_across_splits_count=pair_count,
        duplicates_across_splits=_named(
            [found for found in both if len(_splits(samples[i] for i in found[0])) > 1], samples
        ),
        leaks=find_leaks(
            manifest,
            image_columns={
                "image width": [float(image.width) if image else None for image in seen.prints],
                "image height": [float(image.height) if image else None for image in seen.prints],
            },
        ),
        near_distance=near_distance,
        place_metres=place_metres,
    )


_Found = tuple[list[int], int | None]  # indices of samples, and the distance in bits


def _duplicates(
    seen: Fingerprints, samples: Sequence[Sample], near_distance: int
) -> tuple[list[_Found], list[_Found]]:
    prints = seen.prints
    exact: list[_Found] = [(indices, None) for indices in exact_duplicates(map(_content, prints))]
    hashed = [
        (i, image.perceptual)
        for i, image in enumerate(prints)
        if image and image.perceptual is not None
    ]
    # Thousands of frames of one view have one hash, and would make millions of pairs.
    alike: dict[int, list[int]] = defaultdict(list)
    for index, hash_ in hashed:
        alike[hash_].append(index)
    near: list[_Found] = [
        (same, 0) for same in alike.values() if len({_content(prints[i]) for i in same}) > 1
    ]
    groups = [_one_of_each_kind(same, samples) for same in alike.values()]
    pairs = near_duplicates(np.array(list(alike), dtype=np.uint64), near_distance)
    near += [(sorted(groups[a] + groups[b]), bits) for a, b, bits in pairs.tolist()]
    return exact, near


def _content(image: ImagePrint | None) -> str | None:
    return image.content_hash if image else None


def _one_of_each_kind(indices: Sequence[int], samples: Sequence[Sample]) -> list[int]:
    """The first of every label and split: as good as all, to tell what is on both sides."""
    first: dict[tuple[int | None, str | None], int] = {}
    for index in indices:
        first.setdefault((samples[index].label, samples[index].split), index)
    return list(first.values())


def _named(found: Sequence[_Found], samples: Sequence[Sample]) -> tuple[Duplicates, ...]:
    return tuple(Duplicates(tuple(samples[i].id for i in indices), bits) for indices, bits in found)


def _splits(samples: Iterable[Sample]) -> set[str]:
    return {sample.split for sample in samples if sample.split is not None}


def _groups_across_splits(samples: Sequence[Sample]) -> tuple[str, ...]:
    members: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.group is not None:
            members[sample.group].append(sample)
    return tuple(sorted(group for group, inside in members.items() if len(_splits(inside)) > 1))


def _places_across_splits(
    samples: Sequence[Sample], metres: float
) -> tuple[tuple[NearPlaces, ...], int]:
    """The nearest pairs of samples of different splits, and how many pairs there are."""
    placed, degrees = positions(samples)
    inside = np.array([samples[i].split is not None for i in placed], dtype=bool)
    placed, degrees = placed[inside], degrees[inside]
    names = [samples[i].split or "" for i in placed]
    splits = np.unique(names, return_inverse=True)[1].reshape(-1)
    # Images of one point and split count together: a parked camera would make millions of pairs.
    spots, which = distinct(np.column_stack([degrees, splits]))
    weights = np.bincount(which, minlength=len(spots))
    placed, degrees, splits = placed[spots], degrees[spots], splits[spots]
    count, nearest = 0, np.empty((0, 3))
    for pairs in near_pairs(degrees, metres):
        parted = pairs[splits[pairs[:, 0]] != splits[pairs[:, 1]]]
        first, second = degrees[parted[:, 0]], degrees[parted[:, 1]]
        apart = haversine(first[:, 0], first[:, 1], second[:, 0], second[:, 1])
        count += int((weights[parted[:, 0]] * weights[parted[:, 1]]).sum())
        nearest = np.concatenate([nearest, np.column_stack([parted, apart])])
        nearest = nearest[np.argsort(nearest[:, 2], kind="stable")][:_NEAREST]
    return (
        tuple(
            NearPlaces(samples[placed[int(a)]].id, samples[placed[int(b)]].id, float(apart))
            for a, b, apart in nearest
        ),
        count,
    )


def _facts(samples: Sequence[Sample], prints: Sequence[ImagePrint | None]) -> Facts:
    readable = [image for image in prints if image is not None]
    sides = sorted(min(image.width, image.height) for image in readable)
    sizes = Counter(f"{image.width} x {image.height}" for image in readable)
    return Facts(
        rows=len(samples),
        labels=_labels(samples),
        splits={
            name: _labels([sample for sample in samples if sample.split == name])
            for name in sorted(_splits(samples))
        },
        groups=len({sample.group for sample in samples} - {None}),
        sources=len({sample.source for sample in samples} - {None}),
        missing={
            name: sum(getattr(sample, name) is None for sample in samples)
            for name in ("label", "group", *METADATA_FIELDS, "source", "content_hash", "split")
        },
        sizes=dict(sizes.most_common(10)),
        shorter_side=(sides[0], sides[len(sides) // 2], sides[-1]) if sides else None,
        blank=sum(image.perceptual is None for image in readable),
    )


def _labels(samples: Sequence[Sample]) -> dict[str, int]:
    counts = Counter(sample.label for sample in samples)
    return {"road work": counts[1], "none": counts[0], "unlabelled": counts[None]}


def _rows(count: int) -> str:
    return f"{count} {'row' if count == 1 else 'rows'}"


def _count(items: Sequence[object], one: str, many: str) -> str:
    return f"{len(items)} {one if len(items) == 1 else many}"
