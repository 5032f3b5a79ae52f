"""What a detector that was trained knows of what it learned from."""

from __future__ import annotations

import logging

import numpy as np
import torch

from workzone.decide.familiarity import Familiarity, fit_familiarity
from workzone.errors import UsageError
from workzone.model.base import AnyDetector
from workzone.train.feed.examples import Examples

logger = logging.getLogger(__name__)

MOST_ROWS = 4096
"""Images that statistics are taken of; of more, as many at equal steps."""


def learned_familiarity(detector: AnyDetector, examples: Examples) -> Familiarity | None:
    """Statistics of the images, as they are and without metadata, that a detector learned from.

    Args:
        detector: in evaluation mode, on the CPU.
        examples: their stored features, from which it learned.

    Returns:
        None, and a word in the log, where there are too few images or groups.

    Raises:
        BundleError: the detector gives a vector that is not finite.
    """
    step = -(-len(examples) // MOST_ROWS)
    rows = torch.arange(0, len(examples), step)
    vectors = [
        detector.scene(examples.batch(part).image_only()).numpy()
        for part in rows.split(examples.read_at_once)
    ]
    groups = [examples.samples[int(row)].group for row in rows] if examples.samples else None
    try:
        return fit_familiarity(
            np.concatenate(vectors),
            examples.labels[rows].numpy(),
            groups or [None] * len(rows),
            parts=detector.config.scene_parts,
        )
    except UsageError as error:
        logger.warning("what it learned from is not kept, to tell what is unlike it: %s", error)
        return None
