"""One cell of the image column of a parquet file: a picture's bytes, or the path of its file.

A cell holds bytes, a path, base64 text, or a struct of ``bytes`` and ``path`` as the package
``datasets`` writes it. Cells are read one by one, in any order; memory does not grow with the
row groups (see :mod:`workzone.data.parquet_reader`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workzone.data.images_in_text import decode_text, is_path, is_picture
from workzone.data.parquet_reader import raw_value
from workzone.types import ImageRef


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


def picture_of(value: Any) -> bytes:
    """The picture's bytes in a cell's value, none where it holds no picture."""
    return _cell(value).data or b""


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
