"""Files with positions, written here byte by byte, as cameras write them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

START = datetime(2025, 6, 1, 10, 0, 0, tzinfo=UTC)
"""When every made drive begins."""

GPS_START = 1_432_807_218.0
"""The same moment in seconds of GPS: 2025-06-01 10:00:00 UTC is 18 s behind it."""

SOUTH_WEST = (-33.5, -70.6)
NORTH_EAST = (52.5, 13.4)


def place(seconds: float, origin: tuple[float, float] = NORTH_EAST) -> tuple[float, float]:
    """Where a drive is: due north at 10 m/s, on a sphere of 6,371,008.8 m."""
    return origin[0] + seconds * 10 / 111_195.08, origin[1]


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24), *parts)


def trak(
    handler: bytes,
    form: bytes,
    samples: Sequence[bytes],
    chunks: Sequence[int],
    *,
    wide: bool = False,
    scale: int = 1000,
    duration: int = 1000,
    shift: int = 0,
    edits: Sequence[tuple[int, int]] = (),
) -> bytes:
    """A track whose chunks begin at bytes ``chunks``; ``wide``: told as 64-bit numbers.

    All chunks but the last have the same number of samples, and sound tells their size once.
    """
    count, each = len(samples), per_chunk(samples, len(chunks))
    rest = count - each * (len(chunks) - 1)
    runs = [(1, each, 1), (len(chunks), rest, 1)] if rest != each else [(1, each, 1)]
    sizes = [struct.pack(">I", len(sample)) for sample in samples]
    same = len(samples[0]) if handler == b"soun" else 0
    ctts = [full(b"ctts", struct.pack(">III", 1, count, shift))] if shift else []
    table = box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), box(form, bytes(8))),
        full(b"stts", struct.pack(">III", 1, count, duration)),
        *ctts,
        full(b"stsc", struct.pack(">I", len(runs)), *(struct.pack(">III", *run) for run in runs)),
        full(b"stsz", struct.pack(">II", same, count), *([] if same else sizes)),
        full(
            b"co64" if wide else b"stco",
            struct.pack(f">I{len(chunks)}{'Q' if wide else 'I'}", len(chunks), *chunks),
        ),
    )
    header = full(b"mdhd", struct.pack(">IIIII", 0, 0, scale, count * duration, 0))
    hdlr = full(b"hdlr", bytes(4), handler, bytes(12), b"\0")
    rows = b"".join(struct.pack(">Iii", length, start, 0x10000) for length, start in edits)
    edts = [box(b"edts", full(b"elst", struct.pack(">I", len(edits)), rows))] if edits else []
    return box(b"trak", *edts, box(b"mdia", header, hdlr, box(b"minf", table)))


def per_chunk(samples: Sequence[bytes], chunks: int) -> int:
    """How many samples all chunks but the last have."""
    return -(-len(samples) // chunks)


def woven(
    tracks: Sequence[Sequence[bytes]], chunks: int, start: int
) -> tuple[bytes, list[list[int]]]:
    """The samples of tracks, chunk by chunk in turn, and where each track's chunks begin."""
    content = bytearray()
    begins: list[list[int]] = [[] for _ in tracks]
    for number in range(chunks):
        for samples, begun in zip(tracks, begins, strict=True):
            each = per_chunk(samples, chunks)
            part = samples[each * number : each * (number + 1)]
            if part:
                begun.append(start + len(content))
                content += b"".join(part)
    return bytes(content), begins


