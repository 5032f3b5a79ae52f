"""The charts of the report, as inline SVG that takes its colours from the page's style sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import sklearn.metrics
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workzone.decide.calibration_error import ECE_BINS, bin_numbers
from workzone.decide.threshold import HALF, Labels, Probabilities, check_scores

# Stand-ins that matplotlib can draw with, and the style sheet's names that replace them: the same
# chart is then readable on a light and on a dark page. The page gives the two classes the blue and
# the orange of Okabe & Ito's colour-blind safe palette.
INK, FAINT = "#010101", "#020202"
ROADWORK, NONE = "#030303", "#040404"
_STYLE_NAMES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    ROADWORK: "var(--roadwork)",
    NONE: "var(--none)",
}

STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and is small
    "svg.hashsalt": "workzone",  # equal charts give equal bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.alpha": 0.35,
}

MOST_POINTS = 500  # of a curve; more would only make the file larger


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: a title, a sentence on how to read it, and ``<svg>`` markup."""

    title: str
    caption: str
    svg: str


def draw_charts(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, before: npt.ArrayLike | None = None
) -> list[Chart]:
    """The charts that these rows allow.

    With rows of both classes: ROC, precision against recall, reliability, histogram. With one
    class the first two are not defined and left out; without rows there is no chart.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: ``[B]`` in 0..1.
        before: of the same rows before calibration, for its reliability beside theirs.

    Raises:
        UsageError: see `workzone.decide.threshold.check_scores`.
    """
    truth, scores = check_scores(labels, probabilities)
    if len(truth) == 0:
        return []
    raw = None if before is None else check_scores(labels, before)[1]
    with mpl.rc_context(STYLE):
        charts = [_reliability(truth, scores, raw), _histogram(truth, scores)]
        if 0 < truth.sum() < len(truth):
            charts = [_roc(truth, scores), _precision_recall(truth, scores), *charts]
    return charts


def draw_risk(risks: Sequence[float]) -> Chart:
    """Risk against coverage, see `workzone.report.selective`.

    Args:
        risks: share of mistakes among the first 1, 2, ... B images decided; one at least.
    """
    coverage = np.arange(1, len(risks) + 1) / len(risks)
    kept = _thin(len(risks))
    with mpl.rc_context(STYLE):
        figure, axes = _square()
        axes.plot(coverage[kept], np.asarray(risks)[kept], color=ROADWORK, linewidth=2)
        axes.set(xlabel="share of images decided", ylabel="share of mistakes among them")
        return Chart(
            "Mistakes by coverage",
            f"Deciding all of them: {risks[-1]:.3f}. The most doubtful images are left undecided "
            "first; the lower to the left, the better doubt tells mistakes.",
            to_svg(figure, "risk-coverage"),
        )


def _roc(truth: Labels, scores: Probabilities) -> Chart:
    false_rate, true_rate, _ = sklearn.metrics.roc_curve(truth, scores)
    figure, axes = _square()
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
    kept = _thin(len(false_rate))
    axes.plot(false_rate[kept], true_rate[kept], color=ROADWORK, linewidth=2)
    above = scores > HALF
    axes.plot(
        [above[truth == 0].mean()], [above[truth == 1].mean()], "o", color=INK, label="cut at 0.5"
    )
    axes.set(xlabel="false positive rate", ylabel="recall (true positive rate)")
    axes.legend(loc="lower right", frameon=False)
    area = sklearn.metrics.roc_auc_score(truth, scores)
    return Chart(
        "ROC curve",
        f"Area {area:.3f}. The further into the upper left corner, the better the ranking; the "
        "dashed line is guessing.",
        to_svg(figure, "roc"),
    )


