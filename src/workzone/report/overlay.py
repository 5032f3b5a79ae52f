"""The evidence laid over the frame: a heat map, the views that weighed most, and the decision."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.errors import UsageError
from workzone.report.captions import DARK, caption_strip, outline_boxes

Floats = npt.NDArray[np.floating]

_STOPS = (
    "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d f98e09 "
    "fcac11 f9cb35 f2ea69 fcffa4"
)
"""Every sixteenth colour of "inferno" (van der Walt, Smith & Firing 2015, CC0): perceptually even,
and its order survives in grey."""
_RAMP = np.array([list(bytes.fromhex(stop)) for stop in _STOPS.split()]) / 255

_STRONGEST = 0.45  # opacity of the heat map where the evidence is 1: what it marks still shows

_SHORTEST, _LONGEST = 360, 1600  # pixels of the drawn frame's longer side


def heat_from_views(
    view_grids: npt.ArrayLike,
    boxes: npt.ArrayLike,
    shape: tuple[int, int],
    *,
    view_weights: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float32]:
    """One heat map of the frame from the evidence in each cell of each view.

    Every view's grid is resized (bilinear, half-pixel centres) into its box; where views overlap,
    the mean weighted by ``view_weights`` counts. Evidence against (below 0) pulls that mean down;
    what stays below 0 is 0. The map is divided by its own maximum: it says where, not how sure.

    Args:
        view_grids: ``[V, rows, columns]``, evidence for road work, any finite scale.
        boxes: ``[V, 4]``, ``(x0, y0, x1, y1)`` in fractions of the frame.
        shape: height and width of the map in pixels.
        view_weights: ``[V]``, at least 0; None: all alike.

    Returns:
        float32 ``[h, w]`` in 0..1; all 0 where no cell speaks for road work.

    Raises:
        UsageError: shapes that do not fit, evidence that is not finite, or an empty box.
    """
    grids = np.asarray(view_grids, dtype=np.float64)
    edges = _checked_boxes(boxes, len(grids))
    weights = np.ones(len(grids)) if view_weights is None else np.asarray(view_weights, np.float64)
    if grids.ndim != 3 or weights.shape != (len(grids),):
        raise UsageError(
            f"view grids of shape {grids.shape} with view weights of shape {weights.shape}: "
            "give [V, rows, columns] and [V]"
        )
    for view in np.flatnonzero(~np.isfinite(grids).all(axis=(1, 2)))[:1]:
        raise UsageError(f"view {view}: its evidence holds a value that is not finite")
    height, width = shape
    _, rows, columns = grids.shape
    down, covers_y = _resize_matrices(edges[:, 1], edges[:, 3], cells=rows, pixels=height)
    across, covers_x = _resize_matrices(edges[:, 0], edges[:, 2], cells=columns, pixels=width)
    # Bilinear resizing is linear along each axis: two matrix products resize and sum all views.
    tall = (down @ grids) * weights[:, None, None]
    total = tall.transpose(1, 0, 2).reshape(height, -1) @ across.transpose(0, 2, 1).reshape(
        -1, width
    )
    cover = (covers_y * weights[:, None]).T @ covers_x
    heat = np.maximum(total / np.where(cover > 0, cover, np.inf), 0)
    peak = heat.max(initial=0)
    return (heat / peak if peak > 0 else heat).astype(np.float32)


def draw_overlay(
    frame: npt.NDArray[np.uint8],
    heat: Floats,
    *,
    boxes: npt.ArrayLike,
    view_weights: npt.ArrayLike,
    probability: float,
    top: int = 3,
    labels: Sequence[str] | None = None,
) -> Image.Image:
    """The frame under its heat map, the heaviest views outlined, a bar with the decision below.

    Args:
        frame: ``[H, W, 3]``, upright RGB.
        heat: ``[h, w]`` in 0..1 over the whole frame, any resolution.
        boxes: ``[V, 4]`` in fractions of the frame.
        view_weights: ``[V]``, each view's share, 0..1.
        probability: of road work, 0..1.
        top: how many views to outline.
        labels: ``V`` texts beside the outlines; None: the views' shares.

    Returns:
        RGB. The frame is drawn with its longer side between 360 and 1,600 pixels, so that the
        caption, in a strip below, can be read whatever the size of the frame. Labels lie beside
        their boxes; those that find no room there are in the strip.

    Raises:
        UsageError: shapes that do not fit, or a probability or heat out of range.
    """
    edges, shares = _checked_boxes(boxes), np.asarray(view_weights, dtype=np.float64)
    if shares.shape != (len(edges),):
        raise UsageError(f"view weights of shape {shares.shape} for {len(edges)} boxes: give [V]")
    if not 0 <= probability <= 1:
        raise UsageError(f"probability {probability}; it must be a number in 0..1")
    if heat.ndim != 2 or not ((heat >= 0) & (heat <= 1)).all():
        raise UsageError(f"heat of shape {heat.shape}: give [h, w] with values in 0..1")
    picture = fitted(frame)
    picture = _blend(picture, heat)
    text_size = min(36, max(13, round(max(picture.size) / 40)))
    if labels is None:
        whole = (edges == (0, 0, 1, 1)).all(axis=1)
        labels = [
            f"{'whole frame ' if one else ''}{share:.0%}"
            for one, share in zip(whole, shares, strict=True)
        ]
    chosen = heaviest(shares, top)
    left_over = outline_boxes(
        picture, edges[chosen], [labels[view] for view in chosen], text_size=text_size
    )
    strip = caption_strip(
        max(picture.width, _SHORTEST), probability, left_over, text_size=text_size, ramp=_colours
    )
    canvas = Image.new("RGB", (strip.width, picture.height + strip.height), DARK)
    canvas.paste(picture, ((strip.width - picture.width) // 2, 0))
    canvas.paste(strip, (0, picture.height))
    return canvas


def heat_layer(heat: Floats) -> Image.Image:
    """A heat map ``[h, w]`` in 0..1 as RGBA: the stronger the evidence, the less transparent."""
    pixels = np.concatenate([_colours(heat), heat[..., None]], axis=-1) * 255
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def fitted(frame: npt.NDArray[np.uint8]) -> Image.Image:
    """A frame ``[H, W, 3]`` with its longer side between 360 and 1,600 pixels."""
    return _resized(_to_image(frame), shortest=_SHORTEST, longest=_LONGEST)


def thumbnail(frame: npt.NDArray[np.uint8], *, longest: int = 360) -> bytes:
    """A frame ``[H, W, 3]`` as a small JPEG whose longer side is at most ``longest``."""
    return small_jpeg(shrunk(frame, longest))


def shrunk(frame: npt.NDArray[np.uint8], longest: int) -> Image.Image:
    """A frame ``[H, W, 3]`` whose longer side is at most ``longest`` pixels."""
    return _resized(_to_image(frame), shortest=1, longest=longest)


def small_jpeg(picture: Image.Image) -> bytes:
    """A picture as a JPEG for a page that holds many."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def heaviest(view_weights: npt.ArrayLike, top: int) -> list[int]:
    """The indices of the ``top`` heaviest views, heaviest first; views of weight 0 are left out."""
    weights = np.asarray(view_weights, dtype=np.float64)
    order = np.argsort(-weights, kind="stable")[:top]
    return [int(view) for view in order if weights[view] > 0]


