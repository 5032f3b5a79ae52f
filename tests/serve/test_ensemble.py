"""Several models as one bundle are served like any other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from serving import form, running
from trained import Tiny
from workzone.decide.bundle import read_bundle
from workzone.decide.calibration import Calibration
from workzone.decide.ensemble import make_ensemble
from workzone.decide.mixture import Mixture
from workzone.decide.models import write_model
from workzone.run.model_choice import ModelChoice
from workzone.run.predictor import load
from workzone.views import ViewLayout


def test_an_ensemble_answers_as_it_predicts(tiny: Tiny, tmp_path: Path) -> None:
    one = read_bundle(tiny.bundle)
    layout = ViewLayout(size=64, tiles=2, overlap=0.0, squares=())
    spec = dataclasses.replace(one.spec, layout=layout, grid_size=(2, 2))
    members = {"one": one, "small": dataclasses.replace(one, spec=spec)}
    mixture, calibration = Mixture(weights=(0.6, 0.4)), Calibration(0.45, 1.3)
    ensemble = make_ensemble(members, mixture, calibration, provenance={}, disagreement_cut=0.01)
    write_model(ensemble, tmp_path / "ensemble")
    files = [tiny.root / f"{number:02}.png" for number in (6, 7, 14)]
    expected = load(tmp_path / "ensemble", unsure="abstain").predict(files)
    assert any(prediction.decision == "unsure" for prediction in expected)
    body, headers = form(*((f.name, f.read_bytes()) for f in files), unsure="true")
    with running(model=ModelChoice(model=str(tmp_path / "ensemble"))) as service:
        about = service.ask("GET", "/v1/model").json
        assert (about["engine"], about["view_size"]) == ("torch", 96)
        said = service.ask("POST", "/v1/predict/batch", body, headers).json["results"]
        for item, prediction in zip(said, expected, strict=True):
            answer = item["answer"]
            assert answer["probability"] == pytest.approx(prediction.probability, abs=1e-5)
            told = ("decision", "reason", "view", "inputs")
            assert all(answer[name] == getattr(prediction, name) for name in told)
        alone = service.predict(files[0].read_bytes(), **{"Content-Type": "image/png"})
        probability = alone.json["probability"]
        assert probability == pytest.approx(expected[0].probability, abs=1e-5)
