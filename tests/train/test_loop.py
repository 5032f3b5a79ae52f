from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import log_loss, roc_auc_score

from made_rows import PLAIN, D, V, examples_of, made_data, two_folds
from workzone.config import from_mapping
from workzone.decide.calibration import Calibration
from workzone.errors import TrainingError, UsageError
from workzone.features.masks import FULL, MaskTargets
from workzone.model.config import DetectorConfig
from workzone.model.detector import Detector
from workzone.model.encoder.config import EncoderConfig
from workzone.model.inputs import DetectorInput
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.metadata.config import MetadataConfig
from workzone.model.views.config import GlanceConfig
from workzone.model.views.glance import Glance
from workzone.train import fit as fitting
from workzone.train import judging, loop, losses
from workzone.train.batches import cut, load
from workzone.train.feed.augment import AugmentConfig
from workzone.train.feed.examples import Examples
from workzone.train.feed.sampling import SamplingConfig
from workzone.train.fit import Fit
from workzone.train.judging import predict_probabilities
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.optim.schedules import ScheduleConfig
from workzone.train.session import Session
from workzone.train.settings import TrainConfig
from workzone.train.watch.tracking import Tracker, read_log
from workzone.types import ImageRef, Sample

FAST = OptimizerConfig(learning_rate=0.02)
QUICK = TrainConfig(epochs=12, batch=32, optimizer=FAST, detector=PLAIN)


def fit(
    features: torch.Tensor,
    labels: torch.Tensor,
    folds: list[np.ndarray],
    config: TrainConfig,
    **more: Any,
) -> Fit:
    return fitting.fit(examples_of(features, labels, **more), folds, config)


def probabilities(detector: Detector, features: torch.Tensor, **more: Any) -> np.ndarray:
    return predict_probabilities(detector, DetectorInput(features=features, **more))


def state(detector: Detector) -> bytes:
    return b"".join(value.numpy().tobytes() for value in detector.state_dict().values())


def test_separable_data_are_learned_and_judged_on_unseen_rows() -> None:
    features, labels = made_data()
    result = fit(features, labels, two_folds(160), QUICK)
    assert sorted(result.validation_rows) == list(range(160))
    truth = labels[result.validation_rows].numpy()
    assert roc_auc_score(truth, result.validation_probabilities) > 0.99
    fresh, fresh_labels = made_data(seed=1)
    scores = probabilities(result.detector, fresh[:, 0])
    assert roc_auc_score(fresh_labels, scores) > 0.99
    called = result.calibration.apply(scores) > 0.5
    assert (called == fresh_labels.numpy().astype(bool)).mean() > 0.95


def test_shuffled_labels_are_not_learned() -> None:
    features, labels = made_data(300)
    shuffled = labels[torch.randperm(300, generator=torch.Generator().manual_seed(9))]
    result = fit(features, shuffled, two_folds(300), QUICK)
    auc = roc_auc_score(shuffled[result.validation_rows], result.validation_probabilities)
    assert 0.35 < auc < 0.65


def test_the_same_seed_gives_the_same_bits() -> None:
    features, labels = made_data()
    config = TrainConfig(epochs=4, detector=DetectorConfig(dropout=0.2))
    torch.manual_seed(1)
    first = fit(features, labels, two_folds(160), config)
    torch.manual_seed(2)  # the caller's seed does not matter
    second = fit(features, labels, two_folds(160), config)
    assert state(first.detector) == state(second.detector)
    assert first.validation_losses == second.validation_losses
    assert first.calibration == second.calibration
    other = fit(
        features,
        labels,
        two_folds(160),
        TrainConfig(epochs=4, detector=DetectorConfig(dropout=0.2), seed=1),
    )
    assert state(first.detector) != state(other.detector)


