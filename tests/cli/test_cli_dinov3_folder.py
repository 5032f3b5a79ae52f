"""A tiny DINOv3 of the user's own, from the folder to the decision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from cli_invoke import invoke
from predictors import backbone_of
from workzone.run.predictor import load
from workzone.scenes import write_scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes, split, with a DINOv3 of width 48 beside them and a model trained on it."""
    root = tmp_path_factory.mktemp("dinov3")
    torch.manual_seed(0)
    config = DINOv3ViTConfig(
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_register_tokens=4,
    )
    DINOv3ViTModel(config).save_pretrained(root / "mine")
    scenes = write_scenes(root / "drawn", count=16, seed=1)
    split = root / "split.parquet"
    invoke("data", "split", scenes, "-o", split)
    options = [split, "--backbone", root / "mine", "--precision", "float32", "--size", 96]
    invoke("extract", *options)
    again = json.loads(invoke("extract", *options, "--json").stdout)
    assert Path(again["store"]).name.startswith("dinov3-")
    assert again["extracted"] == 0
    invoke("train", *options, "-o", root / "model", "epochs=1")
    return root


def test_it_predicts_with_the_weights_named(folder: Path) -> None:
    images, model, weights = folder / "drawn" / "images", folder / "model", folder / "mine"
    scores = folder / "scores.csv"
    invoke("predict", images, "-m", model, "--weights", weights, "-o", scores)
    assert len(scores.read_text().splitlines()) == 16 + 1
    invoke(
        "evaluate",
        folder / "split.parquet",
        "--model",
        model,
        "--weights",
        weights,
        "-o",
        folder / "evaluation",
    )


def test_without_them_it_says_which(folder: Path) -> None:
    bundle = json.loads((folder / "model" / "bundle.json").read_text())
    result = invoke("predict", folder / "drawn", "-m", folder / "model", expect=1)
    assert "lay in a folder 'mine': name it with --weights" in result.stderr
    assert bundle["features"]["weight_hash"] in result.stderr
    assert str(folder) not in json.dumps(bundle["provenance"])  # a place on one machine only


def test_other_pixels_are_refused(folder: Path) -> None:
    assert backbone_of(load(folder / "model", weights=folder / "mine")).width == 48
    other = folder / "other"
    other.mkdir()
    for file in (folder / "mine").iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    (other / "preprocessor_config.json").write_text('{"image_mean": 0.5, "image_std": 0.5}')
    result = invoke(
        "predict", folder / "drawn", "-m", folder / "model", "--weights", other, expect=1
    )
    assert "normalised with mean (0.485, 0.456, 0.406)" in result.stderr