def mp4(
    path: Path,
    samples: Sequence[bytes] = (),
    form: bytes = b"gpmd",
    handler: bytes = b"meta",
    *,
    created: datetime | None = None,
    moov: Sequence[bytes] = (),
    top: Sequence[bytes] = (),
    video: dict[str, Any] | None = None,
    sound: int = 0,
    chunks: int = 1,
    **data: Any,
) -> Path:
    """A film of a second for each sample, without pictures, with a track of ``samples``.

    ``sound``: samples of a track of PCM between the two; ``chunks``: of each track, in turn.
    """
    start = box(b"ftyp", b"isom", bytes(4))
    frames = [b"frame"] * (25 * max(1, len(samples)))
    pcm = [b"\0\0"] * sound
    content, begins = woven([frames, pcm, samples], chunks, len(start) + 8)
    tracks = [trak(b"vide", b"avc1", frames, begins[0], duration=40, **(video or {}))]
    if sound:
        tracks.append(trak(b"soun", b"sowt", pcm, begins[1], scale=48_000, duration=1))
    if samples:
        tracks.append(trak(handler, form, samples, begins[2], **data))
    clock = 0 if created is None else int(created.timestamp()) + 2_082_844_800
    header = full(b"mvhd", struct.pack(">IIII", clock, clock, 1000, 0), bytes(80))
    index = box(b"moov", header, *tracks, *moov)
    path.write_bytes(start + box(b"mdat", content) + index + b"".join(top))
    return path