@pytest.mark.parametrize(
    "augment",
    [
        AugmentConfig(mixup=0.4),
        AugmentConfig(cutmix=1.0),
        AugmentConfig(view_dropout=0.4),
        AugmentConfig(label_smoothing=0.1),
        AugmentConfig(focal=2.0),
    ],
    ids=str,
)
def test_augmented_training_learns_and_can_be_repeated(augment: AugmentConfig) -> None:
    features, labels = made_data()
    config = dataclasses.replace(QUICK, augment=augment)
    first, second = (fit(features, labels, two_folds(160), config) for _ in range(2))
    plain = fit(features, labels, two_folds(160), QUICK)
    assert state(first.detector) == state(second.detector)
    assert state(first.detector) != state(plain.detector)
    fresh, fresh_labels = made_data(seed=1)
    assert roc_auc_score(fresh_labels, probabilities(first.detector, fresh[:, 0])) > 0.97


def test_the_callers_random_numbers_are_left_alone() -> None:
    features, labels = made_data(40)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(features, labels, two_folds(40), TrainConfig(detector=PLAIN, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def memorising() -> tuple[torch.Tensor, torch.Tensor, list[np.ndarray]]:
    """Labels of pure noise: training goes on getting better, validation soon gets worse."""
    random = torch.Generator().manual_seed(3)
    features = torch.randn(60, 1, V, 40, generator=random)
    return features, torch.arange(60) % 2, [np.arange(18)]


def test_early_stopping_keeps_the_best_epoch() -> None:
    features, labels, folds = memorising()
    settings: dict[str, Any] = {
        "optimizer": FAST,
        "classifier_penalty": 0.0,
        "attention_penalty": 0.0,
    }
    result = fit(
        features, labels, folds, TrainConfig(detector=PLAIN, epochs=60, patience=5, **settings)
    )
    (history,) = result.validation_losses
    best = int(np.argmin(history))
    assert history[-1] > history[best]
    assert len(history) == best + 1 + 5 < 60
    assert result.epochs == best + 1
    # what validation said comes from the best epoch, not from the last
    raw = result.validation_probabilities
    assert result.calibration == Calibration()  # 18 rows are too few for one, so these are raw
    assert log_loss(labels[folds[0]], raw) == pytest.approx(history[best], rel=1e-4)
    # without patience to spare, the fold's run is the same up to there
    short = fit(
        features,
        labels,
        folds,
        TrainConfig(detector=PLAIN, epochs=best + 1, patience=5, **settings),
    )
    assert short.validation_losses[0] == history[: best + 1]
    np.testing.assert_array_equal(short.validation_probabilities, raw)


def test_the_final_length_is_the_median_of_the_folds() -> None:
    features, labels = made_data(90)
    folds = [np.arange(k, 90, 3) for k in range(3)]
    result = fit(
        features,
        labels,
        folds,
        TrainConfig(
            detector=PLAIN, epochs=20, optimizer=OptimizerConfig(learning_rate=0.05), patience=3
        ),
    )
    best = [int(np.argmin(history)) + 1 for history in result.validation_losses]
    assert result.epochs == int(np.median(best))


def test_the_final_detector_learns_from_validation_rows_too() -> None:
    features, labels = made_data(60)
    config = TrainConfig(detector=PLAIN, epochs=2)
    first = fit(features, labels, [np.arange(20)], config)
    changed = features.clone()
    changed[3] += 1.0  # a validation row
    second = fit(changed, labels, [np.arange(20)], config)
    assert first.epochs == second.epochs
    assert state(first.detector) != state(second.detector)


def test_a_rare_class_is_not_given_up() -> None:
    """5 in 100, overlapping: without weights "none" is the comfortable answer, recall 0 to 0.2."""
    features, labels = made_data(400, positives=0.05, shift=2.5)
    result = fit(features, labels, two_folds(400), QUICK)
    fresh, fresh_labels = made_data(400, positives=0.05, shift=2.5, seed=11)
    called = probabilities(result.detector, fresh[:, 0]) > 0.5
    truth = fresh_labels.numpy() == 1
    assert called[truth].mean() >= 0.6
    assert called[~truth].mean() < 0.25


def test_what_is_said_of_a_validation_row_depends_on_no_other_one() -> None:
    """Not even through the statistics that features are standardised with."""
    features, labels = made_data(60)
    fold, once = [np.arange(18)], TrainConfig(detector=PLAIN, epochs=1)
    before = fit(features, labels, fold, once)
    changed = features.clone()
    changed[5] = 1000.0
    after = fit(changed, labels, fold, once)
    assert before.calibration == after.calibration == Calibration()
    others = np.arange(18) != 5
    np.testing.assert_array_equal(
        before.validation_probabilities[others], after.validation_probabilities[others]
    )


def test_copies_are_drawn_for_training_and_left_out_of_validation() -> None:
    """Only copies 1 and 2 carry the class; copy 0, which validates, carries it weakly."""
    features, labels = made_data(120, copies=3)
    noise = torch.randn(120, V, D, generator=torch.Generator().manual_seed(7))
    features[:, 0] = noise
    without = fit(features[:, :1], labels, two_folds(120), QUICK)
    with_copies = fit(features, labels, two_folds(120), QUICK)
    fresh, fresh_labels = made_data(seed=4)
    blind = roc_auc_score(fresh_labels, probabilities(without.detector, fresh[:, 0]))
    seeing = roc_auc_score(fresh_labels, probabilities(with_copies.detector, fresh[:, 0]))
    assert seeing > 0.95 > blind
    rows = with_copies.validation_rows
    auc = roc_auc_score(labels[rows], with_copies.validation_probabilities)
    assert auc < 0.7  # judged on copy 0, which is noise


def test_probabilities_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    detector = Detector(DetectorConfig(width=D))
    torch.nn.init.normal_(detector.head[-1].weight)
    features = torch.randn(10, V, D)
    with torch.no_grad():
        alone = [detector.eval()(row[None]).logits for row in features]
    expected = [float(torch.softmax(logits, 1)[0, 1]) for logits in alone]
    monkeypatch.setattr(judging, "BATCH", 3)
    np.testing.assert_allclose(probabilities(detector, features), expected, 1e-5)
    assert probabilities(detector, features[:0]).shape == (0,)


def test_a_single_class_is_refused() -> None:
    features, labels = made_data(40)
    message = r"the validation rows of fold 0 hold 0 of 20 images with road work; both classes"
    with pytest.raises(TrainingError, match=message):
        fit(features, torch.zeros_like(labels), two_folds(40), QUICK)


def test_a_fold_without_positives_is_named() -> None:
    features, labels = made_data(40)
    negatives = np.flatnonzero(labels.numpy() == 0)[:5]
    folds = [np.setdiff1d(np.arange(20), negatives), negatives]
    with pytest.raises(TrainingError, match=r"fold 1 hold 0 of 5 .* split again with fewer folds"):
        fit(features, labels, folds, QUICK)


def test_nothing_left_to_train_on_is_refused() -> None:
    features, labels = made_data(40)
    with pytest.raises(TrainingError, match=r"the training rows of fold 0 hold 0 of 0 images"):
        fit(features, labels, [np.arange(40)], QUICK)


def test_without_validation_rows_it_is_refused() -> None:
    features, labels = made_data(40)
    with pytest.raises(TrainingError, match="no validation rows: give the manifest a `val` split"):
        fit(features, labels, [], QUICK)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_damaged_features_are_named(value: float) -> None:
    features, labels = made_data(40)
    features[17, 0, 1, 2] = value
    with pytest.raises(TrainingError, match="features of image 17 hold a value that is not a fin"):
        fit(features, labels, two_folds(40), QUICK)


def test_a_run_that_explodes_says_what_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = made_data(40)
    monkeypatch.setattr(Detector, "penalty", lambda detector, **weights: torch.tensor(torch.inf))
    with pytest.raises(
        TrainingError,
        match=r"inf in step 0 \(epoch 0, images 9, .* 15 more\); lower the learning rate \(0.02",
    ):
        fit(features, labels, two_folds(40), QUICK)


def test_settings_that_cannot_be_are_all_named() -> None:
    with pytest.raises(
        UsageError,
        match=r"ema=1.0, allowed: 0.0 to 0.999999; batch=0, allowed: .*; epochs=0, allowed",
    ):
        TrainConfig(batch=0, epochs=0, ema=1.0)


def test_the_documented_reference_detector_trains() -> None:
    """As docs/understand/detector.md has it, made narrow."""
    text = (Path(__file__).parents[2] / "docs" / "understand" / "detector.md").read_text()
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block
    settings = yaml.safe_load(block.group(1).replace("512", "16").replace("256", "8"))
    settings["detector"]["pruner"]["keep"] = 2
    config = from_mapping(
        TrainConfig, settings | {"epochs": 2}, where="docs/understand/detector.md"
    )
    features, labels = made_data(40)
    corner = torch.rand(*features.shape[:3], 2, generator=torch.Generator().manual_seed(0)) / 2
    result = fit(
        features,
        labels,
        two_folds(40),
        config,
        boxes=torch.cat([corner, corner + 0.5], -1),
        samples=made_samples(labels, telling=0.5),
        **grid_parts(labels),
    )
    assert result.detector.pruner is not None and len(result.detector.encoder.blocks) == 4
    assert result.metadata_probabilities is not None and result.mask_overlap is not None
    assert np.isfinite(result.validation_probabilities).all()


def made_samples(labels: torch.Tensor, *, telling: float) -> list[Sample]:
    """Daytime is night with road work in a share ``telling`` of the rows, else a coin."""
    random = np.random.default_rng(0)
    samples = []
    for number, label in enumerate(labels.tolist()):
        night = label if random.random() < telling else int(random.random() < 0.5)
        image = ImageRef(f"{number}.jpg")
        daytime = "night" if night else "day"
        samples.append(Sample(id=str(number), image=image, label=label, daytime=daytime))
    return samples


WITH_DAYTIME = DetectorConfig(metadata=MetadataConfig(daytime=4))


def test_metadata_are_learned_and_judged_beside_the_image_alone() -> None:
    features, labels = made_data(200, shift=2.0)
    config = TrainConfig(
        epochs=30, batch=32, optimizer=FAST, classifier_penalty=0.02, detector=WITH_DAYTIME
    )
    samples = made_samples(labels, telling=0.9)
    result = fit(features, labels, two_folds(200), config, samples=samples)
    truth = labels[result.validation_rows]
    alone = roc_auc_score(truth, result.validation_probabilities)
    assert result.metadata_probabilities is not None
    known = roc_auc_score(truth, result.metadata_probabilities)
    assert known > alone + 0.05
    assert result.metadata_calibration is not None
    fitted = result.detector.config.metadata
    assert fitted is not None and fitted.fields == ("daytime",)  # no row has the others
    without = fit(features, labels, two_folds(200), QUICK)
    baseline = roc_auc_score(truth, without.validation_probabilities)
    assert alone > baseline - 0.05  # it did not learn to lean on the daytime
    assert without.metadata_calibration is None and without.metadata_probabilities is None


def test_metadata_that_tell_nothing_do_no_harm() -> None:
    features, labels = made_data(200)
    config = dataclasses.replace(QUICK, detector=WITH_DAYTIME)
    samples = made_samples(labels, telling=0.0)
    result = fit(features, labels, two_folds(200), config, samples=samples)
    assert result.metadata_probabilities is not None
    truth = labels[result.validation_rows]
    assert roc_auc_score(truth, result.metadata_probabilities) > 0.98
    assert roc_auc_score(truth, result.validation_probabilities) > 0.98


def test_categories_are_learned_from_training_rows_only() -> None:
    """A daytime that only the validation rows have is unknown to the model that judges them."""
    features, labels = made_data(40)
    samples = made_samples(labels, telling=0.0)
    for row in range(8):
        samples[row] = dataclasses.replace(samples[row], daytime="dusk")
    examples = examples_of(features, labels, samples=samples)
    training = np.arange(8, 40)
    config = examples.sized(WITH_DAYTIME, training)
    assert config.metadata is not None
    assert config.metadata.daytime_values == ("day", "night")
    whole = examples.sized(WITH_DAYTIME, np.arange(40)).metadata
    assert whole is not None and whole.daytime_values == ("day", "dusk", "night")


def test_what_is_learned_before_training_comes_from_the_folds_training_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Categories and the glance's probe: never from the rows that judge."""
    features, labels = made_data(60)
    fitted: list[tuple[int, int]] = []
    sized: list[list[int]] = []
    plain = Glance.fit

    def fit_spied(glance: Glance, means: torch.Tensor, truth: torch.Tensor) -> None:
        fitted.append((len(means), int(truth.sum())))
        plain(glance, means, truth)

    def sized_spied(self: Examples, config: DetectorConfig, training: np.ndarray) -> DetectorConfig:
        sized.append(training.tolist())
        return config.sized(width=D, grid_width=8, grid_size=(2, 2), view_size=8)

    monkeypatch.setattr(Glance, "fit", fit_spied)
    monkeypatch.setattr(Examples, "sized", sized_spied)
    config = TrainConfig(epochs=1, detector=DetectorConfig(glance=GlanceConfig(keep=2)))
    parts = grid_parts(labels) | {"boxes": torch.rand(60, 1, V, 4).sort(-1).values}
    fold = np.arange(20)
    fit(features, labels, [fold], config, **parts)
    rest = labels[20:]
    assert sized == [list(range(20, 60)), list(range(60))]
    assert fitted == [(40, int(rest.sum())), (60, int(labels.sum()))]


def test_without_metadata_in_any_training_row_the_image_alone_is_looked_at() -> None:
    features, labels = made_data(60)
    nothing = [Sample(str(row), ImageRef("x.jpg")) for row in range(60)]
    config = dataclasses.replace(QUICK, epochs=2, detector=WITH_DAYTIME)
    result = fit(features, labels, two_folds(60), config, samples=nothing)
    assert result.detector.config.metadata is None
    assert result.metadata_calibration is result.metadata_probabilities is None


def test_a_calibration_with_metadata_from_too_few_rows_is_owned_up() -> None:
    features, labels = made_data(60)
    samples = made_samples(labels, telling=0.0)
    fold = np.arange(20)
    for row in fold:
        samples[row] = dataclasses.replace(samples[row], daytime=None)
    config = dataclasses.replace(QUICK, epochs=2, detector=WITH_DAYTIME)
    result = fit(features, labels, [fold], config, samples=samples)
    assert result.metadata_threshold is not None and result.metadata_threshold.guarded
    assert result.metadata_threshold.rows == 0
    np.testing.assert_array_equal(  # nothing is known of these rows
        result.metadata_probabilities, result.validation_probabilities
    )


def with_grid(labels: torch.Tensor, *, cells: int = 4) -> tuple[torch.Tensor, MaskTargets]:
    """In a positive, one cell of the 2 x 2 grid is lit, and so is the cone's mask there."""
    random = torch.Generator().manual_seed(1)
    grid = 0.3 * torch.randn(len(labels), 1, cells, 8, generator=random)
    where = torch.randint(cells, (len(labels),), generator=random)
    rows = torch.arange(len(labels))
    grid[rows, 0, where, 0] += 4.0 * labels
    covered = torch.zeros(len(labels), 6, cells, dtype=torch.uint8)
    covered[rows, 0, where] = FULL * labels.to(torch.uint8)
    shares = covered.view(-1, 1, 6, 2, 2).numpy()
    return grid, MaskTargets(shares, np.ones((len(labels), 1), np.bool_))


def grid_parts(labels: torch.Tensor) -> dict[str, Any]:
    grid, masks = with_grid(labels)
    return {"grid": grid, "grid_size": (2, 2), "view_size": 8, "masks": masks}


def test_masks_are_learned_beside_the_classes() -> None:
    features, labels = made_data(120)
    shape = DetectorConfig(masks=MaskHeadConfig(hidden=8))
    config = TrainConfig(epochs=25, batch=16, optimizer=FAST, detector=shape)
    result = fit(features, labels, two_folds(120), config, **grid_parts(labels))
    assert result.mask_overlap is not None
    assert float(result.mask_overlap.iou[0]) > 0.3  # cones
    assert int(result.mask_overlap.true[0]) == int(labels.sum())  # each row judged once
    no_weight = dataclasses.replace(config, mask_weight=0.0)
    ignorant = fit(features, labels, two_folds(120), no_weight, **grid_parts(labels))
    assert ignorant.mask_overlap is not None
    assert not float(ignorant.mask_overlap.iou[0]) > 0.1


def test_masks_of_copies_that_are_not_known_are_not_learned() -> None:
    features, labels = made_data(40)
    grid, masks = with_grid(labels)
    examples = examples_of(features, labels, grid=grid, grid_size=(2, 2), masks=masks)
    shape = DetectorConfig(width=D, masks=MaskHeadConfig(width=8, hidden=8, stride=4))
    output = Detector(shape).run(examples.batch(torch.arange(8)))

    def loss(copy: int) -> float:
        copies = torch.full((8,), copy)
        rows = torch.zeros((len(examples), 2), dtype=torch.int64)  # two copies, alike
        alike = dataclasses.replace(examples, rows=rows)
        parts = cut(torch.arange(8), copies, 1)
        (batch,) = load(alike, None, parts, QUICK, epoch=0, device=torch.device("cpu"))
        return losses.masks_loss(output, batch).item()

    assert loss(0) > 0 == loss(1)


def test_a_copy_whose_road_work_is_cut_away_shows_none() -> None:
    """The second copies of even rows are empty, those of odd rows show what the first ones do."""
    features, labels = made_data(40)
    grid, masks = with_grid(labels)
    both = np.concatenate([masks.covered, masks.covered], axis=1)
    both[::2, 1] = 0
    twice = MaskTargets(both, np.ones((40, 2), np.bool_))
    examples = examples_of(features, labels, grid=grid, grid_size=(2, 2), masks=twice)
    alike = dataclasses.replace(examples, rows=examples.rows.expand(-1, 2))
    targets = {}
    for copy in (0, 1):
        parts = cut(torch.arange(40), torch.full((40,), copy), 1)
        (batch,) = load(alike, None, parts, QUICK, epoch=0, device=torch.device("cpu"))
        assert batch.annotated is not None and batch.annotated.all()
        targets[copy] = batch.targets[:, 1].long()
    assert torch.equal(targets[0], labels)
    assert torch.equal(targets[1], labels * (torch.arange(40) % 2))


def test_what_masks_show_can_decide() -> None:
    """The views tell nothing; the class is in one cell of the grid."""
    features, labels = made_data(160, shift=0.0)
    settings: dict[str, Any] = {"epochs": 30, "batch": 16, "optimizer": FAST}
    shape = DetectorConfig(masks=MaskHeadConfig(hidden=8), mask_evidence=True)
    told = fit(
        features,
        labels,
        two_folds(160),
        TrainConfig(detector=shape, **settings),
        **grid_parts(labels),
    )
    beside = fit(
        features,
        labels,
        two_folds(160),
        TrainConfig(detector=dataclasses.replace(shape, mask_evidence=False), **settings),
        **grid_parts(labels),
    )
    truth = labels[told.validation_rows]
    assert roc_auc_score(truth, told.validation_probabilities) > 0.8
    assert roc_auc_score(truth, beside.validation_probabilities) < 0.7


def test_a_glance_reads_the_views_that_matter() -> None:
    """Views 1 and 2 lie over the left and right half; the lit half's view carries the class."""
    features, labels = made_data(160, shift=0.0)
    grid, _ = with_grid(labels)
    lit = grid[:, 0, :, 0].argmax(1) % 2  # 0 left, 1 right
    rows = torch.arange(160)
    features[rows, 0, 1 + lit, 0] += 6.0 * labels
    boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 0.5, 1], [0.5, 0, 1, 1]]).expand(160, 1, 3, 4)
    config = dataclasses.replace(QUICK, detector=DetectorConfig(glance=GlanceConfig(keep=2)))
    given: dict[str, Any] = {"boxes": boxes, "grid": grid, "grid_size": (2, 2), "view_size": 8}
    result = fit(features, labels, two_folds(160), config, **given)
    truth = labels[result.validation_rows]
    assert roc_auc_score(truth, result.validation_probabilities) > 0.95
    # what prediction reads: the chosen views alone give the same probability
    examples = examples_of(features, labels, **given)
    everything = examples.batch(rows)
    chosen = result.detector.choose_views(everything)
    assert chosen.features.shape == (160, 2, D)
    assert chosen.view_ids is not None
    positives = labels == 1
    assert (chosen.view_ids[positives, 1] == 1 + lit[positives]).float().mean() > 0.95
    np.testing.assert_array_equal(
        predict_probabilities(result.detector, chosen),
        predict_probabilities(result.detector, everything),
    )


