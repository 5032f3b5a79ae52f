"""Writing, by one process at a time, so that nothing is half-written: aside, flushed, renamed."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workzone.errors import UsageError, WorkzoneError

if TYPE_CHECKING:
    from filelock import BaseFileLock


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; on success it is flushed and renamed to ``path``.

    Raises:
        UsageError: what should be a folder above it is a file.
        WorkzoneError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    check_folder(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with aside.open("rb") as handle:
            os.fsync(handle.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise WorkzoneError(
            f"cannot write {path}: {error.strerror or error}. "
            "Free some space, or name another place to write to."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give a folder beside ``folder`` to fill; on success it takes the place of ``folder``.

    Raises:
        WorkzoneError: the disk is full or the folder cannot be written; the old one is kept.
    """
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        clear_left(folder)
        aside.mkdir(parents=True)
        yield aside
        if folder.exists():
            folder.replace(old)
        aside.replace(folder)
        sync_folder(folder.parent)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.replace(folder)
        raise WorkzoneError(
            f"cannot write {folder}: {error.strerror or error}. Name another folder."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)


def clear_left(path: Path) -> None:
    """Clear what processes left that were killed while they wrote a large file, or a folder."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        process, _, kind = left.name.removeprefix(f".{path.name}.").partition(".")
        if not process.isdecimal() or kind not in ("part", "old") or _lives(int(process)):
            continue
        if kind == "old" and not path.exists():  # killed between two renames
            left.replace(path)
        elif left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def check_folder(path: Path) -> None:
    """Make sure that ``path`` lies in a folder, or in one that can be made.

    Raises:
        UsageError: what should be a folder above it is a file.
    """
    above = next((parent for parent in path.parents if os.path.lexists(parent)), None)
    if above is not None and above.is_file():
        raise UsageError(
            f"cannot write {path}: {above} is a file, not a folder. Name another place to write to."
        )


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with writing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def hold(path: Path) -> BaseFileLock:
    """Lock the file ``path`` until ``release()``, or the end of this process.

    Processes forked from this one do not hold it: a worker that outlives it (``kill -9``) keeps
    nobody out.

    Args:
        path: of a file for this purpose alone; it and its folder are made if need be.

    Raises:
        TimeoutError: another process, or this one, holds it.
        OSError: it cannot be made.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, thread_local=False)
    lock.acquire()
    return lock


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
