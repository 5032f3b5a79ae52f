"""Page bodies of parquet files, decompressed in memory or, where they are large, in a file.

A page may hold a whole row group: pyarrow parts pages every 1024 values, be they photographs of
a megabyte. Memory must not grow with it, so a large page goes piece by piece into a temporary file.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

IN_MEMORY = 8 << 20
"""Bytes; larger pages are decompressed into a file."""

_PIECE = 1 << 20
_WINDOW = 1 << 16  # how far snappy's encoders look back
_STREAMED = frozenset({"GZIP", "ZSTD", "BROTLI"})


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes in memory or a section of a file; many threads may read it at once."""

    source: bytes | IO[bytes]
    start: int
    size: int

    def read(self, at: int, count: int) -> bytes:
        """``count`` bytes from ``at``.

        Raises:
            ValueError: they reach beyond the end.
        """
        if at < 0 or count < 0 or at + count > self.size:
            raise ValueError("the page is shorter than its values")
        first = self.start + at
        if isinstance(self.source, bytes):
            return self.source[first : first + count]
        return read_at(self.source, first, count)

    def tail(self, at: int) -> Body:
        """Without its first ``at`` bytes."""
        return Body(self.source, self.start + at, self.size - at)


def read_at(handle: IO[bytes], at: int, count: int) -> bytes:
    """``count`` bytes of a file, or as many as it has, without moving its position."""
    data = os.pread(handle.fileno(), count, at)
    while len(data) < count:  # one call reads 2 GiB at most, and may be interrupted
        more = os.pread(handle.fileno(), count - len(data), at + len(data))
        if not more:
            break
        data += more
    return data


def inflated(body: Body, codec: str, size: int) -> Body:
    """A body without its compression.

    Args:
        body: as it lies in the file.
        codec: its name as pyarrow tells it, such as ``SNAPPY``.
        size: bytes once decompressed.

    Raises:
        ValueError: damaged, or a codec that is not read here.
        OSError: damaged, or no room for the temporary file.
    """
    if codec == "UNCOMPRESSED":
        return body
    if max(size, body.size) <= IN_MEMORY or codec not in {*_STREAMED, "SNAPPY"}:
        plain = pa.Codec("lz4_raw" if codec == "LZ4" else codec.lower())
        try:
            data = plain.decompress(body.read(0, body.size), size, asbytes=True)
        except OSError as error:
            raise ValueError(f"a page cannot be decompressed: {error}") from error
        return Body(data, 0, len(data))
    spool = tempfile.TemporaryFile(prefix="workzone-")  # noqa: SIM115 (closed with the body)
    section = _Section(body)
    if codec == "SNAPPY":
        _unsnap(io.BufferedReader(section, _PIECE), spool, size)
    else:
        with pa.CompressedInputStream(pa.PythonFile(section, "r"), codec.lower()) as stream:
            while piece := stream.read(_PIECE):
                spool.write(piece)
    spool.flush()
    if spool.tell() != size:
        raise ValueError(f"a page of {size} bytes came out with {spool.tell()}")
    return Body(spool, 0, size)


class _Section(io.RawIOBase):
    """A body as a file to read from start to end."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self._body.size - self._at)
        buffer[:count] = self._body.read(self._at, count)
        self._at += count
        return count


def _unsnap(source: io.BufferedReader, spool: IO[bytes], size: int) -> None:
    """Snappy's raw format, piece by piece; pyarrow has it only for a whole page at once.

    Photographs do not compress, so nearly all is literals of many kilobytes.
    """
    if _varint(source) != size:
        raise ValueError("the page's size is not the one that its header tells")
    flushed = 0
    window = bytearray()

    def look_back(offset: int, length: int) -> bytes:
        if not 0 < offset <= flushed + len(window):
            raise ValueError("a snappy page refers to bytes before its start")
        if offset <= len(window):
            part = bytes(window[len(window) - offset :][:length])
        else:
            spool.flush()
            ahead = flushed + len(window) - offset
            part = read_at(spool, ahead, min(length, flushed - ahead))
            part += bytes(window[: min(length, offset) - len(part)])
        return (part * (length // len(part) + 1))[:length]

    for literal, first, second in _elements(source):
        window += literal if literal is not None else look_back(first, second)
        if len(window) > _PIECE:
            done = len(window) - _WINDOW
            spool.write(window[:done])
            flushed += done
            del window[:done]
            if flushed > size:
                break
    spool.write(window)


def _elements(source: io.BufferedReader) -> Iterator[tuple[bytes | None, int, int]]:
    """Literals, and copies as offset back and length."""
    read = source.read
    while tag := read(1):
        value = tag[0]
        kind = value & 3
        if kind == 0:
            length = value >> 2
            if length >= 60:
                length = _number(read, length - 59)
            for start in range(0, length + 1, _PIECE):
                literal = read(min(_PIECE, length + 1 - start))
                if not literal:
                    raise ValueError("a snappy page ends in the middle")
                yield literal, 0, 0
        elif kind == 1:
            yield None, (value >> 5) << 8 | _number(read, 1), 4 + (value >> 2 & 7)
        else:
            yield None, _number(read, 2 if kind == 2 else 4), 1 + (value >> 2)


def _number(read: Callable[[int], bytes], count: int) -> int:
    data = read(count)
    if len(data) != count:
        raise ValueError("a snappy page ends in the middle")
    return int.from_bytes(data, "little")


def _varint(source: io.BufferedReader) -> int:
    value = shift = 0
    while True:
        byte = _number(source.read, 1)
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value
        if shift > 35:
            raise ValueError("not a snappy page")