RATES = {
    "adamw": 0.02,
    "sophia": 0.02,
    "muon": 0.02,
    "lion": 0.01,
    "schedulefree": 0.05,
    "sgd": 0.1,
}
"""Each method's own scale."""


@pytest.mark.parametrize("name", RATES)
def test_every_optimizer_learns_the_same_problem(name: Any) -> None:
    features, labels = made_data()
    optimizer = OptimizerConfig(name=name, learning_rate=RATES[name], weight_decay=1e-3)
    result = fit(features, labels, two_folds(160), dataclasses.replace(QUICK, optimizer=optimizer))
    truth = labels[result.validation_rows]
    assert roc_auc_score(truth, result.validation_probabilities) > 0.98
    again = fit(features, labels, two_folds(160), dataclasses.replace(QUICK, optimizer=optimizer))
    assert state(result.detector) == state(again.detector)


def test_second_derivatives_go_through_an_encoder() -> None:
    """Sophia's every tenth step, with attention in the way."""
    features, labels = made_data(60)
    encoder = EncoderConfig(
        width=8, depth=1, heads=2, kv_heads=1, feed_forward=8, positions="learned"
    )
    shape = DetectorConfig(projection=8, encoder=encoder, fusion="gated", head=(8,))
    config = dataclasses.replace(
        QUICK, epochs=3, detector=shape, optimizer=OptimizerConfig(name="sophia")
    )
    result = fit(features, labels, two_folds(60), config)
    assert np.isfinite(result.validation_probabilities).all()


