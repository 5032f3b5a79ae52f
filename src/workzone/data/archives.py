"""Members of zip and tar archives, without reading their directories twice."""

from __future__ import annotations

import os
import tarfile
import zipfile
from functools import lru_cache
from pathlib import Path

from workzone.errors import ImageError

ARCHIVE_ERRORS = (zipfile.BadZipFile, tarfile.TarError)


def member_names(path: Path) -> list[str]:
    """The names of all files in a zip or uncompressed tar archive, folders left out.

    Raises:
        zipfile.BadZipFile, tarfile.TarError, OSError: it cannot be read.
    """
    if path.suffix.lower() == ".tar":
        return list(_tar_members(str(path), path.stat().st_mtime_ns))
    with zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist()]
    return [name for name in names if not name.endswith(("/", "\\"))]


def read_member(path: Path, member: str, *, most: int) -> bytes:
    """The bytes of a member of a zip or uncompressed tar archive.

    Args:
        path: the archive; one that does not end with ``.tar`` is a zip.
        member: its full name in the archive.
        most: bytes that are read at most.

    Raises:
        KeyError: no such member.
        ImageError: it is larger than ``most``.
    """
    if path.suffix.lower() == ".tar":
        offset, size = _tar_members(str(path), path.stat().st_mtime_ns)[member]
        _check_size(path, member, size, most)
        with path.open("rb") as handle:
            handle.seek(offset)
            return handle.read(size)
    archive = _zip(str(path), path.stat().st_mtime_ns, os.getpid())
    _check_size(path, member, archive.getinfo(member).file_size, most)
    return archive.read(member)


def _check_size(path: Path, member: str, size: int, most: int) -> None:
    if size > most:
        raise ImageError("too-large", f"{path}!{member}: over {most >> 20} MiB encoded")


@lru_cache(maxsize=8)
def _tar_members(path: str, _modified: int) -> dict[str, tuple[int, int]]:
    """Offset and size of each file of an uncompressed tar; sequential readers need no second."""
    with tarfile.open(path, "r:") as archive:
        return {m.name: (m.offset_data, m.size) for m in archive if m.isfile()}


@lru_cache(maxsize=8)
def _zip(path: str, _modified: int, _process: int) -> zipfile.ZipFile:
    """Kept open: reading a large archive's directory again for each member takes minutes.

    One per process: forked processes would share the position in the file.
    """
    return zipfile.ZipFile(path)
