from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from workzone import files
from workzone.errors import UsageError, WorkzoneError
from workzone.files import hold, replacing_folder, write_text, writing


def test_text_is_written_as_utf8_into_folders_that_it_makes(tmp_path):
    path = tmp_path / "a" / "b" / "c.txt"
    write_text(path, "Straße\n")
    assert path.read_bytes() == "Straße\n".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["c.txt"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with writing(path) as aside:
        aside.write_text("new")
        assert aside.parent == path.parent  # a rename across file systems is no rename
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), writing(path) as aside:
        aside.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path):
    path = tmp_path / "a.txt"
    with (
        pytest.raises(WorkzoneError, match=r"cannot write .*a\.txt: No space left.*Free some"),
        writing(path) as aside,
    ):
        aside.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["a.txt", "deep/er/a.txt"])
def test_a_folder_that_is_a_file_is_named(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"a\.txt: .*/file is a file, not a folder\. Name an"):
        write_text(tmp_path / "file" / below, "text")


def test_a_target_that_is_a_folder_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(WorkzoneError, match=r"cannot write .*folder: Is a directory"):
        write_text(tmp_path / "folder", "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_data_reach_the_disk_before_the_rename_and_the_name_after_it(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    events = []
    fsync = os.fsync

    def spy(handle):
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        events.append((is_folder, path.exists()))
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", spy)
    write_text(path, "text")
    assert events == [(False, False), (True, True)]


def test_a_lock_is_held_until_it_is_released(tmp_path):
    lock = hold(tmp_path / "a" / "lock")
    with pytest.raises(TimeoutError):
        hold(tmp_path / "a" / "lock")
    lock.release()
    hold(tmp_path / "a" / "lock").release()


PARENT = """
import os, sys, time
from pathlib import Path
from workzone.files import hold

lock = hold(Path(sys.argv[1]))
if os.fork() == 0:
    print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_worker_that_outlives_its_parent_keeps_nobody_out(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    try:
        with pytest.raises(TimeoutError):
            hold(tmp_path / "lock")
        parent.kill()
        parent.wait()
        hold(tmp_path / "lock").release()
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_killed_processes_left_beside_a_folder_is_cleared(tmp_path: Path) -> None:
    dead = dead_process()
    left = [tmp_path / f".model.{dead}.part", tmp_path / f".model.{os.getppid()}.part"]
    others = [tmp_path / ".model.notes.part", tmp_path / f".model2.{dead}.part"]
    for folder in (*left, *others):
        folder.mkdir()
    with replacing_folder(tmp_path / "model") as aside:
        (aside / "new").touch()
    assert (tmp_path / "model" / "new").exists()
    assert [folder.exists() for folder in (*left, *others)] == [False, True, True, True]


def test_a_folder_that_was_half_exchanged_is_put_back(tmp_path: Path) -> None:
    old = tmp_path / f".model.{dead_process()}.old"
    old.mkdir()
    (old / "old").touch()
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "model"):
        raise ZeroDivisionError
    assert (tmp_path / "model" / "old").exists()
    assert not old.exists()
