"""Several models as one: predicted with, judged, exported, and run without torch."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import light_base
from cli_invoke import invoke
from engine.shared_graphs import graphs_traced_once
from trained import Tiny
from workzone.backbones.base import Backbone
from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.decide.calibration import Calibration
from workzone.decide.ensemble import Ensemble, make_ensemble
from workzone.decide.mixture import Mixture
from workzone.decide.models import read_model, write_model
from workzone.engine.program import Arrays, GraphName
from workzone.engine.torch_engine import TorchEngine
from workzone.errors import BundleError, UsageError
from workzone.run.ensembles import backbones_of, extract_for
from workzone.run.evaluate import evaluate, image_only_probabilities
from workzone.run.predictor import Predictor, load
from workzone.run.programs import bundle_program, ensemble_program
from workzone.types import Prediction
from workzone.views import ViewLayout

WEIGHTS = (0.3, 0.5, 0.2)


def shaken(bundle: Bundle, seed: int, **changes: Any) -> Bundle:
    """A model that answers somewhat differently."""
    torch.manual_seed(seed)
    detector = type(bundle.detector)(bundle.config)
    state = bundle.detector.state_dict()
    detector.load_state_dict(
        {
            n: v + 0.2 * v.abs().mean() * torch.randn_like(v) if v.is_floating_point() else v
            for n, v in state.items()
        }
    )
    return dataclasses.replace(bundle, detector=detector.eval(), **changes)


@pytest.fixture(scope="module")
def ensemble(tiny: Tiny) -> Ensemble:
    """Two members that read alike, and one that sees an image otherwise."""
    first = read_bundle(tiny.bundle)
    layout = ViewLayout(size=64, tiles=2, overlap=0.0, squares=())
    spec = dataclasses.replace(
        first.spec,
        layout=layout,
        grid_size=(2, 2) if first.spec.grid_views else (0, 0),
    )
    models = {
        "first": first,
        "second": shaken(first, 1, calibration=Calibration(0.4, 0.8)),
        "small": shaken(first, 2, spec=spec, training_groups=frozenset({"another"})),
    }
    made = make_ensemble(
        models,
        Mixture(weights=WEIGHTS),
        Calibration(0.45, 1.3, method="beta", slope_of_none=0.9),
        provenance={"sources": ["tiny"], "warnings": []},
        disagreement_cut=0.2,
    )
    return made


@pytest.fixture(scope="module")
def sharing(ensemble: Ensemble) -> Ensemble:
    """Without a glance, so that members that read alike read the same views."""
    made = dataclasses.replace(
        ensemble,
        members=tuple(
            dataclasses.replace(m, model=dataclasses.replace(m.model, detector=_all_read(m.model)))
            for m in ensemble.members
        ),
    )
    assert made.readings() == [[0, 1], [2]]
    return made


def _all_read(model: Any) -> Any:
    """The detector without its glance."""
    config = dataclasses.replace(model.config, glance=None)
    detector = type(model.detector)(config)
    detector.load_state_dict(model.detector.state_dict(), strict=False)
    return detector.eval()


@pytest.fixture(scope="module")
def folder(ensemble: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ensemble") / "model"
    write_model(ensemble, place)
    return place


def photos(tiny: Tiny) -> list[Path]:
    return [tiny.root / s.image.path for s in list(tiny.manifest.in_split("test"))[:4]]


def by_hand(ensemble: Ensemble, lite0: Backbone, images: Sequence[Path]) -> list[float]:
    """Members one after the other, each as a model of its own."""
    each = []
    for member in ensemble.members:
        assert isinstance(member.model, Bundle)
        predictor = Predictor(bundle_program(member.model, lite0))
        each.append([p.probability for p in predictor.predict(images)])
    odds = np.log(each) - np.log1p(-np.array(each))
    mixed = 1 / (1 + np.exp(-np.array(WEIGHTS) @ odds))
    return ensemble.calibration.apply(mixed).tolist()


def values(predictions: Sequence[Prediction]) -> list[float]:
    return [prediction.probability for prediction in predictions]


def test_it_answers_as_its_members_do_one_by_one(
    tiny: Tiny, ensemble: Ensemble, lite0: Backbone
) -> None:
    predictor = Predictor(ensemble_program(ensemble, [lite0] * 3))
    images = photos(tiny)
    np.testing.assert_allclose(
        values(predictor.predict(images)), by_hand(ensemble, lite0, images), atol=1e-6
    )
    prediction, overlay = predictor.explain(images[0])
    assert prediction.engine == "torch"
    assert overlay.size[0] > 0


def test_members_that_read_alike_share_what_is_read(
    tiny: Tiny, sharing: Ensemble, lite0: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[GraphName] = []
    run = TorchEngine.run

    def counted(self: TorchEngine, graph: GraphName, inputs: Arrays) -> Any:
        calls.append(graph)
        return run(self, graph, inputs)

    predictor = Predictor(ensemble_program(sharing, [lite0] * 3))
    monkeypatch.setattr(TorchEngine, "run", counted)
    predictor.predict(photos(tiny)[:1])
    assert (calls.count("reader"), calls.count("judge")) == (2, 3)
    assert sharing.views_read == 2 * 5


def test_it_comes_back_as_it_was(folder: Path, ensemble: Ensemble) -> None:
    read = read_model(folder)
    assert isinstance(read, Ensemble)
    assert read.identity() == ensemble.identity()
    assert (read.mixture, read.calibration) == (ensemble.mixture, ensemble.calibration)
    assert read.disagreement_cut == 0.2
    assert read.training_groups == ensemble.training_groups
    assert "another" in read.training_groups
    assert [member.name for member in read.members] == ["first", "second", "small"]
    assert read.lead.name == "second"
    changed = dataclasses.replace(ensemble, mixture=Mixture(weights=(0.2, 0.6, 0.2)))
    assert changed.identity() != ensemble.identity()
    assert ensemble.with_share(0.1).calibration.share == 0.1


def test_evaluation_says_what_prediction_says(
    tiny: Tiny, ensemble: Ensemble, lite0: Backbone, tmp_path: Path
) -> None:
    samples = tiny.manifest.in_split("test")
    exact = dataclasses.replace(
        ensemble,
        members=tuple(
            dataclasses.replace(
                member,
                model=dataclasses.replace(
                    member.model,
                    spec=dataclasses.replace(member.model.spec, stored_type="float32"),
                ),
            )
            for member in ensemble.members
        ),
    )
    exact = dataclasses.replace(exact, spec=exact.lead.model.spec)
    backbones = backbones_of(exact)
    assert backbones[0] is backbones[2]
    store = extract_for(exact, backbones, samples, tmp_path)
    told = values(Predictor(ensemble_program(exact, backbones)).predict(photos(tiny)))
    stored = image_only_probabilities(exact, store, list(samples))
    np.testing.assert_allclose(stored[:4], told, atol=1e-5)
    judged = evaluate(exact, samples, store).to_json()
    assert judged["model"]["members"] == dict(
        zip(("first", "second", "small"), WEIGHTS, strict=True)
    )


def test_exported_it_runs_without_torch_and_shares_a_reader(
    tiny: Tiny, sharing: Ensemble, lite0: Backbone, tmp_path: Path
) -> None:
    bundles, program = tmp_path / "bundles", tmp_path / "program"
    write_model(sharing, bundles)
    with graphs_traced_once():
        said = invoke("export", bundles, "-o", program, "--count", 8, "--json")
    assert set(json.loads(said.stdout)["members"]) == {"first", "second", "small"}
    image = photos(tiny)[0]
    expected = by_hand(sharing, lite0, [image])
    np.testing.assert_allclose(values(load(program).predict(image)), expected, atol=1e-4)
    command = ["-m", "workzone", "predict", str(image), "--model", str(program), "--json"]
    assert json.loads(light_base.run(*command).stdout)["probability"] == pytest.approx(
        expected[0], abs=1e-4
    )
    readers = sorted(str(path.relative_to(program)) for path in program.rglob("reader.onnx"))
    assert readers == ["members/first/reader.onnx", "members/small/reader.onnx"]
    with pytest.raises(UsageError, match="has its weights: leave out --weights"):
        load(program, weights=tmp_path)


def test_the_commands_take_it(tiny: Tiny, folder: Path, tmp_path: Path) -> None:
    said = invoke("predict", photos(tiny)[0], "--model", folder, "--json").stdout
    assert 0 < json.loads(said)["probability"] < 1
    judged = invoke(
        *("evaluate", tiny.manifest_path, "--model", folder, "-o", tmp_path / "report"),
        *("--store", tmp_path / "store", "--json"),
    )
    assert json.loads(judged.stdout)["model"]["members"]["second"] == 0.5


def test_it_is_told_what_it_learned_from(tiny: Tiny, folder: Path, tmp_path: Path) -> None:
    known = tmp_path / "known"
    shutil.copytree(folder, known)
    before = load(known, unsure="warn")
    said = invoke("models", "familiarise", known, "--data", tiny.manifest_path, "--rate", "0.2")
    assert said.exit_code == 0, said.output
    after = load(known, unsure="warn")
    assert after.predict(photos(tiny)[0])[0].unlike is not None
    assert after.description.familiarity is not None
    assert after.description.familiarity.rate == pytest.approx(0.2, abs=0.05)
    # Another cut makes other doubts: a bulk job must not go on where one by the old cut stopped.
    assert before.identity() != after.identity()
    assert load(known).identity() == load(folder).identity()
    cut = dataclasses.replace(read_model(known), disagreement_cut=0.3)
    assert cut.doubt_identity() != read_model(known).doubt_identity()


def test_weights_of_several_backbones_are_named_by_member(
    ensemble: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which members stand on two, one of them twice."""
    hashes = ("one", "one", "two")
    local = dataclasses.replace(
        ensemble,
        members=tuple(
            dataclasses.replace(
                member,
                model=dataclasses.replace(
                    member.model,
                    spec=dataclasses.replace(member.model.spec, backbone="dinov3", weight_hash=key),
                ),
            )
            for member, key in zip(ensemble.members, hashes, strict=True)
        ),
    )
    asked: list[Any] = []

    def loaded(bundle: Bundle, *, weights: Any, **_: Any) -> str:
        asked.append(weights)
        return bundle.spec.weight_hash

    monkeypatch.setattr("workzone.run.ensembles.bundle_backbone", loaded)
    with pytest.raises(UsageError, match=r"2 different sets of weights: .*\(first and small;"):
        backbones_of(local, weights=tmp_path)
    assert asked == []
    for name in ("second", "small"):
        (tmp_path / name).mkdir()
    assert backbones_of(local, weights=tmp_path) == ["one", "one", "two"]
    assert asked == [tmp_path / "second", tmp_path / "small"]
    asked.clear()
    backbones_of(ensemble, weights=tmp_path)  # embedded ones need none
    assert asked == [None]


