"""Prediction with what is known of an image beside its pixels."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from made_images import blob_image
from predictors import backbone_of, bundle_of, bundle_predictor
from told import NIGHT, TEXT, TOLD, HashModel, raised, told_bundle
from trained import Tiny
from workzone.decide.bundle import read_bundle
from workzone.decide.calibration import Calibration
from workzone.errors import BundleError, StoreError, UsageError
from workzone.features import text_model
from workzone.features.text import text_vectors
from workzone.run.metadata import (
    SampleEncoder,
    bundle_text_vectors,
    load_text_model,
    mapping_of,
    sample_from,
)
from workzone.run.predictor import Predictor
from workzone.types import ImageRef, Prediction, Sample


@pytest.fixture(scope="module")
def alone(tiny: Tiny, predictor: Predictor) -> Predictor:
    """The trained model without metadata; its own probability is what it publishes."""
    bundle = dataclasses.replace(read_bundle(tiny.bundle), calibration=Calibration())
    return bundle_predictor(bundle, backbone_of(predictor))


@pytest.fixture(scope="module")
def told(alone: Predictor) -> Predictor:
    return bundle_predictor(told_bundle(bundle_of(alone)), backbone_of(alone))


@pytest.fixture
def sentences(monkeypatch: pytest.MonkeyPatch) -> list[HashModel]:
    """Sentence models that were loaded, in order."""
    loaded: list[HashModel] = []

    def load(name: str) -> HashModel:
        assert name == "some/model"
        loaded.append(HashModel())
        return loaded[-1]

    monkeypatch.setattr(text_model, "load_sentence_model", load)
    return loaded


PICTURE = blob_image(500, 0)


def one(predictor: Predictor, metadata: dict[str, Any]) -> Prediction:
    return predictor.predict(PICTURE, [metadata])[0]


def test_what_is_known_moves_the_probability_and_has_its_own_calibration(
    alone: Predictor, told: Predictor
) -> None:
    raw = alone.predict(PICTURE)[0].probability
    night, day = one(told, {"daytime": " Night"}), one(told, {"daytime": "day", "text": "cones"})
    assert night.probability == pytest.approx(float(TOLD.apply(raised(raw, NIGHT))), abs=1e-6)
    assert day.probability == pytest.approx(float(TOLD.apply(raw)), abs=1e-6)
    assert night.inputs == day.inputs == "image+metadata"
    assert night.probability > day.probability + 0.01
    assert night.decision == ("roadwork" if night.probability > 0.5 else "none")


NOTHING: list[dict[str, Any]] = [
    {},
    {"daytime": None, "text": None},
    {"daytime": "  "},
    {"daytime": math.nan, "latitude": np.float32("nan")},
    {"latitude": 91.0, "longitude": 0},
    {"weather": "rain", "latitude": 48.1, "longitude": 11.6},  # this model takes daytime alone
]


@pytest.mark.parametrize("metadata", NOTHING)
def test_where_nothing_is_known_the_image_alone_is_judged(
    alone: Predictor, told: Predictor, metadata: dict[str, Any]
) -> None:
    prediction = one(told, metadata)
    assert prediction == told.predict(PICTURE)[0]
    assert prediction.inputs == "image"
    assert prediction.probability == pytest.approx(alone.predict(PICTURE)[0].probability, abs=1e-6)


def test_each_image_has_its_own_metadata(told: Predictor) -> None:
    metadata: list[dict[str, Any]] = [{}, {"daytime": "night"}, {"daytime": "day"}, {}]
    together = told.predict([PICTURE] * 4, metadata)
    assert [p.inputs for p in together] == ["image", "image+metadata", "image+metadata", "image"]
    assert [p.probability for p in together] == [one(told, m).probability for m in metadata]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"wether": "rain"}, "image 1: metadata 'wether' is not known; did you mean 'weather'"),
        ({"time": "12:00"}, "image 1: metadata 'time' is not known; .*allowed: daytime, latitude"),
        ({"latitude": "48.1"}, "image 1: latitude is '48.1'; give a number of degrees or None"),
        ({"longitude": True}, "image 1: longitude is True; give a number of degrees"),
        ({"latitude": Decimal("1")}, r"image 1: latitude is Decimal\('1'\); give a number"),
        ({"daytime": 3}, "image 1: daytime is 3; give a text or None"),
        ({"text": b"cones"}, "image 1: text is b'cones'; give a text or None"),
        ("night", "image 1: its metadata is str; give a mapping such as"),
    ],
)
def test_wrong_metadata_are_told_before_anything_is_judged(
    told: Predictor, alone: Predictor, metadata: Any, message: str
) -> None:
    for model in (told, alone):
        with pytest.raises(UsageError, match=message):
            model.predict([b"no image", PICTURE], [{}, metadata])


def test_a_sample_says_what_its_mapping_says() -> None:
    metadata = {
        **{"latitude": np.float64(48.1), "longitude": 11, "weather": "rain"},
        **{"daytime": "night", "scene": "city", "text": "cones"},
    }
    sample = sample_from(metadata, "a.jpg")
    assert mapping_of(sample) == metadata
    assert (sample.id, sample.label) == ("a.jpg", None)


def test_explaining_uses_what_is_known(told: Predictor) -> None:
    prediction, overlay = told.explain(PICTURE, {"daytime": "night"})
    assert prediction == one(told, {"daytime": "night"})
    assert told.explain(PICTURE)[0] == told.predict(PICTURE)[0]
    assert isinstance(overlay, Image.Image)
    with pytest.raises(UsageError, match="did you mean 'daytime'"):
        told.explain(PICTURE, {"day": "night"})


def test_a_text_is_read_by_the_sentence_model_which_is_loaded_once(
    alone: Predictor, sentences: list[HashModel]
) -> None:
    model = bundle_predictor(
        told_bundle(bundle_of(alone), text=HashModel().spec), backbone_of(alone)
    )
    raw = alone.predict(PICTURE)[0].probability
    assert one(model, {"daytime": "day", "text": " "}).inputs == "image+metadata"
    assert sentences == []
    predictions = model.predict([PICTURE] * 2, [{"text": "lane  closed"}, {"text": "a street"}])
    assert [sorted(m.asked) for m in sentences] == [["a street", "lane closed"]]  # in any order
    for prediction, text in zip(predictions, ["lane closed", "a street"], strict=True):
        first = float(HashModel().encode([text])[0, 0])
        expected = float(TOLD.apply(raised(raw, TEXT * first)))
        assert prediction.probability == pytest.approx(expected, abs=1e-6)


def test_threads_share_one_sentence_model_and_use_it_one_at_a_time(
    alone: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    inside: list[int] = []

    class Slow(HashModel):
        def encode(self, texts: Sequence[str]) -> torch.Tensor:
            inside.append(+1)
            at_once = sum(inside)
            time.sleep(0.01)
            inside.append(-1)
            assert at_once == 1
            return super().encode(texts)

    def load(name: str) -> HashModel:
        loads.append(name)
        time.sleep(0.05)
        return Slow()

    monkeypatch.setattr(text_model, "load_sentence_model", load)
    encoder = SampleEncoder(told_bundle(bundle_of(alone), text=HashModel().spec))
    with ThreadPoolExecutor(4) as pool:
        encoded = list(pool.map(encoder.encode, rows("a", "b", "c", "d")))
    assert loads == ["some/model"]
    assert all(rows is not None for rows in encoded)


def test_a_sentence_model_of_other_weights_is_refused(
    alone: Predictor, sentences: list[HashModel]
) -> None:
    spec = dataclasses.replace(HashModel().spec, weight_hash="ff")
    model = bundle_predictor(told_bundle(bundle_of(alone), text=spec), backbone_of(alone))
    message = "trained with the sentence model 'some/model' of weights ff .* this one has 00 .*get"
    with pytest.raises(BundleError, match=message):
        one(model, {"text": "lane closed"})
    with pytest.raises(UsageError, match="the detector takes no text"):
        load_text_model(bundle_of(alone))


def rows(*texts: str | None) -> list[Sample]:
    return [Sample(str(n), ImageRef(f"{n}.jpg"), text=text) for n, text in enumerate(texts)]


def test_stored_vectors_are_read_without_the_sentence_model(
    alone: Predictor, sentences: list[HashModel], tmp_path: Path
) -> None:
    bundle = told_bundle(bundle_of(alone), text=HashModel().spec)
    assert bundle_text_vectors(bundle, rows(None, " "), tmp_path) is None
    assert bundle_text_vectors(bundle_of(alone), rows("a"), tmp_path) is None
    text_vectors(["a", "b"], tmp_path, HashModel())
    stored = bundle_text_vectors(bundle, rows("b", None), tmp_path)
    assert stored is not None
    assert sentences == []
    assert stored.get(["b"]).tolist() == HashModel().encode(["b"]).tolist()
    made = bundle_text_vectors(bundle, rows("a", "c"), tmp_path)
    assert made is not None
    assert [m.asked for m in sentences] == [["c"]]
    assert made.get(["c", "a"]).tolist() == HashModel().encode(["c", "a"]).tolist()
    (part, _) = bundle.text_model.folder(tmp_path).glob("part-*")  # type: ignore[union-attr]
    part.write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be read"):
        bundle_text_vectors(bundle, rows("a"), tmp_path)
