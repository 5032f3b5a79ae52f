"""The curves of a training, from its log: charts like those of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from workzone.report.charts import (
    INK,
    MOST_POINTS,
    NONE,
    ROADWORK,
    STYLE,
    Chart,
    blank,
    to_svg,
)

Record = Mapping[str, Any]
Floats = npt.NDArray[np.float64]

_COLOURS = (NONE, ROADWORK)
FAMILIES = ("validation folds", "final training")

CURVES = (
    ("step", "loss", "Loss", "What is minimised, on training rows."),
    (
        "epoch",
        "validation_loss",
        "Validation loss",
        "Cross-entropy of rows that are not learned from, after each epoch. Each fold is kept as "
        "it was at its lowest point.",
    ),
    (
        "epoch",
        "validation_auc",
        "Validation ROC AUC",
        "Of the same rows, after each epoch; 0.5 is guessing.",
    ),
    (
        "epoch",
        "validation_mcc",
        "Validation MCC",
        "Of the same rows, after each epoch, at the cut 0.5 before the threshold is chosen.",
    ),
    (
        "epoch",
        "validation_mask_loss",
        "Validation loss of masks",
        "Cross-entropy and Dice of the masks of the same rows. A mask head that shares no weights "
        "with the classifier is kept as it was at the lowest point of this curve.",
    ),
    (
        "epoch",
        "validation_mask_iou",
        "Validation IoU of masks",
        "Intersection over union, 0 to 1, mean over the classes, after each epoch.",
    ),
    ("step", "learning_rate", "Learning rate", "As the schedule has it."),
    (
        "step",
        "gradient_norm",
        "Gradient norm",
        "Before clipping; peaks far above the rest call for gradient_clip.",
    ),
)
"""Event, name in the log, title, caption."""


def draw_curves(records: Sequence[Record]) -> list[Chart]:
    """The charts that a log allows: of losses, validation, learning rate, gradient, experts, views.

    Trainings with validation rows (the folds) are drawn in one colour, the final one in the other;
    of a curve with more than `MOST_POINTS` points, means over equal stretches are drawn.

    Args:
        records: of `workzone.train.watch.tracking.read_log`; other names are of no concern.
    """
    steps = _by_stage(records, "step")
    epochs = _by_stage(records, "epoch")
    folds = {
        stage
        for stage, told in epochs.items()
        if any(record.get("validation_loss") is not None for record in told)
    }
    with mpl.rc_context(STYLE):
        charts = [
            *(
                _lines(steps if event == "step" else epochs, folds, *told)
                for event, *told in CURVES
            ),
            _expert_load(steps, folds),
            _kept_views(steps, folds),
        ]
    return [chart for chart in charts if chart is not None]


def _by_stage(records: Sequence[Record], event: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        if record["event"] == event:
            found.setdefault(record["stage"], []).append(record)
    return found


def _lines(
    stages: Mapping[str, Sequence[Record]],
    folds: set[str],
    name: str,
    title: str,
    caption: str,
) -> Chart | None:
    figure, axes = blank()
    labelled: set[str] = set()
    for stage, records in stages.items():
        points = [(r["step"], r[name]) for r in records if r.get(name) is not None]
        if not points:
            continue
        x, y = binned(np.array(points, dtype=np.float64))
        family = int(stage not in folds)
        label = None if FAMILIES[family] in labelled else FAMILIES[family]
        labelled.add(FAMILIES[family])
        marker = "o" if len(x) == 1 else None
        axes.plot(x, y, color=_COLOURS[family], linewidth=1.5, marker=marker, label=label)
    if not labelled:
        return None
    axes.set(xlabel="step", ylabel=title)
    if name == "learning_rate":
        axes.set_ylim(bottom=0)  # a constant one would be drawn with invented digits
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    return Chart(title, caption, to_svg(figure, f"curve-{name.replace('_', '-')}"))


def _expert_load(stages: Mapping[str, Sequence[Record]], folds: set[str]) -> Chart | None:
    """The busiest and the idlest expert of all blocks."""
    figure, axes = blank()
    even = None
    labelled: set[str] = set()
    for stage, records in stages.items():
        told = [r for r in records if r.get("expert_load")]
        if not told:
            continue
        loads = np.array([r["expert_load"] for r in told], dtype=np.float64)
        at = np.array([r["step"] for r in told], dtype=np.float64)
        even = 1 / loads.shape[-1]
        family = int(stage not in folds)
        label = None if FAMILIES[family] in labelled else FAMILIES[family]
        labelled.add(FAMILIES[family])
        for extreme in (loads.max(axis=(1, 2)), loads.min(axis=(1, 2))):
            x, y = binned(np.stack([at, extreme], axis=1))
            axes.plot(x, y, color=_COLOURS[family], linewidth=1.5, label=label)
            label = None
    if even is None:
        return None
    axes.axhline(even, color=INK, linewidth=1, linestyle=":")
    axes.set(xlabel="step", ylabel="share of the tokens", ylim=(-0.02, 1.02))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    return Chart(
        "Load of the experts",
        "The busiest expert of any block above the dotted line, the idlest below it; on the line "
        "all have the same. At 0 an expert learns nothing.",
        to_svg(figure, "curve-experts"),
    )


def _kept_views(stages: Mapping[str, Sequence[Record]], folds: set[str]) -> Chart | None:
    """How often each view was kept in the last epoch of each stage."""
    shares: tuple[list[Floats], list[Floats]] = ([], [])
    for stage, records in stages.items():
        told = [r for r in records if r.get("kept_views")]
        if told:
            last = [r["kept_views"] for r in told if r["epoch"] == told[-1]["epoch"]]
            shares[stage not in folds].append(np.mean(last, axis=0))
    means = [np.mean(kept, axis=0) for kept in shares if kept]
    if not means or all(bool((mean == 1).all()) for mean in means):
        return None  # every view of every image: nothing was chosen
    figure, axes = blank()
    views = np.arange(len(means[0]))
    drawn = [(family, kept) for family, kept in enumerate(shares) if kept]
    width = 0.8 / len(drawn)
    for place, (family, kept) in enumerate(drawn):
        axes.bar(
            views + (place - (len(drawn) - 1) / 2) * width,
            np.mean(kept, axis=0),
            width=width,
            color=_COLOURS[family],
            label=FAMILIES[family],
        )
    axes.set(xlabel="view (0 is the whole frame)", ylabel="share of images", ylim=(0, 1.04))
    axes.set_xticks(views)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    return Chart(
        "Views kept",
        "In which share of the training images each view was kept, in the last epoch. A view that "
        "is never kept need not be made.",
        to_svg(figure, "curve-views"),
    )


def binned(points: Floats) -> tuple[Floats, Floats]:
    """Points ``[n, 2]`` as x and y, each ``[m]``, m at most `MOST_POINTS`: means of stretches."""
    parts = np.array_split(points, min(len(points), MOST_POINTS))
    means = np.array([part.mean(axis=0) for part in parts])
    return means[:, 0], means[:, 1]
