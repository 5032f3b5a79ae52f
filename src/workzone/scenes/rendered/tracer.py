"""Path tracing by Mitsuba: a model on a ground plane, as a cut-out.

Passes: the model and the ground in daylight, fine for the model and coarser for its shadow; what
of the picture the model covers; what headlights alone show; lamps alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.scenes.rendered.cutout import Cutout
from workzone.scenes.rendered.light import OVERCAST, SUNS
from workzone.scenes.rendered.material import Model
from workzone.scenes.rendered.pixels import Pixels, blurred
from workzone.scenes.rendered.world import (
    ALBEDO,
    BLOCK,
    daylight,
    ground,
    headlights,
    lit_mesh,
    open_mitsuba,
    shining_mesh,
    white_paper,
)

VERSION = "1"
"""Changes with the look of what is rendered."""

_FINE = 2
"""The model is rendered at so many times the size of the cut-out, and reduced."""
_COARSE = 2
"""Its shadow is rendered at this part of the size, and enlarged."""
_FIELD = 4096
"""Pixels of the whole field of view, of which a window is rendered."""
_FADE = 0.12
"""Of the window: towards its edges shadows fade out."""


@dataclass(frozen=True, slots=True)
class View:
    """How a model is looked at.

    ``distance``: metres; ``eye``: metres above the ground; ``scale``: pixels per metre at the
    model; ``samples``: per pixel.
    """

    distance: float
    eye: float
    scale: float
    samples: int


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of the field of view, pixels from its upper left corner at the cut-out's scale."""

    left: int
    top: int
    width: int
    height: int


def render(model: Model, view: View, condition: str, seed: int) -> Cutout:
    """Render a cut-out; the same arguments give the same pixels.

    Args:
        model: standing at the origin.
        view: from where.
        condition: one of `light.CONDITIONS`.
        seed: of the noise.

    Raises:
        MissingExtraError: Mitsuba is not installed.
    """
    with open_mitsuba() as mi:
        return _render(mi, model, view, condition, seed)