def klv(key: bytes, kind: str, size: int, *values: bytes) -> bytes:
    content = b"".join(values)
    head = struct.pack(">4sBBH", key, ord(kind) if kind else 0, size, len(content) // size)
    return head + content + bytes(-len(content) % 4)


def gpmf5(
    second: int,
    *,
    fix: int = 3,
    dop: float = 1.5,
    rate: int = 18,
    origin: tuple[float, float] = NORTH_EAST,
) -> bytes:
    """A second of GPS5, as of Hero 5 to 10."""
    moment = datetime.fromtimestamp(START.timestamp() + second, UTC)
    points = []
    for index in range(rate):
        latitude, longitude = place(second + index / rate, origin)
        values = (round(latitude * 1e7), round(longitude * 1e7), 35_000, 10_000, 1000)
        points.append(struct.pack(">5i", *values))
    stream = klv(
        b"STRM",
        "",
        1,
        klv(b"GPSF", "L", 4, struct.pack(">I", fix)),
        klv(b"GPSP", "S", 2, struct.pack(">H", round(dop * 100))),
        klv(b"GPSU", "U", 16, moment.strftime("%y%m%d%H%M%S.000").encode()),
        klv(b"SCAL", "l", 4, struct.pack(">5i", 10**7, 10**7, 1000, 1000, 100)),
        klv(b"GPS5", "l", 20, *points),
    )
    return klv(b"DEVC", "", 1, klv(b"DVNM", "c", 1, b"Hero8 Black"), stream)


def gpmf9(second: int, *, fix: int = 3, dop: float = 1.5, rate: int = 10) -> bytes:
    """A second of GPS9, as of Hero 11."""
    days = (START.date() - datetime(2000, 1, 1).date()).days
    points = []
    for index in range(rate):
        latitude, longitude = place(second + index / rate)
        clock = round((10 * 3600 + second + index / rate) * 1000)
        values = (round(latitude * 1e7), round(longitude * 1e7), 35_000, 10_000, 1000, days, clock)
        points.append(struct.pack(">7i2H", *values, round(dop * 100), fix))
    scale = struct.pack(">9i", 10**7, 10**7, 1000, 1000, 100, 1, 1000, 100, 1)
    stream = klv(
        b"STRM",
        "",
        1,
        klv(b"TYPE", "c", 1, b"lllllllSS"),
        klv(b"SCAL", "l", 4, scale),
        klv(b"GPS9", "?", 32, *points),
    )
    return klv(b"DEVC", "", 1, stream)


def camm6(second: float, *, seconds: float = GPS_START, fix: int = 3) -> bytes:
    """A position with GPS's time, whose start is ``seconds``."""
    latitude, longitude = place(second)
    return struct.pack(
        "<HHdiddf6f", 0, 6, seconds + second, fix, latitude, longitude, 35.0, 1, 1, 0, 10, 0, 1
    )


def camm5(second: float) -> bytes:
    """A position without a time."""
    return struct.pack("<HH3d", 0, 5, *place(second), 35.0)


def angle(value: float, letters: str, *, digits: int = 5, wide: int = 2) -> str:
    """``DDMM.MMMMM,N``."""
    whole, part = divmod(abs(value) * 60, 60)
    return f"{int(whole):0{wide}}{part:0{3 + digits}.{digits}f},{letters[value < 0]}"


def nmea(text: str) -> str:
    """A sentence with its checksum."""
    total = 0
    for letter in text:
        total ^= ord(letter)
    return f"${text}*{total:02X}"


def rmc(
    second: float,
    *,
    valid: str = "A",
    mode: str = "A",
    origin: tuple[float, float] = NORTH_EAST,
    start: datetime = START,
) -> str:
    moment = datetime.fromtimestamp(start.timestamp() + second, UTC)
    latitude, longitude = place(second, origin)
    clock = moment.strftime("%H%M%S.") + f"{moment.microsecond // 10_000:02}"
    where = f"{angle(latitude, 'NS')},{angle(longitude, 'EW', wide=3)}"
    return nmea(f"GPRMC,{clock},{valid},{where},19.4,0.0,{moment:%d%m%y},,,{mode}")


def gga(second: float, *, quality: int = 1) -> str:
    moment = datetime.fromtimestamp(START.timestamp() + second, UTC)
    latitude, longitude = place(second)
    where = f"{angle(latitude, 'NS')},{angle(longitude, 'EW', wide=3)}"
    return nmea(f"GPGGA,{moment:%H%M%S}.00,{where},{quality},08,1.0,35.0,M,46.9,M,,")


def free_gps(
    second: int,
    *,
    at: int = 0x30,
    valid: bytes = b"A",
    origin: tuple[float, float] = NORTH_EAST,
    start: datetime = START,
) -> bytes:
    """A block of Novatek's; ``at``: where the hour stands."""
    moment = datetime.fromtimestamp(start.timestamp() + second, start.tzinfo)
    latitude, longitude = place(second, origin)
    minutes = [int(abs(v)) * 100 + abs(v) % 1 * 60 for v in (latitude, longitude)]
    clock = (moment.hour, moment.minute, moment.second, moment.year - 2000, moment.month)
    record = struct.pack("<6I", *clock, moment.day) + valid
    record += b"NS"[latitude < 0 :][:1] + b"EW"[longitude < 0 :][:1] + b"\0"
    record += struct.pack("<4f", *minutes, 19.4, 0)
    block = struct.pack(">I", 0x200) + b"freeGPS " + struct.pack("<I", 0x4C)
    block += bytes(at - len(block)) + record
    return block + bytes(0x200 - len(block))


def novatek(path: Path, blocks: Sequence[bytes]) -> Path:
    """A film whose blocks are listed in ``moov``; of one without bytes, the row is empty."""
    start = box(b"ftyp", b"isom", bytes(4))
    listed, at = [], len(start)
    for block in blocks:
        listed.append(struct.pack(">II", at, len(block)) if block else bytes(8))
        at += len(block)
    frames = [b"frame"] * 25 * len(blocks)
    header = full(b"mvhd", struct.pack(">IIII", 0, 0, 1000, 0), bytes(80))
    video = trak(b"vide", b"avc1", frames, [at + 8], duration=40)
    index = box(b"gps ", struct.pack(">II", 0x101, len(blocks)), *listed)
    content = box(b"mdat", *frames)
    path.write_bytes(start + b"".join(blocks) + content + box(b"moov", header, video, index))
    return path


def gpx(seconds: Sequence[float], *, zone: str = "Z", start: datetime = START) -> str:
    points = []
    for second in seconds:
        latitude, longitude = place(second)
        moment = datetime.fromtimestamp(start.timestamp() + second, UTC).replace(tzinfo=None)
        points.append(
            f'<trkpt lat="{latitude:.7f}" lon="{longitude:.7f}"><ele>35.0</ele>'
            f"<time>{moment.isoformat(timespec='milliseconds')}{zone}</time></trkpt>"
        )
    space = 'xmlns="http://www.topografix.com/GPX/1/1"'
    track = f"<trk><trkseg>{''.join(points)}</trkseg></trk>"
    return f'<?xml version="1.0"?><gpx version="1.1" creator="test" {space}>{track}</gpx>'
