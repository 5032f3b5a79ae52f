"""Files in object stores, by address: s3://, gs:// and others that fsspec knows.

Each kind of address needs its package beside the extra ``remote``, see `PACKAGES`; how to log in
is theirs to find (environment, configuration files, the machine's role).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

from workzone.data.archives import TarFiles, tar_files
from workzone.errors import ImageError, MissingExtraError, UsageError, WorkzoneError
from workzone.types import ImageRef

T = TypeVar("T")

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "hdfs": "pyarrow",
    "memory": "fsspec",
}
"""Schemes that are read, and what they need installed. Those of the web are not among them:
a table from elsewhere must not make this machine ask any web server."""

_SCHEME = re.compile(r"([a-z][a-z0-9+]*)://", re.IGNORECASE)
_SPAN = re.compile(r"@(\d+)\+(\d+)$")
_TRIES = 4
_PAUSE = 0.5
"""Seconds before the second try; it doubles."""
_MOST_OF_GROUP = 1 << 30
"""Bytes of the images in a row group of parquet, decompressed; two groups are held."""
_lock = Lock()  # of parquet: what several threads miss is fetched once, and a file has one position


def is_remote(path: str) -> bool:
    """Whether a path is an address that is read here."""
    found = _SCHEME.match(path)
    return found is not None and found[1].lower() in PACKAGES


def list_files(address: str) -> dict[str, str]:
    """Addresses of all files below one, to any depth, by their names below it, sorted.

    Of a file itself it is the file, by the last part of its address.

    Raises:
        MissingExtraError: a package is not installed.
        UsageError: nothing is there.
        WorkzoneError: it cannot be listed.
    """
    system, path = _open(address)
    try:
        found = sorted(_often(lambda: system.find(path)))
    except FileNotFoundError:
        found = []
    except Exception as error:  # every store has classes of its own
        raise WorkzoneError(f"{address} cannot be listed: {_said(error)}") from error
    if not found:
        raise UsageError(f"nothing at {address}: check the bucket, the folder, and who you are")
    top = address.rstrip("/")
    below = [name.removeprefix(path).lstrip("/") for name in found]
    if below == [""]:
        return {top.rpartition("/")[2]: top}
    return {name: f"{top}/{name}" for name in below}


def tar_members(address: str) -> list[tuple[str, int, int]]:
    """Name, offset and size of each file of an uncompressed tar, read by its headers alone.

    Raises:
        WorkzoneError: it cannot be read to its end, or is no such tar.
    """
    system, path = _open(address)

    def read() -> TarFiles:
        with system.open(path, "rb") as file:
            return tar_files(file)

    try:
        tar = _often(read)
    except Exception as error:
        raise WorkzoneError(f"{address} cannot be read: {_said(error)}") from error
    if tar.damage:
        raise WorkzoneError(f"{address} cannot be read: {tar.damage}")
    return tar.files


def read_remote(ref: ImageRef, *, most: int) -> bytes:
    """The bytes of an image by its address.

    Args:
        ref: a file, a member of a tar as ``name@offset+size``, or a row of a parquet file.
        most: bytes that are read at most.

    Raises:
        MissingExtraError: a package is not installed.
        ImageError: it is missing, it or its row group is too large, or it cannot be read after
            several tries.
    """
    system, path = _open(ref.path)
    try:
        if ref.row is not None:
            cell = _often(lambda: _cell(ref.path, ref.member or "image", int(ref.row or 0)))
            if len(cell) <= most:
                return cell
        elif ref.member is not None:
            begin, size = _span(ref.member)
            if size <= most:
                data: bytes = _often(lambda: system.cat_file(path, start=begin, end=begin + size))
                return data
        elif (size := int(_often(lambda: system.size(path)) or 0)) <= most:
            whole: bytes = _often(lambda: system.cat_file(path))
            return whole
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError("missing", f"{ref}: no such file") from error
    except PermissionError as error:
        raise ImageError("denied", f"{ref}: no permission to read it") from error
    except Exception as error:
        raise ImageError("unreachable", f"{ref}: {_said(error)}") from error
    raise ImageError("too-large", f"{ref}: over {most >> 20} MiB encoded")


def member_at(name: str, offset: int, size: int) -> str:
    """What `ImageRef.member` is of a tar at an address: its bytes are found without its headers."""
    return f"{name}@{offset}+{size}"


def _span(member: str) -> tuple[int, int]:
    found = _SPAN.search(member)
    if found is None:
        raise ImageError(
            "unreadable",
            f"{member}: members of archives at addresses are read from uncompressed tars alone; "
            "name the tar itself, or repack it as one",
        )
    return int(found[1]), int(found[2])


def open_remote(address: str) -> Any:
    """A file at an address, for reading, with random access.

    Raises:
        MissingExtraError: a package is not installed.
        WorkzoneError: it cannot be opened.
    """
    system, path = _open(address)
    try:
        return _often(lambda: system.open(path, "rb"))
    except Exception as error:
        raise WorkzoneError(f"{address} cannot be read: {_said(error)}") from error


def _cell(address: str, column: str, row: int) -> bytes:
    from workzone.data.parquet_cells import picture_of

    with _lock:
        value = _value(address, column, row)
    return picture_of(value)


def _value(address: str, column: str, row: int) -> Any:
    for first, last, group in _groups(address):
        if first <= row < last:
            return _group(address, column, group)[row - first].as_py()
    rows = _parquet(address).metadata.num_rows
    raise ImageError("missing", f"{address}: row {row} of {rows}, counted from 0, is not there")


@lru_cache(maxsize=4)
def _parquet(address: str) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(open_remote(address))


def _groups(address: str) -> Iterator[tuple[int, int, int]]:
    """First row, last row and number of each row group."""
    metadata, first = _parquet(address).metadata, 0
    for number in range(metadata.num_row_groups):
        last = first + metadata.row_group(number).num_rows
        yield first, last, number
        first = last


@lru_cache(maxsize=2)
def _group(address: str, column: str, number: int) -> Any:
    """A row group's images: rows are asked for in order, so it is fetched once."""
    file = _parquet(address)
    size = _bytes_of(file.metadata.row_group(number), column)
    if size > _MOST_OF_GROUP:
        raise ImageError(
            "too-large",
            f"{address}: row group {number} holds {size >> 20:,} MiB of {column!r}, and at most "
            f"{_MOST_OF_GROUP >> 20:,} MiB are fetched at once; write the file with fewer rows in "
            "each row group",
        )
    return file.read_row_group(number, columns=[column])[column.partition(".")[0]]


