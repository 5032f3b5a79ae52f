"""A small set of made images in the columns of the published NATIX parquet files."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ORANGE = (240, 120, 10)


def make_natix(folder: Path, *, train: int = 8, test: int = 4, side: int = 64) -> Path:
    """Write ``train-00000-of-00001.parquet`` and ``test-...`` below ``folder``; give ``folder``.

    Rows take turns: label 1 (an orange square, a description, altered travel) and label 0. Four
    rows in a row are of one drive; every third row lacks weather and place; of every fourth row the
    clip's number is missing. Ids are of the published form: ``vid_id`` a hash, ``seq_id`` a number
    within the drive, tags as lists in text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = 0
    for split, count in (("train", train), ("test", test)):
        rows = [_row(number, split, side) for number in range(first, first + count)]
        first += count
        table = pa.Table.from_pylist(rows, schema=_SCHEMA)
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet", row_group_size=3)
    return folder


_TEXT_COLUMNS = (
    *("id", "license", "flickr_url", "coco_url", "date_captured", "gps", "city_name"),
    *("scene_description", "video_info.frame_id", "video_info.vid_id"),
    *("scene_level_tags.daytime", "scene_level_tags.scene_environment"),
    *("scene_level_tags.travel_alteration", "scene_level_tags.weather"),
)
_SCHEMA = pa.schema(
    [
        pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *(pa.field(name, pa.string()) for name in _TEXT_COLUMNS),
        pa.field("video_info.seq_id", pa.int64()),
        pa.field("width", pa.int64()),
        pa.field("height", pa.int64()),
        pa.field("label", pa.int64()),
    ]
)


def _row(number: int, split: str, side: int) -> dict[str, Any]:
    label = number % 2
    known = number % 3 != 0
    return {
        "image": {"bytes": _image(number, label, side), "path": f"{number}.png"},
        "id": f"natix-{number}",
        "license": "1",
        "flickr_url": None,
        "coco_url": "",
        "date_captured": f"2024-05-01 10:{number % 60:02}:00" if known else None,
        "gps": f"{40.0 + number / 100}, {-80.0 - number / 100}" if known else None,
        "city_name": "pittsburgh" if known else None,
        "scene_description": "Cones close the right lane." if label else None,
        "video_info.frame_id": str(number),
        "video_info.seq_id": number % 2 + 1 if number % 4 else None,
        "video_info.vid_id": drive_of(number, split),
        "scene_level_tags.daytime": "Light" if known else None,
        "scene_level_tags.scene_environment": "Urban",
        "scene_level_tags.travel_alteration": "['Partially Blocked']" if label else "['None']",
        "scene_level_tags.weather": "['Sunny']" if known else None,
        "width": side,
        "height": side,
        "label": label,
    }


def drive_of(number: int, split: str) -> str:
    """The drive of a row, as a hash."""
    return hashlib.md5(f"{split}-{number // 4}".encode(), usedforsecurity=False).hexdigest()


def _image(number: int, label: int, side: int) -> bytes:
    rng = np.random.default_rng(number)
    pixels = rng.integers(60, 160, (side, side, 1)).repeat(3, axis=2).astype(np.uint8)
    if label:
        size = side // 3
        top, left = rng.integers(0, side - size, 2)
        pixels[top : top + size, left : left + size] = ORANGE
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()
