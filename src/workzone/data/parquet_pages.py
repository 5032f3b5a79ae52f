"""Single values of a column of bytes or text in a parquet file, found page by page.

pyarrow reads such columns by whole pages, and a page may be as large as its row group; a training
asks for rows in any order. Here the pages of a row group are listed once, from their headers; then
a value costs the reading of its page, of which the last one is held.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workzone.data.parquet_bodies import Body, inflated, read_at
from workzone.data.parquet_headers import PageHeader, read_header
from workzone.data.parquet_values import Plain, Values, read_hybrid, read_plain

T = TypeVar("T")

MAX_VALUE = 256 * 1024 * 1024
"""Bytes; a longer value is refused."""

_HEADER = 512  # bytes: most headers are shorter than 100, statistics make some longer
_LONGEST_HEADER = 1 << 24


class UnreadableColumnError(Exception):
    """Pages of a kind that is not read here; pyarrow may read them."""


_SURPRISES = (
    UnreadableColumnError,
    *(IndexError, KeyError, ValueError, RecursionError, pa.ArrowException),
)
"""What reading a damaged or an odd page may raise."""


@dataclass(frozen=True, slots=True)
class _Page:
    first: int  # row within the row group
    header: PageHeader
    start: int  # of the body in the file


@dataclass(frozen=True, slots=True)
class _Group:
    pages: tuple[_Page, ...]
    dictionary: _Page | None
    codec: str


class ByteColumn:
    """One leaf column of bytes or text.

    Not for several threads at once.

    Args:
        handle: the open file.
        metadata: its footer.
        leaf: the leaf's number in the parquet schema.

    Raises:
        UnreadableColumnError: lists, numbers, encrypted columns.
    """

    def __init__(self, handle: IO[bytes], metadata: pq.FileMetaData, leaf: int) -> None:
        column = metadata.schema.column(leaf)
        if column.physical_type != "BYTE_ARRAY" or column.max_repetition_level:
            raise UnreadableColumnError(f"{column.path} is no plain column of bytes")
        self._handle = handle
        self._metadata = metadata
        self._leaf = leaf
        self._depth = column.max_definition_level
        counts = (metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
        self._starts = [0, *accumulate(counts)]
        self._held: dict[str, tuple[Any, Any, str | None]] = {}

    def value(self, row: int) -> bytes | None:
        """The value of a row, None where it is null.

        Raises:
            IndexError: no such row.
            ValueError: over `MAX_VALUE` bytes.
            UnreadableColumnError: pages of an encoding that is not read here, or damaged.
            OSError: the file cannot be read.
        """
        if not 0 <= row < self._starts[-1]:
            raise IndexError(row)
        number = bisect_right(self._starts, row) - 1
        row -= self._starts[number]
        group = self._last("group", number, lambda: self._list_group(number))
        page = max(0, bisect_right(group.pages, row, key=lambda page: page.first) - 1)
        values = self._last("page", (number, page), lambda: self._read_values(number, group, page))
        try:
            place = values.place(row - group.pages[page].first)
        except IndexError as error:
            raise UnreadableColumnError("the page has fewer values than it tells") from error
        if place is None:
            return None
        body, start, length = place
        if length > MAX_VALUE:
            raise ValueError(f"over {MAX_VALUE >> 20} MiB in one cell")
        return body.read(start, length)

    def _last(self, name: str, key: Any, make: Callable[[], T]) -> T:
        """What was made last under a name, if for the same key; else it is made anew.

        A failure is held too: a damaged page is not read again for each of its rows.
        """
        if name not in self._held or self._held[name][0] != key:
            self._held.pop(name, None)  # first, so that two never lie in memory
            try:
                self._held[name] = (key, make(), None)
            except _SURPRISES as error:
                self._held[name] = (key, None, f"{type(error).__name__}: {error}")
        _, made, failure = self._held[name]
        if failure is not None:
            raise UnreadableColumnError(failure)
        found: T = made
        return found

    def _list_group(self, number: int) -> _Group:
        chunk = self._metadata.row_group(number).column(self._leaf)
        if chunk.file_path:
            raise UnreadableColumnError("the column lies in another file")
        start = chunk.data_page_offset
        if chunk.has_dictionary_page and chunk.dictionary_page_offset:
            start = min(start, chunk.dictionary_page_offset)
        end = start + chunk.total_compressed_size
        pages: list[_Page] = []
        dictionary = None
        row = 0
        while start < end and row < chunk.num_values:
            header = self._header(start)
            page = _Page(row, header, start + header.length)
            if header.kind == "dictionary":
                dictionary = page
            elif header.count:
                pages.append(page)
                row += header.count
            start += header.length + header.stored
        return _Group(tuple(pages), dictionary, chunk.compression)

    def _header(self, start: int) -> PageHeader:
        size = _HEADER
        while True:
            try:
                return read_header(read_at(self._handle, start, size))
            except IndexError:
                if size > _LONGEST_HEADER:
                    raise
                size *= 32

    def _body(self, page: _Page, codec: str) -> Body:
        header = page.header
        body = Body(self._handle, page.start, header.stored)
        if not header.compressed or not header.stored:
            return body
        return inflated(body, codec, header.size)

    def _read_dictionary(self, group: _Group) -> Plain:
        if group.dictionary is None:
            raise ValueError("the dictionary page is missing")
        return read_plain(self._body(group.dictionary, group.codec), group.dictionary.header.count)

    def _read_values(self, number: int, group: _Group, index: int) -> Values:
        page = group.pages[index]
        header = page.header
        if header.kind == "data2":
            levels = Body(self._handle, page.start, header.levels).read(0, header.levels)
            rest = Body(self._handle, page.start + header.levels, header.stored - header.levels)
            body = (
                inflated(rest, group.codec, header.size - header.levels)
                if header.compressed and rest.size
                else rest
            )
        else:
            body = self._body(page, group.codec)
            levels = b""
            if self._depth:
                length = int.from_bytes(body.read(0, 4), "little")
                levels = body.read(4, length)
                body = body.tail(4 + length)
        order = None
        present = header.count
        if self._depth:
            depths = read_hybrid(levels, self._depth.bit_length(), header.count)
            filled = depths == self._depth
            order = np.where(filled, np.cumsum(filled) - 1, -1)
            present = int(filled.sum())
        if header.encoding == "plain":
            return Values(order, None, read_plain(body, present))
        if header.encoding == "dictionary":
            indices = np.zeros(0, dtype=np.int64)
            if present:
                width = body.read(0, 1)[0]
                indices = read_hybrid(body.read(1, body.size - 1), width, present)
            plain = self._last("dictionary", number, lambda: self._read_dictionary(group))
            return Values(order, indices, plain)
        raise UnreadableColumnError(f"encoding {header.encoding}")


def leaves(metadata: pq.FileMetaData) -> dict[str, int]:
    """The number of each leaf by its dotted path."""
    schema: Any = metadata.schema
    return {schema.column(number).path: number for number in range(len(schema))}
