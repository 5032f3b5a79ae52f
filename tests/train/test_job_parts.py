"""Training with metadata, masks and a glance, from images on."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest

from predictors import bundle_predictor
from trained import LAYOUT, Tiny
from workzone.backbones.base import Backbone
from workzone.data.manifest import read_manifest
from workzone.data.splits import split_manifest
from workzone.errors import TrainingError, UsageError
from workzone.features.extract import Extraction, make_spec
from workzone.model.config import DetectorConfig
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.metadata.config import MetadataConfig
from workzone.model.views.config import GlanceConfig
from workzone.run.evaluate import evaluate
from workzone.scenes.write import write_scenes
from workzone.train.feed.sampling import SamplingConfig
from workzone.train.job import Trained, train
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.settings import TrainConfig
from workzone.types import Sample


def learn(tiny: Tiny, lite0: Backbone, samples: list[Sample], detector: DetectorConfig) -> Trained:
    grid_views = (0,) if detector.needs_grid else ()
    spec = make_spec(lite0, layout=LAYOUT, grid_views=grid_views)
    config = TrainConfig(epochs=3, detector=detector)
    return train(tiny.manifest.with_samples(samples), lite0, spec, tiny.store, config)


def telling(samples: list[Sample]) -> list[Sample]:
    """The scene's description gives the label away."""
    words = {0: "an ordinary street", 1: "cones close the right lane"}
    return [dataclasses.replace(s, scene=words[s.label or 0]) for s in samples]


def test_metadata_that_leak_are_refused_before_anything_is_extracted(
    tiny: Tiny, lite0: Backbone, tmp_path: Path
) -> None:
    manifest = tiny.manifest.with_samples(telling(list(tiny.manifest)))
    config = TrainConfig(detector=DetectorConfig(metadata=MetadataConfig()))
    with pytest.raises(
        TrainingError,
        match=r"gives the label away is not fed .*\(scene: its value alone tells road work with "
        r"AUC 1.000\). Switch the field off \(scene: 0\), or name it in allow_leaking: \[scene\]",
    ):
        train(manifest, lite0, make_spec(lite0, layout=LAYOUT), tmp_path / "features", config)
    assert not (tmp_path / "features").exists()


def test_what_cannot_be_learned_is_refused_before_anything_is_extracted(
    tiny: Tiny, lite0: Backbone, tmp_path: Path
) -> None:
    spec = make_spec(lite0, layout=LAYOUT)
    config = TrainConfig(detector=DetectorConfig())
    folder = tmp_path / "features"
    alike = [dataclasses.replace(s, label=0) for s in tiny.manifest]
    with pytest.raises(TrainingError, match=r"46 labelled .* are labelled 'none': a detector"):
        train(tiny.manifest.with_samples(alike), lite0, spec, folder, config)
    lacking = [s for s in tiny.manifest if s.split != "val" or s.label == 0]
    with pytest.raises(TrainingError, match="split 'val' has 7 images, not any with road work"):
        train(tiny.manifest.with_samples(lacking), lite0, spec, folder, config)
    unvalidated = [s for s in tiny.manifest if s.split != "val"]
    with pytest.raises(TrainingError, match="no validation rows: give the manifest a `val` split"):
        train(tiny.manifest.with_samples(unvalidated), lite0, spec, folder, config)
    assert not folder.exists()


def test_an_imbalance_is_said_at_once_and_kept_in_the_bundle(
    tiny: Tiny, lite0: Backbone, caplog: pytest.LogCaptureFixture
) -> None:
    rare = [s for s in tiny.manifest if s.label == 0 or int(s.id) % 32 in (1, 5)]
    bundle = learn(tiny, lite0, rare, DetectorConfig()).bundle
    (said,) = [w for w in bundle.provenance["warnings"] if w.startswith("Imbalance")]
    assert "images show no road work. A constant answer has accuracy 0.8" in said
    assert said in caplog.messages


def test_test_rows_are_not_asked_whether_metadata_leak(tiny: Tiny, lite0: Backbone) -> None:
    told = telling(list(tiny.manifest))
    samples = [
        new if old.split == "test" else old for old, new in zip(tiny.manifest, told, strict=True)
    ]
    trained = learn(tiny, lite0, samples, DetectorConfig(metadata=MetadataConfig(daytime=4)))
    fitted = trained.bundle.detector.config.metadata
    assert fitted is not None and fitted.fields == ("daytime",)
    assert trained.bundle.provenance["inputs"] == "image, daytime"


def test_a_leak_that_is_allowed_by_name_is_written_into_the_bundle(
    tiny: Tiny, lite0: Backbone
) -> None:
    metadata = MetadataConfig(scene=4, daytime=4, allow_leaking=("scene",))
    trained = learn(tiny, lite0, telling(list(tiny.manifest)), DetectorConfig(metadata=metadata))
    (warning,) = (w for w in trained.bundle.provenance["warnings"] if "fed with" in w)
    assert warning.startswith("The model was fed with scene, which gives the label away")
    assert trained.bundle.metadata_calibration is not None
    assert trained.fit.metadata_probabilities is not None
    assert len(trained.fit.metadata_probabilities) == len(trained.fit.validation_rows)


