"""Six members from one file: built, resumed, judged beside the best of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import roc_auc_score

import workzone.run.ensemble_members as building
from cli_invoke import invoke
from trained import Tiny
from workzone.decide.bundle import read_bundle
from workzone.decide.calibration import Calibration
from workzone.decide.ensemble import Ensemble, make_ensemble
from workzone.decide.mixture import Mixture
from workzone.decide.models import bundles_of, read_model
from workzone.errors import UsageError
from workzone.model.presets import preset
from workzone.report.metrics import point_metrics
from workzone.report.paired import paired_differences
from workzone.run.build_ensemble import build_ensemble
from workzone.run.ensemble_plan import read_plan, six_members
from workzone.run.predictor import load

TRAINING = {
    "epochs": 3,
    "batch": 16,
    "optimizer": {"learning_rate": 3e-3},
    "detector": {
        "projection": 16,
        "pruner": {"keep": 3},
        "encoder": {"width": 16, "depth": 1, "heads": 2, "feed_forward": 32},
        "head": [8],
        "metadata": None,
        "masks": None,
    },
}
LAYOUT = {"size": 96, "tiles": 2, "overlap": 0.0, "squares": []}


def written(tiny: Tiny, folder: Path, **more: Any) -> Path:
    tree = {
        "manifest": str(tiny.manifest_path),
        "output": "ensemble",
        "other_backbone": "lite0-road",
        "store": str(tiny.store),
        "layout": LAYOUT,
        "training": TRAINING,
    }
    path = folder / "ensemble.yaml"
    path.write_text(yaml.safe_dump(tree | more))
    return path


def test_six_members_from_one_file(tiny: Tiny, tmp_path: Path, monkeypatch: Any) -> None:
    config = written(tiny, tmp_path)
    trained: list[str] = []
    train = building.train

    def stopping(*given: Any, **more: Any) -> Any:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(more["run_folder"].parent.name)
        return train(*given, **more)

    monkeypatch.setattr(building, "train", stopping)
    with pytest.raises(KeyboardInterrupt):
        build_ensemble(read_plan(config), say=lambda line: None)
    assert trained == ["base", "no-pruning", "deeper"]
    assert not (tmp_path / "ensemble").exists()
    monkeypatch.setattr(building, "train", train)
    told = json.loads(invoke("ensemble", config, "--json").stdout)
    names = ["base", "no-pruning", "deeper", "wider", "more-heads", "other-backbone"]
    assert list(told["weights"]) == names
    assert sum(told["weights"].values()) == pytest.approx(1)

    ensemble = read_model(tmp_path / "ensemble")
    assert isinstance(ensemble, Ensemble)
    configs = [member.model.config for member in ensemble.members]
    assert configs[1].pruner is None and configs[0].pruner is not None
    assert configs[2].encoder.depth == 2
    assert configs[3].encoder.width == configs[3].projection == 24
    assert configs[4].encoder.heads == 4
    assert ensemble.members[5].model.spec.backbone == "lite0-road"
    assert ensemble.readings() == [[0, 1, 2, 3, 4], [5]]  # five share what the backbone says
    assert 0 <= ensemble.disagreement_cut <= 0.5  # type: ignore[operator]

    test = told["test"]
    assert test["rows"] == len([s for s in tiny.manifest.in_split("test") if s.label is not None])
    assert test["best"] == min(names, key=told["validation"]["log loss"].__getitem__)
    difference = test["differences"]["mcc"]["value"]
    ours, theirs = (
        part["figures"]["mcc"]["value"]
        for part in (test["ensemble"], test["members"][test["best"]])
    )
    assert difference == pytest.approx(ours - theirs)
    assert test["sentence"].startswith(f"MCC {ours:.3f} on {test['rows']} test rows, the best")
    image = tiny.root / next(iter(tiny.manifest.in_split("test"))).image.path
    assert np.isfinite(load(tmp_path / "ensemble").predict(image)[0].probability)

    again = invoke("ensemble", config)  # nothing is trained twice
    assert "base: trained before" in again.stderr
    assert "best member" in again.stdout
    other = written(tiny, tmp_path, training=TRAINING | {"epochs": 2})
    with pytest.raises(UsageError, match=r"member base was trained otherwise.*epochs: 3 -> 2"):
        build_ensemble(read_plan(other), say=lambda line: None)


def test_the_six_of_the_reference() -> None:
    reference = preset("phase1").detector
    members = six_members(reference, "lite2")
    assert members["deeper"]["detector"]["encoder"]["depth"] == 6
    assert members["wider"]["detector"]["projection"] == 768
    assert members["more-heads"]["detector"]["encoder"]["heads"] == 16
    with pytest.raises(UsageError, match="vary attention blocks, which this preset has not"):
        six_members(preset("dense").detector, "lite2")


def test_mistakes_of_a_plan_are_all_told(tiny: Tiny, tmp_path: Path) -> None:
    path = written(tiny, tmp_path, wiegh="fitted", average="mean", members=[1])
    with pytest.raises(UsageError) as caught:
        read_plan(path)
    assert "wiegh: unknown key; did you mean 'weigh'" in str(caught.value)
    assert "average: 'mean' is not known" in str(caught.value)
    assert "members: expected keys and values, got [1]" in str(caught.value)
    wrong = {"a": {"epoch": 3}, "b": {"detector": {"fusoin": "mean"}}, "c": 4}
    with pytest.raises(UsageError) as caught:
        read_plan(written(tiny, tmp_path, members=wrong))
    assert "members.a: epoch: unknown key; did you mean 'epochs'" in str(caught.value)
    assert "did you mean 'fusion'" in str(caught.value)
    assert "members.c: expected keys and values, got 4" in str(caught.value)
    with pytest.raises(UsageError, match=r"member '\.\./b': give a name that a folder can have"):
        read_plan(written(tiny, tmp_path, members={"a": {}, "../b": {}}))
    with pytest.raises(UsageError, match="an ensemble has two or more, got 1"):
        read_plan(written(tiny, tmp_path, members={"a": {}}))
    path.write_text("copies: 1")
    with pytest.raises(UsageError, match=r"(?s)manifest: missing.*output: missing"):
        read_plan(path)
    with pytest.raises(UsageError, match="copies=-1, allowed: 0 and more"):
        read_plan(written(tiny, tmp_path, copies=-1))


def test_paths_of_members_start_at_the_file(tiny: Tiny, tmp_path: Path) -> None:
    own = {"plain": {}, "other": {"backbone": "dinov3-vits16", "weights": "vits/"}}
    members = read_plan(written(tiny, tmp_path, members=own, weights="base")).members
    assert members["plain"].weights == str(tmp_path / "base")
    assert members["other"].weights == str(tmp_path / "vits")


def test_it_is_judged_by_the_weights_that_members_were_trained_with(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read_bundle(tiny.bundle)
    spec = dataclasses.replace(bundle.spec, weight_hash="another")
    ensemble = make_ensemble(
        {"a": bundle, "b": bundle, "c": dataclasses.replace(bundle, spec=spec)},
        Mixture(weights=(0.5, 0.3, 0.2)),
        Calibration(),
        provenance={},
    )
    monkeypatch.setattr(building, "bundle_backbone", lambda *of, weights, device: weights)
    found = building.trained_backbones(bundles_of(ensemble), ["one", "one", "other"], "cpu")
    assert found == ["one", "one", "other"]


def test_differences_are_paired() -> None:
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], 60)
    first = np.clip(labels * 0.4 + 0.3 + random.normal(0, 0.2, 120), 0.01, 0.99)
    second = np.clip(first + random.normal(0, 0.02, 120), 0.01, 0.99)
    groups = [str(row // 4) for row in range(120)]
    found = paired_differences(labels, first, second, groups)
    ones, others = point_metrics(labels, first), point_metrics(labels, second)
    assert found["auc"].value == pytest.approx(ones["auc"] - others["auc"])  # type: ignore[operator]
    # By hand: whole groups are drawn, the same for both.
    draws = []
    for _ in range(300):
        rows = np.concatenate([np.arange(4) + 4 * g for g in random.integers(30, size=30)])
        a, b = (roc_auc_score(labels[rows], scores[rows]) for scores in (first, second))
        draws.append(a - b)
    np.testing.assert_allclose(
        [found["auc"].low, found["auc"].high], np.quantile(draws, [0.025, 0.975]), atol=0.01
    )
    same = paired_differences(labels, first, first, groups)["mcc"]
    assert (same.value, same.low, same.high) == (0, 0, 0)
    few = paired_differences(labels, first, second, ["one"] * 120)["mcc"]
    assert few.value is not None and few.low is None
    assert paired_differences([1, 1], [0.2, 0.8], [0.1, 0.9])["mcc"].value is None
