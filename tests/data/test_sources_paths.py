"""Names of files as other systems write them."""

from __future__ import annotations

import json
import os
import unicodedata
import zipfile
from pathlib import Path

import pytest

from bad_images import two_halves
from workzone.data.importing import import_source
from workzone.data.manifest import read_manifest
from workzone.data.sources.paths import missing_hint, resolve_image, resolve_masks
from workzone.errors import ManifestError

COMPOSED = unicodedata.normalize("NFC", "Plößberg/straße é.png")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        two_halves().save(folder / name)
    return folder


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("images/a.jpg", "images\\a.jpg"),
        ("images/a.jpg", ".\\images\\a.jpg"),
        ("images/a.jpg", "Images\\A.JPG"),
        ("a.JPG", "a.jpg"),
        ("b/../c.jpg", "b\\..\\c.jpg"),
        (COMPOSED, DECOMPOSED),
        (DECOMPOSED, COMPOSED),
        ("odd\\name.jpg", "odd\\name.jpg"),  # a backslash may be part of a name here
    ],
)
def test_the_file_that_is_meant_is_found(tmp_path, stored, written):
    pictures(tmp_path, stored)
    assert Path(resolve_image(tmp_path, written)) == tmp_path / stored


def test_accents_come_before_letter_case(tmp_path):
    pictures(tmp_path, unicodedata.normalize("NFD", "é.png"), "É.png")
    found = resolve_image(tmp_path, unicodedata.normalize("NFC", "é.png"))
    assert Path(found).name == unicodedata.normalize("NFD", "é.png")


def test_two_files_that_fit_are_not_chosen_from(tmp_path):
    pictures(tmp_path, "a.JPG", "A.jpg")
    assert resolve_image(tmp_path, "a.jpg") == str(tmp_path / "a.jpg")
    assert "'A.jpg' and 'a.JPG' differ from it in letter case" in missing_hint(
        str(tmp_path / "a.jpg")
    )


def test_names_that_no_file_has_stay_as_they_are(tmp_path):
    for name in ("gone.jpg", "gone\\a.jpg", "C:\\photos\\a.jpg", "a\0b", "x" * 300, "/gone/a.jpg"):
        assert resolve_image(tmp_path, name) == str(tmp_path / name)
    assert missing_hint(str(tmp_path / "gone.jpg")) == ""
    assert "backslashes" in missing_hint(str(tmp_path / "gone\\a.jpg"))
    assert "C: is a drive of Windows" in missing_hint(str(tmp_path / "C:\\photos\\a.jpg"))


def test_a_file_that_came_later_is_found(tmp_path):
    assert resolve_image(tmp_path, "A.PNG") == str(tmp_path / "A.PNG")
    pictures(tmp_path, "a.png")
    os.utime(tmp_path, (1, 1))  # clocks of folders tick slowly
    assert resolve_image(tmp_path, "A.PNG") == str(tmp_path / "a.png")


def test_references_to_masks(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "all.json").touch()
    assert resolve_masks(tmp_path, "notes\\all.json#7") == str(tmp_path / "notes/all.json#7")
    assert resolve_masks(tmp_path, "notes\\gone.png") == str(tmp_path / "notes\\gone.png")


def test_a_table_written_on_windows(tmp_path):
    pictures(tmp_path, "images/a.png", "images/b.png")
    rows = ("file,label", "images\\a.png,0", "images\\B.PNG,1", "C:\\me\\c.png,1")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    summary = import_source(str(tmp_path / "t.csv"), tmp_path / "m.parquet")
    assert [(s.id, s.image.path) for s in read_manifest(summary.manifest)] == [
        ("images\\a.png", "images/a.png"),
        ("images\\B.PNG", "images/b.png"),
    ]
    (entry,) = summary.entries
    assert (entry.code, "backslashes" in entry.reason) == ("missing", True)


def test_annotations_written_on_windows(tmp_path):
    pictures(tmp_path / "set", "images/bos/a.png")
    image = {"id": 1, "file_name": "bos\\a.png", "scene_level_tags": {"travel_alteration": "None"}}
    data = {"images": [image], "annotations": [], "categories": []}
    (tmp_path / "set" / "annotations").mkdir()
    file = tmp_path / "set" / "annotations" / "instances_train_gps_split.json"
    file.write_text(json.dumps(data))
    summary = import_source(str(tmp_path / "set"), tmp_path / "m.parquet")
    (sample,) = read_manifest(summary.manifest)
    assert (sample.id, sample.label, sample.image.path) == ("a", 0, "set/images/bos/a.png")


def test_an_archive_made_on_windows(tmp_path):
    pictures(tmp_path, "a.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("set\\none\\a.png", "set\\roadwork\\b.png", "set\\roadwork\\s\\a.png"):
            archive.write(tmp_path / "a.png", name)
        archive.writestr("set\\none\\", b"")
    summary = import_source(str(tmp_path / "a.zip"), tmp_path / "m.parquet")
    assert summary.label_counts == {"roadwork": 2, "none": 1, "unlabelled": 0}
    assert (summary.warnings, summary.entries) == ((), ())
    assert [(s.id, s.group) for s in read_manifest(summary.manifest)] == [
        *(("set/none/a.png", None), ("set/roadwork/b.png", None), ("set/roadwork/s/a.png", "s"))
    ]


def test_files_unpacked_from_such_an_archive(tmp_path):
    pictures(tmp_path / "set", "none\\a.png", "roadwork\\b.png")
    summary = import_source(str(tmp_path / "set"), tmp_path / "m.parquet")
    assert [(s.id, s.label) for s in read_manifest(summary.manifest)] == [
        *(("none/a.png", 0), ("roadwork/b.png", 1))
    ]


def test_nothing_found_still_names_the_backslashes(tmp_path):
    (tmp_path / "t.csv").write_text("file\nimages\\a.png\n")
    with pytest.raises(ManifestError, match="missing 1"):
        import_source(str(tmp_path / "t.csv"), tmp_path / "m.parquet")
    assert "backslashes" in (tmp_path / "m.quarantine.csv").read_text()
