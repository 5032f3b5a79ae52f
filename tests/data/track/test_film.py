"""Tables of tracks: chunks woven with others, 64-bit offsets, sound beside, and damaged counts."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from made_tracks import camm6, free_gps, gpmf5, mp4, novatek
from workzone.data.track.boxes import Box, file_boxes
from workzone.data.track.film import LARGEST_SAMPLE, Film
from workzone.data.track.reading import read_track
from workzone.errors import TrackError

MEBIBYTE = 2**20


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("chunks", [1, 2, 4, 7])
def test_samples_in_chunks_between_those_of_other_tracks(
    tmp_path: Path, chunks: int, wide: bool
) -> None:
    samples = [bytes([number]) * (number + 3) for number in range(7)]
    film = mp4(tmp_path / "a.mp4", samples, chunks=chunks, sound=48_000, wide=wide)
    with film.open("rb") as handle:
        found = Film(film, handle).samples(b"gpmd")
        assert found is not None
        assert [(s.seconds, s.duration, s.data) for s in found] == [
            (float(number), 1.0, sample) for number, sample in enumerate(samples)
        ]


def test_formats_that_a_film_does_not_hold(tmp_path: Path) -> None:
    film = mp4(tmp_path / "a.mp4", [b"1"])
    with film.open("rb") as handle:
        assert Film(film, handle).samples(b"camm") is None


def peak_of(film: Path) -> tuple[int, str]:
    """The most bytes that reading a film takes, and what is said."""
    tracemalloc.start()
    try:
        try:
            said = str(read_track(film).log)
        except TrackError as error:
            said = str(error)
        return tracemalloc.get_traced_memory()[1], said
    finally:
        tracemalloc.stop()


def test_sound_is_not_spread_out(tmp_path: Path) -> None:
    film = mp4(tmp_path / "a.mp4", [gpmf5(0), gpmf5(1)], sound=2 * MEBIBYTE)
    peak, said = peak_of(film)
    assert said == "GoPro GPMF: 36 fixes"
    assert peak < 4 * MEBIBYTE


def changed(film: Path, kind: bytes, place: int, *numbers: int) -> None:
    """Write 32-bit numbers into the last table of a kind, from a place after its version on."""
    data = bytearray(film.read_bytes())
    struct.pack_into(f">{len(numbers)}I", data, data.rindex(kind) + 8 + 4 * place, *numbers)
    film.write_bytes(data)


HUGE = 2**32 - 1


@pytest.mark.parametrize(
    ("kind", "numbers", "said"),
    [
        (b"stsz", (1, HUGE), "damaged index"),
        (b"stsz", (0, HUGE), "damaged index"),
        (b"stts", (1, HUGE), "damaged index"),
        (b"stts", (HUGE,), "damaged index"),
        (b"stco", (HUGE,), "damaged index"),
        (b"stsc", (2, 1, 2, 1, HUGE, 1), "54 fixes"),  # the last run is of none
        (b"stsc", (2, 1, HUGE), "36 fixes, 1 damaged dropped"),  # all are in the first
        (b"stsc", (2, HUGE), "damaged index"),
        (b"stsc", (0,), "damaged index"),
        (b"stsc", (2, 1, 0), "damaged index"),
    ],
)
def test_damaged_counts_take_no_memory(
    tmp_path: Path, kind: bytes, numbers: tuple[int, ...], said: str
) -> None:
    film = mp4(tmp_path / "a.mp4", [gpmf5(0), gpmf5(1), gpmf5(2)], chunks=2)
    changed(film, kind, 0, *numbers)
    peak, found = peak_of(film)
    assert said in found
    assert peak < 4 * MEBIBYTE


def test_samples_that_overlap_are_damage(tmp_path: Path) -> None:
    """A table of 9 samples of 1 MB each in a file of 2 MB."""
    film = mp4(tmp_path / "a.mp4", [*[bytes(1)] * 9, bytes(2 * MEBIBYTE)], chunks=10)
    changed(film, b"stsz", 2, *[MEBIBYTE] * 9)
    with pytest.raises(TrackError, match=r"a\.mp4 has a damaged index \(samples of"):
        read_track(film)


def test_the_size_of_a_sample_is_bounded(tmp_path: Path) -> None:
    film = mp4(tmp_path / "a.mp4", [bytes(LARGEST_SAMPLE + 9), b"second"])
    with film.open("rb") as handle:
        found = Film(film, handle).samples(b"gpmd")
        assert found is not None
        assert [len(sample.data) for sample in found] == [LARGEST_SAMPLE, 6]


def test_the_index_is_read_once_by_all_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def counted(handle: BinaryIO, path: Path) -> list[Box]:
        read.append(path)
        return file_boxes(handle, path)

    monkeypatch.setattr("workzone.data.track.film.file_boxes", counted)
    film = novatek(tmp_path / "a.mp4", [free_gps(0), free_gps(1)])
    assert len(read_track(film)) == 2
    assert read == [film]


def test_a_damaged_sound_track_costs_no_positions(tmp_path: Path) -> None:
    film = mp4(tmp_path / "a.mp4", [camm6(s) for s in range(4)], b"camm", b"camm", sound=100)
    data = film.read_bytes()
    sizes = struct.pack(">II", 2, 100)
    assert data.count(sizes) == 1
    film.write_bytes(data.replace(sizes, struct.pack(">II", 2, HUGE)))
    assert str(read_track(film).log) == "CAMM: 4 fixes"


def test_the_first_frame_is_of_the_first_film_with_frames(tmp_path: Path) -> None:
    film = mp4(tmp_path / "a.mp4", [gpmf5(0)], video={"shift": 80}, sound=10)
    with film.open("rb") as handle:
        assert Film(film, handle).first_frame == pytest.approx(0.08)
    assert read_track(film).offset[0] == np.float64(-0.08)
