"""Every optimizer trains the same small problem, drawn scenes, to the same quality."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from workzone.backbones.registry import load_backbone
from workzone.data.manifest import read_manifest
from workzone.data.splits import split_manifest
from workzone.features.extract import make_spec
from workzone.model.config import DetectorConfig
from workzone.scenes import write_scenes
from workzone.train.fit import fit
from workzone.train.job import Prepared, prepare
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.settings import TrainConfig
from workzone.views import ViewLayout

RATES = {
    "adamw": 1e-3,
    "sophia": 3e-4,
    "muon": 1e-3,
    "lion": 3e-4,
    "schedulefree": 3e-3,
    "sgd": 5e-2,
}
CONFIG = TrainConfig(detector=DetectorConfig())


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Stored features of the embedded backbone: the whole frame and its quarters."""
    folder = tmp_path_factory.mktemp("scenes")
    drawn = read_manifest(write_scenes(folder, count=72, seed=3))
    manifest, _ = split_manifest(drawn, proportions={"train": 0.7, "val": 0.3})
    backbone = load_backbone("lite0")
    layout = ViewLayout(size=160, tiles=2, overlap=0.0, squares=())
    spec = make_spec(backbone, layout=layout)
    return prepare(manifest, backbone, spec, folder / "features", CONFIG)


@pytest.fixture(scope="module")
def quality(scenes: Prepared) -> dict[str, tuple[float, float]]:
    """AUC of the rows learned from and the lowest validation loss, by optimizer."""
    found = {}
    for name, rate in RATES.items():
        optimizer = OptimizerConfig(name=name, learning_rate=rate)  # type: ignore[arg-type]
        config = TrainConfig(
            detector=CONFIG.detector, epochs=18, batch=16, optimizer=optimizer, gradient_clip=1.0
        )
        result = fit(scenes.examples, scenes.validation_folds, config)
        with torch.no_grad():
            everything = scenes.examples.batch(torch.arange(len(scenes.examples)))
            logits = result.detector.run(everything).logits
        auc = roc_auc_score(scenes.examples.labels, logits[:, 1] - logits[:, 0])
        found[name] = float(auc), min(result.validation_losses[0])
    return found


@pytest.mark.parametrize("name", list(RATES))
def test_it_reaches_what_the_best_of_them_reaches(
    name: str, quality: dict[str, tuple[float, float]]
) -> None:
    auc, loss = quality[name]
    assert auc > 0.95
    assert loss < 0.67  # a constant answer has 0.69
    assert loss < min(other for _, other in quality.values()) + 0.15
