"""Each reader on a file made by the test: fixes, times and places between, to 1 m and 50 ms."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from PIL import ExifTags, Image

from made_tracks import (
    GPS_START,
    NORTH_EAST,
    SOUTH_WEST,
    START,
    box,
    camm5,
    camm6,
    free_gps,
    gga,
    gpmf5,
    gpmf9,
    gpx,
    mp4,
    nmea,
    novatek,
    place,
    rmc,
)
from workzone.data.places import haversine
from workzone.data.track.reading import read_track
from workzone.data.track.track import Track
from workzone.errors import TrackError

BERLIN = ZoneInfo("Europe/Berlin")
BEGUN = START.timestamp()


def check(
    track: Track,
    *,
    fixes: int,
    origin: tuple[float, float] = NORTH_EAST,
    timed: bool = True,
    offset: float | None = 0.0,
) -> None:
    """Hold a track against the drive: its fixes, its times, and places between fixes.

    ``offset``: the drive's second at the video's first frame; None where no video is known.
    """
    assert len(track) == fixes
    if timed:
        drive = track.utc - BEGUN
    else:
        assert np.isnan(track.utc).all()
        drive = track.offset + (offset or 0)
    if offset is not None:
        assert np.abs(track.offset + offset - drive).max() < 0.05
    moments = np.linspace(track.seconds[0], track.seconds[-1], 101)
    found = track.at(moments)
    for seconds, latitude, longitude in (
        (drive, track.latitude, track.longitude),
        (moments - track.seconds[0] + drive[0], found.latitude, found.longitude),
    ):
        true = np.array([place(second, origin) for second in seconds])
        assert haversine(latitude, longitude, true[:, 0], true[:, 1]).max() < 1
    assert np.abs(track.speed[1:-1] - 10).max() < 1.1
    assert np.abs((track.heading[1:-1] + 180) % 360 - 180).max() < 12


def test_gopro_of_older_cameras(tmp_path: Path) -> None:
    samples = [gpmf5(0, fix=0), *(gpmf5(second) for second in range(1, 6))]
    track = read_track(mp4(tmp_path / "GX010001.MP4", samples))
    assert str(track.log) == "GoPro GPMF: 90 fixes, 18 without fix dropped"
    check(track, fixes=90)


def test_gopro_of_newer_cameras_south_and_west(tmp_path: Path) -> None:
    check(read_track(mp4(tmp_path / "a.mp4", [gpmf9(s) for s in range(4)])), fixes=40)
    south = mp4(tmp_path / "b.mp4", [gpmf5(s, origin=SOUTH_WEST) for s in range(4)])
    check(read_track(south), fixes=72, origin=SOUTH_WEST)
    unfixed = mp4(tmp_path / "c.mp4", [gpmf9(s, fix=0) for s in range(4)])
    with pytest.raises(TrackError, match=r"c\.mp4 has no positions.*40 without fix dropped"):
        read_track(unfixed)


def test_gopro_places_of_poor_geometry_are_dropped(tmp_path: Path) -> None:
    old = mp4(tmp_path / "a.mp4", [gpmf5(0, dop=99.99), gpmf5(1), gpmf5(2)])
    assert str(read_track(old).log) == "GoPro GPMF: 36 fixes, 18 too uncertain dropped"
    new = mp4(tmp_path / "b.mp4", [gpmf9(0, dop=99.99), gpmf9(1), gpmf9(2)])
    assert str(read_track(new).log) == "GoPro GPMF: 20 fixes, 10 too uncertain dropped"


def test_gopro_time_of_single_seconds_may_lag(tmp_path: Path) -> None:
    """As the first of a GoPro Max's: the clock of most seconds counts."""
    samples = [gpmf5(second) for second in range(5)]
    samples[0] = samples[0].replace(b"250601100000.000", b"250601095958.600")
    check(read_track(mp4(tmp_path / "a.mp4", samples)), fixes=90)


def test_gopro_time_is_that_of_gps_not_of_the_file(tmp_path: Path) -> None:
    wrong = datetime(2016, 1, 1, tzinfo=UTC)
    track = read_track(mp4(tmp_path / "a.mp4", [gpmf5(s) for s in range(3)], created=wrong))
    check(track, fixes=54)


