"""Which parts of a detector are kept apart, and until when each learns."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_loop import FAST, D, examples_of, fit, grid_parts, made_data, two_folds

from workzone.backbones.adapters import AdapterConfig
from workzone.features.masks import MaskTargets
from workzone.model.config import DetectorConfig
from workzone.model.detector import Detector
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.masks.loss import mask_loss
from workzone.train import fit as fitting
from workzone.train.fit import Fit
from workzone.train.judging import validate
from workzone.train.losses import Objective
from workzone.train.parts import CLASSIFIER, MASKS, WHOLE, Kept, belongs, part_names
from workzone.train.processes import Processes
from workzone.train.session import Session
from workzone.train.settings import RunConfig, TrainConfig

HEAD = DetectorConfig(masks=MaskHeadConfig(hidden=8))
CONFIG = TrainConfig(epochs=12, batch=16, optimizer=FAST, detector=HEAD, patience=3)


def annotated(labels: torch.Tensor, rows: list[int] | slice) -> dict[str, Any]:
    """The grid and its masks, of which only those of some rows are known."""
    parts = grid_parts(labels)
    known = np.zeros_like(parts["masks"].annotated)
    known[rows] = True
    return parts | {"masks": MaskTargets(parts["masks"].covered, known)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (CLASSIFIER, MASKS)),
        ({"detector": DetectorConfig()}, (WHOLE,)),
        ({"detector": dataclasses.replace(HEAD, mask_evidence=True)}, (WHOLE,)),
        ({"adapters": AdapterConfig()}, (WHOLE,)),
        ({"mask_weight": 0.0}, (WHOLE,)),
    ],
)
def test_what_shares_weights_is_kept_as_a_whole(
    change: dict[str, Any], expected: tuple[str, ...]
) -> None:
    features, labels = made_data(40)
    config = dataclasses.replace(CONFIG, **change)
    assert part_names(config, examples_of(features, labels, **grid_parts(labels))) == expected
    assert part_names(config, examples_of(features, labels)) == (WHOLE,)


def test_every_weight_belongs_to_one_part() -> None:
    for weight, part in (("masks.norm.bias", MASKS), ("fusion.mask.weight", CLASSIFIER)):
        assert [p for p in (CLASSIFIER, MASKS) if belongs(weight, p)] == [part]
        assert belongs(weight, WHOLE)


def test_patience() -> None:
    assert not Kept().out_of_patience(1)
    assert Kept(losses=[3, 1, 2, 2]).out_of_patience(2)
    assert not Kept(losses=[3, 1, 2, 2]).out_of_patience(3)
    assert Kept(losses=[3, 1, 2, 2]).best_epochs == 2


def test_masks_change_nothing_of_the_classifier() -> None:
    features, labels = made_data(120)
    results = [
        fit(
            features,
            labels,
            two_folds(120),
            dataclasses.replace(CONFIG, mask_weight=weight),
            **grid_parts(labels),
        )
        for weight in (0.5, 2.0)
    ]
    first, second = results
    assert first.epochs == second.epochs
    for one, other in zip(first.validation_losses, second.validation_losses, strict=True):
        shared = min(len(one), len(other))  # a fold goes on for the slower part
        assert one[:shared] == other[:shared]
    np.testing.assert_array_equal(first.validation_probabilities, second.validation_probabilities)
    states = [result.detector.state_dict() for result in results]
    same = {name: torch.equal(value, states[1][name]) for name, value in states[0].items()}
    assert all(equal for name, equal in same.items() if belongs(name, CLASSIFIER))
    assert not all(equal for name, equal in same.items() if belongs(name, MASKS))


def test_a_fold_goes_on_until_the_masks_are_out_of_patience() -> None:
    features, labels = made_data(120)
    result = fit(features, labels, two_folds(120), CONFIG, **grid_parts(labels))
    assert result.mask_epochs is not None and result.mask_epochs > result.epochs
    assert result.mask_overlap is not None and float(result.mask_overlap.iou[0]) > 0.3


def test_masks_that_no_row_validates_learn_for_all_epochs() -> None:
    features, labels = made_data(120)
    fold = np.arange(0, 60)
    result = fit(features, labels, [fold], CONFIG, **annotated(labels, slice(60, 120)))
    assert result.mask_epochs == CONFIG.epochs > result.epochs
    plain = fit(features, labels, [fold], dataclasses.replace(CONFIG, detector=DetectorConfig()))
    assert plain.mask_epochs is None


def test_what_validates_counts_masks_by_their_weight() -> None:
    features, labels = made_data(24)
    examples = examples_of(features, labels, **annotated(labels, slice(4, 24)))
    config = dataclasses.replace(CONFIG, mask_weight=0.25)
    shape = DetectorConfig(width=D, masks=MaskHeadConfig(width=8, hidden=8, stride=4))
    detector = Detector(shape).eval()
    objective = Objective(detector, config, torch.ones(2))
    rows = torch.arange(0, 20)
    seen = validate(objective, examples, rows, None)
    output = detector.run(examples.batch(rows))
    assert examples.masks is not None and output.masks is not None
    targets, known = examples.masks.batch(rows.numpy())
    expected = mask_loss(output.masks, targets, row_mask=known).item()
    assert seen.mask_loss == pytest.approx(expected, rel=1e-5)
    assert seen.loss == pytest.approx(seen.cross_entropy + 0.25 * expected, rel=1e-5)
    alone = validate(objective, examples, torch.arange(0, 4), None)  # no masks are known of these
    assert (alone.mask_loss, alone.mask_iou, alone.loss) == (None, None, alone.cross_entropy)


class Stopped(Exception):
    """In place of a kill, within one process."""


class Stopping(Processes):
    """Stops at the given call of `any`, between two steps."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def any(self, flag: bool) -> bool:
        self.calls -= 1
        if self.calls == 0:
            raise Stopped
        return flag


def test_a_stopped_training_goes_on_with_both_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped where the classifier is out of patience, and in the final training."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    features, labels = made_data(60)
    config = dataclasses.replace(CONFIG, ema=0.5, run=RunConfig(checkpoint_seconds=0))
    examples = examples_of(features, labels, **grid_parts(labels))

    def run(stop: int = 0, *, kept: bool = True) -> Fit:
        session = Session(processes=Stopping(stop))
        if kept:
            session.keep(tmp_path / "run", config, {}, restart=False, services=())
        with session.open():
            return fitting.fit(examples, [np.arange(0, 60, 2)], config, session)

    whole = run(kept=False)
    for stop in (45, 75):
        with pytest.raises(Stopped):
            run(stop)
    parts = run()
    assert parts.validation_losses == whole.validation_losses
    assert (parts.epochs, parts.mask_epochs) == (whole.epochs, whole.mask_epochs)
    state = whole.detector.state_dict()
    assert all(torch.equal(v, state[n]) for n, v in parts.detector.state_dict().items())
    assert parts.mask_overlap is not None and whole.mask_overlap is not None
    assert torch.equal(parts.mask_overlap.both, whole.mask_overlap.both)
