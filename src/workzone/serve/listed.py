"""Files with one thing a line, which are read again when they change."""

from __future__ import annotations

from pathlib import Path

from workzone.errors import UsageError

FileState = tuple[int, int, int]
"""Of a file that was read: its inode, when it changed, its bytes."""


def read_if_changed(
    path: Path, what: str, before: FileState | None
) -> tuple[list[str], FileState] | None:
    """The lines of a file, stripped, without empty ones and those that begin with #.

    Args:
        path: of the file, UTF-8.
        what: it holds, for the error.
        before: of when it was read last; None: it was not.

    Returns:
        The lines with the file's state, or None where that is as before.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        found = path.stat()
        state = (found.st_ino, found.st_mtime_ns, found.st_size)
        if state == before:
            return None
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} {path} cannot be read: {error}") from error
    stripped = [line.strip() for line in lines]
    return [line for line in stripped if line and not line.startswith("#")], state