def test_edit_lists_move_pictures_and_positions(tmp_path: Path) -> None:
    """A film that shows its second second first, in two ways of cutting, and delayed frames."""
    samples = [gpmf5(second) for second in range(5)]
    both = {"edits": [(4000, 1000)]}
    cut = mp4(tmp_path / "cut.mp4", samples, video=both, **both)
    check(read_track(cut), fixes=90, offset=1)
    only_video = mp4(tmp_path / "late.mp4", samples, video=both)
    check(read_track(only_video), fixes=90, offset=0)  # both begin at the movie's 0
    waiting = mp4(tmp_path / "wait.mp4", samples, video={"edits": [(2000, -1), (3000, 0)]})
    check(read_track(waiting), fixes=90, offset=2)
    delayed = mp4(tmp_path / "b-frames.mp4", samples, video={"shift": 80, "edits": [(5000, 80)]})
    check(read_track(delayed), fixes=90)
    plain = mp4(tmp_path / "shifted.mp4", samples, video={"shift": 80})
    check(read_track(plain), fixes=90, offset=0.08)


def test_camm_with_leap_seconds_and_without_times(tmp_path: Path) -> None:
    samples = [camm6(0, fix=0), *(camm6(second) for second in range(1, 6))]
    track = read_track(mp4(tmp_path / "a.mp4", samples, b"camm", b"camm"))
    assert str(track.log) == "CAMM: 5 fixes, 1 without fix dropped"
    check(track, fixes=5)
    plain = mp4(tmp_path / "b.mp4", [camm5(second) for second in range(6)], b"camm", b"camm")
    check(read_track(plain), fixes=6, timed=False)


def test_camm_in_unix_time_is_told_by_the_years_between(tmp_path: Path) -> None:
    samples = [camm6(second, seconds=BEGUN) for second in range(5)]
    unix = mp4(tmp_path / "unix.mp4", samples, b"camm", b"camm")
    track = read_track(unix)  # by GPS these would be in 2035
    check(track, fixes=5)
    assert track.log.notes == ["its times are Unix time, not GPS time as CAMM asks for"]
    early = datetime(2016, 5, 1, tzinfo=UTC)  # by GPS: April 2026
    samples = [camm6(second, seconds=early.timestamp()) for second in range(5)]
    dated = mp4(tmp_path / "dated.mp4", samples, b"camm", b"camm", created=early)
    assert read_track(dated).utc[0] == pytest.approx(early.timestamp(), abs=0.05)


@pytest.mark.parametrize(
    ("utc", "gps"),
    [  # IS-GPS-200: the epoch; around the leap second of 2016-12-31; today's 18 s
        (datetime(1980, 1, 6, tzinfo=UTC), 0),
        (datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC), 1_167_264_016),
        (datetime(2017, 1, 1, tzinfo=UTC), 1_167_264_018),
        (START, GPS_START),
    ],
)
def test_gps_seconds(utc: datetime, gps: float) -> None:
    from workzone.data.track.camm import from_gps

    assert from_gps(gps) == utc.timestamp()


def test_blackvue(tmp_path: Path) -> None:
    """The camera's own clock, in brackets, is hours off; void and damaged lines are counted."""
    clock = 1_600_000_000_000
    lines = [f"[{clock}]{rmc(0, valid='V')}"]
    for second in range(1, 6):
        lines.append(f"[{clock + 1000 * second}]{rmc(second, origin=SOUTH_WEST)}")
        lines.append(f"[{clock + 1000 * second}]$GPVTG,,T,,M,0.078,N,0.144,K,D*28[{clock}]")
    lines.append(f"[{clock + 6000}]{rmc(6)[:-12]}")  # cut off, without a checksum
    text = "\n".join(lines).encode() + bytes(20)
    top = [box(b"free", b"nothing of ours"), box(b"free", box(b"cprt", b" X"), box(b"gps ", text))]
    track = read_track(mp4(tmp_path / "20250601_120000_NF.mp4", top=top))
    assert str(track.log) == "BlackVue: 5 fixes, 1 without fix dropped, 1 damaged dropped"
    check(track, fixes=5, origin=SOUTH_WEST)


