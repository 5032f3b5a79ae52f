from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from workzone.data.leaks import (
    ColumnLeak,
    cross_validated_auc,
    find_leaks,
    make_folds,
)
from workzone.data.manifest import Manifest
from workzone.types import ImageRef, Sample

ROWS = 400


def manifest_of(samples: list[Sample], **source_columns: str) -> Manifest:
    return Manifest(samples, Path("data"), source_columns)


def rows(seed: int = 0, **columns: object) -> list[Sample]:
    """Rows with random labels, four to a group; columns are functions of (row, label, random)."""
    random = np.random.default_rng(seed)
    made = []
    for row in range(ROWS):
        label = int(random.random() < 0.4)
        fields = {name: make(row, label, random) for name, make in columns.items()}  # type: ignore[operator]
        made.append(
            Sample(f"s{row}", ImageRef(f"{row}.jpg"), label=label, group=f"g{row // 4}", **fields)
        )
    return made


def by_field(leaks: tuple[ColumnLeak, ...]) -> dict[str, ColumnLeak]:
    return {leak.field: leak for leak in leaks}


def test_the_leaks_of_the_natix_schema_are_named_with_their_source_columns() -> None:
    def extra(row: int, label: int, random: np.random.Generator) -> dict[str, str]:
        made = {"width": "4032", "flickr_url": f"https://example.org/{row}", "city_name": "x"}
        if label:
            alteration = random.choice(["Partial Lane Closure", "Shoulder"])
            made["scene_level_tags.travel_alteration"] = str(alteration)
        return made

    samples = rows(
        text=lambda row, label, random: f"Workers near house {row}" if label else None,
        weather=lambda row, label, random: str(random.choice(["Sunny", "Cloudy"])),
        extra=extra,
    )
    manifest = manifest_of(samples, text="scene_description", weather="scene_level_tags.weather")
    leaks = find_leaks(manifest)
    assert [leak.column for leak in leaks if leak.verdict == "leak"] == [
        "scene_level_tags.travel_alteration",
        "text (scene_description)",
    ]
    text = by_field(leaks)["text"]
    assert text.missing_auc == 1.0
    assert text.value_auc is None  # only road-work rows have one
    assert text.note.startswith("whether it is missing alone tells road work with AUC 1.000")
    assert by_field(leaks)["weather"].column == "weather (scene_level_tags.weather)"
    assert {by_field(leaks)[name].verdict for name in ("weather", "width", "flickr_url")} == {
        "fine"
    }
    assert by_field(leaks)["scene"].note == "no row has a value"


def test_nearly_unique_values_are_no_leak() -> None:
    samples = rows(
        extra=lambda row, label, random: {"file": f"{random.integers(10**9)}.jpg", "row": str(row)},
        time=lambda row, label, random: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=row),
        text=lambda row, label, random: " ".join(random.choice([*"abcdefgh", "xy"], 6)),
    )
    found = by_field(find_leaks(manifest_of(samples)))
    for name in ("file", "row", "time", "text"):
        assert found[name].verdict == "fine", found[name]
    assert found["file"].value_auc == 0.5
    assert found["file"].distinct == ROWS


@pytest.mark.parametrize("direction", [1, -1])
def test_a_number_is_scored_by_its_value_in_either_direction(direction: int) -> None:
    samples = rows(
        latitude=lambda row, label, random: direction * (label + random.normal()),
        longitude=lambda row, label, random: 0.0,
    )
    found = by_field(find_leaks(manifest_of(samples)))["latitude"]
    plain = roc_auc_score(
        [s.label for s in samples], [direction * (s.latitude or 0) for s in samples]
    )
    assert found.value_auc == pytest.approx(plain, abs=0.02)
    assert found.missing_auc == 0.5


def test_a_number_is_also_scored_by_decile_for_there_may_be_several_places() -> None:
    samples = rows(
        latitude=lambda row, label, random: (
            random.normal(0, 0.1) if label else float(random.choice([-5, 5]))
        )
    )
    assert by_field(find_leaks(manifest_of(samples)))["latitude"].verdict == "leak"


def test_the_words_of_a_free_text_are_read() -> None:
    filler = ["street", "house", "tree", "car", "sky", "lamp"]

    def text(row: int, label: int, random: np.random.Generator) -> str:
        words = [*random.choice(filler, 5), "cones" if label else "bus", f"n{row}"]
        return " ".join(random.permutation(words))

    found = by_field(find_leaks(manifest_of(rows(text=text))))["text"]
    assert found.verdict == "leak"
    assert found.note.startswith("its value alone")


