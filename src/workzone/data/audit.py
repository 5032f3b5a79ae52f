"""What is wrong with a data set, before a model learns it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from workzone.data.audit_report import AuditReport, Facts
from workzone.data.coordinates import misplaced
from workzone.data.copies import find_copies
from workzone.data.duplicates import NEAR_DISTANCE
from workzone.data.leaks import find_leaks
from workzone.data.manifest import METADATA_FIELDS, Manifest
from workzone.data.prints import Fingerprints, ImagePrint, fingerprints
from workzone.data.repeats import LABEL_CONFLICT
from workzone.data.shared_places import shared_places
from workzone.data.split_scenes import PLACE_METRES
from workzone.errors import ManifestError
from workzone.types import Sample


def audit(
    manifest: Manifest,
    *,
    near_distance: int = NEAR_DISTANCE,
    place_metres: float = PLACE_METRES,
    seen: Fingerprints | None = None,
) -> AuditReport:
    """Look for everything that makes a score on this data worth less than it looks.

    Every image is read once.

    Args:
        manifest: samples, with or without labels and splits.
        near_distance: bits of 64 in which copies may differ, see `near_copies`.
        place_metres: images at most this far apart show one place.
        seen: `fingerprints` of the manifest, where they are at hand.

    Raises:
        ManifestError: the manifest has no rows.
        UsageError: ``near_distance`` is out of range.
    """
    if not len(manifest):
        raise ManifestError("the manifest has no rows to audit; import some images first")
    samples = manifest.samples
    if seen is None:
        seen = fingerprints(manifest)
    return AuditReport(
        facts=_facts(samples, seen.prints),
        unreadable=tuple(seen.unreadable),
        changed=tuple(
            sample.id
            for sample, image in zip(samples, seen.prints, strict=True)
            if image and sample.content_hash not in (None, image.content_hash)
        ),
        copies=find_copies(seen.prints, samples, near_distance),
        labels_cleared=tuple(s.id for s in samples if LABEL_CONFLICT in s.extra),
        groups_across_splits=_groups_across_splits(samples),
        places_across_splits=shared_places(samples, place_metres, lambda sample: sample.split),
        places_across_groups=shared_places(
            samples, place_metres, lambda sample: sample.group, each_two_sides_once=True
        ),
        misplaced=misplaced(samples),
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


def _splits(samples: Iterable[Sample]) -> set[str]:
    return {sample.split for sample in samples if sample.split is not None}


def _groups_across_splits(samples: Sequence[Sample]) -> tuple[str, ...]:
    members: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.group is not None:
            members[sample.group].append(sample)
    return tuple(sorted(group for group, inside in members.items() if len(_splits(inside)) > 1))


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
        blank=sum(image.looks is None for image in readable),
    )


def _labels(samples: Sequence[Sample]) -> dict[str, int]:
    counts = Counter(sample.label for sample in samples)
    return {"road work": counts[1], "none": counts[0], "unlabelled": counts[None]}