def test_the_average_of_the_weights_is_kept_where_it_is_better() -> None:
    """At a rate that jumps about the minimum, the average lies in its middle."""
    features, labels = made_data(160, shift=2.0)
    wild = OptimizerConfig(name="sgd", learning_rate=0.5)
    plain = dataclasses.replace(QUICK, epochs=8, optimizer=wild, classifier_penalty=0.0)
    raw = fit(features, labels, two_folds(160), plain)
    averaged = fit(features, labels, two_folds(160), dataclasses.replace(plain, ema=0.9))
    for without, beside in zip(raw.validation_losses, averaged.validation_losses, strict=True):
        # the weights are trained alike; the lower of two can only be as low or lower
        count = min(len(without), len(beside))
        assert all(b <= w for w, b in zip(without[:count], beside[:count], strict=True))
    assert np.mean([min(x) for x in averaged.validation_losses]) < np.mean(
        [min(x) for x in raw.validation_losses]
    )
    assert state(averaged.detector) != state(raw.detector)


def test_the_learning_rate_follows_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    plain = loop.set_learning_rate

    def spied(optimizer: torch.optim.Optimizer, multiplier: float) -> None:
        seen.append(multiplier)
        plain(optimizer, multiplier)

    monkeypatch.setattr(loop, "set_learning_rate", spied)
    features, labels = made_data(64)
    schedule = ScheduleConfig(name="cosine", warmup=0.5)
    config = dataclasses.replace(QUICK, epochs=2, patience=5, schedule=schedule)
    fit(features, labels, [np.arange(0, 64, 4)], config)
    # 48 of 64 rows, 32 a batch: two steps an epoch, four in all, half of them warm-up
    assert seen[:4] == [schedule.multiplier(step, 4) for step in range(4)]
    assert seen[0] < seen[1] == seen[2] == 1.0 > seen[3]


