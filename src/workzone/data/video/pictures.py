"""From a decoded frame to an upright RGB picture, and how sharp it is."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_UNTOLD = 2  # AVCOL_SPC_UNSPECIFIED
_HIGH = 720  # lines
_LOOKED_AT = 640  # pixels of width on which sharpness is measured


def to_rgb(frame: VideoFrame, aspect: float = 1.0) -> npt.NDArray[np.uint8]:
    """An upright picture with square pixels.

    Deeper colours become 8 bits. Of an interlaced frame, two moments woven into one, the lines of
    one moment are taken and drawn out to the full height.

    Args:
        frame: as decoded.
        aspect: width of a pixel over its height.

    Returns:
        uint8 ``[H, W, 3]``.
    """
    width = max(1, round(frame.width * aspect))
    pixels: npt.NDArray[np.uint8] = np.asarray(
        frame.reformat(
            format="rgb24", src_colorspace=_colours(frame), dst_color_range="JPEG"
        ).to_ndarray(),
        dtype=np.uint8,
    )
    if frame.interlaced_frame:
        pixels = pixels[0::2]
    if pixels.shape[:2] != (frame.height, width):
        from PIL import Image

        pixels = np.asarray(
            Image.fromarray(np.ascontiguousarray(pixels)).resize((width, frame.height))
        )
    return turned(pixels, _display_matrix(frame))


def turned(
    pixels: npt.NDArray[np.uint8], matrix: tuple[int, int, int, int] | None
) -> npt.NDArray[np.uint8]:
    """Pixels as a display matrix shows them: quarter turns and flips (ISO/IEC 14496-12, 6.2.2).

    Args:
        pixels: ``[H, W, 3]``.
        matrix: a, b, c, d: a point x, y is shown at a x + c y, b x + d y.
    """
    if matrix is None:
        return pixels
    a, b, c, d = matrix
    if abs(b) > abs(a):
        pixels, left, up = pixels.swapaxes(0, 1), c < 0, b < 0
    else:
        left, up = a < 0, d < 0
    axes = tuple(axis for axis, flipped in ((0, up), (1, left)) if flipped)
    return np.ascontiguousarray(np.flip(pixels, axes) if axes else pixels)


def sharpness(frame: VideoFrame) -> float:
    """The variance of the Laplacian of a frame's grey values (Pech-Pacheco et al. 2000)."""
    width = min(frame.width, _LOOKED_AT)
    height = max(3, frame.height * width // frame.width)
    grey = np.asarray(
        frame.reformat(width=width, height=height, format="gray").to_ndarray(), dtype=np.int16
    )
    if frame.interlaced_frame:
        grey = grey[0::2]
    middle = grey[1:-1, 1:-1]
    edges = 4 * middle - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(edges.var()) if edges.size else 0.0


def _colours(frame: VideoFrame) -> str | None:
    """The colours of frames that name none: of high definition BT.709's, as players take it."""
    untold = frame.colorspace == _UNTOLD and not frame.format.name.startswith("yuvj")
    return "ITU709" if untold and frame.height >= _HIGH else None


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    from av.sidedata.sidedata import Type

    side_data: Any = frame.side_data  # a mapping by type, whatever its stub says
    found = side_data.get(Type.DISPLAYMATRIX)
    if found is None:
        return None
    a, b, _, c, d = struct.unpack_from("=5i", bytes(found))
    return a, b, c, d
