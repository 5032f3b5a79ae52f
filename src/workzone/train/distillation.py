"""Distillation: what a trained model says of each image is learned beside its label.

Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from workzone.data.manifest import Manifest
from workzone.decide.backbone import read_backbone
from workzone.decide.bundle import Bundle, read_bundle
from workzone.errors import TrainingError, WorkzoneError
from workzone.features.extract import Extraction
from workzone.features.store import FeatureStore
from workzone.files import write_text
from workzone.train.feed.examples import Examples, copy_rows
from workzone.train.settings import DistillConfig
from workzone.types import Sample

logger = logging.getLogger(__name__)


def read_teacher(config: DistillConfig) -> Bundle:
    """The model that is learned from.

    Raises:
        TrainingError: there is none, or it is no bundle.
    """
    try:
        return read_bundle(Path(config.teacher))
    except WorkzoneError as error:
        raise TrainingError(f"distill.teacher: {error}") from error


def check_teacher(
    teacher: Bundle, validation: Sequence[Sample], test: Sequence[Sample]
) -> list[str]:
    """Make sure that a teacher tells nothing of the test rows.

    Args:
        teacher: the model that is learned from.
        validation: rows that validate.
        test: rows that are left alone.

    Returns:
        What to warn of: validation rows that it has learned from.

    Raises:
        TrainingError: it has learned from test rows, or from groups of theirs.
    """
    seen = _seen(teacher, test)
    if seen:
        raise TrainingError(
            f"distill.teacher has learned from {len(seen)} of {len(test)} test rows, or from their "
            f"groups, such as {seen[0].id!r}: what it says would carry them over. Take a teacher "
            "that has not, or other test rows"
        )
    seen = _seen(teacher, validation)
    if not seen:
        return []
    return [
        f"Distillation: the teacher has learned from {len(seen)} of {len(validation)} validation "
        "rows, or from their groups: what they say is too good."
    ]


def _seen(teacher: Bundle, samples: Sequence[Sample]) -> list[Sample]:
    images, groups = teacher.training_images, teacher.training_groups
    return [s for s in samples if s.content_hash in images or s.group in groups]


def taught(
    examples: Examples,
    teacher: Bundle,
    config: DistillConfig,
    root: Path,
    store_folder: Path,
    *,
    device: torch.device,
    kept: Path | None = None,
) -> Examples:
    """The same with what a teacher says of each image as it is.

    Features that the teacher needs are extracted into the store first.

    Args:
        examples: with samples.
        teacher: the model that is learned from.
        config: where its backbone is.
        root: of the samples' references.
        store_folder: where feature stores lie.
        device: on which its backbone reads.
        kept: a file that holds what it said, or will; None: nothing is kept.

    Raises:
        BackboneError, BundleError: the teacher's backbone cannot be had.
    """
    if kept is not None and kept.exists():
        said: dict[str, float] = json.loads(kept.read_text())
    else:
        samples = list(examples.samples)
        logger.info("distillation: %s judges %d images", config.teacher, len(samples))
        backbone = read_backbone(teacher, weights=config.backbone).to(device)
        manifest = Manifest(samples, root)
        store = Extraction(manifest, backbone, teacher.spec, store_folder).run()
        said = _log_odds(teacher, store, samples)
        if kept is not None:
            write_text(kept, json.dumps(said) + "\n")
    each = [said.get(s.content_hash or "", torch.nan) for s in examples.samples]
    return dataclasses.replace(examples, teacher=torch.tensor(each, dtype=torch.float32))


@torch.no_grad()
def _log_odds(teacher: Bundle, store: FeatureStore, samples: Sequence[Sample]) -> dict[str, float]:
    """Of road work, before calibration and of the image alone, by content hash."""
    known = [s for s in samples if (s.content_hash or "", 0) in store.rows]
    views = teacher.config.grid_views(teacher.spec.layout)
    stored = Examples(
        labels=torch.zeros(len(known), dtype=torch.int64),
        rows=copy_rows(store, known, None, copies=0),
        features=store.mapped("pooled"),
        boxes=store.mapped("boxes"),
        grid=store.grid(views) if views else None,
        grid_size=teacher.spec.grid_size,
    )
    said: dict[str, float] = {}
    for part in torch.arange(len(known)).split(stored.stored_at_once):
        logits = teacher.detector.run(stored.stored(part)).logits
        names = [known[row].content_hash or "" for row in part.tolist()]
        said |= dict(zip(names, (logits[:, 1] - logits[:, 0]).tolist(), strict=True))
    return said
