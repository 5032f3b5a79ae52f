"""Seen against permitted as one file: what is in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_comparison import COMPARISON, HOSTILE, LONG
from made_events import NOW
from page_data import data_of, rows_of
from workzone.errors import UsageError
from workzone.geo.compare import VERDICTS, Comparison
from workzone.geo.show_lists import make_lists_page


def places(steps: list[int]) -> np.ndarray:
    return np.cumsum(np.array(steps).reshape(-1, 2), axis=0) * 1e-6


def test_a_page_holds_the_four_lists_and_each_work_once(tmp_path: Path) -> None:
    path = tmp_path / "lists.html"
    make_lists_page(COMPARISON, streets=[[(13.4, 52.5), (13.41, 52.5)]]).write(path)
    data = data_of(path)
    assert (data["newest"], data["planned"]) == (NOW.timestamp(), 2) and len(data["streets"]) == 1
    assert "<title>Seen against permitted, 2026-06-01</title>" in path.read_text()
    works = [dict(zip(data["work_columns"], one, strict=True)) for one in data["works"]]
    assert [one["id"] for one in works] == ["P-1", "P-2", HOSTILE, "P-2"]
    assert works[2]["start"] is works[2]["end"] is None
    assert works[1]["end"] == LONG.end.timestamp() and works[1]["source"] == "permits.geojson"
    for part, steps in zip(LONG.parts, works[1]["parts"], strict=True):
        np.testing.assert_allclose(places(steps), part, atol=1e-6)
    rows = rows_of(data)
    assert [row["id"] for row in rows] == [
        *("wz-00000", "wz-00001", "P-2", HOSTILE, "P-2 (2)", "wz-00002")
    ]
    for row, told in zip(rows, COMPARISON.rows, strict=True):
        assert VERDICTS[row["state"]] == told.verdict
        assert [works[number]["id"] for number in row["works"]] == [one.id for one in told.works]
        assert (row["passes"], row["days_over"]) == (told.passes, told.days_over)
        if told.event is None:
            assert row["parts"] is row["now"] is row["first_seen"] is row["confidence"] is None
            assert row["directed"] is False
        else:
            (line,) = row["parts"]
            np.testing.assert_allclose(places(line), told.event.line, atol=1e-6)
            assert row["last_seen"] == int(told.event.last_seen.timestamp())
            assert (row["now"], row["confidence"]) == ("present", 0.95) and row["directed"]
    assert rows[0]["road"] == "Mill Road"  # as its work says


def test_text_of_works_ends_no_element(tmp_path: Path) -> None:
    make_lists_page(COMPARISON).write(tmp_path / "lists.html")
    assert HOSTILE not in (tmp_path / "lists.html").read_text()


def test_tiles_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"streets.pmtiles.*give an address"):
        make_lists_page(COMPARISON, tiles="streets.pmtiles").write(tmp_path / "lists.html")
    assert not list(tmp_path.iterdir())


def test_nothing_to_compare_is_a_page_too(tmp_path: Path) -> None:
    make_lists_page(Comparison((), 0, NOW)).write(tmp_path / "lists.html")
    assert data_of(tmp_path / "lists.html")["rows"] == []
