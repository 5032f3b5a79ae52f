"""Prediction with a glance and with masks that decide: as from stored features, for less work."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from predictors import bundle_predictor
from trained import LAYOUT, Tiny
from workzone.backbones.base import Backbone
from workzone.decide.bundle import Bundle
from workzone.engine.program import Array, Arrays, GraphName
from workzone.engine.torch_engine import TorchEngine
from workzone.features.extract import Extraction, make_spec
from workzone.model.config import DetectorConfig
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.views.config import GlanceConfig
from workzone.run import predictor as module
from workzone.run.evaluate import evaluate
from workzone.run.images import encoded
from workzone.run.mistakes import stored_input
from workzone.train.job import train
from workzone.train.settings import TrainConfig

KEEP = 3


@pytest.fixture(scope="module")
def bundle(tiny: Tiny, lite0: Backbone) -> Bundle:
    """Three of five views are read; what the masks show is told to the head."""
    detector = DetectorConfig(
        glance=GlanceConfig(keep=KEEP), masks=MaskHeadConfig(hidden=16), mask_evidence=True
    )
    spec = make_spec(lite0, layout=LAYOUT, grid_views=(0,))
    config = TrainConfig(epochs=20, detector=detector)
    return train(tiny.manifest, lite0, spec, tiny.store, config).bundle


@pytest.fixture
def read_views(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many views each call of the backbone read."""
    counts: list[int] = []
    plain = TorchEngine.run

    def counting(engine: TorchEngine, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        if graph == "reader":
            counts.append(len(inputs["pixels"]))
        return plain(engine, graph, inputs)

    monkeypatch.setattr(TorchEngine, "run", counting)
    return counts


def test_pixels_and_stored_features_give_the_same_probability(
    tiny: Tiny, lite0: Backbone, bundle: Bundle
) -> None:
    test = tiny.manifest.in_split("test")
    store = Extraction(test, lite0, bundle.spec, tiny.store).run()
    stored = evaluate(bundle, test, store).report.probabilities
    predictions = bundle_predictor(bundle, lite0).predict([tiny.root / s.image.path for s in test])
    np.testing.assert_allclose([p.probability for p in predictions], stored, atol=0.01)
    labels = np.array([s.label for s in test])
    assert ((stored > 0.5) == labels).mean() > 0.8  # it has learned something to agree on


def test_only_the_kept_views_are_read(
    tiny: Tiny, lite0: Backbone, bundle: Bundle, read_views: list[int]
) -> None:
    paths = [tiny.root / s.image.path for s in tiny.manifest][:4]
    bundle_predictor(bundle, lite0).predict(paths)
    assert sorted(read_views) == sorted([1, KEEP - 1] * 4)  # images pass each other


def test_with_one_view_the_glance_is_all_there_is(
    tiny: Tiny, lite0: Backbone, read_views: list[int]
) -> None:
    config = TrainConfig(epochs=2, detector=DetectorConfig(glance=GlanceConfig(keep=1)))
    spec = make_spec(lite0, layout=LAYOUT, grid_views=(0,))
    single = train(tiny.manifest, lite0, spec, tiny.store, config).bundle
    (prediction,) = bundle_predictor(single, lite0).predict(tiny.root / "01.png")
    assert read_views == [1]
    assert (prediction.view, prediction.view_weight) == (0, 1.0)


def test_a_glance_over_all_views_reads_them_at_once(
    tiny: Tiny, lite0: Backbone, bundle: Bundle, read_views: list[int]
) -> None:
    detector = bundle.detector
    everything = dataclasses.replace(detector.config, glance=None)
    plain = type(detector)(everything)
    weights = {k: v for k, v in detector.state_dict().items() if not k.startswith("glance")}
    plain.load_state_dict(weights)
    bundle_predictor(dataclasses.replace(bundle, detector=plain.eval()), lite0).predict(
        tiny.root / "01.png"
    )
    assert read_views == [LAYOUT.count]


def test_views_that_were_not_read_have_no_share(
    tiny: Tiny, lite0: Backbone, bundle: Bundle
) -> None:
    predictor = bundle_predictor(bundle, lite0)
    store = Extraction(tiny.manifest, lite0, bundle.spec, tiny.store).run()
    hashes = {s.image.path: s.content_hash or "" for s in tiny.manifest}
    for name in ("01.png", "03.png", "05.png"):
        (_, scored) = next(
            predictor.score([(name, tiny.root / name)], lambda p: encoded(p, str(p)))
        )
        assert isinstance(scored, module.Scored)
        assert scored.view_shares.shape == (LAYOUT.count,)
        assert np.count_nonzero(scored.view_shares) <= KEEP
        given = stored_input(bundle, store, [store.row(hashes[name])])
        stored = bundle.detector.view_shares(given, views=LAYOUT.count)[0]
        np.testing.assert_allclose(scored.view_shares, stored.numpy(), atol=0.03)
        assert scored.view_shares.sum() == pytest.approx(1)
        x0, y0, x1, y1 = scored.boxes[scored.prediction.view]
        assert scored.prediction.box == pytest.approx((x0, y0, x1, y1))
        prediction, _ = predictor.explain(tiny.root / name)
        assert prediction.view_weight == scored.prediction.view_weight