def test_texts_are_turned_into_vectors_and_the_bundle_knows_the_model(
    tiny: Tiny, lite0: Backbone
) -> None:
    places = ("a wide avenue", "a narrow lane", "a bridge")
    samples = [
        dataclasses.replace(s, text=places[number // 2 % 3])
        for number, s in enumerate(tiny.manifest)
    ]
    trained = learn(tiny, lite0, samples, DetectorConfig(metadata=MetadataConfig(text=8)))
    spec, config = trained.bundle.text_model, trained.bundle.detector.config.metadata
    assert spec is not None and config is not None
    assert (spec.model, spec.width, spec.key()) == ("all-MiniLM-L6-v2", 384, config.text_key)
    assert config.text == 384
    assert list((tiny.store / "text").glob("*/part-*.safetensors"))


def test_what_sampling_comes_to_is_said_and_a_region_of_test_rows_is_refused(
    tiny: Tiny, lite0: Backbone, caplog: pytest.LogCaptureFixture
) -> None:
    placed = [
        dataclasses.replace(s, latitude=40.0 + number / 2, longitude=3.0)
        for number, s in enumerate(tiny.manifest)
    ]
    test_row = next(s for s in placed if s.split == "test")
    assert test_row.latitude is not None and test_row.longitude is not None
    manifest = tiny.manifest.with_samples(placed)
    spec = make_spec(lite0, layout=LAYOUT)
    quick = TrainConfig(epochs=1, detector=DetectorConfig())
    sampling = SamplingConfig(class_balance=True, region_points=((10.0, 3.0),))
    with caplog.at_level(logging.INFO, logger="workzone"):
        config = dataclasses.replace(quick, sampling=sampling)
        train(manifest, lite0, spec, tiny.store, config)
    (line,) = (m for m in caplog.messages if m.startswith("sampling: effective rows 46 -> "))
    assert "road work 50.0% -> 50.0%" in line
    here = SamplingConfig(region_points=((test_row.latitude, test_row.longitude),))
    with pytest.raises(TrainingError, match=f"{test_row.id}"):
        train(manifest, lite0, spec, tiny.store, dataclasses.replace(quick, sampling=here))


@pytest.mark.parametrize(
    "detector",
    [DetectorConfig(glance=GlanceConfig(keep=2)), DetectorConfig(masks=MaskHeadConfig())],
)
def test_without_the_grid_of_the_global_view_it_is_refused(
    tiny: Tiny, lite0: Backbone, detector: DetectorConfig, tmp_path: Path
) -> None:
    no_global = dataclasses.replace(LAYOUT, global_view=False)
    for spec in (
        make_spec(lite0, layout=LAYOUT),
        make_spec(lite0, layout=LAYOUT, grid_views=(1,)),
        make_spec(lite0, layout=no_global, grid_views=(0,)),
    ):
        with pytest.raises(UsageError, match="need the patch grid of the global view"):
            train(tiny.manifest, lite0, spec, tmp_path, TrainConfig(detector=detector))


def test_a_grid_too_coarse_to_choose_views_by_is_refused(
    tiny: Tiny, lite0: Backbone, tmp_path: Path
) -> None:
    config = TrainConfig(detector=DetectorConfig(glance=GlanceConfig(keep=2)))
    small = make_spec(lite0, layout=dataclasses.replace(LAYOUT, size=64), grid_views=(0,))
    with pytest.raises(UsageError, match=r"64 px have a grid of 2 x 2 cells: .* \(3 cells a side"):
        train(tiny.manifest, lite0, small, tmp_path, config)


def test_a_glance_is_fitted_and_kept_in_the_bundle(tiny: Tiny, lite0: Backbone) -> None:
    config = DetectorConfig(glance=GlanceConfig(keep=2))
    trained = learn(tiny, lite0, list(tiny.manifest), config)
    glance = trained.bundle.detector.glance
    assert glance is not None and glance.weight.shape == (lite0.width,)
    assert glance.weight.abs().sum() > 0


def test_masks_of_drawn_scenes_are_learned(lite0: Backbone, tmp_path: Path) -> None:
    drawn = read_manifest(write_scenes(tmp_path / "scenes", count=48, seed=0))
    manifest, _ = split_manifest(drawn)
    detector = DetectorConfig(masks=MaskHeadConfig(hidden=16, canvas=6), mask_evidence=True)
    spec = make_spec(lite0, layout=LAYOUT, grid_views=detector.grid_views(LAYOUT))
    config = TrainConfig(epochs=3, optimizer=OptimizerConfig(learning_rate=0.01), detector=detector)
    trained = train(manifest, lite0, spec, tmp_path / "features", config)
    overlap = trained.fit.mask_overlap
    assert overlap is not None and overlap.true.shape == (6,)
    assert int(overlap.true.sum()) > 0  # the masks of validation rows were read
    shape = trained.bundle.detector.config.masks
    assert shape is not None and shape.width == lite0.width
    assert shape.stride == 16  # of views of 96 px
    test = manifest.in_split("test")
    store = Extraction(test, lite0, trained.bundle.spec, tmp_path / "features").run()
    stored = evaluate(trained.bundle, test, store).report.probabilities
    paths = [manifest.root / s.image.path for s in test]
    seen = [p.probability for p in bundle_predictor(trained.bundle, lite0).predict(paths)]
    np.testing.assert_allclose(seen, stored, atol=0.02)