def test_thresholds_of_the_verdicts() -> None:
    def tag(share: float):  # type: ignore[no-untyped-def]
        def make(row: int, label: int, random: np.random.Generator) -> str:
            return "ab"[label if random.random() < share else 1 - label]

        return make

    samples = rows(weather=tag(0.97), daytime=tag(0.82), scene=tag(0.6))
    found = by_field(find_leaks(manifest_of(samples)))
    verdicts = [found[name].verdict for name in ("weather", "daytime", "scene")]
    assert verdicts == ["leak", "suspicious", "fine"]


def test_columns_come_worst_first_and_identity_last() -> None:
    samples = rows(
        weather=lambda row, label, random: str(label),
        source=lambda row, label, random: "one",
    )
    leaks = find_leaks(manifest_of(samples))
    assert leaks[0].field == "weather"
    assert {leak.field for leak in leaks[-2:]} == {"group", "source"}
    assert {leak.verdict for leak in leaks[-2:]} == {"identity"}


def test_a_column_that_stands_for_the_source_is_named_as_such_even_if_each_is_one_group() -> None:
    samples = [
        Sample(
            f"s{row}",
            ImageRef("x.jpg"),
            label=row % 4 % 2,
            group=f"source-{row % 4}" if row % 4 < 2 else None,
            source=f"source-{row % 4}",
            extra={"licence": f"licence {row % 4}", "other": f"{row % 3}"},
        )
        for row in range(ROWS)
    ]
    found = by_field(find_leaks(manifest_of(samples)))
    assert found["licence"].verdict == "leak"
    assert "stands for the source data set, and each source holds one label" in (
        found["licence"].note
    )
    assert found["other"].verdict == "fine"
    assert found["source"].note == "4 of 4 hold one label only"


def test_a_tag_that_follows_from_the_source_is_said_to() -> None:
    samples = [
        Sample(
            f"s{row}",
            ImageRef("x.jpg"),
            label=int(row % 8 < 4),
            source=f"source-{row % 8}",
            weather="rain" if row % 8 < 4 else None,
        )
        for row in range(ROWS)
    ]
    note = by_field(find_leaks(manifest_of(samples)))["weather"].note
    assert note.endswith("it follows from the source data set, not from the scene")


def test_too_few_rows_give_no_verdict() -> None:
    samples = rows(weather=lambda row, label, random: str(label))[:30]
    assert by_field(find_leaks(manifest_of(samples)))["weather"].verdict == "too few rows"
    assert find_leaks(manifest_of([]))[0].verdict == "too few rows"


def test_image_columns_are_scored_on_the_labelled_rows() -> None:
    samples = rows()
    samples[::10] = [Sample(f"u{n}", ImageRef("x.jpg")) for n in range(len(samples[::10]))]
    widths = [None if s.label is None else 250.0 if s.label == 0 else 640.0 for s in samples]
    widths[5] = None  # unreadable
    found = by_field(find_leaks(manifest_of(samples), image_columns={"image width": widths}))
    assert (found["image width"].kind, found["image width"].verdict) == ("image", "leak")


def test_folds_keep_groups_whole_and_need_enough_of_them() -> None:
    labels = np.arange(200) // 4 % 2
    groups = [f"{row // 4}" for row in range(200)]
    folds = make_folds(labels, groups)
    assert folds is not None
    assert {len(set(folds[start : start + 4])) for start in range(0, 200, 4)} == {1}
    assert np.bincount(folds).tolist() == [40] * 5
    assert make_folds(labels, [f"{row // 40}" for row in range(200)]) is None


def test_target_encoding_equals_a_slow_reference() -> None:
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 120)
    values = [f"c{value}" for value in random.integers(0, 4, 120) + labels]
    folds = make_folds(labels, [None] * 120)
    assert folds is not None
    total = weight = 0.0
    for fold in range(5):
        prior = labels[folds != fold].mean()
        scores, truth = [], labels[folds == fold]
        for value, where in zip(values, folds, strict=True):
            if where == fold:
                same = [
                    y
                    for v, f, y in zip(values, folds, labels, strict=True)
                    if f != fold and v == value
                ]
                scores.append((sum(same) + 10 * prior) / (len(same) + 10))
        wins = [
            1.0 if a > b else 0.5 if a == b else 0.0
            for a, y in zip(scores, truth, strict=True)
            if y == 1
            for b, z in zip(scores, truth, strict=True)
            if z == 0
        ]
        total, weight = total + sum(wins), weight + len(wins)
    assert cross_validated_auc(values, labels, folds) == pytest.approx(total / weight)