def test_a_gradient_is_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = made_data(40)
    norms: list[float] = []

    def spied(parameters: Any, largest: float) -> torch.Tensor:
        norms.append(largest)
        return torch.zeros(())

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spied)
    config = dataclasses.replace(QUICK, epochs=1, gradient_clip=0.5)
    fit(features, labels, [np.arange(0, 40, 4)], config)
    assert set(norms) == {0.5}


def test_rows_are_drawn_by_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """With classes balanced, half of what a batch holds is road work."""
    features, labels = made_data(200, positives=0.1)
    drawn: list[int] = []
    plain = Examples.batch

    def spied(self: Examples, images: torch.Tensor, *more: Any, **options: Any) -> DetectorInput:
        if torch.is_grad_enabled():
            drawn.extend(images.tolist())
        return plain(self, images, *more, **options)

    monkeypatch.setattr(Examples, "batch", spied)
    samples = made_samples(labels, telling=0.0)
    config = dataclasses.replace(QUICK, epochs=2, sampling=SamplingConfig(class_balance=True))
    fit(features, labels, [np.arange(0, 200, 2)], config, samples=samples)
    share = labels[drawn].float().mean().item()
    assert share == pytest.approx(0.5, abs=0.02)


def test_what_averages_itself_takes_neither_decay_nor_ema() -> None:
    own = OptimizerConfig(name="schedulefree")
    with pytest.raises(UsageError, match=r"schedule: 'cosine' lowers .*; ema=0.9: schedulefree av"):
        TrainConfig(optimizer=own, schedule=ScheduleConfig(name="cosine"), ema=0.9)


