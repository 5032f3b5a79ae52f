"""Labels that evidence denies, ranked; planted errors on drawn scenes are found."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
from PIL import Image

from data.masks.made_masks import area, build, cone
from workzone.data.doubt import draw_doubts, find_doubts, mask_evidence, write_doubts
from workzone.data.manifest import Manifest
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef, Sample


def sure(score):
    return cone(area(3, 9, 4, 8), score=score)


@pytest.fixture
def manifest(tmp_path):
    said = {"a": [sure(0.9), sure(0.3)], "b": [], "c": [sure(0.6)], "d": [sure(0.8)], "e": []}
    return build(tmp_path, said, labels=[0, 1, 0, 1, 0])


def ranked(found):
    return [(one.sample.id, round(one.doubt, 3)) for one in found.ranked]


def test_masks_and_labels_that_disagree(manifest):
    doubts = find_doubts(manifest)
    assert ranked(doubts) == [("b", 1.0), ("a", 0.9), ("c", 0.6)]
    assert doubts.ranked[0].reason == "label 1, nothing found"
    assert doubts.ranked[1].reason == "label 0, 2 cone (0.90)"
    assert doubts.unreadable == []
    assert ranked(find_doubts(manifest, least=0))[3:] == [("d", 0.2), ("e", 0.0)]


def test_scores_alone_and_with_masks(manifest):
    scores = {"a": 0.1, "b": 0.3, "c": 0.9, "e": 0.75, "other": 0.5}
    assert ranked(find_doubts(manifest, scores, masks=False)) == [
        *(("c", 0.9), ("e", 0.75), ("b", 0.7))
    ]
    both = find_doubts(manifest, scores)
    assert ranked(both) == [("b", 0.85), ("c", 0.75), ("a", 0.5)]
    assert both.ranked[1].reason == "label 0, 1 cone (0.60); score 0.90"


def test_masks_that_say_nothing_are_no_evidence(tmp_path):
    manifest = build(tmp_path, {"a": [], "b": [sure(0.7)]}, labels=[1, 0], looked={"cone": 0.1})
    assert mask_evidence(manifest.samples[0], manifest.root) is None
    assert ranked(find_doubts(manifest)) == [("b", 0.7)]


def test_what_people_drew_is_certain(tmp_path):
    drawn = dataclasses.replace(sure(0.5), knowledge="polygon", score=None)
    manifest = build(tmp_path, {"a": [drawn]}, knowledge="polygon", labels=[0])
    assert ranked(find_doubts(manifest)) == [("a", 1.0)]


def test_masks_that_cannot_be_read_are_listed_and_the_rest_is_weighed(manifest):
    missing = {"a": "gone.png", "d": "s#nobody"}
    samples = [dataclasses.replace(s, masks=missing.get(s.id, s.masks)) for s in manifest]
    broken = manifest.with_samples(samples)
    found = find_doubts(broken, {"a": 0.75})
    assert ranked(found) == [("b", 1.0), ("a", 0.75), ("c", 0.6)]  # a by its score alone
    assert found.ranked[1].reason == "label 0, score 0.75"
    first, second = found.unreadable
    assert (first.id, first.action, first.code) == ("a", "field cleared", "masks-unreadable")
    assert "no mask file at" in first.reason
    assert (second.id, second.action) == ("d", "row left out")
    assert "says nothing of 'nobody'" in second.reason
    nothing = broken.with_samples([s for s in broken if s.id in missing])
    with pytest.raises(ManifestError, match="masks of 2 cannot be read, the first of 'a': no mask"):
        find_doubts(nothing)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"least": 1.5}, "least is 1.5; give a doubt from 0 to 1"),
        ({"scores": {"a": float("nan")}}, "'a': probability nan; it must be a number in 0..1"),
        ({"scores": {"x": 0.5}}, "not one score is of a labelled row; score the manifest itself"),
        ({"masks": False}, "no labelled row has evidence; add masks"),
    ],
)
def test_mistakes(manifest, change, message):
    with pytest.raises(UsageError, match=message):
        find_doubts(manifest, **change)


def test_unlabelled_rows_are_left_alone():
    samples = [Sample("a", ImageRef("a.jpg")), Sample("b", ImageRef("b.jpg"), label=0)]
    found = find_doubts(Manifest(samples, None), {"a": 1.0, "b": 1.0})
    assert ranked(found) == [("b", 1.0)]


def test_tables_and_sheets(manifest, tmp_path):
    doubts = find_doubts(manifest, {"a": 0.9}).ranked
    write_doubts(doubts, tmp_path / "d.csv")
    with (tmp_path / "d.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["rank"], row["id"], row["cone"], row["score"]) for row in rows] == [
        *(("1", "b", "0", ""), ("2", "a", "2", "0.9000"), ("3", "c", "1", ""))
    ]
    draw_doubts(doubts, manifest.root, tmp_path / "d.png", columns=2)
    assert Image.open(tmp_path / "d.png").width > 700
    with pytest.raises(UsageError, match=r"doubts are written as a \.csv file"):
        write_doubts(doubts, tmp_path / "d.txt")
    with pytest.raises(UsageError, match="no label is in doubt: there is no sheet"):
        draw_doubts([], manifest.root, tmp_path / "d.png")


def test_planted_errors_come_first():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    planted = set(rng.choice(400, 20, replace=False).tolist())
    scores = np.clip(0.5 + (truth - 0.5) * 0.7 + rng.normal(0, 0.1, 400), 0, 1)
    samples = [
        Sample(str(row), ImageRef("x"), label=int(label) ^ (row in planted))
        for row, label in enumerate(truth)
    ]
    given = {str(row): float(score) for row, score in enumerate(scores)}
    found = find_doubts(Manifest(samples, None), given)
    assert {int(one.sample.id) for one in found.ranked[:20]} == planted
