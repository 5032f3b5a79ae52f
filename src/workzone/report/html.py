"""The evaluation as one HTML file that asks nothing of the network: figures, charts, mistakes."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt

from workzone.decide.threshold import HALF
from workzone.errors import UsageError
from workzone.files import write_text
from workzone.report.challenge import ChallengeReport
from workzone.report.charts import Chart, draw_charts, draw_risk
from workzone.report.metrics import FIGURES, Metrics, Slice, format_value
from workzone.report.outlines import COLOURS
from workzone.report.overlay import heaviest
from workzone.report.selective import REFUSING, Selective

OUTLINED_VIEWS = 3
"""How many views are outlined on the thumbnail of a mistake."""
SLICES_SHOWN = 12
"""Rows of one table of slices; a sentence says how many more there are."""

DEFINITIONS = {
    "mcc": "Matthews correlation at the cut 0.5: 1 is perfect, 0 is no better than chance, and "
    "both kinds of error count whatever the share of road work.",
    "auc": "How often a random image with road work scores above a random one without. "
    "Independent of the cut; 0.5 is guessing.",
    "average_precision": "Precision averaged over the recalls. Independent of the cut; guessing "
    "gives the share of road work.",
    "accuracy": "The share of images decided rightly.",
    "precision": "Of the images called road work, the share that shows it.",
    "recall": "Of the images that show road work, the share called so.",
    "f1": "The harmonic mean of precision and recall.",
    "brier": "Mean squared distance of probability and label: 0 is perfect, lower is better.",
    "ece": "Mean distance of probability and observed share over ten bins of equal width: 0 is "
    "perfect. Biased upwards where there are few images.",
}


@dataclass(frozen=True, eq=False)
class Mistake:
    """An image on the wrong side of the cut, with what the model looked at."""

    id: str
    label: int  # 1 road work, 0 none
    probability: float  # of road work, 0..1
    thumbnail: bytes  # a JPEG, see workzone.report.overlay.thumbnail
    view_weights: npt.NDArray[np.floating]  # [V], shares, sum 1
    boxes: npt.NDArray[np.floating]  # [V, 4] in fractions of the frame
    note: str = ""
    objects: str | None = None  # outlined on the thumbnail, in words; None: nobody looked


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """All that the page shows."""

    title: str
    metrics: Metrics  # all rows, the image alone
    labels: npt.NDArray[np.integer]  # [B]
    probabilities: npt.NDArray[np.floating]  # [B], of the image alone
    metadata_metrics: Metrics | None = None  # the same rows with their metadata
    before: npt.NDArray[np.floating] | None = None  # [B], before calibration, the image alone
    before_metrics: Metrics | None = None  # of those
    challenge: ChallengeReport | None = None  # the same rows as the subnet would send them
    slices: Mapping[str, Sequence[Slice]] = field(default_factory=dict)  # by field, as "daytime"
    manifest_facts: Mapping[str, Any] = field(default_factory=dict)
    model_facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()  # sentences, shown first
    mistakes: Sequence[Mistake] = ()
    chances: Selective | None = None  # figures by how many images are decided
    curves: Sequence[Chart] = ()  # of the training, see workzone.report.curves


def write_report(path: Path, report: EvaluationReport) -> None:
    """Write the page, whole or not at all.

    Pictures and charts lie inside the file; its content security policy forbids the browser to
    load anything else. All text from data is escaped.

    Raises:
        UsageError: a thumbnail that is no JPEG, or weights and boxes that do not fit.
        WorkzoneError: the file cannot be written.
    """
    page = template("template.html.j2").render(
        report=report,
        headlines=headlines(report.metrics),
        figures=FIGURES,
        definitions=DEFINITIONS,
        charts=draw_charts(report.labels, report.probabilities, report.before),
        coverage_charts=[] if report.chances is None else [draw_risk(report.chances.risks)],
        slices_shown=SLICES_SHOWN,
        refusing=REFUSING,
        mistakes=[_mistake_card(mistake) for mistake in report.mistakes],
        class_colours={name: f"rgb{colour}" for name, colour in COLOURS.items()},
        manifest_facts=list(_flat(report.manifest_facts)),
        model_facts=list(_flat(report.model_facts)),
    )
    write_text(path, page)


def template(name: str) -> jinja2.Template:
    """A page of this folder, which escapes all that is put in."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("workzone", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": format_value, "percent": _percent}
    return environment.get_template(name)


