from __future__ import annotations

import dataclasses
import json

import pytest

from workzone.data.augmentation import Augmentation
from workzone.errors import UsageError
from workzone.features.spec import FeatureSpec, LevelShape
from workzone.views import ViewLayout

SPEC = FeatureSpec(
    backbone="lite0",
    weight_hash="0" * 32,
    width=8,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    pooling="mean",
    layout=ViewLayout(size=32, boxes=((0.0, 0.0, 0.5, 0.5),)),
    grid_views=(0, 2),
    grid_size=(1, 2),
    grid_width=4,
    preprocessing=1,
)

OTHER = {
    "backbone": "lite1",
    "weight_hash": "1" * 32,
    "width": 9,
    "mean": (0.5, 0.5, 0.25),
    "std": (0.25, 0.25, 0.5),
    "pooling": "max",
    "precision": "bfloat16",
    "stored_type": "bfloat16",
    "grid_views": (0, 1),
    "grid_size": (2, 1),
    "grid_width": 5,
    "level_shapes": (LevelShape(level=8, width=24, rows=8, columns=8),),
    "preprocessing": 99,
    "layout.size": 64,
    "layout.global_view": False,
    "layout.keep_aspect": True,
    "layout.halves": True,
    "layout.shorter": 64,
    "layout.step": 16,
    "layout.tiles": 2,
    "layout.overlap": 0.5,
    "layout.squares": ("centre", "left"),
    "layout.boxes": ((0.0, 0.0, 0.5, 0.75),),
    "augmentation.seed": 1,
    "augmentation.recipe": "challenge",
    "augmentation.flip": 0.25,
    "augmentation.least_area": 0.25,
    "augmentation.light": 0.25,
    "augmentation.blur": 0.25,
}
"""A second value of every field."""

FRAME = dataclasses.replace(
    SPEC, layout=ViewLayout(size=128, shorter=128, tiles=0, squares=()), grid_views=(0,)
)
"""With the frame in its own shape, to which alone some fields belong."""


def spec_with(name: str) -> FeatureSpec:
    """The spec in which a field says something."""
    return FRAME if name in ("layout.shorter", "layout.step") else SPEC


def field_names(value: object, prefix: str = "") -> list[str]:
    names = []
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            names += field_names(inner, f"{prefix}{field.name}.")
        else:
            names.append(prefix + field.name)
    return names


def with_value(spec: FeatureSpec, name: str, value: object) -> FeatureSpec:
    outer, _, inner = name.rpartition(".")
    if outer:
        value = dataclasses.replace(getattr(spec, outer), **{inner: value})
    return dataclasses.replace(spec, **{outer or inner: value})


def test_every_field_has_a_second_value_here():
    assert sorted(field_names(SPEC)) == sorted(OTHER)


@pytest.mark.parametrize("name", OTHER)
def test_the_key_changes_with_every_field(name):
    spec = spec_with(name)
    changed = with_value(spec, name, OTHER[name])
    assert changed != spec
    assert changed.key() != spec.key()


def test_keys_of_all_second_values_differ_from_each_other():
    keys = {with_value(spec_with(name), name, value).key() for name, value in OTHER.items()}
    assert len(keys) == len(OTHER)


def test_the_key_is_the_same_in_every_process_and_version():
    assert dataclasses.replace(SPEC).key() == SPEC.key() == "4212d561a5f83546"


@pytest.mark.parametrize(
    ("changes", "key"),
    [({}, "4a9ccd4d4d8dfc8c"), ({"keep_aspect": True, "halves": True}, "ade90c833aedbe8a")],
    ids=["squeezed", "padded, with halves"],
)
def test_square_views_keep_the_key_that_they_had_before_frames_had_their_own_shape(changes, key):
    layout = ViewLayout(size=512, tiles=0, squares=("left", "right"), **changes)
    spec = dataclasses.replace(SPEC, layout=layout, preprocessing=3)
    assert spec.key() == key
    assert "shorter" not in spec.to_json()["layout"]
    assert "step" not in spec.to_json()["layout"]


def test_a_store_of_before_there_were_recipes_keeps_its_key():
    stored = {
        "backbone": "lite0",
        "weight_hash": "e0768c82a42e73cbd2f9cd0420dfaf88",
        "width": 2560,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "pooling": "mean+max",
        "layout": {
            "size": 224,
            "global_view": True,
            "tiles": 3,
            "overlap": 0.25,
            "squares": ["centre", "right"],
            "boxes": [],
        },
        "precision": "float32",
        "stored_type": "float16",
        "grid_views": [0],
        "grid_size": [7, 7],
        "grid_width": 1280,
        "augmentation": {"seed": 0, "flip": 0.5, "least_area": 0.5, "light": 0.3, "blur": 0.2},
        "preprocessing": 2,
    }
    spec = FeatureSpec.from_json(stored)
    assert spec.augmentation == Augmentation(recipe="mild")
    assert spec.key() == "c2435ce591820baf"
    assert spec.to_json() == stored


def test_the_key_of_challenge_copies_changes_with_the_version_of_the_challenge(monkeypatch):
    challenge = with_value(SPEC, "augmentation.recipe", "challenge")
    before = challenge.key(), SPEC.key()
    monkeypatch.setattr("workzone.features.spec.RECIPE_VERSION", 99)
    assert challenge.key() != before[0]
    assert SPEC.key() == before[1]


@pytest.mark.parametrize("name", [None, *OTHER])
def test_json_holds_all_of_a_spec(name):
    spec = SPEC if name is None else with_value(spec_with(name), name, OTHER[name])
    assert FeatureSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_damaged_json_is_refused_field_by_field():
    value = SPEC.to_json() | {"pooled": 1, "precision": "float16"}
    del value["width"]
    with pytest.raises(UsageError, match="spec:") as caught:
        FeatureSpec.from_json(value)
    for part in ("pooled: unknown key; did you mean 'pooling'?", "width: missing", "'bfloat16'"):
        assert part in str(caught.value)


@pytest.mark.parametrize("view", [13, -1])
def test_a_grid_of_a_view_that_is_not_there_is_refused(view):
    with pytest.raises(UsageError, match=rf"grid of view {view} asked for; .* views 0 to 12"):
        dataclasses.replace(SPEC, grid_views=(0, view))


def test_defaults_are_those_of_their_parts():
    spec = FeatureSpec(
        backbone="b", weight_hash="0", width=1, mean=(0.0,), std=(1.0,), pooling="mean"
    )
    assert (spec.layout, spec.augmentation) == (ViewLayout(), Augmentation())
