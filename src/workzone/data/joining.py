"""Manifests joined into one."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workzone.data.manifest import Manifest
from workzone.data.masks.references import with_path
from workzone.data.pseudo_labels import SOURCE
from workzone.errors import ManifestError, UsageError
from workzone.types import Sample


@dataclass(frozen=True, slots=True)
class Joined:
    """The manifest, and what is to be known of it."""

    manifest: Manifest
    renamed: int  # rows whose id occurred in an earlier manifest
    copies: list[tuple[str, ...]]  # ids of rows with the same image
    outdone: int  # pseudo-labelled rows left out: another row has the image with a label of its own


def join_manifests(manifests: Sequence[Manifest], folder: Path) -> Joined:
    """All rows in order, with paths that start at ``folder``.

    A model's label gives way: a pseudo-labelled row is left out where another row has the same
    image with a label of its own. Ids that occur again get ``-2``, ``-3`` and so on. Groups stay
    as they are: composites lie with their photographs by them. So do splits; split anew where the
    manifests were split apart.

    Raises:
        UsageError: fewer than two manifests.
        ManifestError: an image with label 0 here and 1 there.
    """
    if len(manifests) < 2:
        raise UsageError(f"{len(manifests)} manifest to join; name at least two")
    samples: list[Sample] = []
    labelled = {
        sample.content_hash
        for manifest in manifests
        for sample in manifest
        if sample.label is not None and sample.source != SOURCE
    } - {None}
    outdone = 0
    taken = {sample.id for manifest in manifests for sample in manifest}
    seen: set[str] = set()
    renamed = 0
    for manifest in manifests:
        for row in moved(manifest, folder):
            if row.source == SOURCE and row.content_hash in labelled:
                outdone += 1
                continue
            sample = row
            if sample.id in seen:
                renamed += 1
                sample = dataclasses.replace(row, id=_free_id(row.id, taken))
                taken.add(sample.id)
            seen.add(sample.id)
            samples.append(sample)
    columns: dict[str, str] = {}
    for manifest in reversed(manifests):
        columns |= manifest.source_columns
    return Joined(Manifest(samples, folder, columns), renamed, _copies(samples), outdone)


def moved(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest with relative paths that start at ``folder``, where it is to be written."""
    folder = folder.resolve()
    root = manifest.root.resolve()
    if folder == root:
        return manifest

    def moved_path(path: str) -> str:
        return (
            path
            if Path(path).is_absolute()
            else Path(os.path.relpath(root / path, folder)).as_posix()
        )

    def moved_sample(sample: Sample) -> Sample:
        image = dataclasses.replace(sample.image, path=moved_path(sample.image.path))
        masks = None if sample.masks is None else with_path(sample.masks, moved_path)
        return dataclasses.replace(sample, image=image, masks=masks)

    samples = [moved_sample(sample) for sample in manifest]
    return dataclasses.replace(manifest, samples=samples, root=folder)


def _free_id(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def _copies(samples: Sequence[Sample]) -> list[tuple[str, ...]]:
    """Rows with the same image, which must not have two labels."""
    counts = Counter(sample.content_hash for sample in samples)
    held: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.content_hash is not None and counts[sample.content_hash] > 1:
            held.setdefault(sample.content_hash, []).append(sample)
    for same in held.values():
        by_label: Mapping[int | None, str] = {sample.label: sample.id for sample in same}
        if 0 in by_label and 1 in by_label:
            raise ManifestError(
                f"{by_label[0]!r} and {by_label[1]!r} are the same image, with label 0 and label "
                "1; correct one of them, or leave it out"
            )
    return [tuple(sample.id for sample in same) for same in held.values()]