@pytest.mark.parametrize("at", [0x30, 0x10])
@pytest.mark.parametrize("origin", [NORTH_EAST, SOUTH_WEST])
def test_novatek(tmp_path: Path, at: int, origin: tuple[float, float]) -> None:
    blocks = [free_gps(0, at=at, valid=b"V")]
    blocks += [free_gps(second, at=at, origin=origin) for second in range(1, 7)]
    film = novatek(tmp_path / "2025_0601_100000_001.MP4", blocks)
    track = read_track(film, zone=UTC)
    assert str(track.log) == "Novatek: 6 fixes, 1 without fix dropped"
    check(track, fixes=6, origin=origin)


def test_novatek_seconds_without_a_block_keep_their_place(tmp_path: Path) -> None:
    blocks = [b"" if second in (0, 3) else free_gps(second) for second in range(6)]
    track = read_track(novatek(tmp_path / "a.mp4", blocks), zone=UTC)
    assert track.offset.tolist() == [1, 2, 4, 5]
    check(track, fixes=4)


def test_novatek_blocks_without_an_index(tmp_path: Path) -> None:
    film = mp4(tmp_path / "a.mp4", top=[free_gps(second) for second in range(4)])
    check(read_track(film, zone=UTC), fixes=4)


def test_novatek_clocks_are_of_no_zone_until_one_is_stated(tmp_path: Path) -> None:
    local = START.astimezone(BERLIN)
    film = novatek(tmp_path / "a.mp4", [free_gps(second, start=local) for second in range(5)])
    check(read_track(film, zone=BERLIN), fixes=5)
    unstated = read_track(film)
    check(unstated, fixes=5, timed=False)
    assert "say --zone UTC" in unstated.log.notes[0]


def test_novatek_damaged_and_unknown_blocks(tmp_path: Path) -> None:
    blocks = [free_gps(second) for second in range(6)]
    blocks[1] = blocks[1].replace(b"freeGPS ", b"xxxxxxxx")
    blocks[2] = blocks[2].replace(b"ANE", b"AXE")
    blocks[3] = blocks[3][:76] + struct.pack("<f", 5275.0) + blocks[3][80:]  # 75 minutes
    track = read_track(novatek(tmp_path / "a.mp4", blocks), zone=UTC)
    assert str(track.log) == "Novatek: 3 fixes, 3 damaged dropped"
    secret = [bytes(b ^ 0xAA if n >= 16 else b for n, b in enumerate(block)) for block in blocks]
    secret[1] = secret[0]
    with pytest.raises(TrackError, match=r"b\.mp4: its 6 freeGPS blocks are of a layout"):
        read_track(novatek(tmp_path / "b.mp4", secret))


CLIP = "NO20250601-120000-000007F"


def log_of_70mai(path: Path, *, behind: int = 28_800) -> Path:
    """Front and rear are logged as one; ``behind``: seconds by which the clock is behind UTC."""
    rows = ["$V02"]
    for second in range(-3, 6):
        name = CLIP if second >= 0 else "NO20250601-115900-000006F"
        latitude, longitude = place(second)
        state = f"A,{latitude:.6f},{longitude:.6f}" if second != 2 else "V,0.000000,0.000000"
        rows.append(f"{round(BEGUN) + second - behind},{state},0,1000,1,-2,99,{name}.MP4,0,0,0")
    path.write_text("\n".join([*rows, "1700000000,A,5"]))
    return path


@pytest.mark.parametrize("behind", [28_800, 0])
def test_70mai(tmp_path: Path, behind: int) -> None:
    log = log_of_70mai(tmp_path / "GPSData000001.txt", behind=behind)
    track = read_track(log, zone=BERLIN)  # names are local: 12:00 in Berlin
    assert str(track.log) == "70mai: 8 fixes, 1 without fix dropped, 1 damaged dropped"
    check(track, fixes=8, offset=None)


def test_70mai_lines_of_other_times_cost_only_themselves(tmp_path: Path) -> None:
    log = log_of_70mai(tmp_path / "GPSData000001.txt")
    rows = log.read_text().splitlines()
    late = [rows[1].replace(rows[1][:10], number) for number in ("1748900000", "9" * 12)]
    log.write_text("\n".join([*rows[:3], *late, *rows[3:]]))
    track = read_track(log, zone=BERLIN)
    assert track.log.dropped["of other times than their video"] == 2
    check(track, fixes=8, offset=None)