def _checked_boxes(boxes: npt.ArrayLike, views: int | None = None) -> npt.NDArray[np.float64]:
    edges = np.asarray(boxes, dtype=np.float64)
    if edges.ndim != 2 or edges.shape[1] != 4 or views not in (None, len(edges)):
        raise UsageError(f"boxes of shape {edges.shape}: give [V, 4], one row per view")
    for view in np.flatnonzero(~((edges[:, :2] < edges[:, 2:]).all(axis=1)))[:1]:
        raise UsageError(
            f"view {view}: box {edges[view].tolist()} is empty; give (x0, y0, x1, y1) in "
            "fractions with x0 < x1 and y0 < y1"
        )
    return edges


def _resize_matrices(
    start: npt.NDArray[np.float64], end: npt.NDArray[np.float64], *, cells: int, pixels: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Bilinear resizing along one axis, for every view.

    Returns:
        ``[V, pixels, cells]``: each cell's part in each pixel, and ``[V, pixels]``: 1 where the
        pixel's centre lies in the view's box.
    """
    centres = (np.arange(pixels) + 0.5) / pixels
    inside = (centres >= start[:, None]) & (centres < end[:, None])
    position = (centres - start[:, None]) / (end - start)[:, None] * cells - 0.5
    distance = np.abs(position.clip(0, cells - 1)[:, :, None] - np.arange(cells))
    covers = inside.astype(np.float64)
    return np.maximum(1 - distance, 0) * covers[:, :, None], covers


def _to_image(frame: npt.NDArray[np.uint8]) -> Image.Image:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise UsageError(
            f"frame of shape {list(frame.shape)} and {frame.dtype}: give uint8 [H, W, 3]"
        )
    return Image.fromarray(frame)


def _resized(image: Image.Image, *, shortest: int, longest: int) -> Image.Image:
    """The image with its longer side brought into the given range."""
    longer = max(image.size)
    factor = min(max(longer, shortest), longest) / longer
    if factor == 1:
        return image
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _blend(picture: Image.Image, heat: Floats) -> Image.Image:
    """The stronger the evidence, the more of the colour; none leaves the frame as it is."""
    small = Image.fromarray(heat.astype(np.float32))
    smooth = np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR)).clip(0, 1)
    colours = _colours(smooth) * 255
    opacity = (_STRONGEST * smooth)[..., None]
    pixels = np.asarray(picture) * (1 - opacity) + colours * opacity
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _colours(evidence: Floats) -> Floats:
    """Red, green and blue, 0..1, along a new last dimension, of evidence 0..1 of any shape."""
    places = np.linspace(0, 1, len(_RAMP))
    return np.stack([np.interp(evidence, places, part) for part in _RAMP.T], axis=-1)
