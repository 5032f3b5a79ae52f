"""Parquet files in folders, and what their paths say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from workzone.data.pointers import pointer_advice
from workzone.data.sources.paths import resolve_image
from workzone.errors import ManifestError

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def data_files(folder: Path) -> list[Path]:
    """The parquet files below a folder, in order of name.

    Names that begin with ``.`` or ``_`` are passed over, of files and of folders: Spark, Hive and
    Dask leave half-written files and summaries under such names, and macOS its notes.
    """
    return [
        file
        for file in sorted(folder.rglob("*.parquet"))
        if not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
        and file.is_file()
    ]


def read_schema(file: Path) -> pa.Schema:
    """The schema of a parquet file.

    Raises:
        ManifestError: not a parquet file, one that was not fetched, cut short, or encrypted.
    """
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ManifestError(_why_unreadable(file, error)) from error


def partitions(parts: Sequence[str]) -> dict[str, str | None]:
    """Columns that folders give as Hive and Spark name them: ``label=1/part-0.parquet``."""
    found: dict[str, str | None] = {}
    for part in parts[:-1]:
        name, equals, value = part.partition("=")
        if name and equals:
            found[unquote(name)] = None if value == _NO_VALUE else unquote(value)
    return found


def resolve_beside(file: Path, source: Path, name: str) -> str:
    """The path of an image that a parquet file names.

    It starts at the file's folder; where nothing is there, at the folder above, and so on up to
    the data set's root: ``set/data/train.parquet`` and ``set/images/0.jpg``.
    """
    first = resolve_image(file.parent, name)
    if os.path.lexists(first):
        return first
    folders = [file.parent.parent]
    if source != file:
        folders = [folder for folder in file.parent.parents if folder.is_relative_to(source)]
        folders.append(source.parent if source == file.parent else source)
    for folder in folders:
        found = resolve_image(folder, name)
        if os.path.lexists(found):
            return found
    return first


def _why_unreadable(file: Path, error: Exception) -> str:
    head = b""
    if file.is_file():
        with file.open("rb") as handle:
            head = handle.read(1024)
    reason = str(error).rstrip(".")
    advice = pointer_advice(head)
    if advice is not None:
        return f"{file} is {advice}"
    if head.startswith(b"PARE") or "encrypt" in str(error).lower():
        return f"{file} is encrypted; write it anew without encryption"
    if head.startswith(b"PAR1"):
        return f"{file} is cut short or damaged: {reason}. Copy or download it again."
    return f"{file} is not a parquet file: {reason}"