def test_70mai_of_one_video(tmp_path: Path) -> None:
    (tmp_path / "Normal" / "Back").mkdir(parents=True)
    film = mp4(tmp_path / "Normal" / "Back" / CLIP.replace("F", "B"))
    film = film.rename(film.with_suffix(".MP4"))
    log_of_70mai(tmp_path / "GPSData000001.txt")
    check(read_track(film, zone=BERLIN), fixes=5)
    unstated = read_track(film)
    check(unstated, fixes=5, timed=False)
    assert "names no zone" in unstated.log.notes[0]
    with pytest.raises(TrackError, match=r"GPSData000001\.txt: its clock .* does not fit"):
        read_track(film, zone=ZoneInfo("America/New_York"))


def test_nmea_beside_a_video(tmp_path: Path) -> None:
    lines = [gga(0), rmc(0)]
    for second in range(1, 8):
        lines += [rmc(second), gga(second)]
    lines[8] = lines[8].replace("52", "53", 1)  # a wrong digit: the checksum tells
    lines += [rmc(8, valid="V"), "$GPGSV,3,1,11*7F", "noise"]
    (tmp_path / "drive.NMEA").write_text("\r\n".join(lines))
    (tmp_path / "drive.mkv").write_bytes(b"\x1aE\xdf\xa3")
    track = read_track(tmp_path / "drive.mkv")
    assert str(track.log) == "NMEA: 8 fixes, 1 damaged dropped, 1 without fix dropped"
    check(track, fixes=8, offset=None)
    assert track.altitude[1] == 35


