"""From columns of Arrow, of any type, to plain Python values; what cannot be read is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_BATCH = 1024  # rows read at once


class Unreadable:
    """Stands for a value that cannot be read."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def rows_of(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows as mappings from dotted column name to value, or to `Unreadable`.

    Moments come in UTC and at most in microseconds, and bytes as the UTF-8 text that they must be.

    Raises:
        OSError: the file is damaged or encrypted.
        pa.ArrowException: the same.
    """
    if not columns:
        yield from ({} for _ in range(file.metadata.num_rows))
        return
    wanted = frozenset(columns)
    for batch in file.iter_batches(_BATCH, columns=list(columns)):
        flat = dict(_flatten(batch.schema, batch.columns, wanted))
        read = {name: _values(array) for name, array in flat.items()}
        for cells in zip(*read.values(), strict=True):
            yield dict(zip(read, cells, strict=True))


def _flatten(
    fields: Sequence[pa.Field], arrays: Sequence[pa.Array], wanted: frozenset[str], prefix: str = ""
) -> Iterator[tuple[str, pa.Array]]:
    """Columns by dotted name: structs that are not wanted whole, by their fields."""
    for field, array in zip(fields, arrays, strict=True):
        name = prefix + field.name
        if pa.types.is_struct(field.type) and name not in wanted:
            yield from _flatten(list(field.type), array.flatten(), wanted, f"{name}.")
        else:
            yield name, array


def _values(array: pa.Array) -> list[Any]:
    """One Python value per row."""
    if isinstance(array, pa.ExtensionArray) and not _is_uuid(array.type):
        array = array.storage
    kind = _plain_type(array.type)
    try:
        if kind != array.type:
            array = array.cast(kind, safe=False)  # nanoseconds may be lost
        values = array.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):
        values = [_value(cell) for cell in array]
    return [_tidy(value) for value in values]


def _is_uuid(kind: pa.DataType) -> bool:
    return str(getattr(kind, "extension_name", "")) == "arrow.uuid"


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that Python has values of: no nanoseconds, and no zone but UTC.

    Without pandas pyarrow has no Python value for nanoseconds, and time zones need names that the
    system knows; the moment itself is stored in UTC.
    """
    if pa.types.is_timestamp(kind):
        unit = "us" if kind.unit == "ns" else kind.unit
        return pa.timestamp(unit, tz="+00:00" if kind.tz else None)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_plain_type(kind.key_type), _plain_type(kind.item_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type), kind.list_size)
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain_type(kind.value_type))
    if pa.types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    return kind


def _value(cell: pa.Scalar) -> Any:
    try:
        return cell.as_py()
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return Unreadable(f"a {cell.type} that is out of range ({error})")


def _tidy(value: Any) -> Any:
    """Bytes as text, also in lists and structs; decimals without a fraction as integers."""
    try:
        return _texts(value)
    except UnicodeDecodeError:
        return Unreadable("bytes that are not UTF-8 text")


def _texts(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode().rstrip("\0")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else value
    if isinstance(value, (list, tuple)):
        return [_texts(part) for part in value]
    if isinstance(value, dict):
        return {name: _texts(part) for name, part in value.items()}
    return value
