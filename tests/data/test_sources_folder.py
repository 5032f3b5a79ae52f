"""Folders and archives of class folders."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from workzone.data.sources.folder import open_archive, open_folder
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def rows(source) -> dict[str, tuple]:
    """Id to label, group and split."""
    return {
        r.default_id: (r.values["label"], r.values["group"], r.values["split"])
        for r in source.records()
    }


def test_class_folders_in_their_spellings(tmp_path):
    names = ("RoadWork/a.jpg", "road_work/b.jpg", "1/c.PNG", "Positive/d.webp")
    others = ("none/e.jpg", "0/f.jpg", "No-Roadwork/g.jpg", "negative/h.jpg")
    source = open_folder(fill(tmp_path, *names, *others))
    expected = dict.fromkeys(names, (1, None, None)) | dict.fromkeys(others, (0, None, None))
    assert rows(source) == expected
    assert source.total == 8
    assert source.warnings == ()


def test_folders_below_the_class_are_the_group(tmp_path):
    fill(tmp_path, "roadwork/seq-1/a_001.jpg", "roadwork/b_001.jpg", "none/city/seq-1/c.jpg")
    assert rows(open_folder(tmp_path)) == {
        "roadwork/seq-1/a_001.jpg": (1, "seq-1", None),
        "roadwork/b_001.jpg": (1, None, None),  # no guess from "b_001"
        "none/city/seq-1/c.jpg": (0, "city/seq-1", None),
    }


def test_split_folders_above_the_classes(tmp_path):
    fill(tmp_path, "train/roadwork/a.jpg", "validation/none/b.jpg", "test/1/s/c.jpg")
    assert rows(open_folder(tmp_path)) == {
        "train/roadwork/a.jpg": (1, None, "train"),
        "validation/none/b.jpg": (0, None, "val"),
        "test/1/s/c.jpg": (1, "s", "test"),
    }


def test_one_folder_may_hold_everything(tmp_path):
    fill(tmp_path, "set/train/roadwork/a.jpg", "set/train/none/b.jpg")
    assert rows(open_folder(tmp_path))["set/train/roadwork/a.jpg"] == (1, None, "train")


def test_without_class_folders_images_are_unlabelled(tmp_path):
    source = open_folder(fill(tmp_path, "a.jpg", "drive/b.jpg", "drive/deep/c.jpg"))
    assert rows(source) == {
        "a.jpg": (None, None, None),
        "drive/b.jpg": (None, "drive", None),
        "drive/deep/c.jpg": (None, "drive/deep", None),
    }
    assert "no class folders" in source.warnings[0]


def test_a_folder_that_is_no_class_names_the_nearest(tmp_path):
    fill(tmp_path, "none/a.jpg", "roadwrok/b.jpg")
    with pytest.raises(UsageError, match="'roadwrok' is not a class; did you mean 'roadwork'"):
        open_folder(tmp_path)


def test_a_folder_that_is_no_class_is_not_taken_for_its_opposite(tmp_path):
    fill(tmp_path, "none/a.jpg", "under construction/b.jpg")
    with pytest.raises(UsageError, match="'under construction' is not a class; allowed: 0, 1, con"):
        open_folder(tmp_path)


def test_other_files_are_told_and_hidden_ones_passed_over(tmp_path):
    fill(tmp_path, "none/a.jpg", "none/notes.txt", "loose.jpg", ".cache/x.jpg", "none/.b.jpg")
    source = open_folder(tmp_path)
    assert rows(source) == {"none/a.jpg": (0, None, None), "loose.jpg": (None, None, None)}
    assert "1 image in no class folder" in source.warnings[0]
    assert "1 other file passed over" in source.warnings[1]


def test_an_empty_folder_named_like_an_image_is_a_row(tmp_path):
    fill(tmp_path, "none/a.jpg", "none/full.jpg/b.png")
    (tmp_path / "none" / "hollow.jpg").mkdir()
    assert set(rows(open_folder(tmp_path))) == {
        *("none/a.jpg", "none/full.jpg/b.png", "none/hollow.jpg")
    }


def test_links_are_followed_and_loops_are_not(tmp_path):
    fill(tmp_path / "set", "none/a.jpg")
    fill(tmp_path / "elsewhere", "b.jpg")
    (tmp_path / "set" / "roadwork").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "none" / "up").symlink_to(tmp_path / "set")
    assert set(rows(open_folder(tmp_path / "set"))) == {"none/a.jpg", "roadwork/b.jpg"}


def test_a_folder_without_images(tmp_path):
    with pytest.raises(UsageError, match=r"holds no images .*: 1 other file passed over"):
        open_folder(fill(tmp_path, "a.txt"))


NAMES = ("set/roadwork/s/a.jpg", "set/none/b.jpg")


def make_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*NAMES, "__MACOSX/set/roadwork/._a.jpg", "set/readme.txt"):
            archive.writestr(name, b"x")


def make_tar(path: Path) -> None:
    fill(path.parent / "raw", *NAMES, "set/readme.txt")
    with tarfile.open(path, "w") as archive:
        archive.add(path.parent / "raw", ".")


@pytest.mark.parametrize(("make", "name"), [(make_zip, "a.zip"), (make_tar, "a.tar")])
def test_archives_are_like_folders(tmp_path, make, name):
    make(tmp_path / name)
    source = open_archive(tmp_path / name)
    assert rows(source) == {NAMES[0]: (1, "s", None), NAMES[1]: (0, None, None)}
    lead = "./" if name.endswith("tar") else ""  # the member's own name, which finds it again
    assert [record.image for record in source.records()] == [
        ImageRef(str(tmp_path / name), lead + member) for member in sorted(NAMES)
    ]
    assert "1 other file passed over" in source.warnings[0]


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_damaged_archives(tmp_path, name):
    (tmp_path / name).write_bytes(b"not an archive at all")
    with pytest.raises(ManifestError, match=f"{name} is not a readable archive"):
        open_archive(tmp_path / name)
