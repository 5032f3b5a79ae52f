from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workzone.config import from_mapping
from workzone.errors import TrainingError, UsageError
from workzone.train.feed.regions import Region
from workzone.train.feed.sampling import SamplingConfig, SamplingWeights, draw, sampling_weights
from workzone.types import ImageRef, Sample

KM = 1 / 111.195  # degrees of latitude, on a sphere of 6,371 km


def samples(*rows: dict[str, object]) -> list[Sample]:
    return [
        Sample(**{"id": f"row {n}", "image": ImageRef(f"{n}.jpg"), "label": n % 2, **row})
        for n, row in enumerate(rows)
    ]


def relative(weights: SamplingWeights) -> list[float]:
    """To the first row."""
    assert weights.weights.mean() == pytest.approx(1)
    return (weights.weights / weights.weights[0]).tolist()


# The factors.


def test_by_default_all_rows_are_alike():
    found = sampling_weights(samples({}, {}, {"group": "a"}), SamplingConfig())
    assert found.weights.tolist() == [1, 1, 1]
    assert found.factors == {}


def test_classes_have_half_each():
    rows = samples(*({"label": int(n == 0)} for n in range(10)))
    found = sampling_weights(rows, SamplingConfig(class_balance=True))
    assert found.weights.tolist() == pytest.approx([5.0] + [5 / 9] * 9)


def test_a_group_weighs_the_root_of_its_size():
    groups = ["drive"] * 9 + ["walk"] * 4 + [None, None]
    rows = samples(*({"group": group} for group in groups))
    found = sampling_weights(rows, SamplingConfig(group_balance=True)).weights
    totals = [found[:9].sum(), found[9:13].sum(), found[13], found[14]]
    assert totals == pytest.approx(np.array([3, 2, 1, 1]) * 15 / 7)


def test_collections_weigh_by_a_power_of_their_size_within_a_label():
    known = [("a", 1)] * 16 + [("a", 0)] * 4 + [("b", 1)] * 9 + [(None, 0)]
    rows = samples(*({"source": source, "label": label} for source, label in known))
    found = sampling_weights(rows, SamplingConfig(source_balance=0.5))
    expected = [16**-0.5] * 16 + [4**-0.5] * 4 + [9**-0.5] * 9 + [1]
    assert found.factors["source size"].tolist() == pytest.approx(expected)
    assert found.weights.tolist() == pytest.approx(np.array(expected) / np.mean(expected))


def test_a_source_weighs_what_it_is_told_to_and_the_table_says_so():
    rows = samples(*({"source": "drawn"},) * 4, *({"source": "street"},) * 4, {})
    found = sampling_weights(rows, SamplingConfig(source_weights={"drawn": 0.25}))
    assert found.factors["source"].tolist() == [0.25] * 4 + [1] * 5
    table = {name: (was, now) for name, was, now in found.describe()}
    assert table["source drawn"] == ("44.4%", "16.7%")
    assert table["source street"] == ("44.4%", "66.7%")
    assert table["source not named"] == ("11.1%", "16.7%")


def test_a_weighted_source_must_be_there():
    config = SamplingConfig(source_weights={"drwan": 0.25})
    with pytest.raises(UsageError, match=r"no row .* has the source 'drwan'; did you mean 'drawn'"):
        config.check_sources(samples({"source": "drawn"}, {"source": "street"}))
    with pytest.raises(UsageError, match="'drwan'; no row names a source"):
        config.check_sources(samples({}))
    with pytest.raises(UsageError, match=r"source_balance=2.0, .*source_weights\.a=0.0, allowed"):
        SamplingConfig(source_balance=2.0, source_weights={"a": 0.0})


def test_the_bands_of_the_region():
    kilometres = [1, 49, 51, 199, 201, 499, 501, 5000]
    rows = samples(*({"latitude": k * KM, "longitude": 20.0} for k in kilometres), {})
    config = SamplingConfig(region_points=((0.0, 20.0),))
    found = sampling_weights(rows, config)
    assert found.factors["region"].tolist() == [5, 5, 2.5, 2.5, 1, 1, 0.3, 0.3, 1]
    assert found.kilometres[:-1].tolist() == pytest.approx(kilometres, rel=1e-5)
    assert np.isnan(found.kilometres[-1])