def test_the_documented_settings_train() -> None:
    """As docs/train/training.md has them."""
    text = (Path(__file__).parents[2] / "docs" / "train" / "training.md").read_text()
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block
    settings = yaml.safe_load(block.group(1)) | {"epochs": 2}
    config = from_mapping(TrainConfig, settings, where="docs/train/training.md")
    features, labels = made_data(60)
    samples = made_samples(labels, telling=0.0)
    plain = dataclasses.replace(config, detector=PLAIN)
    result = fit(features, labels, two_folds(60), plain, samples=samples)
    assert np.isfinite(result.validation_probabilities).all()


def test_a_tracker_is_told_of_every_step_and_epoch(tmp_path: Path) -> None:
    features, labels = made_data(60)
    experts: dict[str, Any] = {"experts": 2, "experts_per_token": 1, "positions": "learned"}
    encoder = EncoderConfig(width=D, heads=1, kv_heads=1, depth=1, **experts)
    config = dataclasses.replace(
        QUICK, epochs=2, batch=20, ema=0.5, detector=DetectorConfig(encoder=encoder)
    )
    session = Session(tracker=Tracker(tmp_path))
    result = fitting.fit(examples_of(features, labels), two_folds(60), config, session)
    records = read_log(tmp_path / "log.jsonl")
    stages = ["fold-1-of-2", "fold-2-of-2", "everything"]
    assert list(dict.fromkeys(record["stage"] for record in records)) == stages
    for stage, epochs, each in zip(stages, (2, 2, result.epochs), (2, 2, 3), strict=True):
        told = [r for r in records if r["stage"] == stage and r["event"] == "step"]
        assert [r["step"] for r in told] == list(range(epochs * each))
        assert [r["epoch"] for r in told] == sorted(list(range(epochs)) * each)
        for record in told:
            whole = record["cross_entropy"] + record["penalty"] + record["mask_loss"]
            whole += config.balance_weight * record["balance_loss"]
            assert record["loss"] == pytest.approx(whole, rel=1e-5)
            assert record["learning_rate"] == FAST.learning_rate
            assert record["gradient_norm"] > 0
            assert record["images_per_second"] > 0
            assert np.shape(record["expert_load"]) == (1, 2)
            assert record["kept_views"] == [1.0] * V
    for stage, history in zip(stages, result.validation_losses, strict=False):
        told = [r for r in records if r["stage"] == stage and r["event"] == "epoch"]
        assert [r["validation_loss"] for r in told] == history
        assert [r["best"] for r in told] == [min(history[: n + 1]) for n in range(2)]
        assert [r["step"] for r in told] == [1, 3]
        for record in told:
            assert 0 <= record["validation_auc"] <= 1
            assert -1 <= record["validation_mcc"] <= 1
            assert record["averaged"] in (False, True)


def test_being_told_changes_nothing(tmp_path: Path) -> None:
    features, labels = made_data(60)
    config = dataclasses.replace(QUICK, epochs=3)
    examples = examples_of(features, labels)
    silent = fitting.fit(examples, two_folds(60), config)
    tracked = fitting.fit(examples, two_folds(60), config, Session(tracker=Tracker(tmp_path)))
    assert state(silent.detector) == state(tracked.detector)
