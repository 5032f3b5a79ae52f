"""A small trained model that many tests share."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings

from made_images import blob_image, sample_of
from trained import LAYOUT, Tiny
from workzone.backbones.base import Backbone
from workzone.backbones.registry import load_backbone
from workzone.data.manifest import Manifest, write_manifest
from workzone.decide.bundle import write_bundle
from workzone.features.extract import make_spec
from workzone.run.predictor import Predictor, load
from workzone.train.job import train
from workzone.train.settings import TrainConfig

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")
torch.set_num_threads(1)  # there is a test process per core, and threads that wait for each other


@pytest.fixture(scope="session")
def lite0() -> Backbone:
    return load_backbone("lite0")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, lite0: Backbone) -> Tiny:
    root = tmp_path_factory.mktemp("tiny")
    samples = []
    for number in range(60):
        split = ("train", "train", "val", "test")[number // 2 % 4]
        label = number % 2
        image = blob_image(number, label)
        image.save(root / f"{number:02}.png")
        samples.append(
            sample_of(
                root / f"{number:02}.png",
                label=label,
                split=split,
                group=f"clip-{number // 2}",
                daytime="day" if number % 3 else "night",
                source="made",
            )
        )
    manifest = Manifest(samples, root)
    write_manifest(manifest, root / "manifest.parquet")
    config = TrainConfig(epochs=30)
    spec = make_spec(lite0, layout=LAYOUT, grid_views=(0,))
    trained = train(manifest, lite0, spec, root / "features", config)
    write_bundle(trained.bundle, root / "model")
    return Tiny(root, manifest, root / "manifest.parquet", root / "model", root / "features")


@pytest.fixture(scope="session")
def predictor(tiny: Tiny) -> Predictor:
    return load(tiny.bundle)