def test_the_bands_between_cities():
    """Kilometres from Berlin by the spherical law of cosines, which knows no haversine."""
    cities = {
        "Potsdam": (52.3906, 13.0645, 26.5, 5.0),
        "Dresden": (51.0504, 13.7373, 165.0, 2.5),
        "Hamburg": (53.5511, 9.9937, 255.2, 1.0),
        "Paris": (48.8566, 2.3522, 877.5, 0.3),
    }
    rows = samples(*({"latitude": c[0], "longitude": c[1]} for c in cities.values()))
    berlin = (52.52, 13.405)
    found = sampling_weights(rows, SamplingConfig(region_points=(berlin,)))
    a = np.radians(berlin)
    b = np.radians([(c[0], c[1]) for c in cities.values()])
    cosines = np.sin(a[0]) * np.sin(b[:, 0])
    cosines += np.cos(a[0]) * np.cos(b[:, 0]) * np.cos(a[1] - b[:, 1])
    assert found.kilometres == pytest.approx(6371.0 * np.arccos(cosines), rel=1e-4)
    assert found.kilometres == pytest.approx([c[2] for c in cities.values()], abs=1)
    assert found.factors["region"].tolist() == [c[3] for c in cities.values()]


def test_a_distance_on_the_end_of_a_band_belongs_to_the_nearer_one(monkeypatch):
    metres = np.array([0, 50e3, 50e3 + 1, 200e3, 200e3 + 1, 500e3, 500e3 + 1])
    monkeypatch.setattr(Region, "distances", lambda self, degrees: metres)
    rows = samples(*({"latitude": 0.0, "longitude": 0.0} for _ in metres))
    found = sampling_weights(rows, SamplingConfig(region_points=((1.0, 1.0),)))
    assert found.factors["region"].tolist() == [5, 5, 2.5, 2.5, 1, 1, 0.3]


def test_a_polygon_weighs_what_is_in_it_and_about_it(tmp_path):
    path = tmp_path / "border.geojson"
    ring = [[10.0, 0.0], [12.0, 0.0], [12.0, 2.0], [10.0, 2.0], [10.0, 0.0]]
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    south = [-1.0, -49.0, 40.0, -60.0, -190.0, -210.0, -490.0, -510.0]  # km from its southern side
    rows = samples(*({"latitude": k * KM, "longitude": 11.0} for k in south))
    found = sampling_weights(rows, SamplingConfig(region=str(path)))
    assert found.factors["region"].tolist() == [5, 5, 5, 2.5, 2.5, 1, 1, 0.3]
    assert found.kilometres[2] == 0


@pytest.mark.parametrize("kind", ["places.csv", "border.geojson"])
def test_a_file_taken_from_test_rows_is_refused(tmp_path, kind):
    path = tmp_path / kind
    if kind == "places.csv":
        path.write_text("latitude,longitude\n40,20\n0,20\n")
    else:
        ring = [[20.0, 0.0], [21.0, 0.0], [21.0, 1.0], [20.0, 0.0]]
        path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    rows = samples({"latitude": 30.0, "longitude": 20.0})
    test = samples({"id": "test.jpg", "latitude": 0.0, "longitude": 20.0})
    config = SamplingConfig(region=str(path))
    assert sampling_weights(rows, config).factors  # the file itself is in order
    with pytest.raises(TrainingError, match=r"position of 1 test rows, such as 'test.jpg'"):
        sampling_weights(rows, config, test_samples=test)


def test_a_region_from_a_file(tmp_path):
    path = tmp_path / "places.csv"
    path.write_text("latitude,longitude\n0,20\n")
    rows = samples({"latitude": 0.0, "longitude": 20.0}, {"latitude": 40.0, "longitude": 20.0})
    found = sampling_weights(rows, SamplingConfig(region=str(path)))
    assert found.factors["region"].tolist() == [5, 0.3]


def test_a_region_taken_from_test_rows_is_refused():
    rows = samples({"latitude": 0.0, "longitude": 20.0}, {})
    test = [dataclasses.replace(rows[0], id="test.jpg")]
    config = SamplingConfig(region_points=((0.0, 20.0),))
    with pytest.raises(TrainingError, match=r"such as 'test.jpg' \(0.0, 20.0\)"):
        sampling_weights(rows, config, test_samples=test)


