"""Several looks at an image: in prediction, in evaluation, and in the bundle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from cli_invoke import invoke
from predictors import backbone_of, bundle_of, bundle_predictor
from trained import Tiny
from workzone.backbones.base import Backbone, pool
from workzone.backbones.base import run as run_backbone
from workzone.data.augment import augment
from workzone.data.images import content_hash, decode
from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.decide.calibration import Calibration
from workzone.engine.program import Answer, Program, Seen
from workzone.errors import UsageError
from workzone.features.extract import Extraction
from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
from workzone.model.make import make_detector
from workzone.model.metadata.config import MetadataConfig
from workzone.run.evaluate import image_only_probabilities
from workzone.run.familiarise import familiarity_of
from workzone.run.predictor import Predictor
from workzone.train.job import train
from workzone.train.settings import TrainConfig
from workzone.views import enough_side, make_views

COPIES = 4


def slow_probability(predictor: Predictor, path: Path) -> float:
    """One look after the other, by hand: every view is read, and the glance chooses afterwards."""
    bundle = bundle_of(predictor)
    assert bundle.test_time is not None
    layout, data = bundle.spec.layout, path.read_bytes()
    odds = []
    for copy in range(1 + bundle.test_time.copies):
        frame = decode(data, enough_side=enough_side(layout) * (2 if copy else 1), name="image")
        if copy:
            recipe = bundle.spec.augmentation
            frame = augment(frame, recipe, identity=content_hash(data), copy=copy)
        views = make_views(frame.permute(1, 2, 0).numpy(), layout)
        pixels = torch.from_numpy(views.pixels)
        output = run_backbone(backbone_of(predictor), pixels, precision=bundle.spec.precision)
        given = DetectorInput(
            features=pool(output, bundle.spec.pooling)[None],
            boxes=torch.from_numpy(views.boxes)[None],
            grid=output.grid[:1],
            grid_size=output.grid_size,
        )
        with torch.no_grad():
            raw = bundle.detector.run(given).logits.double().softmax(dim=1)[0, 1].item()
        odds.append(logit(raw))
    surest = sorted(odds, key=abs, reverse=True)[: bundle.test_time.kept]
    return float(bundle.calibration.apply(expit(np.mean(surest))))


def test_prediction_is_that_of_a_slow_reference_and_of_evaluation(
    tiny: Tiny, predictor: Predictor, lite0: Backbone, tmp_path: Path
) -> None:
    bundle = bundle_of(predictor).with_test_time(COPIES)
    looking = bundle_predictor(bundle, lite0)
    samples = tiny.manifest.in_split("test")
    some = [tiny.root / s.image.path for s in list(samples)[:4]]
    told = [prediction.probability for prediction in looking.predict(some)]
    np.testing.assert_allclose(told, [slow_probability(looking, p) for p in some], atol=1e-4)
    assert told != pytest.approx([p.probability for p in predictor.predict(some)], abs=1e-4)
    store = Extraction(samples, lite0, bundle.spec, tmp_path, copies=COPIES).run()
    stored = image_only_probabilities(bundle, store, list(samples))
    np.testing.assert_allclose(stored[:4], told, atol=0.02)  # features are stored in float16
    explained, _ = looking.explain(some[0])
    assert explained.probability == pytest.approx(told[0])


def test_a_bundle_carries_it_and_old_bundles_have_none(
    tiny: Tiny, lite0: Backbone, tmp_path: Path
) -> None:
    bundle = read_bundle(tiny.bundle)
    assert bundle.test_time is None
    looking = bundle.with_test_time(3)
    write_bundle(looking, tmp_path / "model")
    assert read_bundle(tmp_path / "model").test_time == looking.test_time
    assert looking.identity() != bundle.identity()
    assert looking.with_test_time(None) == looking
    assert looking.with_test_time(0).identity() == bundle.identity()
    path = tmp_path / "model" / "bundle.json"
    description = json.loads(path.read_text())
    del description["test_time"]  # as versions before it wrote
    path.write_text(json.dumps(description))
    assert read_bundle(tmp_path / "model").test_time is None
    with pytest.raises(UsageError, match="copies=65, allowed: 1 to 64"):
        bundle.with_test_time(65)


def test_it_is_taken_over_from_training(tiny: Tiny, lite0: Backbone) -> None:
    bundle = read_bundle(tiny.bundle)
    asked = bundle.with_test_time(2).test_time
    config = dataclasses.replace(TrainConfig(epochs=1), test_time=asked)
    trained = train(tiny.manifest, lite0, bundle.spec, tiny.store, config).bundle
    assert isinstance(trained.detector, Detector)
    assert trained.test_time == asked is not None
    assert trained.provenance["training"]["test_time"] == dataclasses.asdict(asked)


def familiar_bundle(tiny: Tiny, lite0: Backbone) -> Bundle:
    """The small bundle, with statistics of what it learned from."""
    bundle = read_bundle(tiny.bundle)
    predictor = bundle_predictor(bundle, lite0)
    found = familiarity_of(predictor, tiny.manifest.in_split("train", "val"))
    return dataclasses.replace(bundle, familiarity=found)


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_familiar_looks_in_prediction_and_in_evaluation(
    tiny: Tiny, lite0: Backbone, tmp_path: Path, margin: float
) -> None:
    bundle = familiar_bundle(tiny, lite0)
    spec = dataclasses.replace(bundle.spec, stored_type="float32")
    bundle = dataclasses.replace(bundle, spec=spec).with_test_time(6, "familiar")
    assert bundle.test_time is not None
    bundle = dataclasses.replace(
        bundle, test_time=dataclasses.replace(bundle.test_time, margin=margin, temperature=0.7)
    )
    samples = tiny.manifest.in_split("test")
    some = [tiny.root / s.image.path for s in list(samples)[:6]]
    told = [p.probability for p in bundle_predictor(bundle, lite0).predict(some)]
    store = Extraction(samples, lite0, bundle.spec, tmp_path, copies=6).run()
    stored = image_only_probabilities(bundle, store, list(samples))
    np.testing.assert_allclose(stored[:6], told, atol=1e-4)
    surest = bundle.with_test_time(None, "surest")
    other = image_only_probabilities(surest, store, list(samples))
    assert not np.allclose(other[:6], told, atol=1e-4)


def test_an_early_exit_spares_the_backbone(
    tiny: Tiny, lite0: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read_bundle(tiny.bundle).with_test_time(9)
    assert bundle.test_time is not None
    seen = []
    run = Program.run

    def counted(self: Program, images: Sequence[Seen], *, masks: bool = False) -> list[Answer]:
        seen.append(len(images))
        return run(self, images, masks=masks)

    monkeypatch.setattr(Program, "run", counted)
    image = tiny.root / "01.png"
    for margin, expected in ((0.0, [10]), (1e-6, [4]), (50.0, [4, 6])):
        seen.clear()
        config = dataclasses.replace(bundle.test_time, margin=margin)
        bundle_predictor(dataclasses.replace(bundle, test_time=config), lite0).predict(image)
        assert seen == expected, margin


def test_familiar_looks_go_by_the_image_alone(tiny: Tiny) -> None:
    """The last layer of such a model sees metadata too: distances would be of something else."""
    bundle = read_bundle(tiny.bundle)
    detector = make_detector(
        dataclasses.replace(bundle.config, metadata=MetadataConfig(text=0, scene=0))
    )
    with pytest.raises(UsageError, match="familiar goes by the image alone"):
        dataclasses.replace(
            bundle, detector=detector, metadata_calibration=Calibration()
        ).with_test_time(4, "familiar")


def test_familiar_looks_need_statistics(tiny: Tiny) -> None:
    bundle = read_bundle(tiny.bundle)
    plain = dataclasses.replace(bundle, familiarity=None)
    with pytest.raises(UsageError, match=r"choose=familiar needs statistics.* familiarise BUNDLE"):
        plain.with_test_time(4, "familiar")
    with pytest.raises(UsageError, match=r"this model takes one look; ask for more \(--tta\)"):
        plain.with_test_time(None, "all")


def test_looks_are_weighed_on_unseen_images(
    tiny: Tiny, lite0: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = familiar_bundle(tiny, lite0)
    write_bundle(bundle, tmp_path / "model")
    asked = ("models", "looks", tmp_path / "model", "--data", tiny.manifest_path)
    more = ("--copies", 3, "-o", tmp_path / "looking", "--store", tmp_path / "store", "--json")
    refused = invoke(*asked, *more, expect=1)
    unseen = len([s for s in tiny.manifest if s.content_hash not in bundle.training_images])
    assert f"{unseen} images that the model has not learned from" in " ".join(
        refused.stderr.split()
    )
    monkeypatch.setattr("workzone.run.fit_looks.FEWEST", 3)
    told = json.loads(invoke(*asked, *more).stdout)
    assert told["images"] == unseen
    looking = read_bundle(tmp_path / "looking")
    assert looking.test_time is not None
    assert dataclasses.asdict(looking.test_time) == told["test_time"]
    assert (looking.test_time.choose, looking.test_time.copies) == ("familiar", 3)


def test_the_commands_take_it(tiny: Tiny, tmp_path: Path) -> None:
    photo = tiny.root / "01.png"

    def probability(*more: object) -> float:
        said = invoke("predict", photo, "--model", tiny.bundle, "--json", *more).stdout
        return float(json.loads(said)["probability"])

    assert probability("--tta", 0) == probability()
    assert probability("--tta", 2) != probability()
    assert probability("--tta", 2, "--looks", "all") != probability("--tta", 2)
    report = tmp_path / "report"
    judged = invoke(
        *("evaluate", tiny.manifest_path, "--model", tiny.bundle, "-o", report),
        *("--store", tmp_path / "store", "--tta", 2, "--json"),
    )
    assert json.loads(judged.stdout)["model"]["looks at an image"] == 3
