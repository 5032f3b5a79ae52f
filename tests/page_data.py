"""What is in a page of the map."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def data_of(path: Path) -> Any:
    """What a page holds, as its script reads it."""
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text()
    )
    return json.loads(text)


def rows_of(data: Any) -> list[dict[str, Any]]:
    """Its rows by the names of their columns."""
    return [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
