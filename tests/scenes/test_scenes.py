from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from workzone.cli import app
from workzone.data.images import content_hash
from workzone.data.manifest import read_manifest
from workzone.data.masks.load import load_masks
from workzone.data.masks.references import read_said
from workzone.errors import UsageError
from workzone.scenes import draw_scene, write_scenes
from workzone.scenes.background import make_light
from workzone.scenes.camera import Camera
from workzone.scenes.canvas import ORDINARY, Canvas, Light
from workzone.scenes.distractors import add_distractors
from workzone.scenes.layout import add_work_zone
from workzone.scenes.markers import draw_beacon, draw_cone, draw_vertical_panel
from workzone.scenes.place import (
    DAYTIMES,
    ENVIRONMENTS,
    PARKING_CONE,
    WEATHERS,
    Area,
    Stage,
    choose_place,
)
from workzone.scenes.scene import find_objects, make_camera
from workzone.types import OBJECT_CLASSES

SMALL = {"width": 160, "height": 90}
COUNT = 200


@pytest.fixture(scope="module")
def drawn():
    """Scenes of both labels in turn, each of another street."""
    return [draw_scene(1000 + index, label=index % 2, **SMALL) for index in range(COUNT)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return write_scenes(folder, count=14, seed=3)


def auc_of(features, labels):
    """Cross-validated AUC of a logistic regression on some numbers per scene."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    chance = cross_val_predict(model, features, labels, cv=5, method="predict_proba")[:, 1]
    return roc_auc_score(labels, chance)


def test_scene_has_the_promised_form():
    scene = draw_scene(5, label=1, width=200, height=120)
    assert scene.image.shape == (120, 200, 3) and scene.image.dtype == np.uint8
    assert scene.masks.shape == (len(OBJECT_CLASSES), 120, 200) and scene.masks.dtype == np.bool_
    assert scene.label == 1
    assert scene.daytime in DAYTIMES and scene.weather in WEATHERS and scene.scene in ENVIRONMENTS


def test_same_seed_same_scene_other_seed_another():
    first, again, other = (draw_scene(seed, label=1, **SMALL) for seed in (7, 7, 8))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.masks, again.masks)
    assert first.boxes == again.boxes
    assert not np.array_equal(first.image, other.image)


def test_both_labels_of_a_seed_show_the_same_street():
    with_work, without = (draw_scene(11, label=label, **SMALL) for label in (1, 0))
    for name in ("daytime", "weather", "scene"):
        assert getattr(with_work, name) == getattr(without, name)
    differing = np.abs(with_work.image.astype(int) - without.image).max(axis=2) > 24
    assert 0 < differing.mean() < 0.5


def test_positives_show_their_work_zone_and_negatives_have_empty_masks(drawn):
    for scene in drawn:
        if scene.label:
            assert scene.masks.any(axis=0).mean() >= 0.0006 and scene.boxes
        else:
            assert not scene.masks.any()
            assert {kind for kind, _ in scene.boxes} <= {PARKING_CONE}


def test_every_class_and_condition_occurs(drawn):
    share = np.mean([s.masks.any(axis=(1, 2)) for s in drawn if s.label], axis=0)
    assert dict(zip(OBJECT_CLASSES, share > 0.15, strict=True)) == dict.fromkeys(
        OBJECT_CLASSES, True
    )
    assert {s.daytime for s in drawn} == set(DAYTIMES)
    assert {s.weather for s in drawn} == set(WEATHERS)
    assert {s.scene for s in drawn} == set(ENVIRONMENTS)


def test_boxes_enclose_the_masks_exactly(drawn):
    for scene in [s for s in drawn if s.label][:40]:
        height, width = scene.masks.shape[1:]
        for channel, kind in enumerate(OBJECT_CLASSES):
            around = np.zeros((height, width), bool)
            edges = [box for name, box in scene.boxes if name == kind]
            for x0, y0, x1, y1 in edges:
                assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
                rows = slice(round(y0 * height), round(y1 * height))
                around[rows, round(x0 * width) : round(x1 * width)] = True
            mask = scene.masks[channel]
            assert mask.any() == bool(edges)
            assert not (mask & ~around).any()
            if edges:
                columns = np.nonzero(mask.any(axis=0))[0]
                assert min(box[0] for box in edges) * width == pytest.approx(columns[0])
                assert max(box[2] for box in edges) * width == pytest.approx(columns[-1] + 1)


def test_colour_and_global_figures_do_not_tell_the_label(drawn):
    labels = np.array([scene.label for scene in drawn])
    pixels = [scene.image.reshape(-1, 3).astype(float) for scene in drawn]
    mean_colour = np.array([[*p.mean(axis=0), *p.std(axis=0)] for p in pixels])
    histogram = np.array(
        [np.histogramdd(p, bins=(4, 4, 4), range=[(0, 256)] * 3)[0].ravel() for p in pixels]
    )
    detail = np.array([[np.abs(np.diff(s.image.astype(float), axis=1)).mean()] for s in drawn])
    place = np.array(
        [
            [s.daytime == name for name in DAYTIMES] + [s.scene == name for name in ENVIRONMENTS]
            for s in drawn
        ],
        dtype=float,
    )
    figures = {
        "mean colour": auc_of(mean_colour, labels),
        "colour histogram": auc_of(histogram, labels),
        "brightness": auc_of(mean_colour[:, :3].mean(axis=1, keepdims=True), labels),
        "detail": auc_of(detail, labels),
        "place": auc_of(place, labels),
    }
    assert all(value < 0.8 for value in figures.values()), figures


def test_masks_lie_on_coloured_evidence(drawn):
    """Cones are warmer in colour than the rest of their picture, in nearly every scene by day."""
    warmer = []
    for scene in drawn:
        if scene.masks[0].sum() > 30 and scene.daytime == "day":
            warmth = scene.image[..., 0].astype(float) - scene.image[..., 2]
            warmer.append(warmth[scene.masks[0]].mean() > warmth[~scene.masks[0]].mean())
    assert len(warmer) > 10 and np.mean(warmer) > 0.9


@pytest.mark.parametrize("z", [5.0, 10.0, 40.0])
def test_projection_is_a_pinhole(z):
    camera = Camera(width=800, height=400, focal=600, horizon=180, centre=400, eye=1.5)
    assert camera.project((2.0, 0.0, z)) == pytest.approx((400 + 600 * 2 / z, 180 + 900 / z))
    assert camera.project((0.0, 1.5, z)) == pytest.approx((400, 180))
    assert camera.pixels(1.0, z) == pytest.approx(600 / z)


def test_curve_roll_and_left_hand_traffic_move_points_as_they_should():
    options = {"width": 800, "height": 400, "focal": 600.0, "horizon": 180.0, "centre": 400.0}
    curved = Camera(**options, eye=1.5, curve=0.001)
    assert curved.project((0, 1.5, 50)) == pytest.approx((400 + 600 * 2.5 / 50, 180))
    mirrored = Camera(**options, eye=1.5, mirrored=True)
    assert mirrored.project((2, 0, 10))[0] == pytest.approx(400 - 120)
    rolled = Camera(**options, eye=1.5, roll=math.pi / 2)
    assert rolled.project((1, 1.5, 6)) == pytest.approx((400, 280))


def test_an_object_twice_as_far_is_half_as_high_and_stands_on_the_ground():
    heights = []
    for z in (8.0, 16.0):
        camera = Camera(width=800, height=600, focal=800, horizon=200, centre=400, eye=1.5)
        canvas = Canvas(camera, Light((1, 1, 1), (200, 200, 200), 900))
        with canvas.owned("cone"):
            draw_cone(canvas, x=0, z=z, height=0.9, colour=(255, 100, 20), bands=1)
        rows = np.nonzero((canvas.owners() == 2).any(axis=1))[0]
        heights.append(len(rows))
        assert rows[-1] == pytest.approx((200 + 800 * 1.5 / z) / 2, abs=2)
        assert heights[-1] == pytest.approx(800 * 0.9 / z / 2, abs=4)
    assert heights[0] == pytest.approx(2 * heights[1], abs=5)


def test_near_objects_hide_far_ones_in_the_masks():
    def visible(hidden_behind_a_nearer_one):
        camera = Camera(width=800, height=600, focal=800, horizon=200, centre=400, eye=1.5)
        canvas = Canvas(camera, Light((1, 1, 1), (200, 200, 200), 900))
        stage = Stage(choose_place(0))
        cone = {"height": 0.9, "colour": (255, 100, 20), "bands": 0}
        if hidden_behind_a_nearer_one:
            stage.add(draw_cone, x=0, z=6, **cone)  # ordinary: hides, but is no work object
        stage.add(draw_cone, x=0, z=12, kind="cone", **cone)
        stage.draw(canvas)
        return (canvas.owners() == 2).sum()

    assert 0 < visible(True) < visible(False)


def test_claims_keep_things_apart():
    stage = Stage(choose_place(0))
    assert stage.claim(Area(0, 2, 5, 10))
    assert not stage.claim(Area(1, 3, 9, 12))
    assert stage.claim(Area(2, 3, 9, 12))  # touching is not meeting


def test_written_data_set_is_complete(dataset):
    manifest = read_manifest(dataset)
    folder = dataset.parent
    assert len(manifest) == 14 and sum(sample.label for sample in manifest) == 7
    for sample in manifest:
        data = (folder / sample.image.path).read_bytes()
        assert sample.content_hash == content_hash(data) and sample.source == "drawn"
        with Image.open(folder / sample.image.path) as image:
            assert image.format == "JPEG" and image.size == (640, 360)
        masks = load_masks(sample.masks, folder, 360, 640).covered
        assert masks.any() == bool(sample.label)
        ((source, _),) = read_said(sample.masks, folder)
        assert source.knowledge == "drawn"
    hashes = {sample.content_hash for sample in manifest}
    assert len(hashes) == 14


def test_drives_share_a_place_and_hold_both_labels(dataset):
    drives = {}
    for sample in read_manifest(dataset):
        drives.setdefault(sample.group, []).append(sample)
    assert len(drives) > 1
    for scenes in drives.values():
        assert 4 <= len(scenes) <= 8 and {sample.label for sample in scenes} == {0, 1}
        for name in ("daytime", "weather", "scene"):
            assert len({getattr(sample, name) for sample in scenes}) == 1
        assert [s.time for s in scenes] == sorted(s.time for s in scenes)


def metres(first, second):
    """Haversine distance of two samples."""
    lat1, lat2 = math.radians(first.latitude), math.radians(second.latitude)
    half = math.sin((lat2 - lat1) / 2) ** 2
    across = math.radians(second.longitude - first.longitude)
    half += math.cos(lat1) * math.cos(lat2) * math.sin(across / 2) ** 2
    return 2 * 6_371_009 * math.asin(math.sqrt(half))


def test_drives_are_far_apart_and_their_scenes_near(dataset):
    samples = list(read_manifest(dataset))
    for index, first in enumerate(samples):
        for second in samples[:index]:
            apart = metres(first, second)
            assert apart < 100 if first.group == second.group else apart > 150


def test_same_seed_same_bytes(tmp_path, dataset):
    again = write_scenes(tmp_path, count=14, seed=3)
    files = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert len(files) == 2 * 14 + 1 and again == tmp_path / "manifest.parquet"
    for file in files:
        assert (tmp_path / file).read_bytes() == (dataset.parent / file).read_bytes()


@pytest.mark.parametrize(("share", "positives"), [(0.0, 0), (0.25, 1), (1.0, 4)])
def test_positive_share_is_exact(tmp_path, share, positives):
    manifest = read_manifest(write_scenes(tmp_path, count=4, positive_share=share))
    assert sum(sample.label for sample in manifest) == positives


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: draw_scene(1, label=2), r"label is 2; it must be 1 \(road work\) or 0"),
        (lambda _: draw_scene(-1, label=1), "seed is -1; it must be 0 or more"),
        (lambda _: draw_scene(1, label=1, width=20), "20x360 pixels; at least 64 a side"),
        (lambda path: write_scenes(path, count=0), "count is 0; ask for at least 1 scene"),
        (lambda path: write_scenes(path, count=1, seed=-2), "seed is -2; it must be 0 or more"),
        (
            lambda path: write_scenes(path, count=1, positive_share=1.5),
            "positive_share is 1.5; it must lie between 0 and 1",
        ),
    ],
)
def test_mistakes_are_named(tmp_path, call, message):
    with pytest.raises(UsageError, match=message):
        call(tmp_path)


def test_command_writes_and_reports(tmp_path):
    result = CliRunner().invoke(app, ["scenes", "-o", str(tmp_path), "--count", "2", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "manifest": str(tmp_path / "manifest.parquet"),
        "scenes": 2,
        "roadwork": 1,
        "drives": 1,
        "seed": 0,
    }
    shown = CliRunner().invoke(app, ["scenes", "--help"])
    assert "workzone scenes -o scenes --count 1000 --seed 7" in shown.stdout


def test_command_refuses_a_wrong_count(tmp_path):
    result = CliRunner().invoke(app, ["scenes", "-o", str(tmp_path), "--count", "0"])
    assert result.exit_code == 2
    assert "ask for at least 1 scene" in result.stderr


def drawn_kinds(stage: Stage) -> dict[str, set[str]]:
    """Names of the functions that draw the stage's objects, and the classes they are put as."""
    kinds: dict[str, set[str]] = {}
    for item in stage.items:
        kinds.setdefault(item.draw.func.__name__, set()).add(item.kind)
    return kinds


def test_work_zones_are_set_out_with_what_their_region_has() -> None:
    seen: dict[str, set[str]] = {}
    for seed in range(400):
        stage = Stage(choose_place(seed))
        add_work_zone(stage, np.random.default_rng(seed))
        kinds = drawn_kinds(stage)
        assert not {"draw_vertical_panel", "draw_beacon"} <= kinds.keys()  # each of one region
        if "draw_barrier_board" in kinds:
            assert "draw_vertical_panel" not in kinds
        for name, classes in kinds.items():
            seen.setdefault(name, set()).update(classes)
    cones = ("cone", "fallen_cone", "drum", "tube", "vertical_panel", "beacon")
    barriers = ("a_frame", "barricade", "barrier_board", "plastic_barrier", "concrete_barrier")
    for names, kind in ((cones, "cone"), (barriers, "barrier"), (("paver",), "equipment")):
        for name in names:
            assert seen[f"draw_{name}"] == {kind}


def test_worn_objects_have_lost_some_of_their_colour() -> None:
    def picture(wear: float) -> np.ndarray:
        place = dataclasses.replace(choose_place(0), daytime="day", weather="clear")
        canvas = Canvas(make_camera(place, np.random.default_rng(0), (64, 36)), make_light(place))
        stage = Stage(place, wear=wear)
        cone = {"height": 0.9, "colour": (255, 96, 16), "bands": 0}
        stage.add(draw_cone, x=0.0, z=4.0, kind="cone", **cone)
        stage.add(draw_cone, x=1.0, z=4.0, **cone)
        stage.draw(canvas)
        pixels = np.asarray(canvas.image, dtype=float).max(axis=-1) - np.asarray(canvas.image).min(
            axis=-1
        )
        owners = np.asarray(canvas._owners)
        return np.array([pixels[owners == owner].mean() for owner in (ORDINARY, ORDINARY + 1)])

    new, worn = picture(0.0), picture(0.5)
    assert new[0] == worn[0]  # ordinary things are as they are
    assert worn[1] < 0.7 * new[1]
    assert worn[1] > 0.3 * new[1]


def test_cones_at_a_door_are_told_of_and_no_road_work() -> None:
    stages = []
    for seed in range(300):
        stage = Stage(choose_place(seed))
        add_distractors(stage, np.random.default_rng(seed), 30)
        stages.append({item.kind for item in stage.items})
    with_cones = [kinds for kinds in stages if PARKING_CONE in kinds]
    assert 0.02 < len(with_cones) / len(stages) < 0.2  # rare
    assert set().union(*stages) == {"", PARKING_CONE}
    place = choose_place(0)
    canvas = Canvas(make_camera(place, np.random.default_rng(0), (64, 36)), make_light(place))
    stage = Stage(place)
    for x, kind in ((-0.5, PARKING_CONE), (0.5, "cone")):
        cone = {"height": 0.9, "colour": (255, 96, 16), "bands": 0}
        stage.add(draw_cone, x=x, z=4.0, kind=kind, **cone)
    stage.draw(canvas)
    masks, boxes = find_objects(canvas)
    assert sorted(kind for kind, _ in boxes) == ["cone", PARKING_CONE]
    (box,) = (box for kind, box in boxes if kind == "cone")
    columns = np.flatnonzero(masks.any(axis=(0, 1)))
    assert columns.min() / 64 == box[0]
    assert (columns.max() + 1) / 64 == box[2]


def test_emergency_vehicles_are_ordinary_things() -> None:
    found = set()
    for seed in range(60):
        stage = Stage(choose_place(seed))
        add_distractors(stage, np.random.default_rng(seed), 30)
        found |= drawn_kinds(stage).get("draw_emergency_vehicle", set())
    assert found == {""}


def work_zone_items(seed):
    """Names of the drawing functions, classes and details of one work zone's objects."""
    stage = Stage(choose_place(seed))
    add_work_zone(stage, np.random.default_rng(seed))
    return [(item.draw.func.__name__, item.kind, item.draw.keywords) for item in stage.items]


def test_cones_have_no_one_or_two_sleeves():
    zones = [work_zone_items(seed) for seed in range(100)]
    assert {d["bands"] for z in zones for n, _, d in z if n == "draw_cone"} == {0, 1, 2}


def test_a_work_zone_keeps_to_the_objects_of_its_region():
    american = {"draw_vertical_panel", "draw_drum", "draw_diamond"}
    european = {"draw_beacon", "draw_barrier_board", "draw_triangle"}
    for seed in range(300):
        items = work_zone_items(seed)
        names = {name for name, *_ in items}
        assert not (names & american and names & european), seed
        for _, _, details in items:
            if "red" in details:
                assert not names & (american if details["red"] else european), seed


@pytest.mark.parametrize(
    ("draw", "colour", "width", "height"),
    [(draw_vertical_panel, (255, 104, 20), 0.3, 0.9), (draw_beacon, (206, 32, 32), 0.25, 1.0)],
)
def test_panels_have_their_size_and_as_much_white_as_colour(draw, colour, width, height):
    camera = Camera(width=800, height=600, focal=1600, horizon=200, centre=400, eye=1.5)
    canvas = Canvas(camera, Light((1, 1, 1), (200, 200, 200), 1e9))
    draw(canvas, x=0, z=8, lamp=False)
    pixels = np.asarray(canvas.image)
    striped, white = (pixels == colour).all(axis=2), (pixels == (240, 240, 236)).all(axis=2)
    rows, columns = np.nonzero(striped | white)
    assert np.ptp(columns) == pytest.approx(1600 * width / 8, abs=2)
    assert np.ptp(rows) == pytest.approx(1600 * height / 8, abs=2)
    assert striped.sum() == pytest.approx(white.sum(), rel=0.1)
    # diagonal: the bands stand higher at one side than at the other
    assert (striped[:, columns.min() + 2] != striped[:, columns.max() - 2]).sum() > 20