def _render(mi: Any, model: Model, view: View, condition: str, seed: int) -> Cutout:
    whole, inner = _windows(model, view, condition)
    meshes = {f"part{i}": lit_mesh(mi, part.mesh, part.material) for i, part in enumerate(model)}
    day = {**daylight(mi, condition), "ground": ground(mi)}
    scene = mi.load_dict({"type": "scene", **meshes, **day})
    white = white_paper(mi, day)

    def shot(scene: Any, window: _Window, fine: float, samples: int, **options: Any) -> Pixels:
        sensor = mi.load_dict(_sensor(mi, view, window, fine))
        integrator = mi.load_dict({"type": "path", "block_size": BLOCK, **options})
        image = mi.render(scene, sensor=sensor, integrator=integrator, spp=samples, seed=seed)
        return np.asarray(image, np.float32)

    few = max(4, view.samples // 4)
    silhouette = {f"part{i}": shining_mesh(mi, part.mesh, None) for i, part in enumerate(model)}
    covered = mi.load_dict({"type": "scene", **silhouette})
    fine_alpha = shot(covered, inner, _FINE, few, max_depth=2)[..., 3]
    sunlit = shot(scene, inner, _FINE, few, max_depth=5)[..., :3] / white
    alpha = _reduced(fine_alpha)
    colour = _reduced(_without_background(sunlit, fine_alpha))

    ground_light = shot(scene, whole, 1 / _COARSE, view.samples, max_depth=3)[..., :3] / white
    alpha_whole = _placed(alpha, inner, whole)
    shade = _shade(ground_light / ALBEDO, alpha_whole, whole, view)

    beam, lamps = np.zeros_like(colour), np.zeros_like(colour)
    if condition == OVERCAST:
        dark = mi.load_dict({"type": "scene", **meshes, **headlights(mi, view.distance)})
        beam = shot(dark, inner, _FINE, few, max_depth=2)[..., :3]
        if any(part.material.retro for part in model):
            beam += _emitted(mi, model, shot, inner, few, retro=True)
        beam = _reduced(beam * fine_alpha[..., None])
    if any(part.material.lamp for part in model):
        lamps = _reduced(_emitted(mi, model, shot, inner, few, retro=False))
    return Cutout(
        colour=_placed(colour, inner, whole),
        alpha=alpha_whole,
        shade=shade,
        beam=_placed(beam, inner, whole),
        lamps=_placed(lamps, inner, whole),
        column=_FIELD / 2 - whole.left,
        row=_FIELD / 2 + view.eye * view.scale - whole.top,
        scale=view.scale,
    )


def _windows(model: Model, view: View, condition: str) -> tuple[_Window, _Window]:
    """What a model and its shadow fill, and what the model alone does."""
    points = np.concatenate([part.mesh.vertices for part in model])
    spots = _projected(points, view)
    inner = _around(spots, 3)
    height = float(points[:, 2].max())
    flat = points * np.array([1, 1, 0])
    if condition in SUNS:
        sun = np.array(SUNS[condition].direction)
        cast = points - sun * (points[:, 2:] / sun[2])
        cast[:, 1] = np.maximum(cast[:, 1], -0.6 * view.distance)
    else:
        rim = [(x, y, 0) for x in (-0.35, 0.35) for y in (-0.35, 0.35)]
        cast = np.concatenate([flat + height * np.array(offset) for offset in rim])
        cast[:, 1] = np.maximum(cast[:, 1], -0.6 * view.distance)
    shadow = _projected(cast, view)
    both = np.concatenate([spots, shadow])
    reach = 1.5 * height * view.scale  # as far as shadows are followed
    low, high = spots.min(axis=0) - reach, spots.max(axis=0) + reach
    return _around(np.clip(both, low, high), 3 + round(0.08 * height * view.scale)), inner


def _projected(points: npt.NDArray[np.float64], view: View) -> npt.NDArray[np.float64]:
    """Column and row in the field of view."""
    ahead = np.maximum(points[:, 1] + view.distance, 0.3)
    focal = view.scale * view.distance
    return np.stack(
        [
            _FIELD / 2 + focal * points[:, 0] / ahead,
            _FIELD / 2 + focal * (view.eye - points[:, 2]) / ahead,
        ],
        -1,
    )


def _around(spots: npt.NDArray[np.float64], margin: int) -> _Window:
    """The window around some spots, in whole pixels of the coarse picture."""
    step = _COARSE
    left, top = (np.floor((spots.min(axis=0) - margin) / step) * step).astype(int).tolist()
    right, bottom = (np.ceil((spots.max(axis=0) + margin) / step) * step).astype(int).tolist()
    return _Window(left, top, right - left, bottom - top)


def _sensor(mi: Any, view: View, window: _Window, fine: float) -> dict[str, Any]:
    look = mi.ScalarTransform4f().look_at(
        origin=[0, -view.distance, view.eye], target=[0, 0, view.eye], up=[0, 0, 1]
    )
    field = math.degrees(2 * math.atan(_FIELD / 2 / (view.scale * view.distance)))
    film = {
        "type": "hdrfilm",
        "width": round(_FIELD * fine),
        "height": round(_FIELD * fine),
        "crop_offset_x": round(window.left * fine),
        "crop_offset_y": round(window.top * fine),
        "crop_width": round(window.width * fine),
        "crop_height": round(window.height * fine),
        "rfilter": {"type": "box"},
        "pixel_format": "rgba",
    }
    return {"type": "perspective", "fov": field, "to_world": look, "film": film}


def _emitted(
    mi: Any, model: Model, shot: Any, window: _Window, samples: int, *, retro: bool
) -> Pixels:
    """What sheeting throws back, or lamps give, at the fine size; nothing else shines."""
    parts = {}
    for i, part in enumerate(model):
        strength = part.material.retro if retro else part.material.lamp
        linear = (part.material.texture[::-1].astype(np.float32) / 255) ** 2.2
        parts[f"part{i}"] = shining_mesh(
            mi, part.mesh, np.ascontiguousarray(linear * strength) if strength else None
        )
    scene = mi.load_dict({"type": "scene", **parts})
    emitted: Pixels = shot(scene, window, _FINE, samples, max_depth=2)[..., :3]
    return emitted


def _without_background(picture: Pixels, alpha: Pixels) -> Pixels:
    """The model's own share of each pixel: what lies behind its edges is told from beside them."""
    free = (alpha == 0).astype(np.float32)[..., None]
    behind = blurred(picture * free, 2.0) / np.maximum(blurred(free, 2.0), 1e-3)
    share = alpha[..., None]
    own = np.clip(picture - (1 - share) * behind, 0, None) * (share > 0)
    return np.asarray(own, np.float32)


def _shade(ratio: Pixels, alpha: Pixels, window: _Window, view: View) -> Pixels:
    """The ground's brightness beside what it is without the model, smooth, 1 above the horizon.

    Args:
        ratio: the coarse picture in multiples of free ground ``[h, w, 3]``.
        alpha: of the whole window ``[H, W]``.
        window: that it shows.
        view: from where.
    """
    height, width = alpha.shape
    below = np.arange(height) + window.top + 0.5 - _FIELD / 2  # the horizon
    covered = _reduced(alpha, _COARSE)
    free = (covered < 0.02) & (below[::_COARSE] > 0)[:, None]
    shade = _enlarged(_filled_in(np.minimum(ratio, 1.5), free), (width, height))
    ahead = view.eye * view.scale * view.distance / np.maximum(below, 1e-3)  # metres
    near = np.clip(2 - ahead / (2 * view.distance), 0, 1)[:, None, None]
    faded = 1 + (shade - 1) * _ramp(width)[None, :, None] * _ramp(height)[:, None, None] * near
    return np.asarray(faded, np.float32)


def _filled_in(ratio: Pixels, free: npt.NDArray[np.bool_]) -> Pixels:
    """What is known where the ground is free, continued below the model.

    Where there is no edge a wide mean does away with noise.
    """
    seen = free.astype(np.float32)[..., None]
    (fine, near), (wide, far) = (
        (blurred(ratio * seen, sigma), blurred(seen, sigma)) for sigma in (0.6, 2.5)
    )
    smooth = np.where(far > 0.02, wide / np.maximum(far, 0.02), 1)
    sharp = np.where(near > 0.05, fine / np.maximum(near, 0.05), smooth)
    edge = np.clip(np.abs(sharp - smooth).mean(axis=-1, keepdims=True) / 0.06 - 0.6, 0, 1)
    return np.asarray(smooth + (sharp - smooth) * edge * np.clip(near * 2, 0, 1), np.float32)


def _enlarged(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """As large as ``size``, width and height."""
    channels = [
        Image.fromarray(np.ascontiguousarray(picture[..., channel])).resize(
            size, Image.Resampling.BILINEAR
        )
        for channel in range(picture.shape[-1])
    ]
    return np.stack([np.asarray(channel) for channel in channels], -1)


def _ramp(size: int) -> Pixels:
    """From 0 at either end to 1 a little inside."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.clip(np.minimum(steps, 1 - steps) / _FADE, 0, 1)


def _reduced(picture: Pixels, step: int = _FINE) -> Pixels:
    """The mean of each ``step`` times ``step`` pixels."""
    height, width = picture.shape[0] // step, picture.shape[1] // step
    cells = picture.reshape(height, step, width, step, *picture.shape[2:])
    reduced: Pixels = cells.mean(axis=(1, 3))
    return reduced


def _placed(picture: Pixels, inner: _Window, whole: _Window) -> Pixels:
    """The inner window's pixels within the whole one."""
    placed = np.zeros((whole.height, whole.width, *picture.shape[2:]), np.float32)
    top, left = inner.top - whole.top, inner.left - whole.left
    placed[top : top + inner.height, left : left + inner.width] = picture
    return placed
