"""Splits that keep together what looks alike, and the proof that they do."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from workzone.data.duplicates import NEAR_DISTANCE
from workzone.data.manifest import Manifest
from workzone.data.prints import Fingerprints
from workzone.data.split_proof import APART, SplitProof, check_split
from workzone.data.split_scenes import (
    PLACE_METRES,
    LookalikeScenes,
    join_lookalikes,
    join_scenes,
)
from workzone.errors import ManifestError, UsageError, nearest
from workzone.types import Sample

DEFAULT_PROPORTIONS: Mapping[str, float] = {"train": 0.7, "val": 0.15, "test": 0.15}

TRAIN = "train"

_LISTED = 4  # splits that a message names


def split_manifest(
    manifest: Manifest,
    *,
    proportions: Mapping[str, float] | None = None,
    folds: int | None = None,
    seed: int = 0,
    place_metres: float = PLACE_METRES,
    train_only: Collection[str] = (),
    seen: Fingerprints | None = None,
    near_distance: int = NEAR_DISTANCE,
) -> tuple[Manifest, SplitProof]:
    """Assign every sample to a split, whole scenes at a time.

    Samples are joined into one scene where they share a group, lie at most ``place_metres`` apart,
    have equal content hashes, or (with ``seen``) show the same picture, re-encoded, resized,
    mirrored or cropped about its centre, and so on from each to the next. Whole scenes are
    assigned, the hardest to place first, each to the split that lacks most of what it holds (road
    work, none, unlabelled). The result depends on the samples and the seed, not on the order of
    the rows.

    Args:
        manifest: samples, labelled or not; a split that they have is replaced.
        proportions: share of each split by name, summing to 1; `DEFAULT_PROPORTIONS` by default.
        folds: instead of proportions, this many equal parts named ``fold-0``, ``fold-1``, ...
        seed: decides between scenes and between splits that are equally good.
        place_metres: least distance on the ground between images of different splits.
        train_only: sources whose rows never validate or test, as made images should not. They are
            in ``train``, unless their scene is in another split: ``val``, say. Then they are in
            ``not-val``, of which nothing is learned while ``val`` validates or is left alone.
        seen: `fingerprints` of the manifest. Without them nobody looks at the pictures, and the
            proof says so.
        near_distance: bits in which copies may differ, see `near_copies`.

    Returns:
        the manifest with ``split`` filled in, and its proof.

    Raises:
        UsageError: folds and proportions together, numbers out of range, or a source that no row
            has.
        ManifestError: no rows, or a split would hold no road work or nothing but road work (where
            no row is labelled: no rows).
    """
    shares = _shares(proportions, folds)
    if place_metres < 0 or not np.isfinite(place_metres):
        raise UsageError(f"a distance of {place_metres:g} m is out of range; give 0 or more")
    if not len(manifest):
        raise ManifestError("the manifest has no rows to split; import some images first")
    sources = {sample.source for sample in manifest if sample.source}
    for source in train_only:
        if source not in sources:
            raise UsageError(f"no row has the source {source!r}; {nearest(source, sources)}")
    scenes = join_scenes(manifest.samples, place_metres=place_metres)
    lookalikes = None
    if seen is not None:
        scenes, lookalikes = join_lookalikes(scenes, manifest.samples, seen, near_distance)
    judging = [row for row, s in enumerate(manifest) if s.source not in train_only]
    if not judging:
        raise ManifestError("all rows are of sources that only train; add photographs to judge by")
    judges = [manifest.samples[row] for row in judging]
    names = list(shares)
    chosen = _assign(judges, scenes[judging], list(shares.values()), seed)
    of_row = {row: names[number] for row, number in zip(judging, chosen, strict=True)}
    of_scene = {int(scenes[row]): name for row, name in of_row.items()}
    done = manifest.with_samples(
        [
            dataclasses.replace(
                sample, split=of_row.get(row) or _beside(of_scene.get(int(scenes[row]), TRAIN))
            )
            for row, sample in enumerate(manifest)
        ]
    )
    proof = dataclasses.replace(
        check_split(done, place_metres=place_metres, seen=seen, near_distance=near_distance),
        lookalikes=lookalikes,
    )
    _require_every_part([done.samples[row] for row in judging], scenes[judging], names, lookalikes)
    if proof.problems:
        raise ManifestError(f"the split does not hold: {'; '.join(proof.problems)}. Please report.")
    return done, proof


def _beside(split: str) -> str:
    """Where rows that only train are, with others of their scene in ``split``."""
    return TRAIN if split == TRAIN else APART + split


def _shares(proportions: Mapping[str, float] | None, folds: int | None) -> dict[str, float]:
    if folds is not None:
        if proportions is not None:
            raise UsageError("give either folds or proportions, not both")
        if folds < 2:
            raise UsageError(f"{folds} folds cannot be; give 2 or more")
        return {f"fold-{number}": 1 / folds for number in range(folds)}
    shares = dict(DEFAULT_PROPORTIONS if proportions is None else proportions)
    if any(not share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        given = ", ".join(f"{name} {share:g}" for name, share in shares.items()) or "none"
        raise UsageError(
            f"proportions must be above 0 and sum to 1, these are {given} "
            f"(sum {sum(shares.values()):g}); leave out the splits that you do not want"
        )
    return shares


def _assign(
    samples: Sequence[Sample], scenes: npt.NDArray[np.int64], shares: list[float], seed: int
) -> list[int]:
    """The number of the split of each sample.

    Greedy: the scene that holds most of a scarce label first, each to the split where the sum over
    labels of squared distances to the target shrinks most. Where that leaves a split without a
    label (few, lopsided scenes), once more with labels that a split has none of going first.
    """
    numbers, scenes = np.unique(scenes, return_inverse=True)
    kinds = [2 if sample.label is None else sample.label for sample in samples]
    held = np.zeros((len(numbers), 3))
    np.add.at(held, (scenes, np.array(kinds)), 1)
    part = held / np.maximum(held.sum(axis=0), 1)  # of each label, the share that a scene holds

    names = [""] * len(numbers)  # the least id names a scene, whatever the order of the rows
    for sample, scene in zip(samples, scenes.tolist(), strict=True):
        names[scene] = min(names[scene] or sample.id, sample.id)
    size = np.round(part.max(axis=1), 12).tolist()
    order = sorted(range(len(names)), key=lambda i: (-size[i], _chance(seed, names[i])))

    parts = part[order].tolist()
    present = [float(total > 0) for total in held.sum(axis=0)]
    targets = [[share * there for there in present] for share in shares]
    placed, complete = _place(parts, targets, seed, fill_first=False)
    if not complete:
        placed, _ = _place(parts, targets, seed, fill_first=True)
    split_of = dict(zip(order, placed, strict=True))
    return [split_of[scene] for scene in scenes.tolist()]


def _place(
    parts: list[list[float]], targets: list[list[float]], seed: int, *, fill_first: bool
) -> tuple[list[int], bool]:
    """The split of each scene in turn, and whether every split got something of every label.

    ``parts``: the share of each label's rows in each scene; ``targets``: the same for each split.
    """
    lacking = [list(target) for target in targets]
    empty = [[target > 0 for target in row] for row in targets]
    tie_break = [_chance(seed, f"split {number}") for number in range(len(targets))]
    placed = []
    for scene in parts:
        worth = []
        for number, row in enumerate(lacking):
            gain = sum(part * lack for part, lack in zip(scene, row, strict=True))
            fills = sum(part > 0 and none for part, none in zip(scene, empty[number], strict=True))
            worth.append((fills if fill_first else 0, round(gain, 12), tie_break[number]))
        best = worth.index(max(worth))
        placed.append(best)
        lacking[best] = [lack - part for part, lack in zip(scene, lacking[best], strict=True)]
        empty[best] = [none and not part for part, none in zip(scene, empty[best], strict=True)]
    return placed, not any(none for row in empty for none in row[:2])


def _chance(seed: int, name: str) -> bytes:
    """A random but repeatable rank, the same on every machine."""
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()


def _require_every_part(
    samples: Sequence[Sample],
    scenes: npt.NDArray[np.int64],
    names: list[str],
    lookalikes: LookalikeScenes | None,
) -> None:
    """No split of labelled samples is without one of the labels, and no other is empty."""
    labels = [sample.label for sample in samples]
    kinds: list[tuple[int | None, str]] = [(1, "road work"), (0, "images without road work")]
    if labels.count(None) == len(labels):
        kinds = [(None, "rows")]
    for label, what in kinds:
        chosen = [index for index, found in enumerate(labels) if found == label]
        if not chosen:
            raise ManifestError(
                f"no row {'has' if label else 'is without'} road work: {labels.count(0)} rows with "
                f"label 0, {labels.count(1)} with label 1. Add some, or look whether the import "
                "took the labels from the right column."
            )
        filled = {samples[index].split for index in chosen}
        lacking = [name for name in names if name not in filled]
        if lacking:
            apart = len(set(scenes[chosen].tolist()))
            raise ManifestError(
                f"{_listed(lacking)} would hold no {what}: the {len(chosen)} such rows lie in "
                f"only {apart} {'scene' if apart == 1 else 'scenes'} that may not be parted (one "
                f"group, one place, or the same image), and {len(names)} splits are asked for. Ask "
                "for fewer folds or splits, add images from elsewhere, or lower the distance "
                f"between places.{_hint(lookalikes)}"
            )


def _hint(lookalikes: LookalikeScenes | None) -> str:
    if lookalikes is None or not lookalikes.joined:
        return ""
    one, other, kind = lookalikes.examples[0]
    return (
        f" {lookalikes.joined} scenes were joined to others since their pictures look alike, "
        f"{one!r} and {other!r} ({kind}) for one; a lower near distance joins fewer."
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _LISTED:
        return ", ".join(names)
    return f"{', '.join(names[:_LISTED])} and {len(names) - _LISTED} more"
