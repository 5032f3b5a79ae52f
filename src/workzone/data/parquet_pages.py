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
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workzone.data.parquet_bodies import Body, inflated, read_at
from workzone.data.parquet_headers import PageHeader, read_header

T = TypeVar("T")

MAX_VALUE = 256 * 1024 * 1024
"""Bytes; a longer value is refused."""

_HEADER = 512  # bytes: most headers are shorter than 100, statistics make some longer
_LONGEST_HEADER = 1 << 24


class UnreadableColumnError(Exception):
    """Pages of a kind that is not read here; pyarrow may read them."""


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
        self._held: dict[str, tuple[Any, Any]] = {}

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
        try:
            group = self._last("group", number, lambda: self._list_group(number))
            row -= self._starts[number]
            page = bisect_right(group.pages, row, key=lambda page: page.first) - 1
            values = self._last(
                "page", (number, page), lambda: self._read_values(number, group, page)
            )
            place = values.place(row - group.pages[page].first)
            if place is None:
                return None
            body, start, length = place
        except (IndexError, KeyError, ValueError, RecursionError, pa.ArrowException) as error:
            raise UnreadableColumnError(f"{type(error).__name__}: {error}") from error
        if length > MAX_VALUE:
            raise ValueError(f"over {MAX_VALUE >> 20} MiB in one cell")
        return body.read(start, length)

    def _last(self, name: str, key: Any, make: Callable[[], T]) -> T:
        """What was made last under a name, if for the same key; else it is made anew."""
        if name not in self._held or self._held[name][0] != key:
            self._held.pop(name, None)  # first, so that two never lie in memory
            self._held[name] = (key, make())
        made: T = self._held[name][1]
        return made

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

    def _read_dictionary(self, group: _Group) -> _Plain:
        if group.dictionary is None:
            raise ValueError("the dictionary page is missing")
        return _plain(self._body(group.dictionary, group.codec), group.dictionary.header.count)

    def _read_values(self, number: int, group: _Group, index: int) -> _Values:
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
            depths = _hybrid(levels, self._depth.bit_length(), header.count)
            filled = depths == self._depth
            order = np.where(filled, np.cumsum(filled) - 1, -1)
            present = int(filled.sum())
        if header.encoding == "plain":
            return _Values(order, None, _plain(body, present))
        if header.encoding == "dictionary":
            indices = np.zeros(0, dtype=np.int64)
            if present:
                width = body.read(0, 1)[0]
                indices = _hybrid(body.read(1, body.size - 1), width, present)
            plain = self._last("dictionary", number, lambda: self._read_dictionary(group))
            return _Values(order, indices, plain)
        raise UnreadableColumnError(f"encoding {header.encoding}")


@dataclass(frozen=True, slots=True)
class _Plain:
    """Values one behind the other, each led by its length in 4 bytes."""

    body: Body
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Values:
    """The values of a page: which rows have one, and where it lies."""

    order: npt.NDArray[np.int64] | None  # by row; -1 where null
    indices: npt.NDArray[np.int64] | None  # into a dictionary
    plain: _Plain

    def place(self, row: int) -> tuple[Body, int, int] | None:
        """Body, first byte and length of a row's value."""
        if self.order is not None:
            row = int(self.order[row])
            if row < 0:
                return None
        if self.indices is not None:
            row = int(self.indices[row])
        return self.plain.body, int(self.plain.starts[row]), int(self.plain.lengths[row])


def _plain(body: Body, count: int) -> _Plain:
    starts = np.zeros(count, dtype=np.int64)
    lengths = np.zeros(count, dtype=np.int64)
    at = 0
    for number in range(count):
        length = int.from_bytes(body.read(at, 4), "little")
        starts[number], lengths[number] = at + 4, length
        at += 4 + length
    if at > body.size:
        raise ValueError("the page is shorter than its values")
    return _Plain(body, starts, lengths)


def _hybrid(data: bytes, width: int, count: int) -> npt.NDArray[np.int64]:
    """Runs of one number and groups of eight packed ones: parquet's levels and indices."""
    values = np.zeros(count, dtype=np.int64)
    if width == 0:
        return values
    at = done = 0
    while done < count:
        head = shift = 0
        while True:
            byte = data[at]
            at += 1
            head |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if head & 1:
            size = (head >> 1) * width
            bits = np.unpackbits(np.frombuffer(data[at : at + size], np.uint8), bitorder="little")
            found = bits[: len(bits) // width * width].reshape(-1, width) @ (
                1 << np.arange(width, dtype=np.int64)
            )
            at += size
        else:
            size = (width + 7) // 8
            found = np.full(
                min(head >> 1, count - done), int.from_bytes(data[at : at + size], "little")
            )
            at += size
        if not len(found):
            raise ValueError("the page is shorter than its values")
        found = found[: count - done]
        values[done : done + len(found)] = found
        done += len(found)
    return values


def leaves(metadata: pq.FileMetaData) -> dict[str, int]:
    """The number of each leaf by its dotted path."""
    schema: Any = metadata.schema
    return {schema.column(number).path: number for number in range(len(schema))}
