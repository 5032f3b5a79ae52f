from __future__ import annotations

from pathlib import Path

import numpy as np

from made_copies import copies, encoded, picture, stored
from workzone.data.copies import SAME_BYTES, FoundCopies, find_copies
from workzone.data.manifest import Manifest
from workzone.data.prints import PRINTS, ImagePrint, fingerprints
from workzone.types import ImageRef, Sample


def found(folder: Path, *samples: Sample) -> FoundCopies:
    return find_copies(fingerprints(Manifest(samples, folder)).prints, samples, 6)


def test_copies_are_named_by_kind_and_told_by_label_split_and_group(tmp_path: Path) -> None:
    one, other, third = (picture(seed, (640, 480)) for seed in range(3))
    result = found(
        tmp_path,
        stored(tmp_path, "a.jpg", encoded(one), label=1, split="train", group="g"),
        stored(tmp_path, "a-again.jpg", encoded(one), label=1, split="train", group="h"),
        stored(tmp_path, "b.jpg", encoded(other), label=0, split="train", group="i"),
        stored(tmp_path, "b-mirrored.jpg", copies(other)["mirrored"], label=1, group="i"),
        stored(tmp_path, "c.jpg", encoded(third), label=0, split="test"),
        stored(tmp_path, "c-cropped.jpg", copies(third)["cropped"], split="train"),
        stored(tmp_path, "d.jpg", encoded(picture(9)), label=0, split="test"),
    )

    def named(name: str) -> list[tuple[tuple[str, ...], str]]:
        return [(each.ids, each.kind) for each in getattr(result, name).sets]

    mirrored = (("b.jpg", "b-mirrored.jpg"), "mirrored")
    cropped = (("c.jpg", "c-cropped.jpg"), "cropped")
    same = (("a.jpg", "a-again.jpg"), SAME_BYTES)
    assert named("exact_duplicates") == [same]
    assert sorted(named("near_duplicates")) == [mirrored, cropped]
    assert named("two_labels") == [mirrored]
    assert named("duplicates_across_splits") == [cropped]
    assert named("duplicates_across_groups") == [same]
    assert result.two_labels.images == 2


def test_thousands_of_frames_of_one_view_make_few_findings() -> None:
    looks = np.full((PRINTS, 5), 0b11, dtype=np.uint64)
    other = looks.copy()
    other[0, 0] ^= np.uint64(1)
    prints = [ImagePrint(f"{n}", looks if n else other, 64, 48) for n in range(20_000)]
    samples = [
        Sample(f"{n}", ImageRef("x.png"), label=n % 2, split="train" if n < 15_000 else "test")
        for n in range(20_000)
    ]
    result = find_copies(prints, samples, 6)
    same, near = result.near_duplicates.sets
    assert (len(same.ids), same.distance) == (19_999, 0)
    assert (near.ids, near.distance) == (("0", "1", "2", "15000", "15001"), 0)
    assert result.two_labels == result.duplicates_across_splits == result.near_duplicates
    assert result.two_labels.images == 20_000


def test_a_parked_camera_whose_frames_all_differ_lists_the_nearest() -> None:
    random = np.random.default_rng(0)
    flips = np.uint64(1) << random.integers(0, 64, (600, 2), dtype=np.uint64)
    prints = []
    for number, (a, b) in enumerate(flips):
        looks = np.full((PRINTS, 5), 0xF0F0, dtype=np.uint64)
        looks[0, 1:3] ^= np.array([a, b])
        prints.append(ImagePrint(str(number), looks, 64, 48))
    samples = [Sample(str(n), ImageRef("x"), group=f"g{n % 7}") for n in range(600)]
    result = find_copies(prints, samples, 6)
    assert result.duplicates_across_groups.images == 600
    assert len(result.duplicates_across_groups.sets) <= 100
    bits = [each.distance or 0 for each in result.duplicates_across_groups.sets]
    assert bits == sorted(bits)
