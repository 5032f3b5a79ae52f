"""From what a user names to images."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workzone.data.manifest import Manifest, write_manifest
from workzone.errors import UsageError, WorkzoneError
from workzone.run.sources import find_images
from workzone.types import ImageRef, Sample


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def ids(*sources: str | Path) -> list[str]:
    return [name for name, _ in find_images(sources).images]


def test_ids_are_paths_below_one_folder_and_begin_with_it_among_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fill(tmp_path, "a/deep/1.jpg", "a/0.jpg", "b/0.jpg", "c.jpg"))
    assert ids("a") == ["0.jpg", "deep/1.jpg"]
    assert ids("c.jpg") == ["c.jpg"]
    assert ids("b/", "c.jpg", "a") == ["b/0.jpg", "c.jpg", "a/0.jpg", "a/deep/1.jpg"]
    assert ids(".", "b") == ["a/0.jpg", "a/deep/1.jpg", "b/0.jpg", "c.jpg"]
    found = find_images(["b", "c.jpg"])
    assert found.sources == (str(tmp_path / "b"), str(tmp_path / "c.jpg"))
    assert find_images(found) is found


def test_images_named_twice_are_found_once_and_told(tmp_path: Path) -> None:
    fill(tmp_path, "a/0.jpg", "a/1.jpg")
    one = tmp_path / "a" / "0.jpg"
    (tmp_path / "link").symlink_to(tmp_path / "a")
    sources = [one, tmp_path / "a", tmp_path / "a" / ".." / "a" / "0.jpg", tmp_path / "link"]
    found = find_images(sources)
    assert [name for name, _ in found.images] == [str(one), f"{tmp_path}/a/1.jpg"]
    assert found.notes() == ["4 images named again: scored once"]


def test_a_manifest_may_stand_beside_images_if_ids_stay_apart(tmp_path: Path) -> None:
    fill(tmp_path, "0.jpg", "1.jpg", "x/0.jpg")
    for number, name in enumerate(("one", "two")):
        samples = [Sample("same", ImageRef(f"{number}.jpg"))]
        write_manifest(Manifest(samples, tmp_path), tmp_path / f"{name}.parquet")
    assert ids(tmp_path / "one.parquet", tmp_path / "x") == ["same", f"{tmp_path}/x/0.jpg"]
    with pytest.raises(
        UsageError, match=r"two images have the id 'same': 0\.jpg and 1\.jpg; score"
    ):
        ids(tmp_path / "one.parquet", tmp_path / "two.parquet")


def test_what_folders_hold_beside_images_is_added_up(tmp_path: Path) -> None:
    fill(tmp_path, "a/0.jpg", "a/0.xyz", "b/1.xyz", "b/2.jpg")
    (tmp_path / "c").mkdir()
    found = find_images([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert found.passed_over.kinds == {".xyz": 2}
    assert found.notes() == [
        "2 files passed over: 2 .xyz (such as 0.xyz)",
        f"no images in {tmp_path}/c",
    ]
    with pytest.raises(UsageError, match=r"no images in .*/c: nothing else is there; known suff"):
        ids(tmp_path / "c")
    with pytest.raises(UsageError, match=r"no images in .*/c and 1 other sources"):
        ids(tmp_path / "c", tmp_path / "c")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("stret.jpg", r"stret\.jpg does not exist: .*; did you mean 'street\.jpg'\?"),
        ("gone/a.jpg", "gone/a.jpg does not exist: .*; gone is not there either"),
        ("http://x.org/a.jpg", "http://x.org/a.jpg is a web address: download it first"),
        ("ftp://x.org/a.jpg", "ftp://x.org/a.jpg is a web address: download it first"),
        ("drive.MP4", r"drive\.MP4 is a video: name what to write"),
        ("*.png", "is a pattern: nothing matches it, or it stands in quotes"),
        ("live.jpg", r"live\.jpg is a named pipe or device, not a file; .* \| workzone predict -"),
    ],
)
def test_what_is_no_source_is_told_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    monkeypatch.chdir(fill(tmp_path, "street.jpg", "drive.MP4"))
    os.mkfifo("live.jpg")
    with pytest.raises(UsageError, match=message):
        ids("street.jpg", source)


def test_a_file_address_is_the_path_that_it_names(tmp_path: Path) -> None:
    fill(tmp_path, "a b.jpg")
    for address in (f"file://{tmp_path}/a%20b.jpg", f"file:{tmp_path}/a b.jpg"):
        assert ids(address) == [f"{tmp_path}/a b.jpg"]
    with pytest.raises(UsageError, match=r"/gone\.jpg does not exist"):
        ids(f"file://{tmp_path}/gone.jpg")


def test_standard_input_is_named_once() -> None:
    with pytest.raises(UsageError, match="- is named more than once: one image comes through"):
        ids("-", "-")


def test_a_file_may_be_named_like_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fill(tmp_path, "time:/12:30.jpg"))
    assert ids("time:/12:30.jpg") == ["time:/12:30.jpg"]


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "secret":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    fill(tmp_path, "a.jpg", "secret/b.jpg")
    assert ids(tmp_path) == ["a.jpg", "secret"]  # the second is reported when it is read
    with pytest.raises(WorkzoneError, match="secret cannot be listed: Permission denied; allow"):
        ids(tmp_path / "secret")


def test_standard_input_is_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def given(data: bytes, *, terminal: bool = False) -> None:
        stream = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: terminal)
        monkeypatch.setattr(sys, "stdin", stream)

    given(b"data")
    found = find_images("-")
    ((name, item),) = found.images
    assert (name, item.load().data, item.load().name) == ("-", b"data", "standard input")
    given(b"others")
    assert find_images("-").sources != found.sources  # another job
    given(b"")
    with pytest.raises(UsageError, match="standard input is empty"):
        find_images("-")
    given(b"data", terminal=True)
    with pytest.raises(UsageError, match="standard input, which is a terminal; send one: cat"):
        find_images("-")


def test_different_names_have_different_ids(tmp_path: Path) -> None:
    names = [b"\xff.png", rb"\xff.png", rb"\\xff.png", b"\\\xff.png", rb"back\slash.png"]
    for name in names:
        try:
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"no image")
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
    found = {os.fsencode(item.ref.path): name for name, item in find_images(tmp_path).images}
    assert len(set(found.values())) == len(found) == len(names)
    assert found[b"\xff.png"] == r"\xff.png"
    assert found[rb"\xff.png"] == r"\\xff.png"
    assert found[rb"back\slash.png"] == r"back\slash.png"


def test_a_folder_named_like_an_image_that_cannot_be_listed_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "album.jpg").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "album.jpg":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [name for name, _ in find_images(tmp_path).images] == ["album.jpg"]


@pytest.mark.parametrize("name", ["my list.csv", "frames.jsonl", "frames.tar.gz"])
def test_a_data_set_is_to_be_imported_first(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("file,label")
    with pytest.raises(UsageError, match=r"import it first: workzone data import .* -o manifest\."):
        find_images(tmp_path / name)
    with pytest.raises(UsageError, match=r"gone\.csv does not exist"):
        find_images(tmp_path / "gone.csv")
