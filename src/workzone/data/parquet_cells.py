"""One cell of the image column of a parquet file: a picture's bytes, or the path of its file.

A cell holds bytes, a path, base64 text, or a struct of ``bytes`` and ``path`` as the package
``datasets`` writes it. Cells are read one by one, in any order; memory does not grow with the
row groups (see :mod:`workzone.data.parquet_pages`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from workzone.data.images_in_text import decode_text, is_path, is_picture
from workzone.data.parquet_pages import ByteColumn, UnreadableColumnError, leaves
from workzone.types import ImageRef

_lock = Lock()  # readers hold one page, and pyarrow's are not made for several threads at once


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell holds; all None where it is empty."""

    data: bytes | None = None  # of an encoded picture
    path: str | None = None  # as written
    problem: str | None = None  # why it is neither


def read_cell(path: Path, ref: ImageRef) -> bytes:
    """The picture's bytes in a cell, none where it holds no picture.

    Raises:
        FileNotFoundError: no such file.
        KeyError: no such column.
        IndexError: no such row.
        OSError: the file cannot be read.
        ValueError: not a parquet file, or a cell that is too large.
    """
    assert ref.row is not None
    return look_up(path, ref.member or "image", ref.row).data or b""


def look_up(path: Path, column: str, row: int) -> Cell:
    """A cell of a column by its dotted name; raises as `read_cell` does."""
    return _cell(raw_value(path, column, row))


def raw_value(path: Path, column: str, row: int) -> Any:
    """What a cell holds, bytes and text apart; raises as `read_cell` does."""
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


def _cell(value: Any) -> Cell:
    if isinstance(value, list):
        if value and all(isinstance(part, int) for part in value):
            data = bytes(value) if all(0 <= part < 256 for part in value) else b""
            return Cell(data=data) if is_picture(data) else Cell(problem=_not_encoded("numbers"))
        if len(value) > 1 and not any(isinstance(part, list) for part in value):
            return Cell(problem=f"the cell holds {len(value)} images; give each a row of its own")
        value = value[0] if value else None
    path = None
    if isinstance(value, Mapping):
        fields = {str(name).lower(): inner for name, inner in value.items()}
        value, path = fields.get("bytes"), fields.get("path")
        path = path.decode(errors="replace") if isinstance(path, bytes) else path
    if value is None or value in (b"", ""):
        return Cell(path=path or None)
    if isinstance(value, bytes):
        return _cell_of_bytes(value)
    if isinstance(value, str):
        return _cell_of_text(value)
    return Cell(
        problem=_not_encoded("numbers" if isinstance(value, list) else type(value).__name__)
    )


def _cell_of_bytes(value: bytes) -> Cell:
    """A picture, or text of it, or a path, that were stored without the mark of text."""
    if is_picture(value):
        return Cell(data=value)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return Cell(data=value)
    data = decode_text(text)
    if data is None and is_path(text) and Path(text).suffix:
        return Cell(path=text)
    return Cell(data=data or value)  # the decoder says what it is not


def _cell_of_text(text: str) -> Cell:
    data = decode_text(text)
    if data is not None:
        return Cell(data=data)
    if is_path(text):
        return Cell(path=text)
    return Cell(
        problem=f"the cell's text of {len(text):,} characters ({text[:24]!r}...) is neither a path "
        "nor a picture as base64; store the picture's bytes"
    )


def _not_encoded(kind: str) -> str:
    return f"the cell holds {kind}, not a picture; store each picture's JPEG or PNG bytes"


class _File:
    """An open parquet file and the readers of its columns."""

    def __init__(self, path: str) -> None:
        self._handle: IO[bytes] = Path(path).open("rb")  # noqa: SIM115 (open while it is cached)
        self._file = pq.ParquetFile(path)
        self._kinds = dict(flat_fields(self._file.schema_arrow))
        self._leaves = leaves(self._file.metadata)
        self._columns: dict[str, ByteColumn] = {}
        self._group: tuple[str, int, pa.ChunkedArray] | None = None  # column, first row, values

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
                table = self._file.read_row_group(number, columns=[column])
                return column, first, table.column(0)
            first += count
        raise IndexError(row)


@lru_cache(maxsize=4)  # each holds a page, or a group of a rare kind
def _open(path: str, _modified: int) -> _File:
    return _File(path)
