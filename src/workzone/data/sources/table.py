"""CSV and TSV files whose rows name image files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from workzone.data.sources.columns import map_columns
from workzone.data.sources.paths import resolve_image, resolve_masks
from workzone.data.sources.record import Record, Source
from workzone.data.sources.values import as_text
from workzone.errors import ManifestError
from workzone.types import ImageRef

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})


def open_table(path: Path, columns: Mapping[str, str] | None) -> Source:
    """A table with a header row; relative image and mask paths start at the table's folder.

    The file is UTF-8; columns are parted by commas, semicolons or tabs, whichever the header row
    has most of. The default id is the image path as the table gives it.

    Raises:
        ManifestError: not UTF-8, no header row, or a column name twice.
        UsageError: a column that does not exist, or none for the image.
    """
    header, total = _measure(path)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ManifestError(f"{path}: the column {twice[0]!r} occurs twice; rename one of them")
    mapping = map_columns(header, columns, where=str(path))

    def records() -> Iterator[Record]:
        for line, cells in _rows(path):
            where = f"{path.name} line {line}"
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
    """The header and the number of rows below it."""
    rows = _rows(path, header=True)
    _, header = next(rows, (0, []))
    if not any(header):
        raise ManifestError(f"{path} is empty; its first row must name the columns")
    return [name.strip() for name in header], sum(1 for _ in rows)


def _rows(path: Path, *, header: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is not blank."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            first_line = handle.readline()
            handle.seek(0)
            separator = max(",;\t", key=first_line.count)
            reader = csv.reader(handle, delimiter=separator)
            for number, cells in enumerate(row for row in reader if row):
                if number or header:
                    yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:
        raise ManifestError(f"{path} is not a readable table: {error}") from error
