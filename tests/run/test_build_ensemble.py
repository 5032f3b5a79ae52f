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

import workzone.run.build_ensemble as joining
import workzone.run.ensemble_members as building
from cli_invoke import invoke
from made_images import blob_image, sample_of
from trained import Tiny
from workzone.data.manifest import Manifest, write_manifest
from workzone.decide.bundle import read_bundle, write_bundle
from workzone.decide.calibration import Calibration
from workzone.decide.conformal import ConformalSets
from workzone.decide.ensemble import Ensemble, make_ensemble
from workzone.decide.mixture import Mixture
from workzone.decide.mixture_fit import log_loss
from workzone.decide.models import bundles_of, read_model
from workzone.errors import BundleError, TrainingError, UsageError
from workzone.model.presets import preset
from workzone.report.metrics import point_metrics
from workzone.report.paired import paired_differences
from workzone.run.build_ensemble import build_ensemble
from workzone.run.ensemble_plan import read_plan, six_members
from workzone.run.predictor import load
from workzone.types import ImageRef

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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"asked": {}}', "KeyError: 'probabilities'"),
        ('{"asked": {}, "probabilities": {"a": NaN}}', "a value is no probability"),
        ('{"asked": {}, "probabilities": {"a": "b"}}', "TypeError"),
    ],
)
def test_what_is_kept_of_a_member_may_be_damaged(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "base" / "validation.json"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(
        BundleError, match=r"validation\.json is damaged .*: delete .*base"
    ) as error:
        building._kept(file)
    assert told in str(error.value)


@pytest.mark.parametrize("output", [".", "", "store"])
def test_an_output_with_something_else_in_it_is_refused_before_training(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "mine.txt").write_text("mine")
    written(tiny, tmp_path, output=output)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(building, "train", None)
    said = invoke("ensemble", "ensemble.yaml", expect=1).stderr
    assert "is not empty and not an ensemble; name another folder" in " ".join(said.split())


@pytest.fixture(scope="module")
def known(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles, the second of which says the opposite; images that both have seen, and new."""
    root = tmp_path_factory.mktemp("known")
    one = read_bundle(tiny.bundle)
    state = {
        name: -value if name == list(one.detector.state_dict())[-1] else value
        for name, value in one.detector.state_dict().items()
    }
    other = type(one.detector)(one.config)
    other.load_state_dict(state)
    write_bundle(one, root / "good")
    write_bundle(
        dataclasses.replace(one, detector=other.eval(), familiarity=None), root / "changed"
    )
    samples = [
        dataclasses.replace(s, split="seen", image=ImageRef(str(tiny.root / s.image.path)))
        for s in list(tiny.manifest)[:4]
    ]
    for number in range(100, 124):
        blob_image(number, number % 2).save(root / f"{number}.png")
        split, group = ("held-out", "test")[number >= 114], f"new-{number // 2}"
        file = root / f"{number}.png"
        samples.append(sample_of(file, label=number % 2, split=split, group=group))
    manifest = Manifest(samples, root)
    write_manifest(manifest, root / "manifest.parquet")
    return root


def listed(folder: Path, **more: Any) -> Path:
    tree = {"manifest": "manifest.parquet", "output": "joined", "held_out": "held-out"}
    path = folder / "join.yaml"
    path.write_text(yaml.safe_dump(tree | {"bundles": ["good", "changed"]} | more))
    return path


def test_bundles_that_are_there_are_weighed_on_rows_that_none_has_seen(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "train", None)  # would fail
    said = invoke("ensemble", listed(known, weigh="greedy"), "--json")
    told = json.loads(said.stdout)
    assert told["validation"]["rows"] == 14 and told["test"]["rows"] == 10
    losses = told["validation"]["log loss"]
    weights = told["weights"]
    assert set(weights) == {"good", "changed"} and sum(weights.values()) == pytest.approx(1)
    best = min(weights, key=losses.__getitem__)
    assert losses["ensemble"] <= losses[best] + 1e-9
    ensemble = read_model(known / "joined")
    files = [known / f"{number}.png" for number in range(100, 114)]
    members = [
        [p.probability for p in load(known / "joined" / "members" / name).predict(files)]
        for name in weights
    ]
    loss = log_loss(np.arange(14) % 2, np.array(members[list(weights).index(best)]))
    assert losses[best] == pytest.approx(loss, abs=1e-3)  # stored features are rounded
    assert ensemble.conformal is None  # 7 rows of a class promise nothing
    lines = [line for line in said.stderr.splitlines() if line.startswith("doubts: ")]
    assert len(lines) == 1 and "members' own sets are not used" in lines[0]
    assert "too few rows" in lines[0] and max(weights, key=weights.__getitem__) in lines[0]


def test_rows_that_members_have_seen_weigh_nothing(known: Path) -> None:
    seen = listed(known, held_out="seen", output="none")
    with pytest.raises(TrainingError, match=r"of the 4 rows of split 'seen' none has a label and"):
        build_ensemble(read_plan(seen), say=lambda line: None)
    with pytest.raises(UsageError, match="no sample is in split val"):
        build_ensemble(read_plan(listed(known, held_out="val")), say=lambda line: None)
    assert not (known / "none").exists()


def test_mistakes_of_listed_bundles_are_told(tmp_path: Path) -> None:
    for bundles, told in (
        (["a/model", "b/model"], "two are called 'model': give each a name"),
        (["a"], "an ensemble has two or more, got 1"),
        ({"a": "a", "b": 3}, "expected folders, got 3"),
        ({"../a": "a", "b": "b"}, r"member '\.\./a': give a name"),
        ("a", "expected folders, got 'a'"),
    ):
        with pytest.raises(UsageError, match=told):
            read_plan(listed(tmp_path, bundles=bundles))
    with pytest.raises(UsageError, match="are taken as they are: leave out training, preset"):
        read_plan(listed(tmp_path, training={}, preset="phase1"))
    plan = read_plan(listed(tmp_path, bundles={"a": "a/model", "b": "b/model"}))
    assert plan.bundles["b"] == str(tmp_path / "b/model")


def test_an_ensemble_says_whose_statistics_it_lacks(known: Path) -> None:
    good, changed = (read_bundle(known / name) for name in ("good", "changed"))
    mixture = Mixture(weights=(0.4, 0.6))
    lacking = make_ensemble({"a": good, "b": changed}, mixture, Calibration(), provenance={})
    assert lacking.familiarity is None
    assert "by its member b, which weighs most and has no statistics" in lacking.doubt_note()
    sets = ConformalSets(coverage=0.95, roadwork_from=0.4, none_to=0.6, rows=90, positives=40)
    having = make_ensemble(
        {"a": good, "b": changed},
        Mixture(weights=(0.6, 0.4)),
        Calibration(),
        provenance={},
        conformal=sets,
    )
    assert having.doubt_note() == "" and having.conformal_sets == sets
    told = joining._doubts_told(having)
    assert "by a, which weighs most; both answers are likely by sets of the ensemble's own" in told
