"""Frames and their seconds: cut clips, containers, codecs, damage; pictures upright and true."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from made_videos import SIDE, Pixels, cut, grey_of, make_video, second_of, telling
from workzone.data.video.decode import open_video
from workzone.data.video.pictures import sharpness, to_rgb, turned
from workzone.errors import VideoError


def seconds_told(path: Path, **settings: bool) -> list[tuple[float, int]]:
    """Each frame's second, and the one that its picture tells."""
    with open_video(path, **settings) as video:
        return [(one.seconds, second_of(to_rgb(one.frame))) for one in video.frames()]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds, five frames in each, B-frames, a key frame a second."""
    return make_video(tmp_path_factory.mktemp("drive") / "drive.mp4", options={"bf": "2"})


def test_every_frame_comes_once_with_its_second(drive: Path) -> None:
    told = seconds_told(drive)
    assert len(told) == 40
    assert [second for second, _ in told] == pytest.approx([n / 5 for n in range(40)], abs=1e-3)
    assert [shown for _, shown in told] == [n // 5 for n in range(40)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov"])
def test_clips_cut_without_decoding_land_on_the_right_second(
    drive: Path, tmp_path: Path, suffix: str
) -> None:
    told = seconds_told(cut(drive, tmp_path / f"clip{suffix}", 3.0))
    assert told[0][0] == 0
    assert len(told) == 25
    for second, shown in told:
        assert shown == int(second + 3 + 1e-3), (second, shown)


def test_an_edit_list_hides_what_lies_before_the_cut(drive: Path, tmp_path: Path) -> None:
    """``-ss`` between key frames keeps the earlier ones, and an edit list that hides them."""
    clip = cut(drive, tmp_path / "clip.mp4", 3.0)
    data = bytearray(clip.read_bytes())
    at = data.index(b"elst") + 8
    assert int.from_bytes(data[at : at + 4], "big") >= 1
    with av.open(str(clip)) as opened:
        scale = opened.streams.video[0].time_base.denominator
    entries = int.from_bytes(data[at : at + 4], "big")
    last = at + 4 + 12 * (entries - 1)
    begun = int.from_bytes(data[last + 4 : last + 8], "big")
    data[last + 4 : last + 8] = (begun + 2 * scale).to_bytes(4, "big")
    clip.write_bytes(data)
    told = seconds_told(clip)
    assert told[0] == (0, 5)
    assert all(shown == int(second + 5 + 1e-3) for second, shown in told)


def test_key_frames_alone(drive: Path) -> None:
    told = seconds_told(drive, keyframes=True)
    assert [second for second, _ in told] == pytest.approx(range(8), abs=1e-3)
    assert [shown for _, shown in told] == list(range(8))


def test_variable_rates_keep_their_seconds(tmp_path: Path) -> None:
    seconds = [0, 0.1, 0.2, 1.7, 1.75, 4.0, 6.5, 6.6]
    told = seconds_told(make_video(tmp_path / "a.mkv", seconds))
    assert [second for second, _ in told] == pytest.approx(seconds, abs=1e-3)
    assert [shown for _, shown in told] == [int(second) for second in seconds]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libx265", "yuv420p", ".mp4"),
        ("libx265", "yuv420p10le", ".mp4"),
        ("libx264", "yuv420p10le", ".mkv"),
        ("mjpeg", "yuvj420p", ".avi"),
        ("mjpeg", "yuvj422p", ".mov"),
        ("mpeg4", "yuv420p", ".avi"),
        ("libx264", "yuv420p", ".ts"),
    ],
)
def test_codecs_and_depths(tmp_path: Path, codec: str, pix_fmt: str, suffix: str) -> None:
    seconds = [n / 5 for n in range(15)]
    made = make_video(tmp_path / f"a{suffix}", seconds, codec=codec, pix_fmt=pix_fmt)
    with open_video(made) as video:
        pictures = [(one.seconds, to_rgb(one.frame)) for one in video.frames()]
    assert [second for second, _ in pictures] == pytest.approx(seconds, abs=0.011)
    for second, pixels in zip(seconds, (pixels for _, pixels in pictures), strict=True):
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - grey_of(second)).max() <= 4


@pytest.mark.parametrize(
    ("space", "red", "blue", "lines"),
    [
        (1, 0.2126, 0.0722, 64),
        (6, 0.299, 0.114, 64),
        (2, 0.299, 0.114, 64),
        (2, 0.2126, 0.0722, 720),
    ],
)
def test_colours_are_those_that_a_video_names(
    tmp_path: Path, space: int, red: float, blue: float, lines: int
) -> None:
    """A red stored by the matrix of BT.709 or BT.601 (their weights of red and blue)."""
    r, g, b = 200 / 255, 40 / 255, 40 / 255
    grey = red * r + (1 - red - blue) * g + blue * b
    stored = (
        16 + 219 * grey,
        128 + 112 * (b - grey) / (1 - blue),
        128 + 112 * (r - grey) / (1 - red),
    )
    frame = av.VideoFrame(SIDE, lines, "yuv420p")
    for plane, value in zip(frame.planes, stored, strict=True):
        plane.update(bytes([round(value)]) * plane.buffer_size)
    frame.pts, frame.time_base = 0, Fraction(1, 5)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = SIDE, lines, "yuv420p"
        stream.codec_context.colorspace = frame.colorspace = space
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_video(tmp_path / "a.mp4") as video:
        pixels = to_rgb(next(video.frames()).frame)
    assert np.abs(pixels.astype(int) - (200, 40, 40)).max() <= 4


def corners(_: float = 0) -> Pixels:
    """96 x 64: red at the left top, green at the right top, blue at the left bottom."""
    pixels = np.full((SIDE, 96, 3), 128, dtype=np.uint8)
    pixels[:24, :24] = (200, 40, 40)
    pixels[:24, -24:] = (40, 160, 40)
    pixels[-24:, :24] = (40, 40, 200)
    return pixels


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_phone_s_upright_video_is_upright(tmp_path: Path, rotation: int, suffix: str) -> None:
    """A phone held upright stores pictures on their side, with an angle to turn them by.

    The pictures are stored turned the other way, so that the angle makes them upright again.
    """
    stored = np.ascontiguousarray(np.rot90(corners(), -rotation // 90))
    made = make_video(tmp_path / f"a{suffix}", [0, 0.2], lambda _: stored, rotation=rotation)
    with open_video(made) as video:
        pixels = to_rgb(next(video.frames()).frame)
    assert pixels.shape == (SIDE, 96, 3)
    assert np.abs(pixels[4:20, 4:20].astype(int) - (200, 40, 40)).mean() < 12
    assert np.abs(pixels[4:20, -20:-4].astype(int) - (40, 160, 40)).mean() < 12
    assert np.abs(pixels[-20:-4, 4:20].astype(int) - (40, 40, 200)).mean() < 12


@pytest.mark.parametrize(
    "matrix",
    [
        *((1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)),
        *((0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0), (0, -1, -1, 0)),
    ],
)
def test_matrices_move_points_as_the_standard_says(matrix: tuple[int, int, int, int]) -> None:
    a, b, c, d = matrix
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)
    moved = {}
    for y in range(2):
        for x in range(3):
            moved[a * x + c * y, b * x + d * y] = pixels[y, x, 0]
    left, top = (min(point[axis] for point in moved) for axis in (0, 1))
    found = turned(pixels, matrix)
    for (x, y), value in moved.items():
        assert found[y - top, x - left, 0] == value


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    made = make_video(tmp_path / "a.mp4", [0, 0.2], aspect=Fraction(4, 3))
    with open_video(made) as video:
        assert video.aspect == pytest.approx(4 / 3)
        assert to_rgb(next(video.frames()).frame, video.aspect).shape == (SIDE, 85, 3)


def test_interlaced_pictures_show_one_moment(tmp_path: Path) -> None:
    """Odd lines are of a later moment: dark, where even ones are light."""

    def woven(_: float) -> Pixels:
        pixels = np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
        pixels[1::2] = 60
        return pixels

    options = {"x264-params": "interlaced=1:tff=1", "crf": "5", "flags": "+ildct+ilme"}
    made = make_video(tmp_path / "a.mp4", [0, 0.2], woven, options=options)
    with open_video(made) as video:
        frame = next(video.frames()).frame
        assert frame.interlaced_frame
        pixels = to_rgb(frame)
    assert pixels.shape == (SIDE, SIDE, 3)
    assert np.abs(pixels.astype(int) - 200).max() <= 12


def test_sharpness_tells_a_blurred_picture() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    blurred = np.repeat(np.repeat(sharp[::8, ::8], 8, axis=0), 8, axis=1)
    values = [
        sharpness(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"))
        for pixels in (sharp, blurred, telling(1))
    ]
    assert values[0] > 2 * values[1] > values[2] == 0


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_tail_that_broke_off_costs_only_itself(drive: Path, tmp_path: Path, suffix: str) -> None:
    noisy = np.random.default_rng(0).integers(0, 30, (SIDE, SIDE, 3), dtype=np.uint8)
    made = make_video(tmp_path / f"a{suffix}", picture=lambda second: telling(second) + noisy)
    data = made.read_bytes()
    made.write_bytes(data[: len(data) * 3 // 4])
    with open_video(made) as video:
        found = [one.seconds for one in video.frames()]
    assert 20 <= len(found) < 40
    assert found == pytest.approx([n / 5 for n in range(len(found))], abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_damaged_beginning_moves_no_frame(drive: Path, tmp_path: Path, suffix: str) -> None:
    """The first second's key frame is gone, so no frame is seen before the next one."""
    made = tmp_path / f"a{suffix}"
    with av.open(str(drive)) as read, av.open(str(made), "w") as write:
        film = read.streams.video[0]
        out = write.add_stream_from_template(film)
        for number, packet in enumerate(read.demux(film)):
            if packet.dts is None:
                continue
            if number == 0:
                packet.update(bytes(packet.size))
            packet.stream = out
            write.mux(packet)
    told = seconds_told(made)
    assert 30 <= len(told) < 40
    assert all(shown == int(second + 1e-3) for second, shown in told[-30:])


