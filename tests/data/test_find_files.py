"""What is found below folders and among names, and what is passed over."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from workzone.data.find_files import find_files, find_in_names, nearest_name
from workzone.data.sources.detect import detect_kind
from workzone.data.sources.folder import open_folder
from workzone.errors import WorkzoneError
from workzone.scenes import write_scenes


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def imported(folder: Path) -> list[str]:
    return [record.default_id for record in open_folder(folder).records()]


def test_images_come_sorted_from_any_depth(tmp_path: Path) -> None:
    fill(tmp_path, "b.jpg", "a/z.PNG", "a/b/c.webp", "a-1.tif", "a.jpg")
    expected = ("a-1.tif", "a.jpg", "a/b/c.webp", "a/z.PNG", "b.jpg")
    assert find_files(tmp_path).images == expected
    assert tuple(imported(tmp_path)) == expected


HIDDEN = (
    *("._a.jpg", ".Trash-1000/files/a.jpg", ".thumbnails/a.jpg", "drive/.cache/a.jpg"),
    *("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/a.jpg", "#recycle/a.jpg", "Thumbs.db"),
    r"drive\.cache\a.jpg",
    *("$RECYCLE.BIN/a.jpg", "System Volume Information/a.jpg", "lost+found/a.jpg"),
)


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_and_system_files_are_passed_over_alike(tmp_path: Path, name: str) -> None:
    fill(tmp_path, "a.jpg", name)
    found = find_files(tmp_path)
    assert found.images == ("a.jpg",)
    assert (found.passed_over.total, found.passed_over.hidden) == (0, 1)
    assert find_in_names(["a.jpg", name]).images == ("a.jpg",)
    assert imported(tmp_path) == ["a.jpg"]
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(WorkzoneError, match="1 hidden or system entry passed over"):
        detect_kind(str(tmp_path))


def test_a_hidden_folder_can_be_named(tmp_path: Path) -> None:
    assert find_files(fill(tmp_path / ".cache", "a.jpg")).images == ("a.jpg",)


def test_what_is_passed_over_is_counted_by_kind(tmp_path: Path) -> None:
    fill(
        tmp_path, "a.jpg", "b.xyz", "c.XYZ", "d.mkv9", "labels.csv", "notes.txt", "README", "f.001"
    )
    passed = find_files(tmp_path).passed_over
    assert passed.kinds == {
        ".xyz": 2,
        ".mkv9": 1,
        "other file": 2,
        "file without a known suffix": 2,
    }
    assert passed.missed
    text = str(passed)
    assert text.startswith("7 files passed over: 2 .xyz (such as ")
    assert text.endswith(", 2 other files")


def test_known_kinds_come_with_advice_said_once(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.MP4", "c.mp4", "d.mov", "e.nef", "notes.txt")
    text = str(find_files(tmp_path).passed_over)
    assert text.startswith("5 files passed over: 2 .mp4 (a video: extract frames first, with")
    assert ", 1 .mov, 1 .nef (a camera's raw file: develop it" in text
    assert text.endswith(", 1 other file")


def test_files_that_nobody_misses_give_no_alarm(tmp_path: Path) -> None:
    passed = find_files(fill(tmp_path, "a.jpg", "labels.csv", "a.json", "m.parquet")).passed_over
    assert str(passed) == "3 other files passed over"
    assert not passed.missed
    assert not find_files(fill(tmp_path / "clean", "a.jpg")).passed_over.missed


def test_many_kinds_are_told_in_a_line(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{letter}.odd{letter}" for letter in "abcdefghij"))
    assert str(find_files(tmp_path).passed_over).endswith(", 4 of 4 other kinds")


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_regular_file_is_never_opened(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)  # the paths of sockets are short
    if kind == "pipe":
        os.mkfifo("live.jpg")
        Path("link.jpg").symlink_to("live.jpg")
    else:
        server = socket.socket(socket.AF_UNIX)
        server.bind("live.jpg")
        server.close()
    found = find_files(tmp_path)
    assert found.images == ("a.jpg",)
    count = 2 if kind == "pipe" else 1
    assert found.passed_over.kinds == {"special file": count}
    assert "(a named pipe, socket or device)" in str(found.passed_over)
    assert imported(tmp_path) == ["a.jpg"]


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", "real/a.jpg", "real/deep/b.jpg")
    fill(tmp_path / "elsewhere", "c.jpg")
    (data / "again").symlink_to(data / "real")  # comes first by name; the real name is told
    (data / "far").symlink_to(tmp_path / "elsewhere")
    (data / "far-again").symlink_to(tmp_path / "elsewhere")
    (data / "real" / "up").symlink_to(data)
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path)
    (data / "itself").symlink_to(data / "itself")
    found = find_files(data)
    assert found.images == ("far/c.jpg", "real/a.jpg", "real/deep/b.jpg")
    assert found.passed_over.kinds["link to a folder above"] == 2
    assert list(found.images) == imported(data)


def test_links_to_files_count_also_broken_ones(tmp_path: Path) -> None:
    fill(tmp_path, "real/a.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "real" / "a.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert find_files(tmp_path).images == ("b.jpg", "gone.jpg", "real/a.jpg")


def refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a folder of this name be one that nobody may list."""
    scandir = os.scandir

    def scan(path: str | Path) -> object:
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)


