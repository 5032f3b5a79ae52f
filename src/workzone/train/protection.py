"""What keeps people from training in vain: said early, with the figure and the way out."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch

from workzone.errors import DivergedError, TrainingError, UsageError
from workzone.features.spec import FeatureSpec
from workzone.files import write_text, writing
from workzone.model.config import DetectorConfig
from workzone.model.inputs import DetectorInput
from workzone.model.metadata.batch import MetadataBatch
from workzone.train.feed.examples import Examples, Rows, rows_apart
from workzone.types import Sample

DIVERGING_EPOCHS = 3
"""Epochs in a row after which a loss that is too high counts as diverging."""

CONSTANT_ANSWER = math.log(2)
"""Cross-entropy of an answer that is always 0.5, with the classes weighing the same."""

COARSEST_GRID = 3
"""Cells a side below which a glance is worse than chance: each sees most of the frame."""

MEANINGLESS_ACCURACY = 0.8
"""Share of the larger class from which on accuracy says little."""


def check_grid(detector: DetectorConfig, spec: FeatureSpec) -> None:
    """Make sure that features of ``spec`` have the grid that the detector needs.

    Raises:
        UsageError: they have not, or it is too coarse to choose views by.
    """
    views = detector.grid_views(spec.layout)
    if detector.needs_grid and not (views and set(views) <= set(spec.grid_views)):
        raise UsageError(
            "the glance, the masks and cells need the patch grid of the global view (cells and "
            "masks.canvas: those of all views), and these features have none: take a layout with "
            "global_view: true "
            f"(from Python, features with grid_views={views or (0,)}), or leave them out "
            "(detector: {glance: null, masks: null, cells: null})"
        )
    if spec.layout.halves and not detector.dense:
        raise UsageError(
            "halves: the dense head alone (detector.cells) reads views at half their size too: "
            "halves: false in the layout, or take --preset dense"
        )
    whole = detector.glance is not None or (detector.masks is not None and not detector.dense)
    if spec.layout.keep_aspect and whole:
        raise UsageError(
            "the glance and the masks take the whole frame to fill its view: keep_aspect: false "
            "in the layout, or leave them out (detector: {glance: null, masks: null})"
        )
    if spec.layout.shorter and not detector.dense:
        raise UsageError(
            "shorter: the dense head alone (detector.cells) takes frames in their own shape: "
            "shorter: 0 in the layout, or take --preset dense"
        )
    missing = [level for level in detector.levels if level not in spec.levels]
    if missing:
        raise UsageError(
            f"masks.levels: these features have no maps of level {missing[0]} of the backbone: "
            "extract them with it (`workzone train` does)"
        )
    if detector.glance is not None and min(spec.grid_size) < COARSEST_GRID:
        rows, columns = spec.grid_size
        raise UsageError(
            f"views of {spec.layout.size} px have a grid of {rows} x {columns} cells: too coarse "
            f"to choose views by. Take larger views ({COARSEST_GRID} cells a side at least), or "
            "read them all (detector: {glance: null})"
        )


def check_classes(samples: Sequence[Sample], validation_folds: Sequence[Rows]) -> None:
    """Make sure that there is something to tell apart, before anything long begins.

    Args:
        samples: labelled, those to learn from and to validate with.
        validation_folds: row numbers of each fold.

    Raises:
        TrainingError: one class only, no validation fold, or one of the classes is missing in a
            fold or in what is left to train on.
    """
    counts = [sum(s.label == label for s in samples) for label in (0, 1)]
    if not all(counts):
        only = "road work" if counts[1] else "none"
        raise TrainingError(
            f"all {len(samples)} labelled images to learn from are labelled {only!r}: a detector "
            "learns the difference from both. Add images of the other kind, or look at the label "
            "column that was imported"
        )
    if not validation_folds:
        raise TrainingError(
            "no validation rows: give the manifest a `val` split or folds with "
            "`workzone data split`"
        )
    for fold in validation_folds:
        name, rest = samples[fold[0]].split, rows_apart(samples, fold)
        validating = f"the validation split {name!r} has"
        training = f"without the validation split {name!r} there are"
        for which, rows in ((validating, fold), (training, rest)):
            positives = sum(samples[row].label == 1 for row in rows)
            if positives in (0, len(rows)):
                lacking = "any with road work" if not positives else "any without"
                raise TrainingError(
                    f"{which} {len(rows)} images, not {lacking}; both kinds are needed on either "
                    "side. Split again with `workzone data split` (another seed, or fewer folds)"
                )


def imbalance_warning(samples: Sequence[Sample]) -> str | None:
    """What to know where one class is `MEANINGLESS_ACCURACY` of the rows or more; else None."""
    positives = sum(s.label == 1 for s in samples)
    share = max(positives, len(samples) - positives) / len(samples)
    if share < MEANINGLESS_ACCURACY:
        return None
    larger = "road work" if 2 * positives > len(samples) else "no road work"
    return (
        f"Imbalance: {share:.1%} of the {len(samples):,} images show {larger}. A constant answer "
        f"has accuracy {share:.3f} and MCC 0: judge by MCC and AUC, not by accuracy."
    )


def check_divergence(losses: Sequence[float], learning_rate: float) -> None:
    """Stop a run whose loss goes the wrong way, called after each epoch.

    It diverges where the loss was above three times that of a constant answer for
    `DIVERGING_EPOCHS` epochs, or rose in each of them to more than 1.5 times both its first value
    and that of a constant answer.

    Args:
        losses: mean cross-entropy of the training rows, per epoch so far.
        learning_rate: for the message.

    Raises:
        DivergedError: it does.
    """
    last = losses[-DIVERGING_EPOCHS:]
    if len(losses) <= DIVERGING_EPOCHS:
        return
    high = min(last) > 3 * CONSTANT_ANSWER
    before = losses[-DIVERGING_EPOCHS - 1]
    rising = all(a < b for a, b in zip([before, *last[:-1]], last, strict=True))
    risen = rising and last[-1] > 1.5 * max(losses[0], CONSTANT_ANSWER)
    if high or risen:
        shown = ", ".join(f"{loss:.3g}" for loss in last)
        raise DivergedError(
            f"training diverges: the loss of the last {DIVERGING_EPOCHS} epochs is {shown}; a "
            f"constant answer has {CONSTANT_ANSWER:.2f}, and the first epoch had {losses[0]:.3g}. "
            f"The learning rate {learning_rate:g} is too high: `workzone train --find-lr` proposes "
            "one"
        )


def save_bad_batch(
    folder: Path,
    *,
    examples: Examples,
    images: torch.Tensor,
    copies: torch.Tensor,
    given: DetectorInput,
    step: int,
    epoch: int,
    loss: float,
) -> str:
    """Keep a batch whose loss is not finite: ``bad-batch.json`` and ``bad-batch.safetensors``.

    Args:
        folder: of the run.
        examples: that the batch was taken from.
        images: int64 ``[B]``, positions in ``examples``.
        copies: int64 ``[B]``, which copy of each.
        given: what the detector was given.
        step: number of the step, from 0.
        epoch: number of the epoch, from 0.
        loss: the value that is not finite.

    Returns:
        A sentence for the error message: where they are.

    Raises:
        WorkzoneError: the folder cannot be written.
    """
    tensors = {"images": images, "copies": copies, "labels": examples.truth(images, copies).labels}
    tensors |= _tensors("", given)
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    finite = {n: bool(torch.isfinite(t).all()) for n, t in tensors.items()}
    rows = images.tolist()
    description = {
        "step": step,
        "epoch": epoch,
        "loss": str(loss),  # JSON has no NaN
        "samples": [examples.samples[i].id if examples.samples else i for i in rows],
        "content_hashes": [examples.samples[i].content_hash for i in rows if examples.samples],
        "copies": copies.tolist(),
        "labels": tensors["labels"].tolist(),
        "not_finite": sorted(name for name, good in finite.items() if not good),
    }
    with writing(folder / "bad-batch.safetensors") as aside:
        safetensors.torch.save_file(tensors, aside)
    write_text(folder / "bad-batch.json", json.dumps(description, indent=2, allow_nan=False) + "\n")
    return f"the batch is kept in {folder / 'bad-batch.json'} and bad-batch.safetensors"


def _tensors(prefix: str, given: DetectorInput | MetadataBatch) -> dict[str, torch.Tensor]:
    """All tensors of a batch by dotted name."""
    found = {}
    for name, value in vars(given).items():
        if isinstance(value, torch.Tensor):
            found[prefix + name] = value
        elif isinstance(value, MetadataBatch):
            found |= _tensors(f"{prefix}{name}.", value)
    return found
