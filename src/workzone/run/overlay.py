"""The overlay of one image: its frame, with what argued for road work drawn over it."""

from __future__ import annotations

from PIL import Image

from workzone.data.images import decode_pixels
from workzone.features.spec import FeatureSpec
from workzone.report.overlay import draw_overlay, heat_from_views, heat_layer
from workzone.run.evidence import heat
from workzone.run.pipeline import Result
from workzone.views import enough_side

HEAT_SIDE = 256
"""Longer side, in pixels, of the grid on which evidence is laid out."""


def overlay(result: Result, spec: FeatureSpec) -> Image.Image:
    """Draw an image that was judged.

    Args:
        result: of the image.
        spec: of the model that judged it.

    Raises:
        ImageError: the image cannot be decoded, as it could when it was judged.
    """
    return explained(result, spec)[0]


def explained(result: Result, spec: FeatureSpec) -> tuple[Image.Image, Image.Image]:
    """The overlay as `overlay` draws it, and the heat alone to be laid over the frame.

    Raises:
        ImageError: see `overlay`.
    """
    answer, prediction = result.answer, result.prediction
    frame = decode_pixels(
        result.file.data, enough_side=enough_side(spec.layout), name=result.file.name
    )
    height, width, _ = frame.shape
    scale = HEAT_SIDE / max(height, width)
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    grids, boxes = heat(answer, spec.pooling)
    by_cell = bool(answer.cells)
    evidence = heat_from_views(grids, boxes, shape)
    drawn = draw_overlay(
        frame,
        evidence,
        boxes=[prediction.box] if by_cell else answer.boxes,
        view_weights=[1.0] if by_cell else answer.view_shares,
        labels=["strongest cell"] if by_cell else None,
        probability=prediction.probability,
    )
    return drawn, heat_layer(evidence)