@dataclass(frozen=True, slots=True)
class Headline:
    """A large number, its interval, and what it means in plain words."""

    title: str
    value: str
    interval: str
    meaning: str


def headlines(metrics: Metrics) -> list[Headline]:
    """The four figures to read first, of the metrics of all rows."""
    counts = metrics.confusion
    found = f"{counts.true_positives:,}"
    called = counts.true_positives + counts.false_positives
    auc = metrics.figures["auc"].value
    meanings = {
        "mcc": "Agreement with the labels at the cut 0.5: 0 is chance, 1 is perfect.",
        "recall": f"{found} of {metrics.positives:,} images with road work are found."
        if metrics.positives
        else "No image shows road work.",
        "precision": f"{found} of {called:,} images called road work show it."
        if called
        else "No image was called road work.",
        "auc": "Images of both classes are needed."
        if auc is None
        else f"In {100 * auc:.0f} of 100 random pairs the image with road work scores higher.",
    }
    return [
        Headline(
            FIGURES[name], format_value(metrics.figures[name].value), interval(metrics, name), text
        )
        for name, text in meanings.items()
    ]


def interval(metrics: Metrics, name: str) -> str:
    """ "0.812 to 0.874", or nothing where there is no interval."""
    figure = metrics.figures[name]
    if figure.low is None or figure.high is None:
        return ""
    return f"{figure.low:.3f} to {figure.high:.3f}"


def _mistake_card(mistake: Mistake) -> dict[str, Any]:
    """What the template shows of a mistake; boxes in thousandths of the frame."""
    weights, boxes = np.asarray(mistake.view_weights), np.asarray(mistake.boxes)
    if not mistake.thumbnail.startswith(b"\xff\xd8"):
        raise UsageError(
            f"{mistake.id!r}: its thumbnail is not a JPEG; make it with "
            "workzone.report.overlay.thumbnail"
        )
    if weights.ndim != 1 or boxes.shape != (len(weights), 4):
        raise UsageError(
            f"{mistake.id!r}: view weights of shape {weights.shape} and boxes of shape "
            f"{boxes.shape}; give [V] and [V, 4]"
        )
    outlined = heaviest(weights, OUTLINED_VIEWS)
    drawn = outlined if mistake.objects is None else []
    largest = max(float(weights.max(initial=0)), 1e-9)
    return {
        "id": mistake.id,
        "note": mistake.note,
        "objects": mistake.objects,
        "said": "road work" if mistake.probability > HALF else "none",
        "truth": "road work" if mistake.label == 1 else "none",
        "probability": mistake.probability,
        "picture": "data:image/jpeg;base64," + base64.b64encode(mistake.thumbnail).decode(),
        "outlines": [
            {"rank": rank, "x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
            for rank, (x0, y0, x1, y1) in enumerate((boxes[drawn] * 1000).round(1).tolist())
        ],
        "bars": [
            {"view": view, "share": share, "height": 100 * share / largest, "top": view in outlined}
            for view, share in enumerate(weights.tolist())
        ],
    }


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values as text; nested mappings become dotted names."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield prefix + name, f"{value:.4g}"
        elif isinstance(value, list | tuple):
            yield prefix + name, ", ".join(str(item) for item in value)
        else:
            yield prefix + name, "not recorded" if value is None else str(value)


def _percent(share: float) -> str:
    return f"{share:.0%}"
