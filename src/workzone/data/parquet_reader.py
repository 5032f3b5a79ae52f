"""Values of single cells of parquet files, in any order, within bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from workzone.data.parquet_pages import ByteColumn, UnreadableColumnError, leaves

_lock = Lock()  # readers hold one page, and pyarrow's are not made for several threads at once


def raw_value(path: Path, column: str, row: int) -> Any:
    """What a cell holds, bytes and text apart; see `read_cell` for errors."""
    if not path.is_file():
        raise FileNotFoundError(path)
    with _lock:
        return _open(str(path), path.stat().st_mtime_ns).value(column, row)


def is_image_struct(kind: pa.DataType) -> bool:
    """Whether a type is a struct with ``bytes``, in any case."""
    return pa.types.is_struct(kind) and "bytes" in [field.name.lower() for field in kind]


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a type is one of plain bytes."""
    kind = _plain(kind)
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def flat_fields(fields: Iterable[pa.Field], prefix: str = "") -> list[tuple[str, pa.DataType]]:
    """Columns by dotted name, structs other than images replaced by their fields."""
    flat: list[tuple[str, pa.DataType]] = []
    for field in fields:
        name = prefix + field.name
        if pa.types.is_struct(field.type) and not is_image_struct(field.type):
            flat += flat_fields(field.type, f"{name}.")
        else:
            flat.append((name, field.type))
    return flat


def _is_text(kind: pa.DataType) -> bool:
    kind = _plain(kind)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


class _File:
    """An open parquet file and the readers of its columns."""

    def __init__(self, path: str) -> None:
        self._handle: IO[bytes] = Path(path).open("rb")  # noqa: SIM115 (open while it is cached)
        self._file = pq.ParquetFile(path)
        self._kinds = dict(flat_fields(self._file.schema_arrow))
        self._leaves = leaves(self._file.metadata)
        self._columns: dict[str, ByteColumn] = {}
        self._group: tuple[str, int, pa.ChunkedArray] | None = None  # column, first row, values
        self._damaged: dict[tuple[str, int], str] = {}  # by column and row group

    def value(self, column: str, row: int) -> Any:
        """A cell as bytes, text, a list, or a struct with ``bytes`` and ``path``."""
        kind = self._kinds[column]
        try:
            if is_image_struct(kind):
                names = {
                    field.name.lower(): f"{column}.{field.name}"
                    for field in kind
                    if not pa.types.is_null(field.type)
                }
                if "bytes" not in names:
                    raise UnreadableColumnError(column)
                data = self._leaf(names["bytes"]).value(row)
                path = None if data or "path" not in names else self._leaf(names["path"]).value(row)
                return {"bytes": data, "path": path}
            data = self._leaf(column).value(row)
        except UnreadableColumnError:
            return self._value_of_group(column, row)
        return data.decode(errors="replace") if data is not None and _is_text(kind) else data

    def _leaf(self, path: str) -> ByteColumn:
        if path not in self._columns:
            if path not in self._leaves:
                raise UnreadableColumnError(path)
            self._columns[path] = ByteColumn(self._handle, self._file.metadata, self._leaves[path])
        return self._columns[path]

    def _value_of_group(self, column: str, row: int) -> Any:
        """By way of pyarrow, which reads a whole row group: lists, and rare encodings."""
        held = self._group
        if held is None or held[0] != column or not held[1] <= row < held[1] + len(held[2]):
            self._group = None
            held = self._group = self._read_group(column, row)
        value = held[2][row - held[1]].as_py()
        for name in self._inner(column):
            value = None if value is None else value[name]
        return value

    def _inner(self, column: str) -> list[str]:
        """Names of the structs' fields on the way from the top-level column to ``column``."""
        names: list[str] = []
        fields = list(self._file.schema_arrow)
        while column not in [field.name for field in fields]:
            field = next(f for f in fields if column.startswith(f"{f.name}."))
            column = column.removeprefix(f"{field.name}.")
            fields = list(field.type)
            names += [inner.name for inner in fields if f"{column}.".startswith(f"{inner.name}.")]
        return names

    def _read_group(self, column: str, row: int) -> tuple[str, int, pa.ChunkedArray]:
        first = 0
        for number in range(self._file.num_row_groups):
            count = self._file.metadata.row_group(number).num_rows
            if first <= row < first + count:
                if (column, number) in self._damaged:
                    raise OSError(self._damaged[column, number])
                try:
                    table = self._file.read_row_group(number, columns=[column])
                except (pa.ArrowException, OSError) as error:
                    self._damaged[column, number] = str(error)
                    raise
                return column, first, table.column(0)
            first += count
        raise IndexError(row)


@lru_cache(maxsize=4)  # each holds a page, or a group of a rare kind
def _open(path: str, _modified: int) -> _File:
    return _File(path)
