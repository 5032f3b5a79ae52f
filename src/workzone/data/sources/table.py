"""CSV and TSV files whose rows name image files."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from workzone.data.sources.columns import known_fields, map_columns
from workzone.data.sources.paths import resolve_image, resolve_masks
from workzone.data.sources.record import Record, Source
from workzone.data.sources.text_files import encoding_of
from workzone.data.sources.values import as_text
from workzone.errors import ManifestError
from workzone.types import ImageRef

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab"})
TEXT_SUFFIXES = frozenset({".txt"})
"""Tables too, where one is named: "Unicode Text" of spreadsheet programs. In folders often not."""

_SEPARATORS = ",;\t"
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?', re.IGNORECASE)


def open_table(path: Path, columns: Mapping[str, str] | None) -> Source:
    """A table with a header row; relative image and mask paths start at the table's folder.

    The file is UTF-8, or UTF-16 with a byte-order mark. Columns are parted by commas, semicolons or
    tabs: as a first line ``sep=;`` says, else whichever gives the header row most names that are
    known, or most names. Empty rows, and empty cells beyond the last named column, are passed over.
    The default id is the image path as the table gives it.

    Raises:
        ManifestError: not such text, no header row, or a column name twice.
        UsageError: a column that does not exist, or none for the image.
    """
    header, total = _measure(path)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ManifestError(f"{path}: the column {twice[0]!r} occurs twice; rename one of them")
    mapping = map_columns(header, columns, where=str(path))

    def records() -> Iterator[Record]:
        for line, written in _rows(path):
            where = f"{path.name} line {line}"
            cells = _trimmed(written, len(header))
            row = dict(zip(header, cells, strict=False))
            values, extra = mapping.apply(row)
            name = as_text(values.pop("image", None))
            problem = None
            if len(cells) != len(header):
                problem = (
                    "row-malformed",
                    f"{len(cells)} cells under {len(header)} columns; quote cells that "
                    "hold the separator",
                )
            elif name is None:
                problem = ("missing", "the image column is empty")
            masks = as_text(values.get("masks"))
            if masks is not None:
                values["masks"] = resolve_masks(path.parent, masks)
            image = None if name is None else ImageRef(resolve_image(path.parent, name))
            yield Record(name or where, where, image, values, extra, problem)

    return Source(path.stem, total, records, mapping.source_columns())


def _measure(path: Path) -> tuple[list[str], int]:
    """The names of the columns and the number of rows below the header."""
    rows = _rows(path, header=True)
    _, header = next(rows, (0, []))
    names = [_name(cell) for cell in header]
    if not any(names):
        raise ManifestError(f"{path} is empty; its first row must name the columns")
    while not names[-1]:
        names.pop()
    total = sum(1 for _ in rows)
    return [name or f"column {number}" for number, name in enumerate(names, 1)], total


def _name(cell: str) -> str:
    return " ".join(cell.strip("\ufeff\u200b").split())


def _trimmed(cells: list[str], columns: int) -> list[str]:
    """Without the empty cells that spreadsheet programs write beyond the last column."""
    return cells if any(cells[columns:]) else cells[:columns]


def _rows(path: Path, *, header: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is not blank."""
    try:
        with path.open(newline="", encoding=encoding_of(path)) as handle:
            separator, skipped = _separator(handle)
            # strict: an unclosed quote would take the rows below it into its cell
            reader = csv.reader(handle, delimiter=separator, strict=True)
            filled = (cells for cells in reader if any(cell.strip() for cell in cells))
            for number, cells in enumerate(filled):
                if number or header:
                    yield reader.line_num + skipped, cells
    except UnicodeError as error:
        raise ManifestError(
            f"{path} is not UTF-8 ({error}); save it as UTF-8: spreadsheet programs call it "
            "'CSV UTF-8'"
        ) from error
    except (csv.Error, OSError) as error:
        raise ManifestError(f"{path} is not a readable table: {error}") from error


def _separator(handle: TextIO) -> tuple[str, int]:
    """What parts the columns, and how many lines to pass over; ``handle`` then stands there."""
    start = handle.tell()
    said = _SEPARATOR_LINE.fullmatch(handle.readline().strip(" \r\n"))
    if said:
        return said[1], 1
    fit: dict[str, tuple[bool, int, int]] = {}
    for separator in _SEPARATORS:
        handle.seek(start)
        names = next(csv.reader(iter(handle.readline, ""), delimiter=separator), [])
        fields = known_fields(_name(name) for name in names)
        fit[separator] = ("image" in fields, len(fields), len(names))
    handle.seek(start)
    return max(fit, key=lambda separator: fit[separator]), 0
