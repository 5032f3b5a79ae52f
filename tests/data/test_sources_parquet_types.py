"""Columns of every type beside the pictures, as they reach a manifest."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bad_images import two_halves
from workzone.data.importing import import_source
from workzone.data.manifest import read_manifest
from workzone.errors import ManifestError, UsageError


@pytest.fixture
def imported(tmp_path):
    """Imports a table of three pictures and the columns given."""

    def run(metadata=None, **columns):
        for number in range(3):
            two_halves().save(tmp_path / f"{number}.png")
        data = [(tmp_path / f"{number}.png").read_bytes() for number in range(3)]
        table = pa.table({"image": data, **columns})
        if metadata is not None:
            table = table.replace_schema_metadata({"huggingface": metadata})
        pq.write_table(table, tmp_path / "rows.parquet")
        summary = import_source(str(tmp_path / "rows.parquet"), tmp_path / "m.parquet")
        assert summary.rows_kept == 3
        return read_manifest(summary.manifest).samples, summary

    return run


def labels(samples):
    return [sample.label for sample in samples]


def test_text_stored_as_plain_bytes(imported):
    samples, summary = imported(
        label=[b"roadwork", b"0", None],
        id=[b"a", b"b", b"c"],
        gps=[b"51.5,-0.12"] * 3,
        sequence=pa.array([b"clip"] * 3, pa.large_binary()),
        timestamp=pa.array([b"2024-05-01"] * 3, pa.binary(10)),
        city=pa.array(["Köln".encode()] * 3).dictionary_encode(),
        tags=pa.array([[b"Sunny", b"Dry"]] * 3),
    )
    assert labels(samples) == [1, 0, None]
    first = samples[0]
    assert (first.id, first.group, first.latitude) == ("a", "clip", 51.5)
    assert first.time == datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)
    assert first.extra == {"city": "Köln", "tags": "Sunny, Dry"}
    assert not summary.warnings


@pytest.mark.parametrize("field", ["label", "id", "sequence", "split"])
def test_bytes_that_are_no_text_are_refused_by_name(imported, field):
    with pytest.raises(ManifestError, match=rf"'{field}' holds bytes that are not UTF-8.*--map"):
        imported(**{field: [b"\xff\x01", b"\x00", None]})


def test_other_bytes_are_passed_over_with_a_warning(imported):
    samples, summary = imported(
        label=[1, 0, 1], thumb=[b"\xff\xd8\xff"] * 3, location=[b"\x01"] * 3
    )
    assert labels(samples) == [1, 0, 1]
    assert samples[0].extra == {}
    assert [w.split("column ")[1] for w in summary.warnings] == [
        "'thumb' holds bytes that are not UTF-8 text; passed over",
        "'location' holds bytes that are not UTF-8 text; passed over",
    ]


def test_masks_as_images_are_passed_over_with_a_warning(imported):
    _, summary = imported(mask=[{"bytes": b"\x89PNG", "path": None}] * 3)
    assert "'mask'" in summary.warnings[0]


def test_a_late_value_that_is_no_text_is_cleared_and_listed(tmp_path):
    two_halves().save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    table = pa.table({"image": [data] * 20, "label": [b"1"] * 19 + [b"\xff"]})
    pq.write_table(table, tmp_path / "rows.parquet")
    summary = import_source(str(tmp_path / "rows.parquet"), tmp_path / "m.parquet")
    assert summary.label_counts == {"roadwork": 19, "none": 0, "unlabelled": 1}
    (entry,) = summary.entries
    assert (entry.code, entry.action) == ("value-unreadable", "field cleared")
    assert entry.reason == (
        "rows.parquet row 19: the column 'label' holds bytes that are not UTF-8 text"
    )


MOMENT = datetime.datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=datetime.UTC)
NANOSECONDS = 1714557600123456789


@pytest.mark.parametrize(
    "column",
    [
        pa.array([NANOSECONDS] * 3, pa.timestamp("ns", tz="UTC")),
        pa.array([NANOSECONDS] * 3, pa.timestamp("ns")),
        pa.array([NANOSECONDS // 1000] * 3, pa.timestamp("us", tz="CEST")),
        pa.array([NANOSECONDS // 1000] * 3, pa.timestamp("us", tz="Mars/Olympus")),
        pa.array([NANOSECONDS // 1000] * 3, pa.timestamp("us", tz="Europe/Rome")),
    ],
)
def test_moments_of_any_precision_and_zone(imported, column):
    samples, summary = imported(timestamp=column)
    assert [sample.time for sample in samples] == [MOMENT] * 3
    assert not summary.entries


def test_nanoseconds_in_a_process_without_pandas(tmp_path):
    two_halves().save(tmp_path / "a.png")
    table = pa.table(
        {
            "image": [(tmp_path / "a.png").read_bytes()],
            "time": pa.array([NANOSECONDS], pa.timestamp("ns", tz="UTC")),
            "exposure": pa.array([1234567], pa.duration("ns")),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    program = """
import sys
class NoPandas:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoPandas)
from pathlib import Path
from workzone.data.importing import import_source
print(import_source("rows.parquet", Path("m.parquet")).rows_kept, "torch" in sys.modules)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.stdout.split() == ["1", "False"], run.stderr
    (sample,) = read_manifest(tmp_path / "m.parquet").samples
    assert (sample.time, sample.extra) == (MOMENT, {"exposure": "0:00:00.001234"})


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**50, NANOSECONDS // 10**6, None], pa.timestamp("ms")),
        pa.array([2**62, NANOSECONDS // 10**3, None], pa.timestamp("us", tz="CEST")),
    ],
)
def test_moments_out_of_range_are_cleared_and_listed(imported, column):
    samples, summary = imported(timestamp=column, other=column)
    assert [sample.time and sample.time.year for sample in samples] == [None, 2024, None]
    assert "other" not in samples[0].extra
    assert [entry.code for entry in summary.entries] == ["value-unreadable"] * 2
    assert "'timestamp' holds a timestamp" in summary.entries[0].reason