def test_logs_beside_a_video_are_found_without_going_through_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a folder of 10,000 videos, each would list 10,000 names."""
    for name in ("a.b.mkv", "a.mkv", "a.b.txt", "a.GPX"):
        (tmp_path / name).write_bytes(b"\x1aE\xdf\xa3")
    (tmp_path / "a.b.GPX").write_text(gpx(range(3)))
    monkeypatch.setattr(Path, "iterdir", lambda path: pytest.fail(f"{path} is gone through"))
    track = read_track(tmp_path / "a.b.mkv")
    assert (track.path.name, len(track)) == ("a.b.GPX", 3)


def test_nmea_moments_without_a_true_position_have_none(tmp_path: Path) -> None:
    """Void by RMC before or after GGA, without a date too; estimated, typed in, simulated."""
    undated = nmea(rmc(2, valid="V").split("*")[0].removeprefix("$").replace("010625", ""))
    lines = [rmc(0), gga(0), rmc(1, valid="V"), gga(1), gga(2), undated]
    lines += [rmc(3), gga(3, quality=6), gga(4, quality=7), gga(5, quality=8), rmc(5)]
    lines += [gga(6), rmc(6, mode="E"), rmc(7, mode="S"), gga(8, quality=2), gga(9), rmc(9)]
    (tmp_path / "a.nmea").write_text("\n".join(lines))
    track = read_track(tmp_path / "a.nmea")
    assert str(track.log) == "NMEA: 3 fixes, 7 without fix dropped"
    assert (track.utc - BEGUN).tolist() == [0, 8, 9]


def test_nmea_over_midnight_and_a_leap_second(tmp_path: Path) -> None:
    start = datetime(2016, 12, 31, 23, 59, 58, tzinfo=UTC)
    where = "5230.00000,N,01324.00000,E"
    rows = [rmc(0, start=start), rmc(1, start=start)]
    rows += [nmea(f"GPRMC,235960.00,A,{where},0.0,0.0,311216,,,A")]
    rows += [nmea(f"GPGGA,000001.00,{where},1,08,1.0,35.0,M,46.9,M,,")]
    (tmp_path / "a.nmea").write_text("\n".join(rows))
    assert (read_track(tmp_path / "a.nmea").utc - start.timestamp()).tolist() == [0, 1, 2, 3]


def test_nmea_without_a_date_has_no_time(tmp_path: Path) -> None:
    (tmp_path / "a.nmea").write_text("\n".join(gga(second) for second in range(4)))
    with pytest.raises(TrackError, match=r"a\.nmea has no positions.*4 without a time dropped"):
        read_track(tmp_path / "a.nmea")


def test_week_rollover_is_refused_and_mended(tmp_path: Path) -> None:
    early = START - timedelta(weeks=1024)
    (tmp_path / "a.nmea").write_text("\n".join(rmc(s, start=early) for s in range(5)))
    with pytest.raises(TrackError, match=r"a\.nmea.*2005-10-16.*2025-06-01 .*--add-weeks 1024"):
        read_track(tmp_path / "a.nmea")
    check(read_track(tmp_path / "a.nmea", weeks=1024), fixes=5, offset=None)
    assert read_track(tmp_path / "a.nmea", weeks=0).utc[0] == early.timestamp()


def test_times_to_come_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text(gpx(range(3), start=datetime(2090, 1, 1, tzinfo=UTC)))
    with pytest.raises(TrackError, match=r"a\.gpx has positions of 2090-01-01, which is to come"):
        read_track(tmp_path / "a.gpx")


def test_gpx_with_offsets_and_without_zones(tmp_path: Path) -> None:
    seconds = np.arange(0, 5, 0.5)
    (tmp_path / "a.gpx").write_text(gpx(seconds))
    check(read_track(tmp_path / "a.gpx"), fixes=10, offset=None)
    local = START + timedelta(hours=2)
    (tmp_path / "b.gpx").write_text(gpx(seconds, zone="+02:00", start=local))
    check(read_track(tmp_path / "b.gpx"), fixes=10, offset=None)
    (tmp_path / "c.gpx").write_text(gpx(seconds, zone="", start=local))
    check(read_track(tmp_path / "c.gpx", zone=BERLIN), fixes=10, offset=None)
    with pytest.raises(TrackError, match=r"c\.gpx: 10 times name no zone; say it, such as --zone"):
        read_track(tmp_path / "c.gpx")


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the machine's zone cannot be set")
def test_the_zone_of_the_machine_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.nmea").write_text("\n".join(rmc(second) for second in range(5)))
    (tmp_path / "b.gpx").write_text(gpx(range(5), zone="", start=START + timedelta(hours=2)))
    photograph(tmp_path / "c.jpg", 0)
    film = mp4(tmp_path / "d.mp4", [gpmf5(second) for second in range(3)])
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        check(read_track(tmp_path / "a.nmea"), fixes=5, offset=None)
        check(read_track(tmp_path / "b.gpx", zone=BERLIN), fixes=5, offset=None)
        assert read_track(tmp_path / "c.jpg").utc[0] == BEGUN
        check(read_track(film), fixes=54)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("clock", ["iso", "seconds", "milliseconds", "date and time"])
def test_csv(tmp_path: Path, clock: str) -> None:
    write: dict[str, Callable[[float], str]] = {
        "iso": lambda s: datetime.fromtimestamp(s, UTC).isoformat(),
        "seconds": lambda s: f"{s:.3f}",
        "milliseconds": lambda s: f"{s * 1000:.0f}",
        "date and time": lambda s: f"{datetime.fromtimestamp(s, UTC):%Y/%m/%d;%H:%M:%S+00:00}",
    }
    names = "Date;Time" if clock == "date and time" else "timestamp"
    rows = [f"{names};Lat;Lon;file"]
    for second in range(5):
        latitude, longitude = (f"{v:.7f}".replace(".", ",") for v in place(second))
        rows.append(f"{write[clock](BEGUN + second)};{latitude};{longitude};{second}.jpg")
    noon = ";noon" if clock == "date and time" else ""
    rows += [f"{write[clock](BEGUN + 5)};;;", f"yesterday{noon};52;13;"]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    track = read_track(tmp_path / "a.csv")
    assert track.log.dropped == {"without fix": 1, "damaged": 1}
    assert track.images[3] == "3.jpg"
    check(track, fixes=5, offset=None)


def photograph(
    path: Path, second: int, *, gps_time: bool = True, origin: tuple[float, float] = NORTH_EAST
) -> None:
    exif = Image.Exif()
    moment = START + timedelta(seconds=second)
    values = place(second, origin)
    gps = {
        ExifTags.GPS.GPSLatitudeRef: "NS"[values[0] < 0],
        ExifTags.GPS.GPSLongitudeRef: "EW"[values[1] < 0],
        ExifTags.GPS.GPSAltitude: 35.0,
    }
    for tag, value in zip(
        (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude), values, strict=True
    ):
        minutes, seconds = divmod(abs(value) % 1 * 3600, 60)
        gps[tag] = (float(int(abs(value))), minutes, round(seconds, 4))
    if gps_time:
        gps[ExifTags.GPS.GPSDateStamp] = f"{moment:%Y:%m:%d}"
        gps[ExifTags.GPS.GPSTimeStamp] = (moment.hour, moment.minute, float(moment.second))
    local = moment.astimezone(BERLIN)
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: f"{local:%Y:%m:%d %H:%M:%S}",
            ExifTags.Base.SubsecTimeOriginal: "25",
        }
    )
    Image.new("RGB", (64, 64)).save(path, exif=exif)


@pytest.mark.parametrize("origin", [NORTH_EAST, SOUTH_WEST])
def test_photographs(tmp_path: Path, origin: tuple[float, float]) -> None:
    for second in range(4):
        photograph(tmp_path / f"{second}.jpg", second, origin=origin)
    Image.new("RGB", (64, 64)).save(tmp_path / "placeless.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    track = read_track(tmp_path)
    assert str(track.log) == "EXIF: 4 fixes, 1 damaged dropped, 1 without fix dropped"
    check(track, fixes=4, offset=None, origin=origin)
    assert track.images == ("0.jpg", "1.jpg", "2.jpg", "3.jpg")


def test_photographs_of_one_second_are_all_kept(tmp_path: Path) -> None:
    for number, second in enumerate((0, 0, 0, 1)):
        photograph(tmp_path / f"{number}.jpg", second)
    track = read_track(tmp_path)
    assert track.images == ("0.jpg", "1.jpg", "2.jpg", "3.jpg")
    assert (track.utc - BEGUN).tolist() == [0, 0, 0, 1]


def test_photographs_by_the_camera_s_clock_need_a_zone(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg", 0, gps_time=False)
    with pytest.raises(TrackError, match=r"a\.jpg has no positions.*1 without a time dropped"):
        read_track(tmp_path / "a.jpg")
    assert read_track(tmp_path / "a.jpg", zone=BERLIN).utc[0] == BEGUN + 0.25


def test_mapillary_descriptions(tmp_path: Path) -> None:
    images = [
        {
            "MAPLatitude": place(second)[0],
            "MAPLongitude": place(second)[1],
            "MAPCaptureTime": f"{START + timedelta(seconds=second):%Y_%m_%d_%H_%M_%S}_000",
            "filename": f"/drive/{second}.jpg",
            "filetype": "image",
        }
        for second in range(4)
    ]
    failed = {"filename": "x.jpg", "error": {"type": "Missing", "message": "no GPS"}}
    points = [[1000 * s, place(s)[1], place(s)[0], 35, None, BEGUN + s] for s in range(4)]
    film = {"MAPGPSTrack": points, "filename": "/drive/drive.mp4", "filetype": "blackvue"}
    (tmp_path / "drive.mp4").write_bytes(b"\x1aE\xdf\xa3")
    description = tmp_path / "mapillary_image_description.json"
    description.write_text(json.dumps([*images, failed]))
    track = read_track(tmp_path)
    assert str(track.log) == "Mapillary: 4 fixes, 1 without fix dropped"
    check(track, fixes=4, offset=None)
    description.write_text(json.dumps([*images, film]))
    check(read_track(tmp_path / "drive.mp4"), fixes=4)
    description.write_text("[{")
    with pytest.raises(TrackError, match=r"description\.json is no whole JSON"):
        read_track(tmp_path)


def films(folder: Path) -> dict[str, Path]:
    lines = "\n".join(f"[{1_600_000_000_000 + 1000 * s}]{rmc(s)}" for s in range(9))
    return {
        "gopro": mp4(folder / "gopro.mp4", [gpmf5(s) for s in range(9)]),
        "gopro 11": mp4(folder / "gopro11.mp4", [gpmf9(s) for s in range(9)]),
        "camm": mp4(folder / "camm.mp4", [camm6(s) for s in range(9)], b"camm", b"camm"),
        "blackvue": mp4(folder / "blackvue.mp4", top=[box(b"free", box(b"gps ", lines.encode()))]),
        "novatek": novatek(folder / "novatek.mp4", [free_gps(s) for s in range(9)]),
    }


@pytest.mark.parametrize("name", ["gopro", "camm", "blackvue", "novatek"])
def test_films_cut_off_anywhere_tell_no_wrong_place(tmp_path: Path, name: str) -> None:
    film = films(tmp_path)[name]
    data = film.read_bytes()
    errors = 0
    for length in range(0, len(data), max(1, len(data) // 60)):
        film.write_bytes(data[:length])
        try:
            track = read_track(film, zone=UTC)
        except TrackError as error:
            assert film.name in str(error)
            errors += 1
        else:
            check_rough(track)
    assert errors > 20


@pytest.mark.parametrize("name", ["gopro", "camm", "blackvue", "novatek"])
def test_films_with_damaged_tables_end_in_words(tmp_path: Path, name: str) -> None:
    """Bytes of the index are changed at random: an error that names the file, or a track."""
    film = films(tmp_path)[name]
    data = film.read_bytes()
    index = data.index(b"moov")
    rng = np.random.default_rng(5)
    errors = 0
    for _ in range(80):
        damaged = bytearray(data)
        for at in rng.integers(index, len(data), 4):
            damaged[at] = rng.integers(256)
        film.write_bytes(damaged)
        try:
            read_track(film, zone=UTC)
        except TrackError as error:
            assert film.name in str(error)
            errors += 1
    assert errors > 0


@pytest.mark.parametrize("name", ["gopro", "gopro 11", "camm", "blackvue", "novatek"])
def test_films_with_damaged_samples_end_in_words_or_count_them(tmp_path: Path, name: str) -> None:
    """Bytes within the positions are changed at random."""
    film = films(tmp_path)[name]
    data = film.read_bytes()
    starts = {"gopro": b"DEVC", "gopro 11": b"DEVC", "blackvue": b"gps ", "novatek": b"freeGPS"}
    first = data.index(starts.get(name, struct.pack("<HHd", 0, 6, GPS_START)))
    end = len(data) if name == "blackvue" else data.index(b"moov")
    rng = np.random.default_rng(6)
    told = 0
    for _ in range(40):
        damaged = bytearray(data)
        for at in rng.integers(first, min(end, first + 2000), 12):
            damaged[at] = rng.integers(256)
        film.write_bytes(damaged)
        try:
            told += bool(read_track(film, zone=UTC).log.dropped)
        except TrackError as error:
            assert film.name in str(error)
            told += 1
    assert told > 5


def test_dates_beyond_all_calendars_are_damage(tmp_path: Path) -> None:
    sentences = [nmea("GPZDA,235960,31,12,9999,00,00"), nmea(f"GPZDA,100000,01,06,{10**12},00,00")]
    late = gga(60).replace("GPGGA,100100", "GPGGA,000100").split("*")[0].removeprefix("$")
    sentences += [nmea("GPZDA,235959,31,12,9999,00,00"), nmea(late)]  # the day after the last
    (tmp_path / "a.nmea").write_text("\n".join([*sentences, rmc(0), rmc(1)]))
    track = read_track(tmp_path / "a.nmea")
    assert str(track.log) == "NMEA: 2 fixes, 3 damaged dropped"
    for date in ("0001-01-01T00:00:00", "9999-12-31T23:59:59"):
        zone = timezone(timedelta(hours=2 if date < "2" else -2))
        points = gpx(range(3), zone="").replace("2025-06-01T10:00:00.000", date)
        (tmp_path / "a.gpx").write_text(points)
        track = read_track(tmp_path / "a.gpx", zone=zone)
        assert str(track.log) == "GPX: 2 fixes, 1 damaged dropped"


@pytest.mark.parametrize("name", ["a.nmea", "a.gpx", "a.csv", "a.txt", "a.json", "a.jpg"])
def test_logs_with_damage_end_in_words_or_count_it(tmp_path: Path, name: str) -> None:
    """Bytes are changed, left out and doubled at random."""
    file = tmp_path / name
    rows = [f"{BEGUN + s:.0f},{place(s)[0]:.7f},{place(s)[1]:.7f}" for s in range(9)]
    points = [[1000 * s, place(s)[1], place(s)[0], 35, None, BEGUN + s] for s in range(9)]
    if name == "a.txt":
        log_of_70mai(file)
    elif name == "a.jpg":
        photograph(file, 0)
    else:
        described = json.dumps([{"MAPGPSTrack": points, "filename": "a.mp4"}])
        contents = {
            "a.nmea": "\n".join(rmc(second) for second in range(9)),
            "a.gpx": gpx(range(9)),
            "a.csv": "\n".join(["time,lat,lon", *rows]),
            "a.json": described,
        }
        file.write_text(contents[name])
    data = file.read_bytes()
    assert len(read_track(file, zone=BERLIN)) >= 1
    rng = np.random.default_rng(7)
    told = 0
    for number in range(150):
        damaged = bytearray(data)
        for at in rng.integers(0, min(len(data), 900), 6):
            damaged[at] = rng.integers(256)
        start, length = rng.integers(0, len(data)), rng.integers(1, 40)
        if number % 3 == 1:
            del damaged[start : start + length]
        elif number % 3 == 2:
            damaged[start:start] = damaged[start : start + length]
        file.write_bytes(damaged)
        try:
            told += bool(read_track(file, zone=BERLIN).log.dropped)
        except TrackError as error:
            assert file.name in str(error)
            told += 1
    assert told > 20


def check_rough(track: Track) -> None:
    true = np.array([place(second) for second in track.utc - BEGUN])
    assert haversine(track.latitude, track.longitude, true[:, 0], true[:, 1]).max() < 1


def test_a_log_beside_a_damaged_film_is_taken_and_the_damage_told(tmp_path: Path) -> None:
    film = mp4(tmp_path / "a.mp4", [gpmf5(second) for second in range(3)])
    film.write_bytes(film.read_bytes()[:-200])
    (tmp_path / "a.gpx").write_text(gpx(range(5)))
    track = read_track(film)
    check(track, fixes=5, offset=None)
    assert "a.mp4 has no whole index" in track.log.notes[0]


def test_what_follows_a_film_does_no_harm(tmp_path: Path) -> None:
    film = mp4(tmp_path / "a.mp4", [gpmf5(s) for s in range(3)], top=[bytes([0, 0, 0, 3] * 9)])
    check(read_track(film), fixes=54)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.mp4", b"", r"a\.mp4 has no positions in it that are known"),
        ("a.mp4", b"not a film at all, but words", r"a\.mp4 has no positions in it"),
        (
            "a.mp4",
            box(b"ftyp", b"isom") + box(b"mdat", bytes(99)),
            r"a\.mp4 has no whole index \(moov\)",
        ),
        ("a.gpx", b'<gpx version="1.1"><trk>', r"a\.gpx is no whole XML"),
        ("a.gpx", b"<!DOCTYPE x><gpx/>", r"a\.gpx defines entities"),
        ("a.gpx", b"<gpx></gpx>", r"a\.gpx has no positions that can be used. GPX: 0 fixes"),
        ("a.csv", b"lat,lon\n1,2\n", r"a\.csv has no column for the time"),
        ("a.csv", b"a,b\n1,2\n", r"a\.csv is no log of positions that is known"),
        ("a.jpg", b"nothing", r"a\.jpg has no positions that can be used. EXIF: 0 fixes, 1 dam"),
    ],
)
def test_foreign_files(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrackError, match=said):
        read_track(tmp_path / name)


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "drive.mp4").touch()
    with pytest.raises(TrackError, match=r"nothing at .*drives\.mp4; did you mean 'drive\.mp4'"):
        read_track(tmp_path / "drives.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text(gpx(range(3)))
    (tmp_path / "a.gpx").chmod(0)
    with pytest.raises(TrackError, match=r"a\.gpx cannot be read"):
        read_track(tmp_path / "a.gpx")
