"""Frames in their own shape: from files and from a store they are judged alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from engine.made_models import made
from made_images import blob_image, sample_of
from predictors import bundle_predictor
from workzone.backbones.base import Backbone
from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle
from workzone.errors import UsageError
from workzone.features.extract import Extraction
from workzone.run.evaluate import evaluate
from workzone.run.predictor import Predictor

SIZES = ((96, 64), (64, 96), (80, 80), (160, 48), (64, 160), (96, 64))
"""Width and height of images; the layout sees them in five shapes."""


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("streets")
    samples = []
    for number, (width, height) in enumerate(SIZES):
        path = root / f"{number}.png"
        blob_image(number, number % 2, width=width, height=height).save(path)
        samples.append(sample_of(path, label=number % 2, split="test"))
    return Manifest(samples, root)


@pytest.fixture(scope="module")
def model() -> tuple[Bundle, Backbone]:
    """With weights at random, whose features are stored as they are computed."""
    bundle, backbone = made("frames in their own shape")
    spec = dataclasses.replace(bundle.spec, stored_type="float32")
    return dataclasses.replace(bundle, spec=spec), backbone


@pytest.fixture(scope="module")
def predictor(model: tuple[Bundle, Backbone]) -> Predictor:
    return bundle_predictor(*model)


@pytest.mark.parametrize("size", [None, 192])
def test_evaluation_and_prediction_agree(
    model: tuple[Bundle, Backbone],
    predictor: Predictor,
    streets: Manifest,
    tmp_path: Path,
    size: int | None,
) -> None:
    bundle, backbone = model
    bundle, predictor = (
        bundle.with_view_size(size),
        predictor.described(predictor.description.with_view_size(size)),
    )
    shapes = {bundle.spec.layout.shape(width, height) for width, height in SIZES}
    assert len(shapes) == 5
    store = Extraction(streets, backbone, bundle.spec, tmp_path).run()
    report = evaluate(bundle, streets, store).report
    predictions = predictor.predict([streets.root / s.image.path for s in streets])
    told = np.array([prediction.probability for prediction in predictions])
    np.testing.assert_allclose(report.probabilities, told, atol=1e-4)
    assert np.ptp(told) > 0.01  # it says something
    assert report.model_facts["views"] == f"the frame, its shorter side {size or 128} px"
    assert len(report.mistakes) > 0
    for mistake in report.mistakes:
        np.testing.assert_array_equal(mistake.boxes, [[0, 0, 1, 1]])


def test_sizes_are_whole_steps(predictor: Predictor) -> None:
    description = predictor.description
    larger = description.with_view_size(192)
    assert (larger.spec.layout.shorter, larger.spec.layout.size) == (192, 384)
    assert larger.spec.grid_size == (12, 12)
    assert description.with_view_size(128) is description
    with pytest.raises(UsageError, match=r"no multiple of 64, twice .* nearest are 128 and 192"):
        description.with_view_size(160)
    layout = dataclasses.replace(description.spec.layout, step=128)
    spec = dataclasses.replace(description.spec, layout=layout)
    with pytest.raises(UsageError, match="192 is no multiple of 128, the step of its views: "):
        dataclasses.replace(description, spec=spec).with_view_size(192)


def test_the_strongest_place_is_a_cell_of_the_frame(
    predictor: Predictor, streets: Manifest
) -> None:
    layout = predictor.description.spec.layout
    for sample, (width, height) in zip(streets, SIZES, strict=True):
        prediction, overlay = predictor.explain(streets.root / sample.image.path)
        assert (prediction.view, prediction.view_weight) == (0, 1)
        rows, columns = layout.shape(width, height)
        x0, y0, x1, y1 = prediction.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        sides = (columns * (x1 - x0), rows * (y1 - y0))
        assert sides == pytest.approx((32, 32), abs=0.01) or sides == pytest.approx(
            (64, 64), abs=0.01
        )  # of a half
        assert overlay.width >= 360