def _bytes_of(group: Any, column: str) -> int:
    chunks = [group.column(number) for number in range(group.num_columns)]
    held = [c for c in chunks if f"{c.path_in_schema}.".startswith(f"{column}.")]
    return sum(chunk.total_uncompressed_size for chunk in held)


@lru_cache(maxsize=64)
def _system(scheme: str, host: str) -> Any:
    """What reads addresses of a host: a cluster, an account, or a bucket, as its package says.

    Not by `fsspec.core.url_to_fs`, to which ``::`` in a name is a second address.
    """
    import fsspec

    kind = fsspec.get_filesystem_class(scheme)
    return kind(**kind._get_kwargs_from_urls(f"{scheme}://{host}/"))


def _open(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    scheme, _, rest = address.partition("://")
    package = PACKAGES[scheme.lower()]
    try:
        system = _system(scheme.lower(), rest.partition("/")[0])
    except ImportError as error:
        if package != "fsspec" and "fsspec" not in str(error):
            raise UsageError(
                f"{address} needs the package {package}: pip install {package}"
            ) from error
        raise MissingExtraError("fsspec", "remote", f"reading {address}") from error
    return system, system._strip_protocol(address)


def _often(read: Callable[[], T]) -> T:
    """Try again what a network may have broken."""
    for attempt in range(_TRIES):
        try:
            return read()
        except (FileNotFoundError, PermissionError, IsADirectoryError, ImageError):
            raise
        except Exception:
            if attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE * 2**attempt)
    raise AssertionError


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
