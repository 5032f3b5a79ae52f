from __future__ import annotations

import dataclasses
import itertools
import re
import tracemalloc
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from workzone.data.manifest import Manifest
from workzone.data.places import haversine
from workzone.data.split_proof import check_split
from workzone.data.split_scenes import join_scenes
from workzone.data.splits import split_manifest
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef, Sample

NOT_POSSIBLE = r"would hold no|no row (has|is without) road work"


def manifest_of(samples: list[Sample]) -> Manifest:
    return Manifest(samples, Path("data"))


def sample(number: int, label: int | None = None, **more: object) -> Sample:
    return Sample(f"s{number:05d}", ImageRef(f"{number}.jpg"), label=label, **more)  # type: ignore[arg-type]


def random_samples(seed: int, count: int, groups: int) -> list[Sample]:
    random = np.random.default_rng(seed)
    share = random.beta(0.4, 0.8, groups)  # sequences are mostly all one label
    made = []
    for number in range(count):
        group = int(random.zipf(1.5)) % groups
        label = int(random.random() < share[group]) if random.random() < 0.95 else None
        made.append(sample(number, label, group=f"g{group}"))
    return made


def splits_by_id(manifest: Manifest) -> dict[str, str | None]:
    return {s.id: s.split for s in manifest}


samples_anywhere = st.lists(
    st.builds(
        lambda label, group, copy, metres: (label, group, copy, metres),
        st.sampled_from([0, 1, None]),
        st.sampled_from([None, None, "a", "b", "c"]),
        st.sampled_from([None, None, None, "h1", "h2"]),
        st.one_of(st.none(), st.integers(0, 3000)),
    ),
    min_size=1,
    max_size=30,
)


def placed(rows: list[tuple[int | None, str | None, str | None, int | None]]) -> list[Sample]:
    made = []
    for number, (label, group, copy, metres) in enumerate(rows):
        place = {} if metres is None else {"latitude": metres / 111_195.08, "longitude": 7.0}
        made.append(sample(number, label, group=group, content_hash=copy, **place))
    return made


def slow_scenes(samples: list[Sample], metres: float) -> set[frozenset[str]]:
    """Flood fill over all pairs."""

    def together(a: Sample, b: Sample) -> bool:
        if a.group is not None and a.group == b.group:
            return True
        if a.content_hash is not None and a.content_hash == b.content_hash:
            return True
        if None in (a.latitude, b.latitude):
            return False
        return bool(haversine(a.latitude, a.longitude, b.latitude, b.longitude) <= metres)

    left, scenes = list(samples), set()
    while left:
        scene, waiting = [], [left.pop()]
        while waiting:
            here = waiting.pop()
            scene.append(here.id)
            near = [other for other in left if together(here, other)]
            waiting += near
            left = [other for other in left if other not in near]
        scenes.add(frozenset(scene))
    return scenes


@settings(max_examples=60, deadline=None)
@given(samples_anywhere)
def test_scenes_equal_a_flood_fill(
    rows: list[tuple[int | None, str | None, str | None, int | None]],
) -> None:
    samples = placed(rows)
    scenes: dict[int, set[str]] = defaultdict(set)
    for one, number in zip(samples, join_scenes(samples, place_metres=100.0), strict=True):
        scenes[int(number)].add(one.id)
    assert {frozenset(scene) for scene in scenes.values()} == slow_scenes(samples, 100.0)


