"""Drives of a manifest: grouped, ordered, smoothed, cut into segments, and written."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from workzone.data.manifest import Manifest
from workzone.decide.drive import Chain, smooth
from workzone.errors import ManifestError, UsageError
from workzone.run.drive_files import write_frames, write_segments
from workzone.run.drives import along_drives, fit_on_drives
from workzone.types import ImageRef, Sample

NOON = datetime(2025, 5, 1, 12, tzinfo=UTC)
CHAIN = Chain(entering=0.05, leaving=0.1, exponent=0.5)


def frame(group, second, *, label=None, east=None):
    return Sample(
        id=f"{group}-{second:02}",
        image=ImageRef(f"{group}-{second:02}.jpg"),
        group=group,
        time=NOON + timedelta(seconds=second),
        label=label,
        longitude=None if east is None else east,
        latitude=None if east is None else 50.0,
    )


@pytest.fixture
def manifest(tmp_path):
    one = [frame("a", second, east=7 + second / 1000) for second in range(20)]
    two = [frame("b", second) for second in range(10)]
    return Manifest([*two[::-1], *one], tmp_path)  # not in order of time


@pytest.fixture
def scores():
    worked = {f"a-{s:02}": 0.95 if 5 <= s < 12 else 0.03 for s in range(20)}
    worked["a-08"] = 0.4
    return worked | {f"b-{s:02}": 0.03 for s in range(9)}  # b-09 was not read


def test_drives_are_judged_each_by_itself_in_order_of_time(manifest, scores):
    found = along_drives(manifest, scores, CHAIN)
    assert [one.id for one in found.frames] == [s.id for s in manifest][:10][::-1] + [
        s.id for s in manifest
    ][10:]
    values = [scores.get(f"b-{second:02}", math.nan) for second in range(10)]
    alone = smooth(range(10), values, CHAIN)
    assert [one.smoothed for one in found.frames[:10]] == alone.tolist()
    assert found.frames[9].probability is None and found.silent == 1 and found.drives == 2


def test_a_segment_tells_start_end_evidence_and_place(manifest, scores):
    scores["a-09"] = 0.99
    found = along_drives(manifest, scores, CHAIN)
    (segment,) = found.segments
    assert (segment.group, segment.segment, segment.frames) == ("a", 1, 7)
    assert segment.start == NOON + timedelta(seconds=5)
    assert segment.end == NOON + timedelta(seconds=11)
    assert segment.seconds == 6 and segment.evidence == "a-09"
    assert segment.places == tuple((7 + second / 1000, 50.0) for second in range(5, 12))
    inside = [one for one in found.frames if one.segment == 1]
    assert [one.id for one in inside] == [f"a-{second:02}" for second in range(5, 12)]
    assert all(one.decision == "roadwork" for one in inside)  # the doubtful one, a-08, too
    assert segment.mean == pytest.approx(sum(one.smoothed for one in inside) / 7)


def test_tables_hold_all_of_it(manifest, scores, tmp_path):
    found = along_drives(manifest, scores, CHAIN)
    for kind in ("csv", "jsonl", "parquet"):
        write_frames(found.frames, tmp_path / f"frames.{kind}")
        write_segments(found, tmp_path / f"segments.{kind}")
    table = pq.read_table(tmp_path / "frames.parquet").to_pylist()
    assert [row["smoothed"] for row in table] == [one.smoothed for one in found.frames]
    assert table[0]["time"] == NOON and table[9]["probability"] is None
    lines = list(csv.DictReader((tmp_path / "frames.csv").open()))
    assert lines[9]["probability"] == "" and lines[0]["time"] == "2025-05-01T12:00:00+00:00"
    objects = [json.loads(line) for line in (tmp_path / "segments.jsonl").read_text().splitlines()]
    assert objects[0] | {"mean": None, "peak": None} == {
        "group": "a",
        "segment": 1,
        "start": "2025-05-01T12:00:05+00:00",
        "end": "2025-05-01T12:00:11+00:00",
        "seconds": 6.0,
        "frames": 7,
        "mean": None,
        "peak": None,
        "evidence": "a-07",
        "start_longitude": 7.005,
        "start_latitude": 50.0,
        "end_longitude": 7.011,
        "end_latitude": 50.0,
    }
    assert pq.read_table(tmp_path / "segments.parquet").num_rows == 1


def test_segments_on_a_map(manifest, scores, tmp_path):
    write_segments(along_drives(manifest, scores, CHAIN), tmp_path / "segments.geojson")
    (feature,) = json.loads((tmp_path / "segments.geojson").read_text())["features"]
    assert feature["geometry"]["type"] == "LineString"
    assert feature["geometry"]["coordinates"][0] == [7.005, 50.0]
    assert len(feature["geometry"]["coordinates"]) == 7
    assert feature["properties"]["evidence"] == "a-07"  # of equal ones the surest


@pytest.mark.parametrize(
    ("places", "kind", "coordinates"),
    [
        (((7.0, 50.0),), "Point", [7.0, 50.0]),
        (
            ((179.9, 1.0), (179.99, 1.0), (-179.9, 1.0)),
            "MultiLineString",
            [[[179.9, 1.0], [179.99, 1.0]], [[-179.9, 1.0], [-179.9, 1.0]]],
        ),
    ],
)
def test_a_single_place_and_the_date_line(manifest, scores, tmp_path, places, kind, coordinates):
    found = along_drives(manifest, scores, CHAIN)
    moved = [dataclasses.replace(found.segments[0], places=places)]
    write_segments(dataclasses.replace(found, segments=moved), tmp_path / "s.geojson")
    geometry = json.loads((tmp_path / "s.geojson").read_text())["features"][0]["geometry"]
    assert geometry == {"type": kind, "coordinates": coordinates}


def test_no_map_without_places(manifest, scores, tmp_path):
    nowhere = [dataclasses.replace(s, longitude=None, latitude=None) for s in manifest]
    found = along_drives(manifest.with_samples(nowhere), scores, CHAIN)
    with pytest.raises(UsageError, match="no frame of a segment has a place"):
        write_segments(found, tmp_path / "s.geojson")
    with pytest.raises(UsageError, match="cannot tell the format"):
        write_frames(found.frames, tmp_path / "f.geojson")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"group": None}, ManifestError, "1 rows have no group, such as 'b-09'"),
        ({"time": None}, ManifestError, "1 rows have no time, such as 'b-09'"),
        ({"id": "other"}, UsageError, "1 scores are of images .* such as 'b-09'"),
    ],
)
def test_what_cannot_be_ordered_or_joined_is_refused(manifest, scores, change, error, said):
    rows = [dataclasses.replace(manifest.samples[0], **change), *manifest.samples[1:]]
    with pytest.raises(error, match=said):
        along_drives(manifest.with_samples(rows), scores | {"b-09": 0.1}, CHAIN)


def test_no_score_at_all_is_refused(manifest):
    with pytest.raises(UsageError, match="no frame of these drives has a score"):
        along_drives(manifest, {}, CHAIN)


def test_a_chain_is_fitted_on_the_labelled_rows(manifest, scores):
    labelled = [
        dataclasses.replace(s, label=int(5 <= int(s.id[2:]) < 12)) if s.group == "a" else s
        for s in manifest
    ]
    chain = fit_on_drives(manifest.with_samples(labelled), scores)
    assert chain.entering == pytest.approx((1 + 1) / (12 + 10), rel=1e-3)  # one change in 12 s
    assert chain.leaving == pytest.approx((1 + 1) / (7 + 10), rel=1e-3)
    with pytest.raises(UsageError, match="with road work and without"):
        fit_on_drives(manifest, scores)