def test_folders_that_cannot_be_listed_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "data", "a.jpg", "secret/b.jpg")
    refuse(monkeypatch, "secret")
    found = find_files(tmp_path / "data")
    assert (found.images, found.unlisted) == (("a.jpg",), ("secret",))
    (warning,) = (w for w in open_folder(tmp_path / "data").warnings if "secret" in w)
    assert "the folder secret cannot be listed: its images are left out" in warning
    with pytest.raises(WorkzoneError, match="secret cannot be listed: Permission denied; allow"):
        find_files(tmp_path / "data" / "secret")


def test_an_empty_folder_named_like_an_image_is_found_and_a_full_one_is_a_folder(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "full.jpg/b.png")
    (tmp_path / "hollow.jpg").mkdir()
    assert find_files(tmp_path).images == ("full.jpg/b.png", "hollow.jpg")


def test_the_masks_of_drawn_scenes_are_no_images(tmp_path: Path) -> None:
    manifest = write_scenes(tmp_path / "drawn", count=2)
    for root in (tmp_path / "drawn", tmp_path):
        found = find_files(root)
        assert len(found.images) == 2
        assert all(name.endswith(".jpg") for name in found.images)
        assert found.passed_over.kinds["mask"] == 2
        assert not found.passed_over.missed
    (tmp_path / "drawn" / "masks").rename(tmp_path / "drawn" / "elsewhere")
    assert len(find_files(tmp_path / "drawn").images) == 4  # as far as can be told
    manifest.unlink()
    (tmp_path / "drawn" / "elsewhere").rename(tmp_path / "drawn" / "masks")
    assert len(imported(tmp_path / "drawn")) == 2  # without the manifest, by their names
    assert len(find_files(tmp_path / "drawn" / "masks").images) == 2  # the user named them


@pytest.mark.parametrize(
    ("names", "masks"),
    [
        (["images/a.jpg", "masks/a.png"], ["masks/a.png"]),
        (["drive/a.jpg", "drive/Masks/a.png"], ["drive/Masks/a.png"]),
        (["x/images/s/a.jpg", "x/masks/s/a.png"], ["x/masks/s/a.png"]),
        (["images/a.jpg", "masks/b.png"], []),  # of no image
        (["images/a.jpg", "masks/a.jpg"], []),  # JPEG spoils masks
        (["one/masks/a.png", "two/images/a.jpg"], []),
        (["masks/a.png"], []),  # photographs of masks
    ],
)
def test_masks_lie_beside_what_they_are_of(names: list[str], masks: list[str]) -> None:
    found = find_in_names(names)
    assert set(names) - set(found.images) == set(masks)
    assert found.passed_over.kinds.get("mask", 0) == len(masks)


def test_overlays_are_no_images(tmp_path: Path) -> None:
    found = find_files(fill(tmp_path, "a.jpg", "overlays/a.jpg.overlay.jpg"))
    assert found.images == ("a.jpg",)
    assert str(found.passed_over) == "1 file passed over: 1 overlay"


def test_a_damaged_parquet_file_beside_images_does_no_harm(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "m.parquet", "n.parquet")
    (tmp_path / "m.parquet").write_bytes(b"PAR1 no parquet")
    assert find_files(tmp_path).images == ("a.jpg",)


def test_the_nearest_name(tmp_path: Path) -> None:
    fill(tmp_path, "street.jpg")
    assert nearest_name(tmp_path / "steet.jpg") == "; did you mean 'street.jpg'?"
    assert nearest_name(tmp_path / "zzz") == ""
    assert nearest_name(tmp_path / "gone" / "a.jpg") == f"; {tmp_path / 'gone'} is not there either"
