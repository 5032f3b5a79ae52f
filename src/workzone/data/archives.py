"""Members of zip and tar archives, without reading their directories twice."""

from __future__ import annotations

import os
import tarfile
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from workzone.data.passed_over import counted
from workzone.errors import ImageError

ARCHIVE_ERRORS = (zipfile.BadZipFile, tarfile.TarError)


@dataclass(frozen=True)
class TarFiles:
    """What an uncompressed tar lists, folders and links left out."""

    files: list[tuple[str, int, int]]  # name, first byte, bytes; in the archive's order
    damage: str  # how the list breaks off, and the fix; empty of a whole archive


def tar_files(file: IO[bytes]) -> TarFiles:
    """The files in an uncompressed tar, found by its headers alone.

    Its list is whole where it ends with blocks of zeros (POSIX.1-2017, pax, "ustar Interchange
    Format"), or with the file itself, as some programs leave it: `tarfile` takes a damaged or cut
    header for an end, too.

    Raises:
        tarfile.TarError: it is no such archive.
    """
    files: list[tuple[str, int, int]] = []
    count = 0
    with tarfile.open(fileobj=file, mode="r:") as archive:
        try:
            for count, member in enumerate(archive, 1):  # noqa: B007 (told below)
                if member.isfile():
                    files.append((member.name, member.offset_data, member.size))
            file.seek(archive.offset)
            whole = not file.read(2 * tarfile.BLOCKSIZE).strip(b"\0")
        except (tarfile.TarError, ValueError):  # cut off in a member, a damaged extended header
            whole = False
    damage = (
        f"it is damaged or cut off: its list breaks off after {counted(count, 'member')}; fetch it "
        "again, or pack it anew"
    )
    return TarFiles(files, "" if whole else damage)


def member_names(path: Path) -> list[str]:
    """The names of all files in a zip or uncompressed tar archive, folders left out.

    A name is there as often as the archive has it; `read_member` reads the last of them, which is
    the one that unpacking leaves.

    Raises:
        zipfile.BadZipFile, tarfile.TarError, OSError: it cannot be read to its end.
    """
    if path.suffix.lower() == ".tar":
        tar = _tar(str(path), path.stat().st_mtime_ns)
        if tar.damage:
            raise tarfile.ReadError(tar.damage)
        return tar.names
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
        tarfile.TarError, zipfile.BadZipFile: the archive is damaged before it.
        ImageError: it is larger than ``most``.
    """
    if path.suffix.lower() == ".tar":
        tar = _tar(str(path), path.stat().st_mtime_ns)
        if tar.damage and member not in tar.spans:
            raise tarfile.ReadError(tar.damage)
        offset, size = tar.spans[member]
        _check_size(path, member, size, most)
        with path.open("rb") as handle:
            handle.seek(offset)
            return handle.read(size)
    archive = _zip(str(path), path.stat().st_mtime_ns, os.getpid())
    _check_size(path, member, archive.getinfo(member).file_size, most)
    return archive.read(member)


def repeats_note(where: str, repeated: int) -> list[str]:
    """A remark, if any: how many members have names that come again."""
    if not repeated:
        return []
    return [
        f"{where}: {counted(repeated, 'member')} left out, whose name comes again later in the "
        "same archive: the last of a name counts"
    ]


def _check_size(path: Path, member: str, size: int, most: int) -> None:
    if size > most:
        raise ImageError("too-large", f"{path}!{member}: over {most >> 20} MiB encoded")


@dataclass(frozen=True)
class _Tar:
    names: list[str]
    spans: dict[str, tuple[int, int]]  # first byte and bytes, by name
    damage: str


@lru_cache(maxsize=8)
def _tar(path: str, _modified: int) -> _Tar:
    """The list of an uncompressed tar; sequential readers need no second."""
    with Path(path).open("rb") as file:
        listed = tar_files(file)
    spans = {name: (begin, size) for name, begin, size in listed.files}
    return _Tar([name for name, *_ in listed.files], spans, listed.damage)


@lru_cache(maxsize=8)
def _zip(path: str, _modified: int, _process: int) -> zipfile.ZipFile:
    """Kept open: reading a large archive's directory again for each member takes minutes.

    One per process: forked processes would share the position in the file.
    """
    return zipfile.ZipFile(path)
