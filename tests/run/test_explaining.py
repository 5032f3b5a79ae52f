"""Where overlays of many images are written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workzone.run.explaining import overlay_places


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["/a/x.png", "/b/x.png"], ["a/x.png", "b/x.png"]),
        (["/home/me/x.png"], ["x.png"]),
        (["/p/q/x.png", "/p/q/y.png", "../p/x.png"], ["q/x.png", "q/y.png", "x.png"]),
        (["../x", "../../x", "/x", "x"], ["x", "x-2", "x-3", "x-4"]),
        (["a.png", "A.png"], ["a.png", "A-2.png"]),
        (["/", "..", "", ".", "//"], ["image", "image-2", "image-3", "image-4", "image-5"]),
        (["a/../../../etc/x", "a/./b//x"], ["x", "a/b/x"]),
        (["a\0b/x"], ["ab/x"]),
        (["é" * 300 + ".png"], ["é" * 98 + ".png"]),
    ],
)
def test_every_overlay_has_a_place_of_its_own(ids: list[str], expected: list[str]) -> None:
    assert [str(place) for place in overlay_places(ids)] == [f"{e}.overlay.jpg" for e in expected]


@given(st.lists(st.text("ab./\\\0é", max_size=12), max_size=8))
def test_no_overlay_leaves_the_folder_or_replaces_another(ids: list[str]) -> None:
    places = overlay_places(ids)
    assert len(set(places)) == len(places) == len(ids)
    for place in places:
        assert not place.is_absolute()
        assert os.path.normpath(Path("/folder", place)) == str(Path("/folder", place))
        assert "\0" not in str(place)
