"""Boxes of MP4 and MOV files, and the samples of their tracks on one time line.

ISO/IEC 14496-12. Only tables are read, and the few samples asked for; no codec is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from workzone.errors import TrackError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
_LARGEST = 512 * 2**20  # bytes of the tables of a film of days
_EPOCH_1904 = -2_082_844_800


@dataclass(frozen=True, slots=True)
class Box:
    """A box of the file itself: its type, and where its content is."""

    kind: bytes
    start: int
    end: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Mp4Track:
    """One track: ``times`` are seconds on the movie's time line, edit lists applied.

    ``times``, ``durations``, ``offsets``, ``sizes``: ``[n]``, of its samples in stored order.
    """

    handler: bytes  # vide, soun, meta, camm
    format: bytes  # of its first sample description
    times: Floats
    durations: Floats
    offsets: Ints
    sizes: Ints
    start: float  # the first moment that its edit list shows


@dataclass(frozen=True, slots=True)
class Movie:
    """What ``moov`` says: tracks, its other boxes by type, and its creation time."""

    tracks: tuple[Mp4Track, ...]
    boxes: tuple[tuple[bytes, bytes], ...]
    created: float | None  # seconds since 1970 by a clock that is often wrong

    @property
    def first_frame(self) -> float:
        """The movie's time at which its first video track shows its first frame."""
        for track in self.tracks:
            if track.handler == b"vide" and len(track.times):
                shown = track.times[track.times >= track.start - 1e-6]
                return float(shown.min()) if len(shown) else track.start
        return 0.0


def is_mp4(head: bytes) -> bool:
    """Whether a file's first bytes are those of MP4 or MOV."""
    return head[4:8] in _FIRST


def file_boxes(handle: BinaryIO, path: Path) -> list[Box]:
    """The boxes of the file itself; the last one may be cut off.

    Raises:
        TrackError: what should be a box is none, before the index.
    """
    size = handle.seek(0, 2)
    found: list[Box] = []
    at = 0
    while at + 8 <= size:
        handle.seek(at)
        head = handle.read(16)
        length, kind = struct.unpack_from(">I4s", head)
        start = at + 8
        if length == 1 and len(head) == 16:
            length, start = struct.unpack_from(">Q", head, 8)[0], at + 16
        end = size if length == 0 else at + length
        if end < start and any(box.kind == b"moov" for box in found):
            break  # what follows the film is none of it
        if end < start:
            raise TrackError(
                f"{path} is damaged at byte {at:,}: no MP4 box has {length} bytes; copy it again"
            )
        found.append(Box(kind, start, min(end, size), end <= size))
        at = end
    return found


def children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of the boxes in a box; what is no whole box ends them."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1 and at + 16 <= len(data):
            length, start = struct.unpack_from(">Q", data, at + 8)[0], at + 16
        end = len(data) if length == 0 else at + length
        if end < start or end > len(data):
            return
        yield kind, data[start:end]
        at = end


def read_movie(handle: BinaryIO, path: Path) -> Movie:
    """The tables of an MP4 or MOV file.

    Raises:
        TrackError: it broke off before they were written, or they contradict each other.
    """
    index = next((box for box in file_boxes(handle, path) if box.kind == b"moov"), None)
    if index is None or not index.whole:
        raise TrackError(
            f"{path} has no whole index (moov): the recording or the copy broke off; copy it "
            "again, or repair it, for example with untrunc"
        )
    if index.end - index.start > _LARGEST:
        raise TrackError(f"{path} has an index of {index.end - index.start:,} bytes: damaged")
    handle.seek(index.start)
    boxes = tuple(children(handle.read(index.end - index.start)))
    try:
        scale, created = _movie_header(dict(boxes).get(b"mvhd", b""))
        limit = handle.seek(0, 2)
        tracks = tuple(_track(data, scale, limit) for kind, data in boxes if kind == b"trak")
    except (struct.error, ValueError, KeyError, ZeroDivisionError) as error:
        raise TrackError(f"{path} has a damaged index ({error}); copy it again") from error
    return Movie(tracks, boxes, created)


def read_samples(handle: BinaryIO, track: Mp4Track) -> Iterator[tuple[float, float, bytes]]:
    """Time and duration in seconds, and content, of a track's samples; cut off ones are short."""
    for time, duration, offset, size in zip(
        track.times.tolist(),
        track.durations.tolist(),
        track.offsets.tolist(),
        track.sizes.tolist(),
        strict=True,
    ):
        handle.seek(offset)
        yield time, duration, handle.read(size)


