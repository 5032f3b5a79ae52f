from __future__ import annotations

import random
from pathlib import Path

import pytest

from made_copies import copies, encoded, picture, stored
from workzone.data.manifest import Manifest
from workzone.data.prints import fingerprints
from workzone.data.splits import split_manifest
from workzone.errors import ManifestError
from workzone.types import ImageRef, Sample


@pytest.fixture
def with_copies(tmp_path: Path) -> Manifest:
    """Twelve pictures, each with a copy of some kind, all in groups of their own."""
    samples = []
    for number in range(12):
        one = picture(number, (640, 480))
        kind = list(copies(one))[number % 4]
        samples += [
            stored(tmp_path, f"{number}.jpg", encoded(one), label=number % 2, group=f"g{number}"),
            stored(
                tmp_path, f"{number}-copy.jpg", copies(one)[kind], label=number % 2,
                group=f"h{number}",
            ),
        ]  # fmt: skip
    return Manifest(samples, tmp_path)


def parted(manifest: Manifest) -> set[str]:
    split = {sample.id: sample.split for sample in manifest}
    return {n for n in map(str, range(12)) if split[f"{n}.jpg"] != split[f"{n}-copy.jpg"]}


def test_copies_join_their_groups_before_the_split(with_copies: Manifest) -> None:
    seen = fingerprints(with_copies)
    for seed in range(3):
        done, proof = split_manifest(with_copies, folds=3, seed=seed, seen=seen)
        assert parted(done) == set()
        assert proof.problems == []
        assert proof.lookalikes is not None and proof.lookalikes.joined == 12
        assert len(proof.lookalikes.examples) == 12
        blind, said = split_manifest(with_copies, folds=3, seed=seed)
        assert parted(blind)
        assert said.looks is said.lookalikes is None
    assert proof.sentences[2].startswith("12 scenes were joined to others, for their pictures look")


def test_the_split_by_looks_does_not_depend_on_row_order(with_copies: Manifest) -> None:
    shuffled = with_copies.with_samples(random.Random(0).sample(with_copies.samples, 24))
    one, other = (
        split_manifest(each, folds=3, seen=fingerprints(each))[0]
        for each in (with_copies, shuffled)
    )
    assert {s.id: s.split for s in one} == {s.id: s.split for s in other}


def test_images_that_cannot_be_read_are_told_and_split_by_the_rest(with_copies: Manifest) -> None:
    manifest = with_copies.with_samples(
        [*with_copies.samples, Sample("gone", ImageRef("gone.jpg"), label=0, group="g0")]
    )
    done, proof = split_manifest(manifest, folds=3, seen=fingerprints(manifest))
    split = {sample.id: sample.split for sample in done}
    assert split["gone"] == split["0.jpg"]
    assert "1 image cannot be read: copies are not known." in proof.warnings


def test_one_view_that_joins_much_of_the_data_is_named(tmp_path: Path) -> None:
    view = picture(0, (640, 480))
    samples = [
        stored(tmp_path, f"v{n}.jpg", encoded(view, quality=40 + n), label=n % 2, group=f"v{n}")
        for n in range(15)
    ]
    samples += [
        stored(tmp_path, f"{n}.jpg", encoded(picture(n)), label=n % 2) for n in range(1, 25)
    ]
    manifest = Manifest(samples, tmp_path)
    seen = fingerprints(manifest)
    _, proof = split_manifest(manifest, folds=2, seen=seen)
    assert any("One scene holds 15 of 39 rows: looks joined 15" in w for w in proof.warnings)
    few = Manifest(samples[:15], tmp_path)
    with pytest.raises(ManifestError, match=r"only 1 scene .* 14 scenes were joined to others sin"):
        split_manifest(few, folds=2, seen=fingerprints(few))
