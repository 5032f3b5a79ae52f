"""Drawn drives: a street that stays while the camera moves along it."""

from __future__ import annotations

import numpy as np
import pytest

from cli_invoke import invoke
from workzone.data.images import content_hash
from workzone.data.manifest import read_manifest
from workzone.errors import UsageError
from workzone.scenes.drive import plan_drive, write_drives

SMALL = {"width": 96, "height": 64}


@pytest.fixture(scope="module")
def drive():
    return plan_drive(1, seconds=120, **SMALL)


def test_the_same_seed_gives_the_same_drive(drive):
    again = plan_drive(1, seconds=120, **SMALL)
    for frame in (0, 61):
        one, other = drive.draw(frame), again.draw(frame)
        assert one[1] == other[1] and (one[0] == other[0]).all()


def zone_ahead(drive, frame):
    """Metres from the camera to the nearest object of a work zone."""
    stage = drive.street.ahead(float(drive.travelled[frame]))
    return min((item.z for item in stage.items if item.kind), default=np.inf)


def test_a_zone_comes_near_is_in_view_and_is_left_behind(drive):
    far = [f for f in range(120) if zone_ahead(drive, f) > 100][:3]
    near = [f for f in range(120) if 8 < zone_ahead(drive, f) < 16][:3]
    assert len(far) == len(near) == 3
    assert [drive.draw(frame)[1] for frame in far] == [0] * 3
    assert sum(drive.draw(frame)[1] for frame in near) >= 2  # one may be at the edge
    spots = [one.z for one in drive.street.standing if one.kind]
    assert len({round(z / 100) for z in spots}) > 3
    assert any(not one.kind for one in drive.street.standing)  # false friends, houses and trees


def test_the_camera_never_moves_back_and_its_lane_is_open(drive):
    assert (np.diff(drive.travelled) >= 0).all() and drive.travelled[-1] > 300
    assert all(abs(one.details["x"]) > 1 for one in drive.street.standing)
    assert all(item.z > 2.5 for item in drive.street.ahead(150.0).items)


def test_in_towns_the_camera_stands_now_and_then():
    drives = (plan_drive(seed, seconds=240, **SMALL) for seed in range(20))
    town = next(one for one in drives if one.place.environment == "urban")
    assert (np.diff(town.travelled) == 0).sum() > 3


def test_drives_are_written_as_groups_with_time_and_place(tmp_path):
    manifest = read_manifest(write_drives(tmp_path, count=2, seed=5, seconds=3, **SMALL))
    assert [sample.group for sample in manifest] == ["drive-5-000"] * 3 + ["drive-5-001"] * 3
    for first in (0, 3):
        rows = manifest.samples[first : first + 3]
        assert [(row.time - rows[0].time).total_seconds() for row in rows] == [0, 1, 2]
        assert rows[0].latitude == 45.5 <= rows[1].latitude <= rows[2].latitude
        assert {row.label for row in rows} <= {0, 1}
    sample = manifest.samples[4]
    assert content_hash((tmp_path / sample.image.path).read_bytes()) == sample.content_hash


@pytest.mark.parametrize("wrong", [{"count": 0}, {"seed": -1}, {"seconds": 0}])
def test_what_is_no_drive_is_refused(tmp_path, wrong):
    with pytest.raises(UsageError, match="at least"):
        write_drives(tmp_path, **({"count": 1, "seed": 0} | wrong))


def test_the_command_draws_drives(tmp_path):
    said = invoke("scenes", "-o", tmp_path, "--drives", 1, "--count", 2)
    assert "2 scenes of 1 drives" in said.output
    invoke("scenes", "-o", tmp_path, "--drives", 2, "--positive-share", 0.2, expect=2)
    refused = invoke("scenes", "-o", tmp_path, "--drives", 3, "--count", 2, expect=2)
    assert "at least one frame" in refused.output
