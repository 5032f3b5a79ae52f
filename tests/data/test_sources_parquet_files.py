"""Parquet files in folders: which are read, what their paths say, and what refuses them."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bad_images import two_halves
from workzone.data.importing import import_source
from workzone.data.manifest import read_manifest
from workzone.data.sources.parquet import open_parquet, parquet_files
from workzone.errors import ManifestError, UsageError

PICTURES = {"image": [b"\xff\xd8\xffa", b"\xff\xd8\xffb"]}


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**PICTURES, **columns}), path)


def test_what_other_programs_leave_in_folders_is_passed_over(tmp_path):
    write(tmp_path / "a.parquet")
    write(tmp_path / "dir.parquet" / "part-0.parquet")
    for name in ("_SUCCESS", ".a.parquet.crc", "._a.parquet", "_metadata", "_a.parquet"):
        (tmp_path / name).write_bytes(b"x")
    write(tmp_path / "_temporary" / "b.parquet")
    os.mkfifo(tmp_path / "pipe.parquet")
    names = [file.relative_to(tmp_path).as_posix() for file in parquet_files(tmp_path)]
    assert names == ["a.parquet", "dir.parquet/part-0.parquet"]


def test_files_of_different_columns(tmp_path):
    write(tmp_path / "a.parquet", label=[1, 0])
    pq.write_table(
        pa.table({"photo": PICTURES["image"], "class": ["none", None]}), tmp_path / "b.parquet"
    )
    write(tmp_path / "c.parquet")
    pq.write_table(pa.table({"vector": [[0.5]]}), tmp_path / "d.parquet")
    source = open_parquet(tmp_path, None, name="x")
    found = [record.values.get("label") for record in source.records()]
    assert found == [1, 0, "none", None, None, None]
    assert [warning.rpartition("/")[2] for warning in source.warnings] == [
        "d.parquet: no column holds images; passed over",
        "1 of 3 files have no column for the label, such as c.parquet",
    ]


def test_folders_give_columns_as_hive_names_them(tmp_path):
    for label in ("0", "1", "__HIVE_DEFAULT_PARTITION__"):
        write(tmp_path / "split=train" / f"label={label}" / "city=K%C3%B6ln" / "part-0.parquet")
    records = list(open_parquet(tmp_path, None, name="x").records())
    assert [record.values["label"] for record in records] == ["0", "0", "1", "1", None, None]
    assert {record.values["split"] for record in records} == {"train"}
    assert {record.extra["city"] for record in records} == {"Köln"}


def test_files_of_one_name_have_ids_of_their_own(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder / "0000.parquet")
    ids = [record.default_id for record in open_parquet(tmp_path, None, name="x").records()]
    assert ids == ["a/0000-000000", "a/0000-000001", "b/0000-000000", "b/0000-000001"]


@pytest.mark.parametrize("place", ["", "data", "data/train"])
def test_images_beside_the_file_or_up_to_the_root(tmp_path, place):
    (tmp_path / "set" / "images").mkdir(parents=True)
    for number in range(3):
        two_halves().save(tmp_path / "set" / "images" / f"{number}.png")
    stored = (tmp_path / "set" / "images" / "0.png").read_bytes()
    cells = [
        {"bytes": stored, "path": "gone.png"},
        {"bytes": None, "path": "images/1.png"},
        {"bytes": None, "path": "images/2.png"},
        {"bytes": None, "path": "images/3.png"},
    ]
    folder = tmp_path / "set" / place
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": cells, "label": [1, 0, 1, 0]}), folder / "t.parquet")
    summary = import_source(str(tmp_path / "set"), tmp_path / "out" / "m.parquet")
    samples = read_manifest(summary.manifest).samples
    assert [sample.label for sample in samples] == [1, 0, 1]
    assert [sample.image.row for sample in samples] == [0, None, None]
    assert samples[2].image.path.endswith("set/images/2.png")
    (entry,) = summary.entries
    assert (entry.code, entry.id) == ("missing", "t-000003")
    assert "images/3.png: no such file" in entry.reason


def test_pictures_as_text_keep_their_label_and_the_quarantine_small(tmp_path):
    table = pa.table({"image": ["A" * 50_000 + "!"] * 4})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ManifestError, match=r"unreadable 4"):
        import_source(str(tmp_path / "a.parquet"), tmp_path / "m.parquet")
    listed = (tmp_path / "m.quarantine.csv").read_text()
    assert "text of 50,001 characters" in listed
    assert "store the picture's bytes" in listed
    assert len(listed) < 4000


def test_which_column_holds_the_images(tmp_path):
    def image_column(**columns):
        pq.write_table(pa.table(columns), tmp_path / "a.parquet")
        source = open_parquet(tmp_path / "a.parquet", None, name="x")
        return source.source_columns["image_path"]

    pictures = PICTURES["image"]
    assert image_column(photo=pictures, label=[b"1", b"0"], text=[b"x", b"y"]) == "photo"
    assert image_column(path=["a.jpg", "b.jpg"], description=[b"x", b"y"]) == "path"
    assert image_column(filename=[b"a.jpg", b"b.jpg"], photo=pictures) == "photo"
    with pytest.raises(UsageError, match=r"several columns .*photo, thumb.* image=photo"):
        image_column(photo=pictures, thumb=pictures)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
            "git-lfs pointer.*`git lfs pull`",
        ),
        (b"PARE0000PARE", "encrypted"),
        (b"PAR1" + bytes(50), "cut short or damaged.*download it again"),
        (b"", "not a parquet file"),
    ],
)
def test_files_that_cannot_be_read_are_told_apart(tmp_path, content, sentence):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ManifestError, match=sentence):
        import_source(str(tmp_path), tmp_path / "m.parquet")