def test_what_is_damaged_is_named(folder: Path, tmp_path: Path, tiny: Tiny) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied)
    (copied / "training.json").write_text("{}")
    with pytest.raises(BundleError, match=r"training\.json is not the file"):
        read_model(copied)
    shutil.copy(folder / "training.json", copied)
    shutil.rmtree(copied / "members" / "small")
    with pytest.raises(BundleError, match=r"no model bundle at .*small"):
        read_model(copied)
    with pytest.raises(BundleError, match=r"is an ensemble: .* members, such as .*members/NAME"):
        read_bundle(folder)
    with pytest.raises(BundleError, match="is not empty and not an ensemble"):
        write_model(read_model(folder), tiny.bundle)
    write_bundle(read_bundle(tiny.bundle), tmp_path / "bundle")


def test_members_that_do_not_make_an_ensemble(tiny: Tiny) -> None:
    one = read_bundle(tiny.bundle)
    with pytest.raises(UsageError, match="two members or more"):
        make_ensemble({"a": one}, Mixture(weights=(1.0,)), Calibration(), provenance={})
    two = Mixture(weights=(0.5, 0.5))
    with pytest.raises(UsageError, match=r"member '\.\./b': give a name"):
        make_ensemble({"a": one, "../b": one}, two, Calibration(), provenance={})
    with pytest.raises(UsageError, match="a weight for each of its 2 members, got 1"):
        make_ensemble({"a": one, "b": one}, Mixture(weights=(1.0,)), Calibration(), provenance={})