def predictions(folder, suffix: str, ids: list[str], values: list[float]) -> str:
    path = folder / f"scores{suffix}"
    table = [{"id": name, "probability": p, "x0": 0.5} for name, p in zip(ids, values, strict=True)]
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(table), path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table))
    else:
        with path.open("w", newline="") as handle:
            lines = csv.DictWriter(handle, list(table[0]))
            lines.writeheader()
            lines.writerows(table)
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_hard_examples(tmp_path, suffix):
    """Ids that look like numbers and times are text."""
    ids = ["007", "2024-05-01 12:00:00", "c,d.jpg", "e"]
    rows = samples(*({"id": name} for name in ids))
    path = predictions(tmp_path, suffix, ids[:3], [0.75, 0.75, 0.0])
    config = SamplingConfig(hard_examples=path, hardness=2.0)
    found = sampling_weights(rows, config)
    assert found.factors["hard examples"].tolist() == [2.5, 1.5, 1.0, 1.0]


def test_they_multiply_and_classes_stay_even(tmp_path):
    rows = samples(
        {"label": 1, "group": "a", "latitude": 0.0, "longitude": 0.0},
        {"label": 0, "group": "a", "latitude": 0.0, "longitude": 0.0},
        {"label": 0, "group": "a", "latitude": 0.0, "longitude": 0.0},
        {"label": 0, "group": "a", "latitude": 60.0, "longitude": 0.0},
        {"label": 0},
    )
    path = predictions(tmp_path, ".csv", [s.id for s in rows[:4]], [0.5, 1.0, 0.0, 0.0])
    one = SamplingConfig(group_balance=True, region_points=((0.0, 0.0),), hard_examples=path)
    assert relative(sampling_weights(rows, one)) == pytest.approx(
        np.array([6.25, 10, 2.5, 0.15, 1.0]) / 6.25
    )
    both = dataclasses.replace(one, class_balance=True)
    found = sampling_weights(rows, both)
    assert found.weights[0] == pytest.approx(2.5)
    assert found.weights[1:] == pytest.approx(np.array([10, 2.5, 0.15, 1.0]) * 2.5 / 13.65)
    product = np.prod(list(found.factors.values()), axis=0)
    assert found.weights == pytest.approx(product / product.mean())


# The table.


def test_the_table_tells_what_is_drawn():
    rows = samples(
        *({"label": 0, "group": "long", "latitude": 0.0, "longitude": 0.0} for _ in range(4)),
        {"label": 1, "group": "short", "latitude": 3.0, "longitude": 0.0},
        {"label": 1},
    )
    config = SamplingConfig(group_balance=True, region_points=((0.0, 0.0),))
    # Weights: 4 rows of 5 / 2; 333 km away 1; no position 1. In all 12.
    assert sampling_weights(rows, config).describe() == [
        ("effective rows", "6", "5"),  # 144 / (4 * 6.25 + 2) = 5.3
        ("road work", "33.3%", "16.7%"),
        ("0 to 50 km", "66.7%", "83.3%"),
        ("50 to 200 km", "0.0%", "0.0%"),
        ("200 to 500 km", "16.7%", "8.3%"),
        ("beyond 500 km", "0.0%", "0.0%"),
        ("no position", "16.7%", "8.3%"),
        ("group long", "66.7%", "83.3%"),
        ("group short", "16.7%", "8.3%"),
    ]


def test_the_table_names_the_groups_drawn_most():
    groups = [name for name, size in zip("abcdefg", range(1, 8), strict=True) for _ in range(size)]
    rows = samples(*({"group": name} for name in groups))
    table = sampling_weights(rows, SamplingConfig()).describe()
    assert [name for name, _, _ in table[2:]] == [f"group {name}" for name in "gfedc"]


# The draw.


def test_equal_weights_are_every_row_once():
    drawn = draw(np.ones(1000), seed=3, epoch=0)
    assert sorted(drawn.tolist()) == list(range(1000))
    assert drawn.tolist() != list(range(1000))
    assert drawn.dtype == np.int64


