"""What an image as a whole looks like, by which one is told that is unlike training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LOWER = 2 / 3
"""Of the frame's height: what lies below is road, where a camera looks along a street."""
PARTS = 2
"""Of the vector of a dense detector, equally long: all cells, and those below `LOWER`."""


def scene_vector(
    grid: npt.NDArray[np.floating], boxes: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """The mean of all cells that were read, and of those in the lower part of the frame.

    Args:
        grid: cells ``[V, h, w, D]`` of the views of one image.
        boxes: of these views ``[V, 4]``, in fractions of the frame.

    Returns:
        ``[2 D]``. Where no cell's centre lies in the lower part, the mean of all stands there too.
    """
    rows = (np.arange(grid.shape[1]) + 0.5) / grid.shape[1]
    down = boxes[:, 1, None] + rows * (boxes[:, 3] - boxes[:, 1])[:, None]
    of_rows = grid.mean(axis=2, dtype=np.float32)  # [V, h, D]
    everything = of_rows.mean(axis=(0, 1))
    low = of_rows[(down > LOWER) & (down < 1)]
    return np.concatenate([everything, low.mean(axis=0) if len(low) else everything])
