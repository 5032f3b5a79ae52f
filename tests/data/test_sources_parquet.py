"""Parquet with images, in the NATIX columns and in others."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from natix_fixture import drive_of, make_natix
from workzone.data.images import read_bytes
from workzone.data.sources.parquet import is_natix, open_parquet
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef


def test_natix_columns_fill_our_fields(tmp_path):
    source = open_parquet(make_natix(tmp_path), None, name="natix")
    records = list(source.records())
    assert source.total == len(records) == 12
    record = next(r for r in records if r.values["id"] == "natix-5")
    assert record.image == ImageRef(str(tmp_path / "train-00000-of-00001.parquet"), "image", 5)
    assert record.values == {
        "id": "natix-5",
        "label": 1,
        "group": drive_of(5, "train"),
        "gps": "40.05, -80.05",
        "time": "2024-05-01 10:05:00",
        "weather": "['Sunny']",
        "daytime": "Light",
        "scene": "Urban",
        "text": "Cones close the right lane.",
        "split": "train",
    }
    assert record.extra == {
        "license": "1",
        "city_name": "pittsburgh",
        "video_info.frame_id": "5",
        "video_info.seq_id": "2",
        "scene_level_tags.travel_alteration": "Partially Blocked",
        "width": "64",
        "height": "64",
    }
    bare = next(r for r in records if r.values["id"] == "natix-0")
    assert bare.values["group"] == drive_of(0, "train")
    assert (bare.values["weather"], bare.values["gps"]) == (None, None)
    assert [r.values["split"] for r in records] == ["test"] * 4 + ["train"] * 8
    assert source.source_columns["text"] == "scene_description"
    assert source.source_columns["scene"] == "scene_level_tags.scene_environment"
    assert source.source_columns["latitude"] == source.source_columns["longitude"] == "gps"


def test_natix_is_recognised(tmp_path):
    assert is_natix(make_natix(tmp_path / "a"))
    pq.write_table(pa.table({"image": [b"x"], "label": [1]}), tmp_path / "b.parquet")
    assert not is_natix(tmp_path / "b.parquet")


def test_structs_read_like_dotted_columns(tmp_path):
    row = {
        "image": {"bytes": b"x", "path": None},
        "video_info": {"vid_id": "v", "seq_id": 2, "frame_id": 3},
        "scene_level_tags": {"weather": ["Sunny", "Cloudy"], "daytime": None},
        "gps": {"lat": 1.0, "lon": 2.0},
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    (record,) = open_parquet(tmp_path / "a.parquet", None, name="a").records()
    assert record.values["group"] == "v"
    assert record.values["weather"] == ["Sunny", "Cloudy"]
    assert record.values["gps"] == {"lat": 1.0, "lon": 2.0}
    assert record.extra == {"video_info.seq_id": "2", "video_info.frame_id": "3"}


def test_other_names_by_mapping_and_bytes_found_alone(tmp_path):
    table = pa.table({"frame": [b"a", b"b"], "truth": ["yes", "no"]})
    pq.write_table(table, tmp_path / "a.parquet")
    source = open_parquet(tmp_path / "a.parquet", {"label": "truth"}, name="a")
    records = list(source.records())
    assert [record.values["label"] for record in records] == ["yes", "no"]
    assert [record.default_id for record in records] == ["a-000000", "a-000001"]
    assert [read_bytes(r.image, tmp_path) for r in records] == [b"a", b"b"]


def test_nothing_but_images(tmp_path):
    pq.write_table(pa.table({"image": [b"a", b"b"]}), tmp_path / "a.parquet")
    records = list(open_parquet(tmp_path / "a.parquet", None, name="a").records())
    assert [record.image.row for record in records] == [0, 1]


def test_a_column_of_paths(tmp_path):
    pq.write_table(pa.table({"image": ["x/a.jpg", None]}), tmp_path / "a.parquet")
    first, second = open_parquet(tmp_path / "a.parquet", None, name="a").records()
    assert first.image == ImageRef(str(tmp_path / "x/a.jpg"))
    assert second.where == "a.parquet row 1"
    assert second.problem == ("missing", "the image column is empty")


def test_class_names_of_datasets_are_used(tmp_path):
    feature = {"names": ["roadwork", "none"], "_type": "ClassLabel"}
    described = json.dumps({"info": {"features": {"label": feature}}})
    table = pa.table({"image": [b"a", b"b"], "label": [0, 1]})
    table = table.replace_schema_metadata({"huggingface": described})
    pq.write_table(table, tmp_path / "a.parquet")
    records = open_parquet(tmp_path / "a.parquet", None, name="a").records()
    assert [record.values["label"] for record in records] == ["roadwork", "none"]


def test_ids_that_repeat_between_splits_are_led_by_the_split(tmp_path):
    for split in ("train", "test"):
        pq.write_table(pa.table({"image": [b"a"], "id": [7]}), tmp_path / f"{split}.parquet")
    source = open_parquet(tmp_path, None, name="a")
    assert [record.values["id"] for record in source.records()] == ["test/7", "train/7"]
    assert "ids repeat between splits" in source.warnings[0]


def test_a_split_column_wins_over_the_file_name(tmp_path):
    table = pa.table({"image": [b"a", b"b"], "split": ["val", None]})
    pq.write_table(table, tmp_path / "train.parquet")
    records = open_parquet(tmp_path, None, name="a").records()
    assert [record.values["split"] for record in records] == ["val", "train"]


def test_parquet_that_cannot_be_used(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"a.parquet has no column for the image.*Columns: a"):
        open_parquet(tmp_path / "a.parquet", None, name="a")
    with pytest.raises(UsageError, match="has no column 'b'"):
        open_parquet(tmp_path / "a.parquet", {"image": "b"}, name="a")
    (tmp_path / "b.parquet").write_text("x")
    with pytest.raises(ManifestError, match=r"b.parquet is not a parquet file"):
        open_parquet(tmp_path / "b.parquet", None, name="b")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no parquet files"):
        open_parquet(tmp_path / "empty", None, name="c")
