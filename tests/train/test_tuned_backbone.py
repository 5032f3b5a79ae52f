"""From pixels to a bundle whose backbone has learned by its own weights."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from cli_invoke import invoke
from made_images import ORANGE, blob_image, sample_of
from predictors import bundle_predictor
from workzone.backbones.adapters import AdapterConfig
from workzone.backbones.base import Backbone
from workzone.backbones.fine_tuning import FineTuneConfig
from workzone.backbones.registry import load_backbone
from workzone.config import from_mapping
from workzone.data.augmentation import Augmentation
from workzone.data.manifest import Manifest, write_manifest
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.decide.bundle import write_bundle
from workzone.engine.choose import load_program
from workzone.errors import UsageError
from workzone.features.extract import make_spec
from workzone.features.spec import FeatureSpec
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.run.predictor import Predictor, load
from workzone.train.job import Trained, train
from workzone.train.optim.optimizers import OptimizerConfig, make_optimizer
from workzone.train.pixels import PixelDetector
from workzone.train.processes import Processes
from workzone.train.settings import RunConfig, TrainConfig
from workzone.views import ViewLayout

SHAPES = ((96, 64), (64, 96), (80, 80))
LAYOUT = ViewLayout(size=128, shorter=64, step=64, tiles=0, squares=(), halves=True)
CONFIG = TrainConfig(
    detector=DetectorConfig(
        cells=CellHeadConfig(tail=True, hidden=0, top=1, mix_style=0.5), glance=None
    ),
    optimizer=OptimizerConfig(learning_rate=1e-3, weight_decay=0.05),
    ema=0.9,
    gradient_clip=1.0,
    epochs=2,
    batch=4,
    fine_tuning=FineTuneConfig(rate=0.5, layer_decay=0.9),
)


@pytest.fixture(scope="module")
def trunk() -> Backbone:
    return load_backbone("lite0-trunk")


@pytest.fixture(scope="module")
def spec(trunk: Backbone) -> FeatureSpec:
    return make_spec(
        trunk,
        layout=LAYOUT,
        pooling="mean",
        grid_views=(0,),
        augmentation=Augmentation(recipe="varied"),
    )


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """16 frames of three shapes, with masks: 10 to learn from, 6 to validate on."""
    root = tmp_path_factory.mktemp("streets")
    samples = []
    for number in range(16):
        width, height = SHAPES[number % 3]
        image = blob_image(number, number % 2, width=width, height=height)
        image.save(root / f"{number}.png")
        masks = np.zeros((6, height, width), np.bool_)
        masks[0] = (np.asarray(image) == ORANGE).all(axis=2)
        write_bit_image(masks, root / f"{number}.mask.png")
        samples.append(
            sample_of(
                root / f"{number}.png",
                label=number % 2,
                split="train" if number < 10 else "val",
                group=str(number),
                masks=f"{number}.mask.png",
            )
        )
    return Manifest(samples, root)


@pytest.fixture(scope="module")
def trained(
    streets: Manifest,
    trunk: Backbone,
    spec: FeatureSpec,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Trained, Path]:
    root = tmp_path_factory.mktemp("trained")
    result = train(streets, trunk, spec, root / "features", CONFIG, copies=2)
    write_bundle(result.bundle, root / "model")
    return result, root


def paths(manifest: Manifest) -> list[str]:
    return [str(manifest.root / sample.image.path) for sample in manifest]


def test_trunk_and_tail_have_their_rates(trunk: Backbone, spec: FeatureSpec) -> None:
    tuning = FineTuneConfig(rate=0.2, layer_decay=0.5)
    config = CONFIG.detector.sized(width=192, grid_width=192)
    detector = PixelDetector(config, trunk, spec, tuning)
    optimizer = make_optimizer(
        detector, OptimizerConfig(learning_rate=0.1, weight_decay=0.3), detector.rates()
    )
    groups = {
        id(p): (group["initial_lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    found = {name: groups.pop(id(p)) for name, p in detector.named_parameters()}
    assert not groups
    assert found["detector.cells.classifier.weight"] == (pytest.approx(0.1), 0.0)
    assert found["detector.cells.tail.0.weight"] == (pytest.approx(0.01), 0.3)
    blocks = 15
    stem = "backbone.model.0"
    assert found[f"{stem}.weight"] == (pytest.approx(0.02 * 0.5**blocks), 0.3)
    assert found[f"{stem}.bias"] == (pytest.approx(0.02 * 0.5**blocks), 0.0)
    assert found["backbone.model.7.3.conv_pwl.weight"] == (pytest.approx(0.02), 0.3)


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd"])
def test_a_step_of_a_block_is_as_long_as_its_rate(
    trunk: Backbone, spec: FeatureSpec, name: str
) -> None:
    """With a gradient of one size everywhere, weights move by the rates."""
    tuning = FineTuneConfig(rate=0.5, layer_decay=0.1, blocks=2)
    config = CONFIG.detector.sized(width=192, grid_width=192)
    detector = PixelDetector(config, trunk, spec, tuning)
    settings = OptimizerConfig(name=name, learning_rate=0.1)  # type: ignore[arg-type]
    optimizer = make_optimizer(detector, settings, detector.rates())
    before = {n: p.detach().clone() for n, p in detector.named_parameters()}
    for parameter in detector.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    moved = {
        n: float((p.detach() - before[n]).abs().mean()) for n, p in detector.named_parameters()
    }
    last, former = (moved[f"backbone.model.7.{n}.conv_dw.weight"] for n in (3, 2))
    assert former == pytest.approx(0.1 * last, rel=1e-2)
    assert moved["backbone.model.7.1.conv_dw.weight"] == 0


def test_all_of_the_backbone_has_learned(trunk: Backbone, trained: tuple[Trained, Path]) -> None:
    bundle, state = trained[0].bundle, trunk.model.state_dict()
    assert bundle.backbone_weights.keys() == {name for name, _ in trunk.model.named_parameters()}
    changes = {
        name: float((value - state[name]).abs().max())
        for name, value in bundle.backbone_weights.items()
    }
    assert min(changes.values()) > 0
    assert changes["7.3.conv_pwl.weight"] > changes["0.weight"]
    assert bundle.spec.weight_hash != trunk.weight_hash == load_backbone("lite0-trunk").weight_hash


def test_a_bundle_predicts_from_its_folder_as_in_memory(
    streets: Manifest, trained: tuple[Trained, Path]
) -> None:
    result, root = trained
    backbone = load_backbone("lite0-trunk")
    backbone.replace_weights(result.bundle.backbone_weights)
    memory = bundle_predictor(result.bundle, backbone).predict(paths(streets))
    assert load(root / "model").predict(paths(streets)) == memory
    assert len({p.probability for p in memory}) > 3


def test_it_exports_with_equal_answers(
    streets: Manifest, trained: tuple[Trained, Path], tmp_path: Path
) -> None:
    reference = load(trained[1] / "model")
    invoke("export", trained[1] / "model", "-o", tmp_path / "program", "--count", 8)
    expected = [p.probability for p in reference.predict(paths(streets))]
    for engine in ("onnx", "openvino"):
        program = Predictor(load_program(tmp_path / "program", engine=engine))
        found = [p.probability for p in program.predict(paths(streets))]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_it_goes_on_bit_for_bit(
    streets: Manifest,
    trunk: Backbone,
    spec: FeatureSpec,
    trained: tuple[Trained, Path],
    tmp_path: Path,
) -> None:
    config = dataclasses.replace(CONFIG, run=RunConfig(checkpoint_seconds=0))

    class Stopped(Exception):
        pass

    class Alone(Processes):
        calls = 0

        def any(self, flag: bool) -> bool:
            self.calls += 1
            if self.calls == 9:  # in the second epoch
                raise Stopped
            return flag

    def run(together: Processes | None = None) -> dict[str, bytes]:
        result = train(
            *(streets, trunk, spec, trained[1] / "features", config),
            copies=2,
            run_folder=tmp_path / "run",
            together=together,
        )
        return learned(result)

    with pytest.raises(Stopped):
        run(Alone())
    assert run() == learned(trained[0])


def learned(result: Trained) -> dict[str, bytes]:
    weights = result.bundle.detector.state_dict() | dict(result.bundle.backbone_weights)
    return {name: value.numpy().tobytes() for name, value in weights.items()}


def test_in_mixed_precision_the_backbone_learns_in_bfloat16_and_is_judged_as_it_predicts(
    streets: Manifest, trunk: Backbone, spec: FeatureSpec, trained: tuple[Trained, Path]
) -> None:
    config = dataclasses.replace(CONFIG, precision="bfloat16", epochs=1)
    result = train(streets, trunk, spec, trained[1] / "features", config, copies=2)
    for name, value in result.bundle.backbone_weights.items():
        assert value.dtype == torch.float32
        assert bool(value.isfinite().all()), name
    detector = PixelDetector(
        CONFIG.detector.sized(width=192, grid_width=192), trunk, spec, FineTuneConfig()
    )
    types = []
    last = detector.backbone.model[7][3].conv_pwl  # type: ignore[index]
    last.register_forward_hook(lambda *given: types.append(given[2].dtype))
    pixels = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        for training in (True, False):
            detector.train(training)._tokens(pixels)
    assert types == [torch.bfloat16, torch.float32]


def test_peft_is_not_needed(
    streets: Manifest,
    trunk: Backbone,
    spec: FeatureSpec,
    trained: tuple[Trained, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    config = dataclasses.replace(CONFIG, epochs=1, fine_tuning=FineTuneConfig(blocks=1))
    result = train(streets, trunk, spec, trained[1] / "features", config)
    assert {name[:4] for name in result.bundle.backbone_weights} == {"7.3."}


def test_several_processes_learn_what_one_learns(streets: Manifest, tmp_path: Path) -> None:
    """Of square views, by the command; nothing is dropped out, which each would draw for itself."""
    write_manifest(streets, streets.root / "streets.parquet")
    (tmp_path / "layout.yaml").write_text("size: 64\ntiles: 0\nsquares: []\n")
    settings = ["detector.glance=null", "detector.cells.tail=true", "detector.cells.dropout=0"]
    settings += ["detector.cells.hidden=0", "fine_tuning.rate=0.5", "epochs=1", "batch=5"]
    options = ["--layout", tmp_path / "layout.yaml", "--backbone", "lite0-trunk"]
    options += ["--pooling", "mean", "--precision", "float32", "--copies", "1"]
    asked = ["train", streets.root / "streets.parquet", *settings, *options]
    asked += ["--store", tmp_path / "features"]
    invoke(*asked, "-o", tmp_path / "alone")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launcher, "-m", "workzone", *asked, "-o", tmp_path / "together"]
    told = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert told.returncode == 0, told.stderr[-3000:]
    published = load_backbone("lite0-trunk").model.state_dict()
    alone, together = (
        safetensors.torch.load_file(tmp_path / name / "backbone.safetensors")
        for name in ("alone", "together")
    )
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=0, atol=1e-4)
        assert not torch.equal(value, published[name])
    judged = ["-m", tmp_path / "alone", "-o", tmp_path / "judged", "--split", "val"]
    invoke("evaluate", streets.root / "streets.parquet", *judged, "--store", tmp_path / "features")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"adapters": {}, "fine_tuning": {}}, r"a backbone learns in one of the two ways"),
        (
            {"fine_tuning": {"rank": 8, "rate": -1}},
            r"fine_tuning.rank: unknown key; .*\n.*rate=-1.0, allowed: 1e-06 to 10",
        ),
        ({"fine_tuning": {}, "augment": {"mixup": 0.2}}, r"leave adapters and fine_tuning out"),
    ],
)
def test_settings_that_exclude_each_other(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_mapping(TrainConfig, settings, where="settings")


def test_which_way_a_backbone_learns() -> None:
    assert TrainConfig().tuning is None
    assert not TrainConfig().from_pixels
    for config in (
        TrainConfig(adapters=AdapterConfig()),
        TrainConfig(fine_tuning=FineTuneConfig()),
    ):
        assert config.from_pixels
        assert config.tuning in (config.adapters, config.fine_tuning)
