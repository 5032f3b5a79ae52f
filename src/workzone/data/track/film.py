"""An MP4 or MOV file whose index is read once, and the samples of its tracks on one time line.

ISO/IEC 14496-12. Only tables of tracks that are asked for are spread over their samples, and only
samples asked for are read: sound may have 48,000 of them a second. No codec is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from workzone.data.track.boxes import Box, children, file_boxes
from workzone.data.track.fixes import Clock, Log
from workzone.data.track.sample_tables import (
    Tables,
    sample_count,
    sample_offsets,
    sample_sizes,
    sample_times,
)
from workzone.errors import TrackError

LARGEST_SAMPLE = 16 * 2**20
"""Bytes of a sample that are read; a second of telemetry has some thousand."""

_LARGEST = 512 * 2**20  # bytes of the tables of a film of days
_EPOCH_1904 = -2_082_844_800
_DAMAGE = (struct.error, ValueError, KeyError)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a track.

    ``seconds``: since the film's first frame; ``duration``: in seconds; ``data``: short where the
    file is cut off, and never above `LARGEST_SAMPLE`.
    """

    seconds: float
    duration: float
    data: bytes


@dataclass(frozen=True, slots=True)
class _Track:
    handler: bytes  # vide, soun, meta, camm
    form: bytes  # of its first sample description
    scale: int  # of its times, a second
    begins: float  # seconds of the movie at which its edit list shows it first
    cut: int  # by which its own times are earlier, in its scale
    tables: Tables


@dataclass
class Film:
    """An open file; what its index tells is read when it is asked for, once.

    Its attributes and methods raise TrackError where the file broke off before the index was
    written, or what is asked for is damaged.
    """

    path: Path
    handle: BinaryIO

    @cached_property
    def boxes(self) -> list[Box]:
        """The boxes of the file itself."""
        return file_boxes(self.handle, self.path)

    @cached_property
    def index(self) -> tuple[tuple[bytes, memoryview], ...]:
        """Type and content of the boxes in ``moov``."""
        box = next((box for box in self.boxes if box.kind == b"moov"), None)
        if box is None or not box.whole:
            raise TrackError(
                f"{self.path} has no whole index (moov): the recording or the copy broke off; "
                "copy it again, or repair it, for example with untrunc"
            )
        if box.end - box.start > _LARGEST:
            raise TrackError(f"{self.path} has an index of {box.end - box.start:,} bytes: damaged")
        self.handle.seek(box.start)
        return tuple(children(self.handle.read(box.end - box.start)))

    @property
    def created(self) -> float | None:
        """Seconds since 1970 of its creation, by a clock that is often wrong."""
        return self._header[1]

    @cached_property
    def first_frame(self) -> float:
        """The movie's time at which its first video track shows its first frame."""
        with self._damage():
            for track in self._tracks:
                if track.handler == b"vide" and sample_count(track.tables):
                    times = sample_times(track.tables)[0]
                    seconds = (times - track.cut) / track.scale + track.begins
                    shown = seconds[seconds >= track.begins - 1e-6]
                    return float(shown.min()) if len(shown) else track.begins
        return 0.0

    def samples(self, form: bytes) -> Iterator[Sample] | None:
        """Those of the first track of a format, such as ``gpmd``; None where there is none."""
        track = next((track for track in self._tracks if track.form == form), None)
        return None if track is None else self._samples(track)

    def _samples(self, track: _Track) -> Iterator[Sample]:
        limit = self.handle.seek(0, 2)
        with self._damage():
            sizes = sample_sizes(track.tables)
            times, steps = sample_times(track.tables)
            offsets = sample_offsets(track.tables, sizes, limit)
            sizes = np.minimum(sizes, limit - offsets)  # what is cut off is not there
            if int(sizes.sum()) > limit:
                raise ValueError(f"samples of {int(sizes.sum()):,} bytes in {limit:,}")
        seconds = (times - track.cut) / track.scale + track.begins - self.first_frame
        columns = seconds, steps / track.scale, offsets, np.minimum(sizes, LARGEST_SAMPLE)
        for second, duration, offset, size in zip(*(c.tolist() for c in columns), strict=True):
            self.handle.seek(offset)
            yield Sample(second, duration, self.handle.read(size))

    @cached_property
    def _header(self) -> tuple[int, float | None]:
        """The movie's time scale, and its creation."""
        with self._damage():
            data = dict(self.index).get(b"mvhd", memoryview(b""))
            long = _is_long(data)
            created = struct.unpack_from(">Q" if long else ">I", data, 4)[0]
            scale = struct.unpack_from(">I", data, 20 if long else 12)[0]
            if scale == 0:
                raise ValueError("a time scale of 0")
        return scale, float(created + _EPOCH_1904) if created else None

    @cached_property
    def _tracks(self) -> tuple[_Track, ...]:
        with self._damage():
            return tuple(
                _track(data, self._header[0]) for kind, data in self.index if kind == b"trak"
            )

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise TrackError(f"{self.path} has a damaged index ({error}); copy it again") from error


class FilmReader(Protocol):
    """Reads the positions that one maker, or one format, keeps within films."""

    def __call__(self, film: Film, clock: Clock) -> Log | None:
        """The positions in a film; None where it has none of this reader's kind.

        Args:
            film: an open one.
            clock: for times without a zone.

        Raises:
            TrackError: it is of this kind, and cannot be read.
        """
        ...


def _track(data: memoryview, movie_scale: int) -> _Track:
    parts = dict(children(data))
    media = dict(children(parts[b"mdia"]))
    header = media[b"mdhd"]
    scale = struct.unpack_from(">I", header, 20 if _is_long(header) else 12)[0]
    if scale == 0:
        raise ValueError("a time scale of 0")
    tables = dict(children(dict(children(media[b"minf"]))[b"stbl"]))
    edits = dict(children(parts.get(b"edts", b""))).get(b"elst", memoryview(b""))
    wait, cut = _edit(edits)
    return _Track(
        bytes(media[b"hdlr"][8:12]),
        bytes(tables[b"stsd"][12:16]),
        scale,
        wait / movie_scale,
        cut,
        tables,
    )


def _is_long(data: memoryview) -> bool:
    """Whether a box is of version 1, whose times have 64 bits."""
    return bytes(data[:1]) == b"\x01"


def _edit(data: memoryview) -> tuple[int, int]:
    """How long nothing is shown, in the movie's scale, and where in the track it begins then."""
    if not data:
        return 0, 0
    form = ">Qqi" if _is_long(data) else ">Iii"
    wait = 0
    for number in range(struct.unpack_from(">I", data, 4)[0]):
        duration, first, _ = struct.unpack_from(form, data, 8 + number * struct.calcsize(form))
        if first >= 0:
            return wait, first
        wait += duration
    return wait, 0