def test_damage_in_the_middle_is_counted_and_passed(tmp_path: Path) -> None:
    noisy = np.random.default_rng(0).integers(0, 30, (SIDE, SIDE, 3), dtype=np.uint8)
    made = make_video(
        tmp_path / "a.mp4",
        picture=lambda second: telling(second) + noisy,
        codec="mjpeg",
        pix_fmt="yuvj420p",
    )
    data = bytearray(made.read_bytes())
    middle = data.index(b"mdat") + len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    made.write_bytes(data)
    with open_video(made) as video:
        told = [(one.seconds, second_of(to_rgb(one.frame) - noisy)) for one in video.frames()]
        assert video.damaged > 0
    assert 30 <= len(told) < 40
    assert told[-1] == (pytest.approx(7.8, abs=1e-3), 7)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"a\.mp4 cannot be opened as a video"),
        (b"words, not a film", r"a\.mp4 cannot be opened as a video: .*copy it again"),
    ],
)
def test_what_is_no_video(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=said), open_video(tmp_path / "a.mp4"):
        pass


def test_a_recording_that_lost_its_index(drive: Path, tmp_path: Path) -> None:
    data = drive.read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(VideoError, match="broken off"), open_video(tmp_path / "a.mp4"):
        pass


def test_the_last_frames_of_a_file_that_broke_off_have_their_seconds(tmp_path: Path) -> None:
    """The decoder holds some back, which come when nothing more can be read."""
    rng = np.random.default_rng(0)
    noise = {n: rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8) for n in range(8)}
    made = make_video(
        tmp_path / "a.ts", [n / 2 for n in range(16)], lambda second: noise[int(second)]
    )
    data = made.read_bytes()
    broke_off = []
    for eighths in range(3, 8):
        made.write_bytes(data[: len(data) * eighths // 8] + bytes(1000))
        with open_video(made) as video:
            seconds = [one.seconds for one in video.frames()]
            broke_off.append(video.ends_early)
        assert 4 <= len(seconds) <= 16
        assert seconds == pytest.approx([n / 2 for n in range(len(seconds))])
    assert any(broke_off)
