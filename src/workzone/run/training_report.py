"""What a training came to, as one page: the validation rows, and the curves that led there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from workzone.data.manifest import Manifest
from workzone.report.curves import draw_curves
from workzone.report.html import write_report
from workzone.report.metrics import Metrics
from workzone.run.evaluate import judged_report
from workzone.run.facts import manifest_facts
from workzone.train.job import Trained
from workzone.train.watch.tracking import read_log

CHOSEN_ON = (
    "These rows chose when to stop and the threshold, so the figures are a little too good; "
    "`workzone evaluate` gives those of the test split."
)


def write_training_report(
    path: Path,
    trained: Trained,
    manifest: Manifest,
    metrics: Metrics,
    *,
    log: Path,
    title: str = "Training",
    metadata_metrics: Metrics | None = None,
) -> None:
    """Write the report that `evaluate` writes, on the validation rows, with the training's curves.

    Each row is judged by the detector that never saw it, the one of its fold. Outlined on the worst
    mistakes is what the final detector looks at.

    Args:
        path: of the page.
        trained: the model and its fit.
        manifest: it was trained on, for where its images are.
        metrics: of the validation rows, from their images alone.
        log: see `workzone.train.watch.tracking`.
        title: of the page.
        metadata_metrics: of the same rows with their metadata.

    Raises:
        WorkzoneError: the log cannot be read, or the page cannot be written.
    """
    fit, bundle = trained.fit, trained.bundle
    rows = [trained.samples[row] for row in fit.validation_rows]
    warnings = [CHOSEN_ON, *bundle.provenance["warnings"]]
    if fit.threshold.guarded:
        warnings.append(f"Threshold: {fit.threshold.reason}.")
    report = judged_report(
        bundle,
        manifest.with_samples(rows),
        trained.store,
        metrics,
        fit.validation_probabilities,
        title=title,
        manifest_facts=manifest_facts(rows, [], None),
        warnings=warnings,
        metadata_metrics=metadata_metrics,
    )
    write_report(path, dataclasses.replace(report, curves=draw_curves(read_log(log))))
