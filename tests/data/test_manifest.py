"""What a manifest may hold, and what reading says of one that holds more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workzone.data.manifest import SCHEMA, Manifest, read_manifest, write_manifest
from workzone.errors import ManifestError
from workzone.types import ImageRef, Sample

FULL = Sample(
    "a", ImageRef("set.parquet", "image", 3), 1, "g", -90.0, 180.0,
    datetime(2024, 5, 1, 10, 0, 0, 7, tzinfo=UTC), "rain", "night", "city", "a text", "a.png",
    "made", "0" * 32, "train", {"k": "v"},
)  # fmt: skip


def written(folder: Path, **columns: Any) -> Path:
    """A manifest of two samples, some columns replaced."""
    path = folder / "m.parquet"
    write_manifest(Manifest([FULL, Sample("b", ImageRef("b.jpg"))], folder, {"id": "name"}), path)
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.set_column(SCHEMA.get_field_index(name), name, pa.array(*values))
    pq.write_table(table, path)
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path))
    assert list(manifest) == [FULL, Sample("b", ImageRef("b.jpg"))]
    assert manifest.source_columns == {"id": "name"}
    assert manifest.root == tmp_path


def test_types_that_other_writers_use_are_cast(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        label=([1.0, None], pa.float64()),
        latitude=([-90, None], pa.int64()),
        time=([1714557600000007999, None], pa.timestamp("ns")),
        weather=(["rain", None], pa.large_string()),
        masks=(["a.png", None], pa.dictionary(pa.int32(), pa.string())),
        image_row=([3, None], pa.int32()),
        split=([None, None], pa.null()),
    )
    first, second = read_manifest(path)
    assert (first.label, first.latitude, first.time) == (1, -90.0, FULL.time)
    assert (first.weather, first.masks, first.image.row, first.split) == ("rain", "a.png", 3, None)
    assert second == Sample("b", ImageRef("b.jpg"))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("label", (["work", None],), "column label is string and cannot be read as int8"),
        ("label", ([0.5, None],), "column label is double and cannot be read as int8"),
        ("label", ([300, None],), "column label is int64 and cannot be read as int8"),
        ("latitude", (["north", None],), "column latitude is string and cannot be read as double"),
        ("extra", ([1, 2],), "column extra is int64 and cannot be read as map"),
        ("text", ([b"\xff", None],), "column text is binary and cannot be read as string"),
        ("time", ([2**62, None], pa.timestamp("us")), "column time is timestamp.* cannot be read"),
        ("group", ([[1], None],), "column group is list.* and cannot be read as string"),
        ("label", ([0, 2],), "row 1: label 2 is neither 1 .road work., 0 .none. nor empty"),
        ("label", ([-1, 0],), "row 0: label -1 is neither"),
        ("id", (["a", None],), "row 1: id is empty"),
        ("image_path", ([None, "b.jpg"],), "row 0: image_path is empty"),
        ("latitude", ([None, float("nan")],), "row 1: latitude nan is not within -90..90 degrees"),
        ("latitude", ([90.1, None],), "row 0: latitude 90.1 is not within"),
        ("longitude", ([float("inf"), 0],), "row 0: longitude inf is not within -180..180"),
        ("longitude", ([0, -181],), "row 1: longitude -181.0 is not within"),
        ("id", (["a", "a"],), "the id 'a' occurs twice"),
    ],
)
def test_values_that_no_manifest_has(tmp_path: Path, name: str, values: Any, message: str) -> None:
    path = written(tmp_path, **{name: values})
    with pytest.raises(ManifestError, match=rf"m\.parquet.*{message}"):
        read_manifest(path)


def test_files_that_are_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no manifest at .*gone\.parquet"):
        read_manifest(tmp_path / "gone.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(ManifestError, match=r"text\.parquet is not a parquet file"):
        read_manifest(tmp_path / "text.parquet")
    path = written(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["text", "extra"]), path)
    with pytest.raises(ManifestError, match="is not a manifest: it lacks text, extra"):
        read_manifest(path)
    pq.write_table(table.append_column("id", table.column("id")), path)
    with pytest.raises(ManifestError, match=r"m\.parquet"):
        read_manifest(path)
