from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from made_rows import PLAIN, examples_of, made_data, two_folds
from workzone.errors import TrainingError
from workzone.model.metadata.config import MetadataConfig
from workzone.train import fit as fitting
from workzone.train.feed.examples import Rows
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.protection import (
    check_classes,
    check_divergence,
    imbalance_warning,
    save_bad_batch,
)
from workzone.train.settings import TrainConfig
from workzone.types import ImageRef, Sample


def samples_of(labels: list[int], split: str = "val") -> list[Sample]:
    return [
        Sample(f"photo-{i}", ImageRef("p"), label=label, split=split, content_hash=f"hash-{i}")
        for i, label in enumerate(labels)
    ]


@pytest.mark.parametrize(("label", "name"), [(0, "none"), (1, "road work")])
def test_one_class_is_refused(label: int, name: str) -> None:
    with pytest.raises(TrainingError, match=f"all 3 labelled .* are labelled '{name}': a detector"):
        check_classes(samples_of([label] * 3), [])


def test_no_validation_rows_are_refused() -> None:
    with pytest.raises(TrainingError, match="no validation rows: give the manifest a `val` split"):
        check_classes(samples_of([0, 1], split="train"), [])


@pytest.mark.parametrize(("label", "lacking"), [(0, "any with road work"), (1, "any without")])
def test_a_validation_split_of_one_class_is_refused(label: int, lacking: str) -> None:
    samples = samples_of([0, 1, label, label])
    folds: list[Rows] = [np.array([0, 1]), np.array([2, 3])]
    validating = f"the validation split 'val' has 2 images, not {lacking}; both kinds"
    with pytest.raises(TrainingError, match=validating):
        check_classes(samples, folds[1:])
    training = f"without the validation split 'val' there are 2 images, not {lacking}; both kinds"
    with pytest.raises(TrainingError, match=training):
        check_classes(samples, folds[:1])
    check_classes(samples_of([0, 1, 0, 1]), folds)


def test_an_imbalance_is_said_with_the_constant_answers_accuracy() -> None:
    assert imbalance_warning(samples_of([1] * 21 + [0] * 79)) is None
    said = imbalance_warning(samples_of([1] * 5 + [0] * 95))
    assert said is not None
    assert "95.0% of the 100 images show no road work" in said
    assert "A constant answer has accuracy 0.950 and MCC 0" in said
    other = imbalance_warning(samples_of([1] * 9 + [0]))
    assert other is not None
    assert "90.0% of the 10 images show road work" in other


@pytest.mark.parametrize(
    "losses",
    [
        [0.69, 0.5, 0.4, 0.45, 0.5, 0.55, 0.6],  # rises, but no worse than a constant answer
        [50.0, 20.0, 3.0, 2.0],  # a bad start that mends
        [0.69, 0.70, 0.71, 0.72, 0.73],  # nothing to learn
        [3.0, 3.0, 3.0],  # too early to say
        [0.69, 1.5, 1.2, 1.6, 1.4, 1.7],  # up and down
    ],
)
def test_what_is_no_divergence(losses: list[float]) -> None:
    for end in range(len(losses) + 1):
        check_divergence(losses[:end], 0.1)


@pytest.mark.parametrize("losses", [[0.7, 2.5, 2.4, 2.3], [0.69, 0.8, 0.95, 1.2]])
def test_a_divergence_names_the_rate_and_the_way_out(losses: list[float]) -> None:
    check_divergence(losses[:-1], 0.5)
    with pytest.raises(
        TrainingError, match=r"training diverges: .* learning rate 0.5 is too high: .*--find-lr"
    ):
        check_divergence(losses, 0.5)


def test_a_rate_that_is_far_too_high_stops_the_training() -> None:
    features, labels = made_data(80, shift=1.0)
    config = TrainConfig(
        detector=PLAIN,
        optimizer=OptimizerConfig(name="sgd", learning_rate=10.0),
        classifier_penalty=0.0,
        epochs=30,
        patience=30,
        batch=16,
    )
    with pytest.raises(TrainingError, match="training diverges"):
        fitting.fit(examples_of(features, labels), two_folds(80), config)


def test_each_fold_is_told_and_can_end_the_fit() -> None:
    features, labels = made_data(80)
    config = TrainConfig(detector=PLAIN, epochs=2)
    told: list[tuple[int, float]] = []
    result = fitting.fit(
        examples_of(features, labels),
        two_folds(80),
        config,
        after_fold=lambda fold, loss: told.append((fold, loss)),
    )
    assert told == [(fold, min(losses)) for fold, losses in enumerate(result.validation_losses)]

    def stop(fold: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitting.fit(examples_of(features, labels), two_folds(80), config, after_fold=stop)


def test_a_bad_batch_is_kept_whole(tmp_path: Path) -> None:
    features, labels = made_data(12)
    features[7, 0, 1, 2] = math.nan
    told = [dataclasses.replace(s, weather="rain") for s in samples_of(labels.tolist())]
    examples = examples_of(features, labels, samples=told)
    config = dataclasses.replace(PLAIN, metadata=MetadataConfig())
    metadata = examples.metadata(examples.sized(config, np.arange(12)))
    assert metadata is not None
    images, copies = torch.tensor([3, 7, 1]), torch.tensor([0, 0, 0])
    given = examples.batch(images, copies, metadata)
    said = save_bad_batch(
        tmp_path / "run",
        examples=examples,
        images=images,
        copies=copies,
        given=given,
        step=17,
        epoch=2,
        loss=math.nan,
    )
    assert str(tmp_path / "run" / "bad-batch.json") in said
    described = json.loads((tmp_path / "run" / "bad-batch.json").read_text())
    assert described["samples"] == ["photo-3", "photo-7", "photo-1"]
    assert described["content_hashes"] == ["hash-3", "hash-7", "hash-1"]
    assert (described["step"], described["epoch"], described["loss"]) == (17, 2, "nan")
    assert described["not_finite"] == ["features"]
    kept = safetensors.torch.load_file(tmp_path / "run" / "bad-batch.safetensors")
    assert torch.equal(kept["features"].nan_to_num(), given.features.nan_to_num())
    assert torch.equal(kept["labels"], labels[images])
    assert torch.equal(kept["metadata.weather"], metadata.weather[images])