def test_every_count_is_within_one_of_what_is_expected():
    weights = np.random.default_rng(0).exponential(size=200)
    drawn = draw(weights, seed=0, epoch=0, count=1000)
    counts = np.bincount(drawn, minlength=200)
    expected = 1000 * weights / weights.sum()
    assert (np.abs(counts - expected) < 1).all()
    assert len(drawn) == 1000


def test_the_mean_over_epochs_is_the_weight():
    weights = np.array([0.05, 0.2, 0.3, 0.45, 1.0])
    epochs = 2000
    counts = sum(
        np.bincount(draw(weights, seed=1, epoch=e, count=2), minlength=5) for e in range(epochs)
    )
    expected = weights  # two of a total of 2
    spread = np.sqrt(expected * (1 - expected) / epochs)
    assert (np.abs(counts / epochs - expected) <= 4 * spread + 1e-12).all()


def test_any_two_rows_can_meet():
    """Systematic sampling of rows in a fixed order would never draw two neighbours of five."""
    met = {tuple(sorted(draw(np.ones(5), seed=0, epoch=e, count=2).tolist())) for e in range(200)}
    assert len(met) == 10


def test_the_order_is_not_that_of_the_weights():
    """Nor of the rows: the first half of an epoch draws from all."""
    drawn = draw(np.ones(1000), seed=0, epoch=0)
    assert abs(np.corrcoef(drawn, np.arange(1000))[0, 1]) < 0.15


def test_the_draw_depends_on_seed_and_epoch_alone():
    weights = np.random.default_rng(0).exponential(size=50)
    first = draw(weights, seed=5, epoch=2)
    np.random.seed(99)  # noqa: NPY002
    assert draw(7 * weights, seed=5, epoch=2).tolist() == first.tolist()
    for seed, epoch in ((5, 3), (6, 2), (2, 5)):
        assert draw(weights, seed=seed, epoch=epoch).tolist() != first.tolist()


# What is refused.


def test_all_mistakes_at_once():
    with pytest.raises(UsageError) as error:
        SamplingConfig(region="a.csv", region_points=((0, 0),), hardness=float("nan"))
    assert str(error.value) == (
        "sampling: region and region_points exclude each other; give one of them; hardness=nan, "
        "allowed: above 0, to 100"
    )


def test_a_configuration_is_read_from_plain_values():
    plain = {"class_balance": True, "region_points": [[52.5, 13.4]]}
    config = from_mapping(SamplingConfig, plain, where="it")
    assert config == SamplingConfig(class_balance=True, region_points=((52.5, 13.4),))


def test_rows_that_cannot_be_weighed():
    with pytest.raises(TrainingError, match="no rows to draw from"):
        sampling_weights([], SamplingConfig())
    with pytest.raises(TrainingError, match="row 'row 1' has no label; leave rows without"):
        sampling_weights(samples({}, {"label": None}), SamplingConfig())
    one_class = samples({"label": 1}, {"label": 1})
    with pytest.raises(TrainingError, match="both classes, but all 2 rows have the label 1"):
        sampling_weights(one_class, SamplingConfig(class_balance=True))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.csv", "id,score\na,1\n", "no column 'probability', but id, score; give a file that"),
        ("s.csv", "id,probability\nrow 0,1.5\n", r"row 0 \('row 0'\): probability 1.5, allowed"),
        ("s.csv", "id,probability\nrow 0,\n", r"row 0 \('row 0'\): probability None, allowed"),
        ("s.csv", "id,probability\nrow 0,0\nrow 0,1\n", "hold 'row 0' twice"),
        ("s.csv", "id,probability\na,0.5\n", "none has an id of the training rows, such as 'row 0"),
        ("s.jsonl", "{", "cannot read the predictions"),
        ("s.parquet", "no", "cannot read the predictions"),
        ("s.json", "{}", "cannot tell the format of the predictions .*; did you mean '.jsonl'"),
    ],
)
def test_predictions_that_cannot_be_used(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        sampling_weights(samples({}, {}), SamplingConfig(hard_examples=str(path)))


def test_predictions_that_are_not_there(tmp_path):
    config = SamplingConfig(hard_examples=str(tmp_path / "none.csv"))
    with pytest.raises(UsageError, match=r"cannot read the predictions .*none\.csv"):
        sampling_weights(samples({}, {}), config)
