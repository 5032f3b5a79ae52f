"""Pictures as a film: what is read back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from workzone.data.video.decode import open_video
from workzone.data.video.pictures import to_rgb
from workzone.errors import MissingExtraError, UsageError, WorkzoneError
from workzone.run import encode
from workzone.run.encode import write_mp4

COLOURS = [(200, 40, 40), (40, 160, 40), (40, 40, 200), (120, 120, 120), (230, 159, 0)]


def pictures() -> Iterator[Image.Image]:
    for colour in COLOURS:
        yield Image.new("RGB", (96, 64), colour)


@pytest.mark.parametrize(("rate", "seconds"), [(4.0, 1.25), (0.5, 10.0), (29.97, 5 / 29.97)])
def test_a_film_has_its_pictures_size_and_length(
    tmp_path: Path, rate: float, seconds: float
) -> None:
    write_mp4(pictures(), tmp_path / "a.mp4", (96, 64), rate)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.frames) == ("h264", 5)
        assert (stream.width, stream.height) == (96, 64)
        assert float(stream.duration * stream.time_base) == pytest.approx(seconds, rel=0.01)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("encoders", [("libx264", "mpeg4"), ("mpeg4",), ("no-such", "mpeg4")])
def test_colours_are_read_back_by_either_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoders: tuple[str, ...]
) -> None:
    settings = {name: encode._ENCODERS.get(name, {}) for name in encoders}
    monkeypatch.setattr(encode, "_ENCODERS", settings)
    write_mp4(pictures(), tmp_path / "a.mp4", (96, 64), 4)
    with open_video(tmp_path / "a.mp4") as video:
        assert video.stream.codec_context.name == ("h264" if encoders[0] == "libx264" else "mpeg4")
        seen = [(one.seconds, to_rgb(one.frame)) for one in video.frames()]
    assert [second for second, _ in seen] == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    for (_, pixels), colour in zip(seen, COLOURS, strict=True):
        assert np.abs(pixels.mean(axis=(0, 1)) - colour).max() <= 6


def test_a_film_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[Image.Image]:
        yield from pictures()
        raise WorkzoneError("stopped")

    (tmp_path / "a.mp4").write_bytes(b"before")
    with pytest.raises(WorkzoneError, match="stopped"):
        write_mp4(failing(), tmp_path / "a.mp4", (96, 64), 4)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    killed, living = (tmp_path / f".[a].mp4.{n}.part" for n in (2**22 + 1, os.getppid()))
    for left in (killed, living):
        left.write_bytes(b"half a film")
    write_mp4(pictures(), tmp_path / "[a].mp4", (96, 64), 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, "[a].mp4"])


@pytest.mark.parametrize("rate", [0.0, -1.0, 61.0, float("nan")])
def test_rates_without_sense(tmp_path: Path, rate: float) -> None:
    with pytest.raises(UsageError, match="pictures a second: give a number above 0, up to 60"):
        write_mp4(pictures(), tmp_path / "a.mp4", (96, 64), rate)


def test_odd_sides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pictures of 95 x 64 pixels: a film has even sides"):
        write_mp4(pictures(), tmp_path / "a.mp4", (95, 64), 4)


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"writing .*a\.mp4 needs .*'workzone\[video\]'"):
        write_mp4(pictures(), tmp_path / "a.mp4", (96, 64), 4)
