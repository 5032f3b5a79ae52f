from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_copies import copies, encoded, picture, stored
from workzone.data.audit import audit
from workzone.data.images import content_hash
from workzone.data.manifest import Manifest
from workzone.data.splits import split_manifest
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef, Sample


def paint(path: Path, seed: int, size: tuple[int, int] = (160, 120)) -> str:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return content_hash(path.read_bytes())


@pytest.fixture
def clean(tmp_path: Path) -> Manifest:
    samples = []
    for number in range(24):
        digest = paint(tmp_path / f"{number}.png", number)
        image = ImageRef(f"{number}.png")
        group = f"g{number // 2}"
        samples.append(
            Sample(
                f"s{number}", image, label=number // 2 % 2, group=group, content_hash=digest,
                latitude=10.0 + number // 2, longitude=20.0,
            )
        )  # fmt: skip
    return split_manifest(Manifest(samples, tmp_path), folds=2)[0]


def with_more(manifest: Manifest, *samples: Sample) -> Manifest:
    return manifest.with_samples([*manifest.samples, *samples])


def test_a_clean_manifest_has_no_problems(clean: Manifest) -> None:
    report = audit(clean)
    assert report.problems == []
    assert report.notes == []
    assert report.verdict == "No problems found in 24 rows."
    assert report.facts.labels == {"road work": 12, "none": 12, "unlabelled": 0}
    assert report.facts.splits == {
        f"fold-{n}": {"road work": 6, "none": 6, "unlabelled": 0} for n in (0, 1)
    }
    assert report.facts.groups == 12
    assert report.facts.missing["weather"] == 24
    assert report.facts.missing["latitude"] == 0
    assert report.facts.sizes == {"160 x 120": 24}
    assert report.facts.shorter_side == (120, 120, 120)
    assert {leak.verdict for leak in report.leaks} == {"too few rows", "identity"}


def test_every_problem_is_found_and_said_plainly(clean: Manifest, tmp_path: Path) -> None:
    first = clean.samples[0]
    other = "fold-1" if first.split == "fold-0" else "fold-0"
    paint(tmp_path / "copy.png", 0)
    paint(tmp_path / "small.png", 1, (80, 60))
    Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "blank.png")
    manifest = with_more(
        clean,
        Sample("gone", ImageRef("gone.png")),
        Sample("copy", ImageRef("copy.png"), label=1, split=first.split),
        Sample("small", ImageRef("small.png"), label=0, split=other),
        Sample("blank", ImageRef("blank.png"), content_hash="0" * 32),
        Sample("torn", ImageRef("5.png"), group=first.group, split=other),
        Sample("near", ImageRef("blank.png"), latitude=10.0005, longitude=20.0, split=other),
    )
    report = audit(manifest)
    assert [(u.id, u.code) for u in report.unreadable] == [("gone", "missing")]
    assert report.changed == ("blank",)
    assert [set(d.ids) for d in report.copies.exact_duplicates.sets] == [
        {"s0", "copy"},
        {"s5", "torn"},
        {"blank", "near"},
    ]
    (near,) = report.copies.near_duplicates.sets
    assert (near.ids, near.kind) == (("s1", "small"), "re-encoded or resized")
    assert [set(d.ids) for d in report.copies.two_labels.sets] == [{"s0", "copy"}]
    assert report.groups_across_splits == (first.group,)
    assert {p.second for p in report.places_across_splits.nearest} == {"near"}
    assert report.places_across_splits.pairs == 2
    assert report.places_across_splits.nearest[0].metres == pytest.approx(55.6, abs=0.1)
    crossing = {d.ids for d in report.copies.duplicates_across_splits.sets}
    assert ("s1", "small") in crossing
    assert ("s0", "copy") not in crossing
    assert report.facts.blank == 2

    said = "\n".join(report.problems)
    for sentence in (
        "1 image cannot be read (1 missing).",
        "1 image changed since the import; import again.",
        "2 rows show pictures that occur with both labels (s0 and copy, same bytes, for one): one",
        "1 group lies on both sides of a split; split by group: `workzone data split`.",
        "2 pairs of images in different splits are at most 100 m apart (the nearest 55.6 m)",
        "images show pictures that are on both sides of a split (s5 and torn, same bytes, for one)",
    ):
        assert sentence in said
    assert report.verdict == f"{len(report.problems)} problems found in 30 rows; mend them first."
    assert "2 images are blank or too even to compare" in report.notes[-1]


