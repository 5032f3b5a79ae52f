"""The mean of several models' weights, and which models have none."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cli_invoke import invoke
from made_images import blob_image
from trained import Tiny
from workzone.backbones.fine_tuning import FineTuneConfig, freeze, unfreeze
from workzone.backbones.registry import load_backbone
from workzone.config import differences
from workzone.decide.average import average
from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.decide.calibration import Calibration
from workzone.errors import BundleError, UsageError
from workzone.features.extract import make_spec
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.make import make_detector
from workzone.run.predictor import load
from workzone.views import ViewLayout


def made(seed: int, *, blocks: int | None = None, calibration: float = 0.5) -> Bundle:
    """A dense model on lite0-trunk, of which some of the last blocks have learned."""
    torch.manual_seed(seed)
    backbone = load_backbone("lite0-trunk")
    layout = ViewLayout(size=64, tiles=0, squares=())
    config = DetectorConfig(
        width=192, cells=CellHeadConfig(width=192, hidden=0, top=1), glance=None
    )
    detector = make_detector(config)
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    weights: dict[str, torch.Tensor] = {}
    if blocks:
        backbone = unfreeze(backbone, FineTuneConfig(blocks=blocks))
        with torch.no_grad():
            for parameter in backbone.parameters():
                if parameter.requires_grad:
                    parameter.mul_(1 + 0.01 * torch.randn_like(parameter))
        weights = freeze(backbone)
    return Bundle(
        detector=detector.eval(),
        spec=make_spec(backbone, layout=layout, pooling="mean", grid_views=(0,)),
        calibration=Calibration(calibration),
        backbone_licence="Apache-2.0",
        backbone_weights=weights,
        provenance={"sources": [f"roads-{seed}"], "warnings": ["Both."], "inputs": "image only"},
        training_images=frozenset({"both", f"image-{seed}"}),
        training_groups=frozenset({f"clip-{seed}"}),
    )


def test_weights_are_the_mean() -> None:
    bundles = {name: made(seed, blocks=1) for seed, name in enumerate("abc")}
    found = average(bundles)
    for name, value in found.detector.state_dict().items():
        each = [b.detector.state_dict()[name].numpy() for b in bundles.values()]
        np.testing.assert_allclose(value.numpy(), np.mean(each, axis=0), rtol=1e-6, atol=1e-7)
    assert found.familiarity is None
    assert found.backbone_weights.keys() == bundles["a"].backbone_weights.keys()
    for name, value in found.backbone_weights.items():
        each = [b.backbone_weights[name].numpy() for b in bundles.values()]
        np.testing.assert_allclose(value.numpy(), np.mean(each, axis=0), rtol=1e-6, atol=1e-7)
    assert not found.detector.training


def test_of_one_model_twice_it_is_that_model() -> None:
    bundle = made(3, blocks=1)
    found = average({"one": bundle, "two": bundle})
    for one, two in (
        (found.detector.state_dict(), bundle.detector.state_dict()),
        (found.backbone_weights, bundle.backbone_weights),
    ):
        assert one.keys() == two.keys()
        assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert (found.config, found.calibration) == (bundle.config, bundle.calibration)


@pytest.mark.parametrize("blocks", [None, 2])
def test_it_predicts_from_its_folder(blocks: int | None, tmp_path: Path) -> None:
    for seed in range(2):
        write_bundle(made(seed, blocks=blocks), tmp_path / str(seed))
    folders = [tmp_path / "0", tmp_path / "1"]
    told = invoke("models", "average", *folders, "-o", tmp_path / "mean", "--json")
    assert json.loads(told.stdout)["averaged"] == list(map(str, folders))
    image = blob_image(1, 1)
    image.save(tmp_path / "street.png")
    predicted = [
        load(folder).predict(str(tmp_path / "street.png"))[0].probability
        for folder in (*folders, tmp_path / "mean")
    ]
    assert len(set(predicted)) == 3
    bundle = read_bundle(tmp_path / "mean")
    assert bool(bundle.backbone_weights) == bool(blocks)
    assert bundle.provenance["averaged"][1]["model"] == str(folders[1])


def test_it_says_what_was_averaged_and_whose_calibration_it_has() -> None:
    bundles = {"a": made(0, calibration=0.3), "b": made(1, calibration=0.4)}
    found = average(bundles)
    assert found.calibration == Calibration(0.3)
    assert found.training_images == {"both", "image-0", "image-1"}
    assert found.training_groups == {"clip-0", "clip-1"}
    assert found.provenance["sources"] == ["roads-0", "roads-1"]
    assert found.provenance["inputs"] == "image only"
    averaged = found.provenance["averaged"]
    assert [one["identity"] for one in averaged] == [b.identity() for b in bundles.values()]
    assert found.provenance["warnings"] == [
        "Both.",
        "Calibration: that of a, the first of 2 averaged models; it was not fitted anew.",
    ]


def test_other_models_are_refused_with_all_differences() -> None:
    first = made(0, blocks=1)
    layout = dataclasses.replace(first.spec.layout, halves=True)
    config = dataclasses.replace(
        first.config, cells=CellHeadConfig(width=192, hidden=0, top=2, dropout=0.1)
    )
    other = dataclasses.replace(
        made(1, blocks=1),
        spec=dataclasses.replace(first.spec, layout=layout, pooling="max"),
        detector=make_detector(config),
    )
    with pytest.raises(BundleError) as error:
        average({"a": first, "b": other, "c": made(2, blocks=2), "d": made(3)})
    lines = str(error.value).splitlines()
    assert lines[0] == "these models cannot be averaged:"
    assert [line.strip() for line in lines[1:5]] == [
        "a and b: detector.cells.top: 1 -> 2",
        "a and b: detector.cells.dropout: 0.2 -> 0.1",
        "a and b: features.pooling: mean -> max",
        "a and b: features.layout.halves: None -> True",
    ]
    assert any(line.startswith("  a and c: backbone.7.2.") for line in lines)
    assert lines[-1].startswith("  a and d: features.weight_hash: learned from pixels -> ")


def test_weights_learned_on_others_are_refused() -> None:
    bundle = made(0, blocks=1)
    spec = dataclasses.replace(bundle.spec, weight_hash="0" * 32)
    with pytest.raises(BundleError, match="was not learned on these weights of lite0-trunk"):
        average({"a": bundle, "b": dataclasses.replace(bundle, spec=spec)})


def test_one_model_has_no_average(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="an average is of two models or more"):
        average({"a": made(0)})
    told = invoke("models", "average", tiny.bundle, "-o", tmp_path / "mean", expect=2)
    assert "two models or more" in told.stderr
    assert not (tmp_path / "mean").exists()


def test_a_model_named_twice_or_to_be_written_over_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny.bundle, other)
    twice = invoke("models", "average", other, tiny.bundle, other, "-o", tmp_path / "m", expect=2)
    assert "named twice" in twice.stderr
    over = invoke("models", "average", tiny.bundle, other, "-o", other, expect=2)
    assert "one of the models themselves" in over.stderr


def test_differences_are_named_by_where_they_are() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    after = {"a": {"b": 2, "c": [1, 2]}, "e": 4}
    assert list(differences(before, after)) == ["a.b: 1 -> 2", "d: 3 -> None", "e: None -> 4"]
    assert list(differences(before, before)) == []
