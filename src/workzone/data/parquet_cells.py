"""The bytes of one image from the image column of a parquet file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

from workzone.types import ImageRef


@dataclass
class _RowGroup:
    first: int  # row number of its first row
    values: pa.ChunkedArray


_parquet_lock = Lock()  # pyarrow's readers are not made for several threads at once


@lru_cache(maxsize=2)  # each holds a row group of images
def _parquet(path: str, _modified: int) -> tuple[pq.ParquetFile, dict[str, _RowGroup]]:
    return pq.ParquetFile(path), {}


def read_cell(path: Path, ref: ImageRef) -> bytes:
    """One cell of an image column: bytes, or a struct with ``bytes``."""
    if not path.is_file():
        raise FileNotFoundError(path)
    column = ref.member or "image"
    assert ref.row is not None
    with _parquet_lock:
        file, cache = _parquet(str(path), path.stat().st_mtime_ns)
        held = cache.get(column)
        if held is None or not held.first <= ref.row < held.first + len(held.values):
            held = _read_row_group(file, column, ref.row)
            cache[column] = held  # one row group per file: images are read in order
    value = held.values[ref.row - held.first].as_py()
    if isinstance(value, dict):
        value = value.get("bytes")
    return value or b""


def _read_row_group(file: pq.ParquetFile, column: str, row: int) -> _RowGroup:
    first = 0
    for number in range(file.num_row_groups):
        count = file.metadata.row_group(number).num_rows
        if first <= row < first + count:
            table = file.read_row_group(number, columns=[column])
            return _RowGroup(first, table.column(column))
        first += count
    raise IndexError(row)