def test_wider_limits_find_more(clean: Manifest) -> None:
    report = audit(clean, near_distance=15, place_metres=120_000)
    assert report.places_across_splits.pairs > 0
    assert "split by place" in report.problems[0]


def test_leaks_of_metadata_and_of_image_size_are_problems(tmp_path: Path) -> None:
    samples = []
    for number in range(60):
        label = number % 2
        paint(tmp_path / f"{number}.png", number, (64 + 32 * label, 64))
        extra = {"travel_alteration": "Lane shift"} if label else {}
        samples.append(Sample(f"{number}", ImageRef(f"{number}.png"), label=label, extra=extra))
    report = audit(Manifest(samples, tmp_path))
    assert report.problems == [
        "Column image width gives the label away: its value alone tells road work with AUC 1.000.",
        "Column travel_alteration gives the label away: "
        "whether it is missing alone tells road work with AUC 1.000.",
    ]


def test_report_is_plain_json_with_its_sentences(clean: Manifest) -> None:
    text = json.dumps(audit(clean).to_json(), allow_nan=False)
    read = json.loads(text)
    assert read["verdict"] == "No problems found in 24 rows."
    assert read["facts"]["rows"] == 24
    assert {"problems", "notes", "leaks", "unreadable"} <= set(read)
    assert read["near_duplicates"] == read["places_across_splits"] == read["misplaced"] == []
    assert read["near_duplicates_count"] == read["places_across_splits_count"] == 0


def test_wrong_requests_are_refused(clean: Manifest) -> None:
    with pytest.raises(ManifestError, match="no rows to audit; import some"):
        audit(clean.with_samples([]))
    with pytest.raises(UsageError, match="near distance of 64 bits"):
        audit(clean, near_distance=64)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([None, None], "No row has a label: 2 rows that teach nothing."),
        ([0, None], "No row has road work: 1 row with label 0, 0 with label 1; a model needs"),
        ([1, 1], "No row is without road work: 0 rows with label 0, 2 with label 1; a model"),
    ],
)
def test_labels_that_teach_nothing_are_a_problem(
    tmp_path: Path, labels: list[int | None], problem: str
) -> None:
    samples = []
    for number, label in enumerate(labels):
        paint(tmp_path / f"{number}.png", number)
        samples.append(Sample(f"{number}", ImageRef(f"{number}.png"), label=label))
    (found,) = audit(Manifest(samples, tmp_path)).problems
    assert found.startswith(problem)


def test_before_a_split_the_audit_names_what_groups_share(tmp_path: Path) -> None:
    one, other = picture(1, (640, 480)), picture(2, (640, 480))
    here = {"latitude": 50.0, "longitude": 8.0}
    samples = [
        stored(tmp_path, "a.jpg", encoded(one), label=0, group="g", **here),
        stored(tmp_path, "a-mirrored.jpg", copies(one)["mirrored"], label=0, group="h"),
        stored(
            tmp_path, "b.jpg", encoded(other), label=1, group="i", latitude=50.0005, longitude=8.0
        ),
    ]
    report = audit(Manifest(samples, tmp_path))
    assert report.problems == []
    assert report.notes == [
        "2 images look like others (a.jpg and a-mirrored.jpg, mirrored, for one).",
        "2 images of different groups show the same picture (a.jpg and a-mirrored.jpg, mirrored, "
        "for one); `workzone data split` keeps them together.",
        "2 groups share places: at most 100 m apart (a.jpg and b.jpg, 55.6 m, for one); "
        "`workzone data split` keeps them together.",
    ]


def test_coordinates_that_are_exchanged_are_a_problem_and_far_ones_a_note(tmp_path: Path) -> None:
    samples = []
    for number in range(8):
        exchanged, far = number == 5, number == 6
        latitude, longitude = (11.5, 48.1) if exchanged else (48.1, 11.5)
        samples.append(
            stored(
                tmp_path, f"{number}.jpg", encoded(picture(number)), label=number % 2, group="g",
                latitude=30.0 if far else latitude, longitude=longitude,
            )
        )  # fmt: skip
    report = audit(Manifest(samples, tmp_path))
    assert report.problems == [
        "1 row is far from where the others are, and among them with latitude and longitude "
        "exchanged (5.jpg at 11.5, 48.1, of group g, 5,297 km from the median); correct the "
        "coordinates, or leave them out."
    ]
    assert report.notes == [
        "1 row is over 500 km from where the others are (6.jpg at 30, 11.5, of group g, 2,013 km "
        "from the median)."
    ]
