"""The table of several predictions at the widths of terminals."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from workzone.cli.results import Shown, table_of
from workzone.types import InputsName, Prediction

LONG = "dashcam/2024-05-01/berlin/kreuzberg/frames/frame_000123_front_left_camera.jpg"


def printed(
    width: int | None,
    *names: str,
    takes_metadata: bool = False,
    objects: list[str | None] | None = None,
) -> list[str]:
    inputs: InputsName = "image+metadata" if takes_metadata else "image"
    box = (0.7, 0.7, 0.9, 0.9)
    results = [
        (n, Shown(Prediction(n, 0.93, "roadwork", 0, 1.0, box, inputs, "torch", "float32"), said))
        for n, said in zip(names, objects or [None] * len(names), strict=True)
    ]
    file = io.StringIO()
    console = Console(file=file, width=width or 10_000)
    console.print(table_of(results, width=width, takes_metadata=takes_metadata))
    return file.getvalue().rstrip().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("takes_metadata", [False, True])
def test_each_image_takes_one_line_that_fits(width: int, takes_metadata: bool) -> None:
    lines = printed(width, LONG, "b.jpg", takes_metadata=takes_metadata)
    assert len(lines) == 3 + 2 + 1
    assert max(map(len, lines)) <= width
    assert "yes" in lines[3]
    assert "0.930" in lines[3]
    assert ".jpg" in lines[3]
    assert "b.jpg" in lines[4]


def test_at_80_columns_the_place_is_shown_and_at_40_the_name_counts_more() -> None:
    assert "at the bottom right" in printed(80, LONG, "b.jpg")[3]
    assert "at the bottom right" not in printed(40, LONG, "b.jpg")[3]
    assert "at the bottom right" in printed(60, "a.jpg", "b.jpg")[3]


def test_in_a_pipe_names_stay_whole() -> None:
    lines = printed(None, LONG, "b.jpg", takes_metadata=True)
    assert len(lines) == 6
    assert LONG in lines[3]
    assert "image+metadata" in lines[3]


def test_objects_have_a_column_where_anybody_looked() -> None:
    lines = printed(120, "a.jpg", "b.jpg", objects=["4 cones, 1 sign, on the right", ""])
    assert "objects" in lines[1]
    assert "4 cones, 1 sign, on the right" in lines[3]
    assert "no object found" in lines[4]
    assert "objects" not in printed(120, "a.jpg", "b.jpg")[1]
