from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from made_copies import copies, encoded, picture, stored
from workzone.data.manifest import Manifest
from workzone.data.places import haversine
from workzone.data.prints import fingerprints
from workzone.data.split_proof import check_split
from workzone.types import ImageRef, Sample


def manifest_of(samples: list[Sample]) -> Manifest:
    return Manifest(samples, Path("data"))


def sample(number: int, label: int | None = None, **more: object) -> Sample:
    return Sample(f"s{number:05d}", ImageRef(f"{number}.jpg"), label=label, **more)  # type: ignore[arg-type]


def test_the_proof_sees_every_kind_of_leak() -> None:
    samples = [
        sample(0, 1, split="train", group="g", latitude=50.0, longitude=8.0),
        sample(1, 0, split="test", group="g", latitude=50.0, longitude=8.001),
        sample(2, 1, split="train", content_hash="h"),
        sample(3, 0, split="test", content_hash="h"),
        sample(4, None),
    ]
    proof = check_split(manifest_of(samples), place_metres=100.0)
    assert proof.shared_groups == ("g",)
    assert proof.shared_hashes == ("h",)
    assert proof.least_metres == pytest.approx(float(haversine(50, 8, 50, 8.001)), rel=1e-9)
    assert (proof.without_split, proof.without_group, proof.without_position) == (1, 3, 3)
    assert [(s.name, s.rows, s.positives, s.groups) for s in proof.splits] == [
        ("test", 2, 0, 1),
        ("train", 2, 2, 1),
    ]
    assert proof.problems == [
        "1 row in no split",
        "1 group is on both sides",
        "1 image is on both sides as copies",
        "images of different splits are only 71.5 m apart; at least 100 m are asked for",
    ]
    assert proof.to_json()["problems"] == proof.problems


def test_the_proof_sees_copies_by_their_looks_and_says_what_it_did_not_look_for(
    tmp_path: Path,
) -> None:
    one = picture(1, (640, 480))
    samples = [
        stored(tmp_path, "one.jpg", encoded(one), split="train"),
        stored(tmp_path, "mirrored.jpg", copies(one)["mirrored"], split="test"),
        stored(tmp_path, "black.jpg", encoded(Image.new("RGB", (64, 48))), split="test"),
        Sample("gone", ImageRef("gone.jpg"), split="train"),
    ]
    manifest = Manifest(samples, tmp_path)
    blind = check_split(manifest)
    assert blind.problems == []
    assert "copies (re-encoded, resized, mirrored, cropped" in blind.not_looked_for[0]
    assert "0 copies (same bytes) on two sides" in blind.sentences[0]

    proof = check_split(manifest, seen=fingerprints(manifest))
    assert proof.problems == [
        "images on both sides look alike (one.jpg and mirrored.jpg, mirrored, for one)"
    ]
    assert "2 copies (same bytes, re-encoded, resized, mirrored, cropped" in proof.sentences[0]
    assert proof.sentences[1].startswith("Not looked for: crops off the centre")
    assert proof.warnings[0] == "1 image cannot be read: copies are not known."
    assert proof.warnings[1].startswith("1 image too even to compare")
    assert proof.without_hash == 1
    told = proof.to_json()
    assert told["looks"]["on_two_sides"]["sets"][0]["kind"] == "mirrored"
    assert told["not_looked_for"] == proof.not_looked_for


def test_files_without_a_content_hash_are_compared_as_they_are_read(tmp_path: Path) -> None:
    black = encoded(Image.new("RGB", (64, 48)))
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(black)
    samples = [
        Sample("a", ImageRef("a.jpg"), split="train"),
        Sample("b", ImageRef("b.jpg"), split="test"),
    ]
    manifest = Manifest(samples, tmp_path)
    assert check_split(manifest).problems == []
    assert check_split(manifest, seen=fingerprints(manifest)).problems == [
        "1 image is on both sides as copies"
    ]
