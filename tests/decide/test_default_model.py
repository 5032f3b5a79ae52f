"""What comes with workzone: a bundle that is whole, small, and says what it learned from."""

from __future__ import annotations

import json

import numpy as np
import pytest

from predictors import bundle_predictor
from trained import Tiny
from workzone.decide.bundle import read_bundle
from workzone.decide.bundle_json import describe, shipped_bundle, shipped_program
from workzone.engine.folder import read_exported
from workzone.errors import UsageError
from workzone.run.predictor import Predictor
from workzone.run.programs import open_program


def test_the_default_model_is_whole_and_small() -> None:
    folder = shipped_bundle()
    bundle = read_bundle(folder)
    assert bundle.spec.backbone == "lite0-road-trunk"
    assert bundle.provenance["inputs"] == "image only"
    assert bundle.provenance["threshold"]["value"] == bundle.calibration.threshold
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000


def test_as_a_program_it_is_the_same_model() -> None:
    bundle, folder = read_bundle(shipped_bundle()), shipped_program()
    exported = read_exported(folder)
    assert describe(exported) == describe(bundle)
    assert exported.training_images == bundle.training_images
    assert (exported.engine, exported.precision) == ("onnx", "float32")
    assert exported.gate is not None
    assert exported.gate["flips"] == 0
    assert exported.gate["images"] >= 200
    assert exported.faster == ("openvino", "bfloat16")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15_000_000
    for graph in exported.graphs().values():  # what torch's exporter leaves of its machine
        assert b"stack_trace" not in graph.read_bytes()
    frame = np.random.default_rng(0).integers(0, 256, (150, 260, 3), dtype=np.uint8)
    ours, theirs = Predictor(open_program(None, engine="onnx")), bundle_predictor(bundle)
    (one,), (other,) = ours.predict(frame), theirs.predict(frame)
    assert one.probability == pytest.approx(other.probability, abs=1e-4)
    assert (one.box, one.engine, other.engine) == (other.box, "onnx", "torch")


def test_options_of_torch_open_it_as_a_bundle() -> None:
    assert open_program(None, engine="torch").engine.name == "torch"
    assert open_program(None, precision="float32").engine.name == "onnx"
    assert open_program(None, engine="openvino").engine.name == "openvino"


def test_its_card_names_every_kind_of_data() -> None:
    folder = shipped_bundle()
    card = (folder / "MODEL_CARD.md").read_text()
    for source in (
        "Mi3-Lab/workzone",
        "anuragxel/roadwork-dataset",
        "biankatpas",
        "COCO",
        "Panoramax",
        "Mapillary",
        "mapillary_sprite_source",
    ):
        assert source in card
    rows = json.loads((folder / "bundle.json").read_text())["provenance"]["rows"]
    assert f"{rows:,}" in card


def test_a_dense_model_takes_views_of_any_size() -> None:
    bundle = read_bundle(shipped_bundle())
    layout = bundle.spec.layout
    side = layout.view_size
    assert bundle.with_view_size(None) is bundle
    assert bundle.with_view_size(side) is bundle
    small = bundle.with_view_size(128)
    assert small.spec.layout == layout.with_view_size(128)
    cells = small.spec.layout.size // 32
    assert (small.spec.layout.view_size, small.spec.grid_size) == (128, (cells, cells))
    assert small.identity() != bundle.identity()  # results of one are not gone on with by the other
    frame = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    x0, _, x1, _ = bundle_predictor(small).predict(frame)[0].box
    assert 0 < x1 - x0 <= 1 / 4 + 1e-6
    with pytest.raises(UsageError, match=r"--size 100 is no multiple of 64.*are 64 and 128"):
        bundle.with_view_size(100)
    with pytest.raises(UsageError, match="no multiple of 64, twice the side of a cell: "):
        bundle.with_view_size(352)


def test_other_models_know_one_size(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match=r"knows views of .* px and no others"):
        read_bundle(tiny.bundle).with_view_size(128)