def _movie_header(data: bytes) -> tuple[int, float | None]:
    long = data[:1] == b"\x01"
    created = struct.unpack_from(">Q" if long else ">I", data, 4)[0]
    scale = struct.unpack_from(">I", data, 20 if long else 12)[0]
    if scale == 0:
        raise ValueError("a time scale of 0")
    return scale, float(created + _EPOCH_1904) if created else None


def _track(data: bytes, movie_scale: int, limit: int) -> Mp4Track:
    parts = dict(children(data))
    media = dict(children(parts[b"mdia"]))
    header = media[b"mdhd"]
    scale = struct.unpack_from(">I", header, 20 if header[:1] == b"\x01" else 12)[0]
    handler = media[b"hdlr"][8:12]
    table = dict(children(dict(children(media[b"minf"]))[b"stbl"]))
    sizes = _sizes(table.get(b"stsz", b""), limit)
    steps = _repeated(table.get(b"stts", b""), "I", len(sizes))
    shift = _repeated(table[b"ctts"], "i", len(sizes)) if b"ctts" in table else 0 * steps
    decoded = np.concatenate([[0], np.cumsum(steps)[:-1]]) if len(steps) else steps
    edits = dict(children(parts.get(b"edts", b""))).get(b"elst", b"")
    wait, first = _edit(edits)
    start = wait / movie_scale
    offsets = np.clip(_offsets(table, sizes), 0, limit)
    return Mp4Track(
        handler,
        table[b"stsd"][12:16],
        (decoded + shift - first) / scale + start,
        steps / scale,
        offsets,
        np.minimum(sizes, limit - offsets),  # what is cut off is not there
        start,
    )


def _edit(data: bytes) -> tuple[int, int]:
    """How long nothing is shown, in the movie's scale, and where in the track it begins then."""
    if not data:
        return 0, 0
    form = ">Qqi" if data[:1] == b"\x01" else ">Iii"
    wait = 0
    for number in range(struct.unpack_from(">I", data, 4)[0]):
        duration, first, _ = struct.unpack_from(form, data, 8 + number * struct.calcsize(form))
        if first >= 0:
            return wait, first
        wait += duration
    return wait, 0


def _sizes(data: bytes, limit: int) -> Ints:
    if not data:
        return np.zeros(0, dtype=np.int64)
    same, count = struct.unpack_from(">II", data, 4)
    if count > limit:
        raise ValueError(f"{count:,} samples in {limit:,} bytes")
    if same:
        return np.full(count, same, dtype=np.int64)
    if 12 + 4 * count > len(data):
        raise ValueError("a table of sizes that is cut off")
    return np.frombuffer(data, ">u4", count, 12).astype(np.int64)


def _repeated(data: bytes, form: str, wanted: int) -> Ints:
    """A table of counts and values, spread over ``wanted`` samples."""
    if not wanted:
        return np.zeros(0, dtype=np.int64)
    count = struct.unpack_from(">I", data, 4)[0]
    if 8 + 8 * count > len(data):
        raise ValueError("a table of times that is cut off")
    pairs = np.frombuffer(data, [("n", ">u4"), ("v", f">{'u' if form == 'I' else 'i'}4")], count, 8)
    if int(pairs["n"].astype(np.int64).sum()) != wanted:
        raise ValueError(f"times of {int(pairs['n'].sum()):,} samples where {wanted:,} are")
    return np.repeat(pairs["v"].astype(np.int64), pairs["n"].astype(np.int64))


def _offsets(table: dict[bytes, bytes], sizes: Ints) -> Ints:
    """Where each sample begins in the file."""
    if not len(sizes):
        return sizes
    wide = b"co64" in table
    data = table[b"co64" if wide else b"stco"]
    count = struct.unpack_from(">I", data, 4)[0]
    chunks = np.frombuffer(data, ">u8" if wide else ">u4", count, 8).astype(np.int64)
    runs = (
        np.frombuffer(table[b"stsc"], ">u4", offset=8)[
            : 3 * struct.unpack_from(">I", table[b"stsc"], 4)[0]
        ]
        .reshape(-1, 3)
        .astype(np.int64)
    )
    firsts = np.append(runs[:, 0], count + 1)
    in_chunk = np.repeat(runs[:, 1], np.diff(firsts))[:count]
    if int(in_chunk.sum()) < len(sizes):
        raise ValueError("chunks for fewer samples than there are")
    chunk_of = np.repeat(np.arange(count), in_chunk)[: len(sizes)]
    ends = np.cumsum(sizes)
    begins = ends - sizes
    first_of_chunk = np.searchsorted(chunk_of, np.arange(count))
    first_of_chunk = np.minimum(first_of_chunk, len(sizes) - 1)
    offsets: Ints = chunks[chunk_of] + begins - begins[first_of_chunk[chunk_of]]
    return offsets