def _precision_recall(truth: Labels, scores: Probabilities) -> Chart:
    precision, recall, _ = sklearn.metrics.precision_recall_curve(truth, scores)
    figure, axes = _square()
    base_rate = truth.mean()
    axes.plot([0, 1], [base_rate, base_rate], color=FAINT, linestyle="--", linewidth=1)
    kept = _thin(len(precision))
    axes.plot(recall[kept], precision[kept], color=ROADWORK, linewidth=2, drawstyle="steps-pre")
    above = scores > HALF
    if above.any():
        axes.plot(
            [above[truth == 1].mean()], [truth[above].mean()], "o", color=INK, label="cut at 0.5"
        )
        axes.legend(loc="lower left", frameon=False)
    axes.set(xlabel="recall", ylabel="precision")
    average = sklearn.metrics.average_precision_score(truth, scores)
    return Chart(
        "Precision and recall",
        f"Average precision {average:.3f}. The dashed line is the share of images with road work, "
        f"{base_rate:.3f}.",
        to_svg(figure, "precision-recall"),
    )


def _reliability(truth: Labels, scores: Probabilities, before: Probabilities | None) -> Chart:
    figure, axes = _square()
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
    if before is not None:
        said, seen, _ = _bins(truth, before)
        axes.plot(said, seen, "o:", color=NONE, linewidth=1.5, markersize=3, label="before")
    said, seen, counts = _bins(truth, scores)
    axes.plot(said, seen, "o-", color=ROADWORK, linewidth=2, markersize=5, label="calibrated")
    if before is not None:
        axes.legend(loc="lower right", frameon=False)
    for x, y, count in zip(said, seen, counts, strict=True):
        # Above the point, or below it where that would leave the frame.
        axes.annotate(
            f"{count}",
            (x, y),
            xytext=(0, 7 if y < 0.9 else -15),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set(xlabel="mean probability in the bin", ylabel="share with road work")
    return Chart(
        "Reliability",
        "On the dashed line, 0.8 means road work in 8 of 10 images; below it the model is too "
        "sure. The small numbers count the images of each bin."
        + ("" if before is None else " Dotted: before calibration."),
        to_svg(figure, "reliability"),
    )


def _bins(
    truth: Labels, scores: Probabilities
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Of each bin that holds rows: mean probability, share with road work, rows."""
    bins = bin_numbers(scores)
    counts = np.bincount(bins, minlength=ECE_BINS)
    filled = np.flatnonzero(counts)
    said = np.bincount(bins, weights=scores, minlength=ECE_BINS)[filled] / counts[filled]
    seen = np.bincount(bins, weights=truth, minlength=ECE_BINS)[filled] / counts[filled]
    return said, seen, counts[filled]


def _histogram(truth: Labels, scores: Probabilities) -> Chart:
    figure, axes = blank()
    edges = np.linspace(0, 1, 2 * ECE_BINS + 1)
    for label, colour, name, hatch in ((0, NONE, "none", ""), (1, ROADWORK, "road work", "//")):
        axes.hist(
            scores[truth == label],
            bins=list(edges),
            histtype="stepfilled",
            facecolor="none" if hatch else colour,
            edgecolor=colour,
            hatch=hatch,
            alpha=1 if hatch else 0.55,
            linewidth=1.5,
            label=f"{name} ({int((truth == label).sum()):,})",
        )
    axes.axvline(HALF, color=INK, linewidth=1, linestyle=":")
    axes.set(xlabel="probability of road work", ylabel="images", xlim=(0, 1))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    return Chart(
        "Probabilities by label",
        "What lies right of the dotted line is called road work. The better the model, the less "
        "the two overlap.",
        to_svg(figure, "histogram"),
    )


def _square() -> tuple[Figure, Axes]:
    """Axes from 0 to 1 both ways."""
    figure, axes = blank()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    return figure, axes


def blank() -> tuple[Figure, Axes]:
    """A figure of the size of all charts; to be drawn within ``rc_context(STYLE)``."""
    figure = Figure(figsize=(4.8, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(True)
    return figure, axes


def _thin(points: int) -> npt.NDArray[np.int64]:
    """Which points of a curve to draw: evenly spread, both ends included."""
    return np.unique(np.linspace(0, points - 1, min(points, MOST_POINTS)).astype(np.int64))


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element whose ids are its own within a page."""
    buffer = io.StringIO()
    figure.savefig(
        buffer,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    text = buffer.getvalue()
    svg = text[text.index("<svg") :]  # without the XML declaration and document type
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)  # the page has its own
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for stand_in, style_name in _STYLE_NAMES.items():
        svg = svg.replace(stand_in, style_name)
    return svg