def test_numbers_dates_and_spans(imported):
    samples, summary = imported(
        label=pa.array([Decimal("1.00"), Decimal("0.00"), None]),
        lat=[Decimal("51.50")] * 3,
        lon=[Decimal("-0.12")] * 3,
        date=[datetime.date(2024, 5, 1)] * 3,
        exposure=pa.array([1234567] * 3, pa.duration("ns")),
        clock=pa.array([1500] * 3, pa.time64("ns")),
        half=pa.array(np.array([1, 0, 1], np.float16)),
        day=pa.array([2**30, 0, None], pa.int32()).cast(pa.date32()),
    )
    assert labels(samples) == [1, 0, None]
    assert (samples[0].latitude, samples[0].time.day) == (51.5, 1)
    assert samples[0].extra == {
        "exposure": "0:00:00.001234",
        "clock": "00:00:00.000001",
        "half": "1",
    }
    (entry,) = summary.entries
    assert "'day' holds a date32[day] that is out of range" in entry.reason


def test_nested_and_extension_types(imported):
    moments = pa.list_(pa.timestamp("ns", tz="CEST"))
    samples, _ = imported(
        id=pa.array([uuid.UUID(int=number).bytes for number in range(3)], pa.uuid()),
        meta=pa.array([{"t": [0]}, None, {"t": None}], pa.struct([("t", moments)])),
        pairs=pa.array([[("a", b"1")]] * 3, pa.map_(pa.string(), pa.binary())),
        nothing=pa.nulls(3),
    )
    assert samples[1].id == str(uuid.UUID(int=1))
    assert samples[0].extra == {"meta.t": "1970-01-01T00:00:00+00:00", "pairs": "a, 1"}
    assert samples[1].extra == {"pairs": "a, 1"}


@pytest.mark.parametrize(
    "metadata",
    [
        *("see the card", "[]", "3", '"x"', "{}", '{"info": null}', '{"info": []}', b"\xff"),
        *('{"info": {"features": [1]}}', '{"info": {"features": {"label": [null]}}}'),
        '{"info": {"features": {"label": {"_type": "ClassLabel", "names": null}}}}',
        '{"info": {"features": {"label": {"_type": "Value"}}}}',
    ],
)
def test_metadata_that_name_no_classes(imported, metadata):
    samples, _ = imported(metadata, label=[1, 0, 1])
    assert labels(samples) == [1, 0, 1]


def described(names, column="label"):
    feature = {"_type": "ClassLabel", "names": names}
    return json.dumps({"info": {"features": {column: feature}}})


@pytest.mark.parametrize(
    "codes", [[0, 1, -1], [0.0, 1.0, None], ["0", "1", "-1"], [b"roadwork", b"1", None]]
)
def test_codes_of_classes_in_any_type(imported, codes):
    samples, summary = imported(described(["roadwork", "none"]), label=codes)
    assert labels(samples) == [1, 0, None]
    assert not summary.entries


def test_names_that_are_numbers_count_as_names(imported):
    samples, _ = imported(described([1, 0]), label=[0, 1, None])
    assert labels(samples) == [1, 0, None]


def test_a_code_without_a_name_is_cleared_and_listed(imported):
    samples, summary = imported(described(["none"]), label=[0, 1, 0])
    assert labels(samples) == [0, None, 0]
    (entry,) = summary.entries
    assert entry.reason.endswith("the column 'label' holds 1, but the file names only 1 classes")


def test_classes_in_structs_and_lists(imported):
    features = {
        "meta": {"kind": {"_type": "ClassLabel", "names": ["a", "b"]}},
        "weather": {"_type": "List", "feature": {"_type": "ClassLabel", "names": ["sun", "rain"]}},
        "road": [{"_type": "ClassLabel", "names": ["dry", "wet"]}],
    }
    samples, _ = imported(
        json.dumps({"info": {"features": features}}),
        meta=[{"kind": 1}] * 3,
        weather=[[0, 1]] * 3,
        road=[[1]] * 3,
    )
    assert samples[0].weather == "sun, rain"
    assert samples[0].extra == {"meta.kind": "b", "road": "wet"}


@pytest.mark.parametrize("names", [["image", "a", "a"], ["image", "image", "a"]])
def test_a_column_twice_is_refused(tmp_path, names):
    table = pa.Table.from_arrays([pa.array([b"x"])] * 3, names)
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ManifestError, match="occurs twice; rename one"):
        import_source(str(tmp_path / "a.parquet"), tmp_path / "m.parquet")


def test_a_struct_and_a_dotted_column_of_one_name_are_refused(tmp_path):
    pq.write_table(pa.table({"image": [b"x"], "a": [{"b": 1}], "a.b": [2]}), tmp_path / "a.parquet")
    with pytest.raises(ManifestError, match=r"'a\.b' occurs twice"):
        import_source(str(tmp_path / "a.parquet"), tmp_path / "m.parquet")


def test_no_rows_and_no_columns(tmp_path):
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "a.parquet")
    with pytest.raises(ManifestError, match="it is empty"):
        import_source(str(tmp_path / "a.parquet"), tmp_path / "m.parquet")
    pq.write_table(pa.table({}), tmp_path / "b.parquet")
    with pytest.raises(UsageError, match="Columns: none"):
        import_source(str(tmp_path / "b.parquet"), tmp_path / "m.parquet")
