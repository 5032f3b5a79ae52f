"""Tables of scored frames, as other commands write them."""

from __future__ import annotations

import csv
import json
import time
from datetime import UTC, date, datetime
from math import nan

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workzone.decide.drive import Chain, smooth
from workzone.errors import ManifestError, UsageError
from workzone.geo.detections import Drive, read_detections
from workzone.geo.objects import InFrame

TIMES = ["2026-05-01T08:00:02+00:00", "2026-05-01T10:00:00+02:00", "2026-05-01T08:00:01Z"]
ROWS = [
    {
        "id": f"f{n}",
        "group": "g",
        "time": moment,
        "longitude": 8 + n / 1e4,
        "latitude": 50.0,
        "probability": p,
    }
    for n, (moment, p) in enumerate(zip(TIMES, (0.9, 0.2, 0.7), strict=True))
]


def written(tmp_path, rows, suffix):
    path = tmp_path / f"frames{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".csv":
        with path.open("w", newline="") as handle:
            lines = csv.DictWriter(handle, list(rows[0]))
            lines.writeheader()
            lines.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_frames_are_sorted_and_smoothed(tmp_path, suffix):
    (drive,) = read_detections(written(tmp_path, ROWS, suffix)).drives
    assert drive.ids == ("f1", "f2", "f0")
    assert drive.time.tolist() == [1777622400 + n for n in range(3)]
    assert drive.longitude.tolist() == [8.0001, 8.0002, 8.0]
    assert np.isnan(drive.heading).all()
    assert drive.probability.tolist() == smooth([0, 1, 2], [0.2, 0.7, 0.9], Chain()).tolist()


def test_what_is_smoothed_is_taken_as_it_is_and_gaps_are_counted(tmp_path):
    rows = [row | {"smoothed": 0.25, "heading": 370.0} for row in ROWS]
    rows += [
        rows[0] | {"id": "a", "longitude": None},
        rows[0] | {"id": "b", "smoothed": None},
        rows[0] | {"id": "c", "time": None},
    ]
    read = read_detections(written(tmp_path, rows, ".parquet"))
    assert (read.without_place, read.silent) == (2, 1)
    assert read.drives[0].probability.tolist() == [0.25] * 3
    assert read.drives[0].heading.tolist() == [10.0] * 3


def test_a_drive_packed_is_the_same(tmp_path):
    (drive,) = read_detections(written(tmp_path, ROWS, ".csv")).drives
    again = Drive.unpacked("g", drive.packed())
    assert again.digest() == drive.digest() and again.ids == drive.ids
    assert again.objects.classes.tolist() == [0, 0, 0] and np.isnan(again.objects.near).all()
    (other,) = read_detections(written(tmp_path, ROWS[::-1], ".csv")).drives
    assert other.digest() == drive.digest()
    (other,) = read_detections(written(tmp_path, ROWS[1:], ".csv")).drives
    assert other.digest() != drive.digest()


