"""BlackVue: NMEA in a box ``gps`` within a box ``free`` of the video.

Each line begins with milliseconds of the camera's own clock in brackets. That clock is not trusted
for the time, which the sentences have, but tells when a line came: the first one with the video.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from workzone.data.track.boxes import children
from workzone.data.track.film import Film
from workzone.data.track.fixes import Clock, Log
from workzone.data.track.nmea import read_sentences

NAME = "BlackVue"
_LINE = re.compile(rb"\[(\d{10,16})\]\s*(\$[^\r\n\[]*)")
_LARGEST = 64 * 2**20  # bytes; an hour has about one MB


def read(film: Film, clock: Clock) -> Log | None:
    """The sentences of the first such box; see `workzone.data.track.film.FilmReader`."""
    for box in film.boxes:
        if box.kind != b"free" or not 16 <= box.end - box.start <= _LARGEST:
            continue
        film.handle.seek(box.start)
        content = dict(children(film.handle.read(box.end - box.start)))
        if b"gps " in content:
            return read_sentences(NAME, _lines(content[b"gps "]))
    return None


def _lines(text: memoryview) -> Iterator[tuple[float, bytes]]:
    start = None
    for found in _LINE.finditer(text):
        clock = int(found[1]) / 1000
        start = clock if start is None else start
        yield clock - start, found[2]
