"""From a data set to a manifest and its quarantine table."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bad_images import make_bad_images, two_halves
from natix_fixture import drive_of, make_natix
from workzone.data.images import content_hash, read_bytes
from workzone.data.importing import import_source
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.data.masks.load import load_masks
from workzone.data.sources.detect import detect_kind
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef, Sample


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        two_halves().save(folder / name)
    return folder


def table(folder: Path, header: str, *rows: str) -> Path:
    """A table and a picture for each row whose first cell ends in ``.png``."""
    names = {row.split(",")[0] for row in rows}
    pictures(folder, *(name for name in names if name.endswith(".png") and "gone" not in name))
    (folder / "table.csv").write_text("\n".join((header, *rows)))
    return folder / "table.csv"


def quarantined(summary) -> list[tuple[str, str, str]]:
    with summary.quarantine.open(encoding="utf-8") as handle:
        return [(row["id"], row["action"], row["code"]) for row in csv.DictReader(handle)]


def test_a_folder_of_classes(tmp_path):
    pictures(tmp_path / "set", "roadwork/s/a.png", "none/b.png")
    summary = import_source(str(tmp_path / "set"), tmp_path / "m.parquet")
    assert (summary.rows_read, summary.rows_kept, summary.entries) == (2, 2, ())
    assert summary.label_counts == {"roadwork": 1, "none": 1, "unlabelled": 0}
    assert quarantined(summary) == []
    manifest = read_manifest(tmp_path / "m.parquet")
    none, work = manifest
    assert (work.id, work.image.path, work.group) == (
        "roadwork/s/a.png",
        "set/roadwork/s/a.png",
        "s",
    )
    assert (work.label, none.label, work.source) == (1, 0, "set")
    assert work.content_hash == content_hash((tmp_path / "set/roadwork/s/a.png").read_bytes())


def test_good_rows_get_through_among_bad_images(tmp_path):
    expected = make_bad_images(tmp_path / "zoo")
    summary = import_source(str(tmp_path / "zoo"), tmp_path / "m.parquet")
    samples = read_manifest(summary.manifest).samples
    assert [s.id for s in samples] == sorted(n for n, code in expected.items() if code is None)
    assert {name: code for name, _, code in quarantined(summary)} == {
        name: code for name, code in expected.items() if code is not None
    }
    assert summary.rows_read == len(expected)
    assert all(sample.content_hash for sample in samples)


def test_bad_fields_are_cleared_and_their_rows_kept(tmp_path):
    path = table(
        tmp_path,
        "image,label,lat,lon,time,weather",
        "a.png,1,51.5,-0.12,2024-05-01,Sunny",
        "b.png,maybe,nan,nan,yesterday,None",
        "c.png,0,-118.2,34.1,,",
        "d.png,0,0,0,,",
        "e.png,0,95,95,,",
    )
    summary = import_source(str(path), tmp_path / "m.parquet")
    assert quarantined(summary) == [
        ("b.png", "field cleared", "coordinates-nan"),
        ("b.png", "field cleared", "label-unknown"),
        ("b.png", "field cleared", "time-unreadable"),
        ("c.png", "field cleared", "coordinates-swapped"),
        ("d.png", "field cleared", "coordinates-null-island"),
        ("e.png", "field cleared", "coordinates-range"),
    ]
    assert "table.csv line 3: label 'maybe' is unknown" in summary.entries[1].reason
    first, *others = read_manifest(summary.manifest)
    assert (first.latitude, first.longitude, first.weather) == (51.5, -0.12, "Sunny")
    assert first.time == datetime(2024, 5, 1, tzinfo=UTC)
    assert [sample.label for sample in others] == [None, 0, 0, 0]
    assert {(s.latitude, s.longitude, s.time, s.weather) for s in others} == {(None,) * 4}
    assert summary.rows_read == summary.rows_kept == 5


def test_rows_left_out_and_duplicates(tmp_path):
    path = table(
        tmp_path,
        "image,id,label",
        "gone.png,x,1",
        "a.png,x,1",  # the first usable x
        "b.png,x,1",
        "c.png,y,1,extra",
        ",z,1",
        "d.png,,0",
    )
    summary = import_source(str(path), tmp_path / "m.parquet")
    assert quarantined(summary) == [
        ("x", "row left out", "missing"),
        ("x", "row left out", "duplicate-id"),
        ("y", "row left out", "row-malformed"),
        ("z", "row left out", "missing"),
    ]
    reasons = [entry.reason for entry in summary.entries]
    assert "table.csv line 2: gone.png: no such file" in reasons[0]
    assert "line 5: 4 cells under 3 columns" in reasons[2]
    assert [(s.id, s.image.path) for s in read_manifest(summary.manifest)] == [
        *(("x", "a.png"), ("d.png", "d.png"))
    ]
    assert (summary.rows_read, summary.rows_kept) == (6, 2)


cells = st.text(max_size=30) | st.sampled_from(
    ["a\0/b.png", "..", "/", "x" * 300 + "/y.png", "nan", "1e999", "-0", "9" * 400, "\ud7ff"]
)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(*[cells] * 7), max_size=3))
def test_whatever_the_cells_say_the_good_row_gets_through(tmp_path_factory, rows):
    folder = pictures(tmp_path_factory.mktemp("cells"), "good.png")
    good = ("good.png", "good row", "1", "51.5", "-0.12", "2024-05-01", "")
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_ALL)
        writer.writerow(("image", "id", "label", "lat", "lon", "time", "masks"))
        writer.writerows((*rows, good))
    summary = import_source(str(folder / "t.csv"), folder / "m.parquet")
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    assert summary.rows_read == len(filled) + 1
    last = read_manifest(summary.manifest).samples[-1]
    assert (last.id, last.label, last.latitude, last.longitude) == ("good row", 1, 51.5, -0.12)


def test_order_is_kept_past_the_pool(tmp_path):
    names = [f"{number:03}.png" for number in np.random.default_rng(0).permutation(60)]
    path = table(tmp_path, "image", *names)
    summary = import_source(str(path), tmp_path / "m.parquet")
    assert [sample.id for sample in read_manifest(summary.manifest)] == names


def test_natix_from_end_to_end(tmp_path):
    make_natix(tmp_path / "natix")
    summary = import_source(str(tmp_path / "natix"), tmp_path / "m.parquet")
    assert summary.label_counts == {"roadwork": 6, "none": 6, "unlabelled": 0}
    assert summary.entries == ()
    manifest = read_manifest(tmp_path / "m.parquet")
    assert Counter(sample.split for sample in manifest) == {"train": 8, "test": 4}
    sample = next(s for s in manifest if s.id == "natix-5")
    assert (sample.latitude, sample.longitude) == (40.05, -80.05)
    assert (sample.group, sample.source) == (drive_of(5, "train"), "natix")
    assert sample.extra["scene_level_tags.travel_alteration"] == "Partially Blocked"
    assert manifest.source_columns["text"] == "scene_description"
    assert manifest.source_columns["label"] == "label"
    for sample in manifest:
        assert content_hash(read_bytes(sample.image, manifest.root)) == sample.content_hash


def test_a_manifest_moves_together_with_its_images(tmp_path):
    old = tmp_path / "old"
    pictures(old / "images", "none/a.png")
    write_bit_image(np.ones((6, 2, 2), bool), old / "images" / "a-mask.png")
    (old / "images" / "t.csv").write_text("image,masks\nnone/a.png,a-mask.png\n")
    (old / "lists").mkdir()
    import_source(str(old / "images" / "t.csv"), old / "lists" / "m.parquet")
    shutil.move(old, tmp_path / "new")
    manifest = read_manifest(tmp_path / "new" / "lists" / "m.parquet")
    (sample,) = manifest
    assert sample.image.path == "../images/none/a.png"
    assert content_hash(read_bytes(sample.image, manifest.root)) == sample.content_hash
    assert sample.masks is not None
    assert load_masks(sample.masks, manifest.root, 2, 2).covered.all()


def test_images_elsewhere_have_absolute_paths(tmp_path):
    pictures(tmp_path / "far" / "images", "none/a.png")
    output = tmp_path / "near" / "deep" / "m.parquet"
    import_source(str(tmp_path / "far" / "images"), output)
    (sample,) = read_manifest(output)
    assert sample.image.path == str(tmp_path / "far/images/none/a.png")


def test_relative_source_and_output(tmp_path, monkeypatch):
    pictures(tmp_path / "set", "none/a.png")
    monkeypatch.chdir(tmp_path)
    summary = import_source("set", Path("m.parquet"))
    assert summary.rows_kept == 1
    assert read_manifest(tmp_path / "m.parquet").samples[0].image.path == "set/none/a.png"


def test_annotation_references_are_relative_too(tmp_path):
    folder = tmp_path / "set" / "annotations"
    folder.mkdir(parents=True)
    image = {"id": 4, "file_name": "a.png", "width": 48, "height": 32}
    cone = {"image_id": 4, "category_id": 1, "segmentation": [[0, 0, 9, 0, 9, 9]]}
    data = {"images": [image], "annotations": [cone], "categories": [{"id": 1, "name": "Cone"}]}
    (folder / "instances_val_gps_split.json").write_text(json.dumps(data))
    pictures(tmp_path / "set" / "images", "a.png")
    summary = import_source(str(tmp_path / "set"), tmp_path / "m.parquet", split="gps_split")
    (sample,) = read_manifest(summary.manifest)
    assert sample.masks == "set/annotations/instances_val_gps_split.json#4"
    assert (sample.id, sample.label, sample.split, sample.source) == ("a", 1, "val", "roadwork")
    assert load_masks(sample.masks, tmp_path, 32, 48).covered[0].any()
    assert "instances_train_gps_split.json is not there" in summary.warnings[0]


def test_nothing_usable_writes_no_manifest(tmp_path):
    path = table(tmp_path, "image", "gone1.png", "gone2.png")
    with pytest.raises(
        ManifestError,
        match=r"none of its 2 rows can be used \(missing 2, such as table.csv line 2: gone1",
    ):
        import_source(str(path), tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()
    assert (tmp_path / "m.quarantine.csv").exists()


def test_a_second_import_finds_the_same(tmp_path):
    pictures(tmp_path, "none/a.png")
    import_source(str(tmp_path), tmp_path / "m.parquet")
    assert import_source(str(tmp_path), tmp_path / "m.parquet").rows_kept == 1


def test_kinds_are_told_from_what_is_on_disk(tmp_path):
    pictures(tmp_path / "folder", "a.png")
    pq.write_table(pa.table({"picture": [b"x"]}), tmp_path / "a.parquet")
    make_natix(tmp_path / "natix")
    for name in ("t.csv", "t.tsv", "a.zip", "a.tar"):
        (tmp_path / name).touch()
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "dataset_dict.json").write_text("{}")
    expected = {
        "folder": "folder",
        "a.parquet": "parquet",
        "natix": "natix",
        "natix/train-00000-of-00001.parquet": "natix",
        **dict.fromkeys(("t.csv", "t.tsv"), "table"),
        **dict.fromkeys(("a.zip", "a.tar"), "folder"),
        "hf": "huggingface",
    }
    assert {name: detect_kind(str(tmp_path / name)) for name in expected} == expected
    assert detect_kind("organisation/name") == "huggingface"
    assert detect_kind("organisation/name-v1.0") == "huggingface"


@pytest.mark.parametrize(
    "source",
    [
        *("nosuch/labels.csv", "nosuch/labels.TSV", "nosuch/a.parquet", "nosuch/a.json"),
        *("nosuch/a.zip", "nosuch/a.tar", "nosuch/a.tar.gz", "nosuch/a.jpg"),
        *("set/labels", "no/such/set"),
    ],
)
def test_a_mistyped_path_is_no_set_on_the_hub(tmp_path, monkeypatch, source):
    (tmp_path / "set").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"nothing at .*/{source}"):
        detect_kind(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://x.org/set.zip", "^https://x.org/set.zip is a web address: download it first"),
        ("s3://bucket/set", "^s3://bucket/set is a web address: download it first"),
        ("https://huggingface.co/datasets/a/b-c", "the id of the data set instead, a/b-c$"),
        ("https://huggingface.co/datasets/a/b/tree/main", "the id of the data set instead, a/b$"),
        ("hf://datasets/a/b", "the id of the data set instead, a/b$"),
        ("hf://datasets/a/b/c.parquet", "^hf://datasets/a/b/c.parquet is .*: download it first"),
        ("pipe", "/pipe is a named pipe, socket or device, not a file: save what it gives"),
        ("a.jpg", r"/a\.jpg is one image: give the folder .* by `workzone predict /.*/a\.jpg`"),
    ],
)
def test_what_is_no_data_set_is_told_with_the_fix(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(pictures(tmp_path, "a.jpg"))
    os.mkfifo("pipe")
    with pytest.raises(UsageError, match=message):
        import_source(source, tmp_path / "m.parquet")


def test_a_file_address_of_a_data_set_is_its_path(tmp_path):
    pictures(tmp_path / "set", "a.png", "b.png")
    assert import_source(f"file://{tmp_path}/set", tmp_path / "m.parquet").rows_kept == 2


def test_addresses_in_a_table(tmp_path, monkeypatch):
    pictures(tmp_path, "tab/c.png", "a b.png", "home/d.png")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    rows = f"https://x.org/1.jpg,\nfile://{tmp_path}/a%20b.png,\n~/d.png,\nc.png,s3://b/m.png\n"
    (tmp_path / "tab" / "t.csv").write_text(f"image,masks\n{rows}")
    summary = import_source(str(tmp_path / "tab" / "t.csv"), tmp_path / "out" / "m.parquet")
    images = [s.image.path for s in read_manifest(summary.manifest)]
    assert images == ["../a b.png", "../home/d.png", "../tab/c.png"]
    assert [(entry.image, entry.reason) for entry in summary.entries] == [
        (
            "https://x.org/1.jpg",
            "t.csv line 2: https://x.org/1.jpg is a web address: download it first and name the "
            "file",
        ),
        (
            "../tab/c.png",
            "t.csv line 5: s3://b/m.png is a web address: download it first and name the file",
        ),
    ]


def test_a_folder_with_a_manifest_of_its_own_is_not_imported_anew(tmp_path):
    own = pictures(tmp_path / "photos", "images/a.png", "masks/a.png") / "manifest.parquet"
    write_manifest(Manifest([Sample("a", ImageRef("images/a.png"), label=1)], own.parent), own)
    for output in (own, tmp_path / "m.parquet"):
        with pytest.raises(
            UsageError, match=r"photos holds a manifest already: use .*photos/manifest\.parquet"
        ):
            import_source(str(own.parent), output)
    assert read_manifest(own).samples[0].label == 1
    alone = import_source(str(own.parent), tmp_path / "m.parquet", kind="folder")
    assert alone.rows_kept == 1  # without its mask


def test_what_an_import_wrote_into_its_source_may_be_written_again(tmp_path):
    source = pictures(tmp_path / "photos", "none/a.png")
    for count in (1, 2):
        pictures(source, f"none/{count}.png")
        import_source(str(source), source / "manifest.parquet")
    assert len(read_manifest(source / "manifest.parquet")) == 3


def test_what_cannot_be_told_says_what_was_found(tmp_path):
    def check(name: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            import_source(str(tmp_path / name), tmp_path / "m.parquet")

    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()
    (tmp_path / "a.tar.gz").touch()
    (tmp_path / "a.json").touch()
    (tmp_path / "a.docx").touch()
    pictures(tmp_path / "both", "a.png")
    (tmp_path / "both" / "labels.csv").touch()
    check("texts", "no data set found; .* In it: 1 other file passed over")
    check("a.tar.gz", "compressed tar .* unpack it")
    check("a.json", "give the folder of the ROADWork set")
    check("a.docx", "files of kind .docx are not read")
    check("both", r"holds tables \(labels.csv\)")
    check("textz", "nothing at .*did you mean 'texts'")
    check("no/such", "is not there either")


def test_options_that_do_not_fit(tmp_path):
    source = str(pictures(tmp_path / "set", "none/a.png"))
    output = tmp_path / "m.parquet"
    with pytest.raises(UsageError, match="kind 'foldr' is unknown; did you mean 'folder'"):
        import_source(source, output, kind="foldr")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="split 'gps_split' is for kind roadwork"):
        import_source(source, output, split="gps_split")
    with pytest.raises(UsageError, match="columns are for tables and parquet"):
        import_source(source, output, columns={"label": "x"})
    with pytest.raises(UsageError, match=r"a manifest is a .parquet file, got '.*m.csv'"):
        import_source(source, output.with_suffix(".csv"))
    with pytest.raises(UsageError, match=r"nothing at .*"):
        import_source(str(tmp_path / "gone"), output, kind="folder")
    make_natix(tmp_path / "natix")
    shard = tmp_path / "natix" / "train-00000-of-00001.parquet"
    with pytest.raises(UsageError, match="is the source itself"):
        import_source(str(shard), shard)
    import_source(source, output)
    with pytest.raises(UsageError, match="is a manifest already"):
        import_source(str(output), tmp_path / "n.parquet")
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="has not the columns of the NATIX set"):
        import_source(str(tmp_path / "a.parquet"), output, kind="natix")