def test_objects_are_packed_too_and_make_another_drive(tmp_path):
    (plain,) = read_detections(written(tmp_path, ROWS, ".csv")).drives
    drive = plain.with_objects({"f0": InFrame(33, 7.25, 28.5), "f2": InFrame(4, nan, nan)})
    again = Drive.unpacked("g", drive.packed()).objects
    assert drive.ids == ("f1", "f2", "f0") and again.found == 2
    assert again.classes.tolist() == [0, 4, 33] and again.classes.dtype == np.int64
    assert np.isnan([again.near[:2], again.far[:2]]).all()
    assert (again.near[2], again.far[2]) == (7.25, 28.5)
    assert drive.digest() != plain.digest() == drive.with_objects({}).digest()
    nearer = drive.with_objects({"f0": InFrame(33, 7.0, 28.5), "f2": InFrame(4, nan, nan)})
    assert nearer.digest() != drive.digest()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"time": "yesterday"}, "row 1: 'yesterday' is no time"),
        ({"probability": 1.5}, r"row 1: probability 1\.5; it must be a number in 0\.\.1"),
        ({"latitude": 95.0}, r"row 1: latitude 95\.0"),
        ({"longitude": "east"}, "column 'longitude' is not all numbers"),
        ({"probability": True}, "row 1: probability True is no number"),
        ({"group": None}, "row 1: no group; each frame needs an id and a group"),
        ({"group": 7}, "row 1: group 7 is no text"),
        ({"time": "2026-05-01"}, "row 1: '2026-05-01' is no time; write it as"),
        ({"time": True}, "row 1: True is no time"),
        (
            {"time": 1777622400_000},
            r"row 1: time 1777622400000 is not.*milliseconds\? divide by 1000",
        ),
        ({"time": 1777622400e9}, r"row 1: time 1\.77.*nanoseconds\? divide by 1000000000"),
        ({"time": 20260501}, "row 1: time 20260501 is not between the year 2000 and tomorrow; was"),
        ({"time": "1980-01-06T00:00:00Z"}, "row 1: time '1980-01-06T00:00:00Z' is not .* clock"),
        ({"time": time.time() + 90000}, "row 1: time .* is not between the year 2000 and tomorrow"),
    ],
)
def test_wrong_values_are_named(tmp_path, change, complaint):
    path = written(tmp_path, [ROWS[0] | change], ".jsonl")
    with pytest.raises(ManifestError, match=complaint):
        read_detections(path)


@pytest.mark.parametrize(
    ("change", "suffix", "complaint"),
    [
        ({"time": "2026-05-01"}, ".csv", "row 1: '2026-05-01' is no time"),
        ({"time": date(2026, 5, 1)}, ".parquet", r"row 1: datetime\.date.* is no time"),
        ({"time": "true"}, ".csv", "row 1: 'true' is no time"),
        ({"time": "20260501"}, ".csv", "row 1: '20260501' is no time; write it as"),
        ({"time": "1777622400123.5"}, ".csv", r"row 1: time '17.*' is not.*milliseconds\? divide"),
        (
            {"time": datetime(1970, 1, 1, tzinfo=UTC)},
            ".parquet",
            r"row 1: time 0\.0 is not between",
        ),
        ({"group": ""}, ".csv", "row 1: no group"),
        ({"id": 7}, ".parquet", "row 1: id 7 is no text"),
    ],
)
def test_wrong_types_are_named_in_tables_that_have_types(tmp_path, change, suffix, complaint):
    path = written(tmp_path, [ROWS[0] | change], suffix)
    with pytest.raises(ManifestError, match=complaint):
        read_detections(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "names", [["001", "01", "1"], ["2026-05-01", "2026-05-02"], ["NA", "null"], ["false", "true"]]
)
def test_ids_and_groups_stay_the_texts_that_they_are(tmp_path, names, suffix):
    rows = [ROWS[0] | {"group": name, "id": f"{name}000"} for name in names]
    read = read_detections(written(tmp_path, rows, suffix))
    assert [(drive.id, drive.ids) for drive in read.drives] == [(n, (f"{n}000",)) for n in names]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_times_may_be_seconds(tmp_path, suffix):
    rows = [row | {"time": 1777622400 + n / 4} for n, row in enumerate(ROWS)]
    (drive,) = read_detections(written(tmp_path, rows, suffix)).drives
    assert drive.time.tolist() == [1777622400, 1777622400.25, 1777622400.5]


def test_a_line_that_is_no_json_is_named(tmp_path):
    path = written(tmp_path, ROWS, ".jsonl")
    path.write_text(path.read_text() + "[1]\n")
    with pytest.raises(ManifestError, match=r"frames\.jsonl, row 4: no JSON object in one line"):
        read_detections(path)


def test_wrong_tables_are_named(tmp_path):
    rows = [{name: row[name] for name in ("id", "time", "longitude")} for row in ROWS]
    with pytest.raises(ManifestError, match=r"no column group, latitude, smoothed \(or probab"):
        read_detections(written(tmp_path, rows, ".csv"))
    with pytest.raises(ManifestError, match=r"none\.csv cannot be read as a table"):
        read_detections(tmp_path / "none.csv")
    with pytest.raises(
        UsageError, match=r"cannot tell the format of 'frames\.parqet'; did you mean"
    ):
        read_detections(tmp_path / "frames.parqet")