@settings(max_examples=60, deadline=None)
@given(samples_anywhere, st.integers(2, 4), st.integers(0, 3), st.randoms(use_true_random=False))
def test_a_split_parts_no_scene_and_does_not_depend_on_row_order(rows, folds, seed, random) -> None:  # type: ignore[no-untyped-def]
    samples = placed(rows)
    shuffled = random.sample(samples, len(samples))
    try:
        done, proof = split_manifest(manifest_of(samples), folds=folds, seed=seed)
    except ManifestError as error:
        assert re.search(NOT_POSSIBLE, str(error))
        with pytest.raises(ManifestError, match=NOT_POSSIBLE):
            split_manifest(manifest_of(shuffled), folds=folds, seed=seed)
        return
    again, _ = split_manifest(manifest_of(shuffled), folds=folds, seed=seed)
    split = splits_by_id(done)
    assert split == splits_by_id(again)
    assert set(split.values()) <= {f"fold-{n}" for n in range(folds)}
    for scene in slow_scenes(samples, 100.0):
        assert len({split[name] for name in scene}) == 1
    assert sum(counts.rows for counts in proof.splits) == len(samples)
    assert proof.least_metres is None or proof.least_metres >= 100.0


def test_same_seed_same_split_and_another_seed_another() -> None:
    manifest = manifest_of([sample(n, n % 2) for n in range(200)])
    first, again, other = (split_manifest(manifest, seed=seed)[0] for seed in (1, 1, 2))
    assert splits_by_id(first) == splits_by_id(again) != splits_by_id(other)


def test_default_proportions_are_met_exactly_where_scenes_are_single_rows() -> None:
    samples = [sample(n, 1 if n < 200 else 0 if n < 800 else None) for n in range(1000)]
    _, proof = split_manifest(manifest_of(samples))
    counts = {s.name: (s.rows, s.positives, s.negatives, s.unlabelled) for s in proof.splits}
    assert counts == {
        "train": (700, 140, 420, 140),
        "val": (150, 30, 90, 30),
        "test": (150, 30, 90, 30),
    }


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_as_even_as_those_of_stratified_group_k_fold(seed: int) -> None:
    samples = [s for s in random_samples(seed, 1500, 150) if s.label is not None]
    labels = np.array([s.label for s in samples])
    groups = np.array([s.group for s in samples])

    def unevenness(fold_of: np.ndarray) -> float:
        parts = [
            np.bincount(fold_of[labels == label], minlength=5) / (labels == label).sum()
            for label in (0, 1)
        ]
        return float(np.square(np.array(parts) - 0.2).sum())

    theirs = np.zeros(len(samples), dtype=int)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        theirs[test] = number
    done, _ = split_manifest(manifest_of(samples), folds=5, seed=seed)
    ours = np.array([int(str(s.split).removeprefix("fold-")) for s in done])
    assert unevenness(ours) <= unevenness(theirs) + 1e-3


def test_an_earlier_split_is_replaced_and_all_else_kept() -> None:
    samples = [sample(n, n % 2, split="old", extra={"k": "v"}) for n in range(20)]
    done, _ = split_manifest(manifest_of(samples), proportions={"train": 0.5, "test": 0.5})
    assert {s.split for s in done} == {"train", "test"}
    assert [dataclasses.replace(s, split="old") for s in done] == samples


def test_samples_without_any_label_are_split_too() -> None:
    _, proof = split_manifest(manifest_of([sample(n) for n in range(100)]))
    assert [(s.name, s.rows) for s in proof.splits] == [("test", 15), ("train", 70), ("val", 15)]


def test_too_few_scenes_with_road_work_says_why_and_what_to_do() -> None:
    samples = [sample(n, 1, group=f"clip-{n % 3}") for n in range(30)]
    samples += [sample(n, 0) for n in range(30, 200)]
    with pytest.raises(
        ManifestError,
        match=r"fold-\d, fold-\d would hold no road work: the 30 such rows lie in only 3 scenes "
        r".* and 5 splits are asked for\. Ask for fewer folds",
    ):
        split_manifest(manifest_of(samples), folds=5)
    assert len(split_manifest(manifest_of(samples), folds=3)[1].splits) == 3


def test_a_manifest_of_road_work_alone_is_refused() -> None:
    with pytest.raises(ManifestError, match="no row is without road work: 0 rows with label 0, 30"):
        split_manifest(manifest_of([sample(n, 1) for n in range(30)]))


