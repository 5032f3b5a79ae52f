"""The chart of a simulated map: what is drawn, in each format."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from workzone.errors import UsageError
from workzone.report.passes import write_passes

ROWS = [
    {
        "passes_a_day": rate,
        "precision": 0.9,
        "recall": recall,
        "end_error_m": 7.0,
        "days_to_present": days,
        "days_to_gone": None if rate == 2 else days,
    }
    for rate, recall, days in ((20, 0.98, 0.3), (2, 0.5, 3.0))
]


def points(element: ET.Element) -> list[float]:
    """Heights of the points of each line that has several, from the left."""
    lines = [path.get("d", "") for path in element.iter("{http://www.w3.org/2000/svg}path")]
    return [[float(y) for _, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line)] for line in lines]


def test_a_drawing_has_lines_ticks_and_a_legend(tmp_path: Path) -> None:
    path = tmp_path / "chart.svg"
    write_passes(path, ROWS, "grid, 20 days")
    first = path.read_bytes()
    root = ET.fromstring(first)
    texts = [element.text for element in root.iter() if element.text and element.text.strip()]
    assert {"grid, 20 days", "recall", "precision", "until it is gone", "2", "20"} <= set(texts)
    assert "var(" not in first.decode() and "#010101" not in first.decode()
    # Whatever was told first, the line of the recall rises from few passes to many.
    recall = next(line for line in points(root) if len(line) == 2 and line[0] > line[1])
    assert recall[0] - recall[1] > 20
    write_passes(path, ROWS, "grid, 20 days")
    assert path.read_bytes() == first


def test_a_page_has_the_chart_in_its_own_colours_and_a_table(tmp_path: Path) -> None:
    path = tmp_path / "chart.html"
    write_passes(path, ROWS, "streets <b>")
    page = path.read_text()
    assert "<h1>streets &lt;b&gt;</h1>" in page and "var(--roadwork)" in page
    cells = re.findall(r'<td class="number-column">([^<]*)</td>', page)
    assert cells[:6] == ["2.00", "0.90", "0.50", "7.00", "3.00", ""]
    assert not re.search(r"#0[1-4]0[1-4]0[1-4]", page)


def test_a_picture_is_written_and_other_files_are_refused(tmp_path: Path) -> None:
    write_passes(tmp_path / "chart.PNG", ROWS[:1], "one")
    with Image.open(tmp_path / "chart.PNG") as picture:
        assert picture.size == (960, 408)
        assert len(picture.convert("L").getcolors()) > 10
    with pytest.raises(UsageError, match=r"chart\.jpg: .*\.svg"):
        write_passes(tmp_path / "chart.jpg", ROWS, "none")
