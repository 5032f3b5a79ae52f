"""Tables of scored frames, as other commands write them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workzone.decide.drive import Chain, smooth
from workzone.errors import ManifestError, UsageError
from workzone.geo.detections import Drive, read_detections

TIMES = ["2026-05-01T08:00:02+00:00", "2026-05-01T10:00:00+02:00", "2026-05-01T08:00:01Z"]
ROWS = [
    {
        "id": f"f{n}",
        "group": "g",
        "time": time,
        "longitude": 8 + n / 1e4,
        "latitude": 50.0,
        "probability": p,
    }
    for n, (time, p) in enumerate(zip(TIMES, (0.9, 0.2, 0.7), strict=True))
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
    assert (read.rows, read.without_place, read.silent) == (6, 2, 1)
    assert read.drives[0].probability.tolist() == [0.25] * 3
    assert read.drives[0].heading.tolist() == [10.0] * 3


def test_a_drive_packed_is_the_same(tmp_path):
    (drive,) = read_detections(written(tmp_path, ROWS, ".csv")).drives
    again = Drive.unpacked("g", drive.packed())
    assert again.digest() == drive.digest() and again.ids == drive.ids
    (other,) = read_detections(written(tmp_path, ROWS[::-1], ".csv")).drives
    assert other.digest() == drive.digest()
    (other,) = read_detections(written(tmp_path, ROWS[1:], ".csv")).drives
    assert other.digest() != drive.digest()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"time": "yesterday"}, "row 1: 'yesterday' is no time"),
        ({"probability": 1.5}, r"row 1: probability 1\.5; it must be a number in 0\.\.1"),
        ({"latitude": 95.0}, r"row 1: latitude 95\.0"),
        ({"longitude": "east"}, "column 'longitude' is not all numbers"),
        ({"group": None}, "row 1: no id or no group"),
    ],
)
def test_wrong_values_are_named(tmp_path, change, complaint):
    path = written(tmp_path, [ROWS[0] | change], ".jsonl")
    with pytest.raises(ManifestError, match=complaint):
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
