from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workzone.data.places import (
    EARTH_RADIUS,
    distinct,
    haversine,
    near_pairs,
    positions,
    round_places,
)
from workzone.errors import UsageError
from workzone.types import ImageRef, Sample


def test_haversine_on_closed_forms() -> None:
    quarter = EARTH_RADIUS * np.pi / 2
    distances = haversine([0, 0, 0, 90, 0], [0, 0, 0, 10, 179.5], [0, 90, 0, 90, 0], 0)
    expected = [0, quarter, 0, 0, EARTH_RADIUS * np.radians(179.5)]
    np.testing.assert_allclose(distances, expected, atol=1e-6)


def test_haversine_between_known_cities() -> None:
    # Berlin to Paris: 877.5 km on the sphere (independent: spherical law of cosines below).
    a, b = np.radians([52.52, 13.405]), np.radians([48.8566, 2.3522])
    cosine = np.sin(a[0]) * np.sin(b[0]) + np.cos(a[0]) * np.cos(b[0]) * np.cos(a[1] - b[1])
    assert haversine(52.52, 13.405, 48.8566, 2.3522) == pytest.approx(
        EARTH_RADIUS * np.arccos(cosine), rel=1e-9
    )
    assert float(haversine(52.52, 13.405, 48.8566, 2.3522)) == pytest.approx(877_460, abs=100)


def test_positions_leave_out_what_has_none() -> None:
    def sample(number: int, latitude: float | None, longitude: float | None) -> Sample:
        return Sample(str(number), ImageRef("x.jpg"), latitude=latitude, longitude=longitude)

    samples = [
        sample(0, 1.0, 2.0),
        sample(1, None, 2.0),
        sample(2, 3.0, None),
        sample(3, float("nan"), 4.0),
        sample(4, -5.0, 6.0),
    ]
    placed, degrees = positions(samples)
    assert placed.tolist() == [0, 4]
    assert degrees.tolist() == [[1.0, 2.0], [-5.0, 6.0]]
    assert positions([])[1].shape == (0, 2)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-0.004, 0.004), st.floats(-0.004, 0.004)), min_size=0, max_size=25
    ),
    st.sampled_from([(0.0, 0.0), (60.0, 179.999), (-89.998, 0.0)]),
)
def test_near_pairs_equal_all_against_all(
    offsets: list[tuple[float, float]], centre: tuple[float, float]
) -> None:
    degrees = np.array(offsets, dtype=np.float64).reshape(-1, 2) + centre
    degrees[:, 1] = (degrees[:, 1] + 180) % 360 - 180  # across the date line too
    slow = {
        (i, j)
        for i in range(len(degrees))
        for j in range(i + 1, len(degrees))
        if haversine(*degrees[i], *degrees[j]) <= 150.0
    }
    fast = [tuple(pair) for block in near_pairs(degrees, 150.0) for pair in block.tolist()]
    assert len(fast) == len(set(fast))
    assert set(fast) == slow


def test_near_pairs_come_whole_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workzone.data.places._BLOCK_PAIRS", 25)
    degrees = np.zeros((10, 2))
    blocks = list(near_pairs(degrees, 1.0))
    assert sum(map(len, blocks)) == 45
    assert len(blocks) > 2
    assert max(map(len, blocks)) <= 25


def test_distinct_points_come_in_order_of_their_first() -> None:
    points, which = distinct(np.array([[5.0, 1.0], [2.0, 1.0], [5.0, 1.0], [5.0, 0.0]]))
    assert points.tolist() == [0, 1, 3]
    assert which.tolist() == [0, 1, 0, 2]
    assert [len(part) for part in distinct(np.empty((0, 2)))] == [0, 0]


def test_rounded_places_lie_on_a_grid_near_by() -> None:
    rng = np.random.default_rng(0)
    latitude, longitude = rng.uniform(-90, 90, 2000), rng.uniform(-180, 180, 2000)
    for metres in (5.0, 100.0, 2500.0):
        there = round_places(latitude, longitude, metres)
        moved = haversine(latitude, longitude, *there)
        assert moved.max() <= 0.72 * metres + 0.02
        assert moved.max() > 0.6 * metres  # no finer than it says
        assert np.abs(there[1]).max() <= 180
        np.testing.assert_allclose(np.stack(round_places(*there, metres)), there, atol=2e-7)
    near = round_places([52.5, 52.50001], [13.4, 13.40001], 1000.0)
    assert near[0][0] == near[0][1] and near[1][0] == near[1][1]
    assert np.isnan(round_places(np.nan, 13.4, 10.0)[0])


@pytest.mark.parametrize("metres", [0.0, -5.0, np.nan, np.inf])
def test_a_grid_has_a_width(metres: float) -> None:
    with pytest.raises(UsageError, match="rounded to metres above 0"):
        round_places(52.5, 13.4, metres)
