"""The overlay of one image: its frame, and over it what argued for road work, or its objects."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from workzone.data.images import decode_pixels
from workzone.features.spec import FeatureSpec
from workzone.report.outlines import draw_outlines
from workzone.report.overlay import draw_overlay, heat_from_views, heat_layer
from workzone.run.evidence import heat
from workzone.run.objects import found_objects
from workzone.run.pipeline import Result
from workzone.types import FoundObject, Prediction
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


@dataclass(frozen=True)
class Outlined:
    """An image that was judged, with the objects in it."""

    prediction: Prediction
    objects: list[FoundObject]
    picture: Image.Image  # with their outlines
    size: tuple[int, int]  # width and height of the upright frame, pixels


def outlined(result: Result) -> Outlined:
    """Draw the objects of an image that was judged with masks.

    Raises:
        ImageError: the image cannot be decoded, as it could when it was judged.
    """
    frame = decode_pixels(result.file.data, name=result.file.name)
    objects = found_objects(result.answer)
    picture = draw_outlines(frame, objects, probability=result.prediction.probability)
    return Outlined(result.prediction, objects, picture, (frame.shape[1], frame.shape[0]))
