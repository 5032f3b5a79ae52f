"""What is in a page of the map."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np


def data_of(path: Path) -> Any:
    """What a page holds, as its script reads it."""
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text()
    )
    return json.loads(text)


def rows_of(data: Any) -> list[dict[str, Any]]:
    """Its rows by the names of their columns."""
    return [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]


def places_of(line: str) -> Any:
    """Longitude and latitude, in degrees, of each place of a line that a page holds as text."""
    numbers, bits = [], ""
    for one in (ord(letter) - 63 for letter in line):
        bits = f"{one & 31:05b}{bits}"
        if one < 32:
            numbers.append((-1 - int(bits, 2) if bits[-1] == "1" else int(bits, 2)) // 2)
            bits = ""
    places = zip(*(itertools.accumulate(numbers[axis::2]) for axis in (0, 1)), strict=True)
    return np.array(list(places)) * 1e-6
