"""Made streets, cars and zones, and how what is found is held against them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from workzone.geo.fleet import Detector
from workzone.geo.ground import moved
from workzone.geo.judge import Stretch, Tally, ends_off, pairs, shared
from workzone.geo.simulate import Outcome, figures_of, follow, make_world
from workzone.geo.streets import CENTRE, DAY, KINDS, make_streets, make_zones

PERFECT = Detector(hit=1, alarms=0, late=0.01, ends=0.01, view=35, gps_drive=0, gps_frame=0)


def stretch(begin, end, north=0.0):
    return Stretch.of([moved(*CENTRE, begin, north), moved(*CENTRE, end, north)])


@pytest.mark.parametrize("kind", KINDS)
def test_streets_go_both_ways_and_lanes_are_apart(kind):
    streets = make_streets(kind, 3)
    assert 6000 < streets.length < 14000
    ways = {(way.start, way.end): way for way in streets.ways}
    for (start, end), way in ways.items():
        back = ways[end, start].places[::-1]
        apart = np.hypot(*(way.places - back).T)
        assert apart == pytest.approx(6, abs=0.3)
    assert all(streets.following)
    assert np.array_equal(streets.ways[0].places, make_streets(kind, 3).ways[0].places)


def test_zones_are_on_ways_of_their_own():
    streets = make_streets("grid", 1)
    zones = make_zones(streets, days=20, count=8, start=0.0, seed=1)
    used = [way for zone in zones for way in zone.ways]
    assert len(zones) == 8 and len(set(used)) == len(used)
    for zone in zones:
        length = sum(streets.ways[way].length for way in zone.ways)
        assert 0 < zone.begin < zone.end < length
        assert 3 * DAY <= zone.stop - zone.start <= 12 * DAY


def test_stretches_share_road_in_one_direction():
    assert shared(stretch(0, 100), stretch(50, 200)) == pytest.approx(70, abs=11)
    assert shared(stretch(0, 100), stretch(0, 100, north=15)) == pytest.approx(110, abs=11)
    assert shared(stretch(0, 100), stretch(0, 100, north=25)) == 0
    assert shared(stretch(100, 0), stretch(0, 100)) == 0
    assert ends_off(stretch(10, 100), stretch(0, 130)) == pytest.approx((10, 30), abs=0.1)


def test_pairs_are_one_to_one_and_days_are_counted():
    found, true = [stretch(0, 100), stretch(100, 400), stretch(900, 990)], [stretch(50, 400)]
    assert pairs(found, true) == [(1, 0)]
    tally = Tally()
    tally.add(found, true)
    tally.add([], true)
    figures = tally.figures()
    assert (figures["precision"], figures["recall"]) == (1 / 3, 1 / 2)
    assert figures["end_error_m"] == pytest.approx(25, abs=0.1)
    assert (tally + tally).figures() == figures and (tally + Tally()) == tally
    assert (tally + tally).found == 2 * tally.found
    assert Tally().figures() == {"precision": None, "recall": None, "end_error_m": None}


@pytest.fixture(scope="module")
def perfect() -> Outcome:
    return follow(make_world("grid", passes=12, days=8, seed=5, detector=PERFECT))


def test_a_perfect_detector_finds_the_zones_and_their_ends(perfect):
    figures = figures_of([perfect])
    assert figures["event_recall"] == 1
    assert figures["precision"] > 0.9 and figures["recall"] > 0.9
    assert figures["end_error_m"] < 12
    assert 0 < figures["days_to_present"] < 1 and 0 < figures["days_to_gone"] < 2


def test_figures_of_several_count_all_of_them(perfect):
    nothing = dataclasses.replace(perfect, daily=Tally(), found=0, matched=0, present=[], gone=[])
    figures = figures_of([perfect, nothing])
    assert figures["event_recall"] == 0.5
    assert figures["event_precision"] == figures_of([perfect])["event_precision"]
    assert figures_of([nothing])["days_to_gone"] is None


def test_worlds_follow_from_their_seeds():
    one, two, other = (make_world("irregular", passes=1, days=2, seed=seed) for seed in (4, 4, 5))
    digests = [[d.digest() for day in world.days for d in day] for world in (one, two, other)]
    assert digests[0] == digests[1] != digests[2]


def test_masks_tell_ends_and_change_nothing_else():
    plain, masked = (
        make_world("grid", passes=6, days=4, seed=5, detector=Detector(boxes=boxes))
        for boxes in (None, 0.2)
    )
    (one, *_), (two, *_) = plain.days[0], masked.days[0]
    assert np.array_equal(one.probability, two.probability)
    assert np.array_equal(one.longitude, two.longitude) and one.objects.found == 0
    shown = [drive.objects for day in masked.days for drive in day]
    near, far = (np.concatenate([getattr(o, name) for o in shown]) for name in ("near", "far"))
    told = np.isfinite(near)
    assert (near[told] <= far[told]).all() and near[told].min() > 3 and 60 < far[told].max() < 130
    assert np.array_equal(told, np.concatenate([one.classes for one in shown]) == 1)
    errors = [figures_of([follow(world)])["end_error_m"] for world in (plain, masked)]
    assert errors[1] < errors[0]