def test_a_manifest_without_road_work_says_what_it_holds() -> None:
    with pytest.raises(
        ManifestError, match="no row has road work: 80 rows with label 0, 0 with label 1"
    ):
        split_manifest(manifest_of([sample(n, 0 if n < 80 else None) for n in range(90)]))


def test_rows_without_labels_fill_every_split() -> None:
    with pytest.raises(ManifestError, match="would hold no rows: the 9 such rows lie in only 1 sc"):
        split_manifest(manifest_of([sample(n, group="one") for n in range(9)]))


def test_very_many_folds_are_not_all_named() -> None:
    samples = [sample(n, n % 2, group=f"g{n // 2}") for n in range(20)]
    with pytest.raises(ManifestError, match=r"^(fold-\d+, ){3}fold-\d+ and 85 more would hold no"):
        split_manifest(manifest_of(samples), folds=99)


def test_thousands_of_images_at_one_spot_are_split_in_little_memory() -> None:
    here = {"latitude": 50.0, "longitude": 8.0}
    samples = [sample(n, n % 2, **here) for n in range(20_000)]
    samples += [sample(n, n % 2, latitude=50.0001, longitude=8.0) for n in range(20_000, 20_010)]
    samples += [sample(20_010, 1, latitude=51.0, longitude=8.0)]
    tracemalloc.start()
    scenes = join_scenes(samples)
    proof = check_split(
        manifest_of([dataclasses.replace(s, split=f"{s.latitude == 50}") for s in samples])
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(scenes[:-1].tolist())) == 1
    assert scenes[-1] != scenes[0]
    assert proof.least_metres == pytest.approx(11.12, abs=0.01)
    assert peak < 50e6


def test_three_folds_are_found_wherever_few_lopsided_groups_allow_them() -> None:
    random = np.random.default_rng(0)
    possible_ones = 0
    for _ in range(200):
        sizes = random.integers(0, 10, (int(random.integers(4, 7)), 2))
        sizes *= random.random(sizes.shape) < 0.7
        sizes[0] += 1
        possible = any(
            all(sizes[np.array(folds) == fold].sum(axis=0).min() > 0 for fold in range(3))
            for folds in itertools.product(range(3), repeat=len(sizes))
        )
        number = itertools.count()
        samples = [
            sample(next(number), label, group=f"g{group}")
            for group, counts in enumerate(sizes)
            for label in (0, 1)
            for _ in range(counts[label])
        ]
        try:
            split_manifest(manifest_of(samples), folds=3)
            assert possible
        except ManifestError:
            assert not possible
        possible_ones += possible
    assert 20 < possible_ones < 180


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"folds": 5, "proportions": {"a": 1.0}}, "either folds or proportions"),
        ({"folds": 1}, "1 folds cannot be; give 2 or more"),
        ({"proportions": {"train": 0.7, "test": 0.2}}, r"sum to 1, these are train 0.7, test 0.2"),
        ({"proportions": {"train": 1.5, "test": -0.5}}, "must be above 0"),
        ({"proportions": {}}, "these are none"),
        ({"place_metres": -1.0}, "distance of -1 m is out of range"),
    ],
)
def test_wrong_requests_are_refused(wrong: dict[str, object], message: str) -> None:
    manifest = manifest_of([sample(n, n % 2) for n in range(40)])
    with pytest.raises(UsageError, match=message):
        split_manifest(manifest, **wrong)  # type: ignore[arg-type]


def test_an_empty_manifest_is_refused() -> None:
    with pytest.raises(ManifestError, match="no rows to split"):
        split_manifest(manifest_of([]))


def test_a_split_that_does_not_hold_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "workzone.data.splits.join_scenes", lambda samples, **_: np.arange(len(samples))
    )
    samples = [sample(n, n % 2, group="one") for n in range(40)]
    with pytest.raises(ManifestError, match="does not hold: 1 group is on both sides"):
        split_manifest(manifest_of(samples), folds=2)
