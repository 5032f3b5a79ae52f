"""Bad weather and bad cameras over whole batches of frames, on whatever device they are.

For training from pixels; copies that are stored have recipes of their own
(`workzone.data.augmentation`). Rain and motion blur are kornia's (the extra ``kornia``).
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from workzone.errors import MissingExtraError, UsageError

# Ranges that strengths are drawn from, evenly.
VEIL = (0.2, 0.6)
"""Share of a pixel that fog covers."""
AIRLIGHT = (0.7, 0.9)
"""Brightness of the fog."""
DROPS = (0.0005, 0.002)
"""Drops of rain per pixel of the frame."""
DROP_LENGTH = (0.02, 0.08)
"""Share of the frame's height that a drop runs down."""
SLANT = 0.4
"""Most that a drop runs sideways, as a share of its length."""
STREAK = 0.04
"""Length of the motion blur, a share of the shorter side."""
NOISE = (0.01, 0.06)
"""Standard deviation of Gaussian noise, of a range of 1."""


@dataclass(frozen=True)
class WeatherConfig:
    """Probability of each change, 0..1; they happen independently. All off by default.

    Raises:
        UsageError: a value is not a probability.
    """

    fog: float = 0.0
    rain: float = 0.0
    motion_blur: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        wrong = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)
            if not 0 <= getattr(self, field.name) <= 1
        ]
        if wrong:
            raise UsageError(f"weather: a probability is from 0 to 1, not {', '.join(wrong)}")


def require_kornia() -> None:
    """Make sure that rain and motion blur can be drawn.

    Raises:
        MissingExtraError: kornia is not installed.
    """
    try:
        importlib.import_module("kornia")
    except ImportError as error:
        raise MissingExtraError("kornia", "kornia", "rain and motion blur over frames") from error


def weather_seed(seed: int, epoch: int, identity: str) -> int:
    """The seed of one image in one epoch, 0 to 2^63 - 1."""
    digest = hashlib.blake2b(f"weather/{seed}/{epoch}/{identity}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def weather(frames: torch.Tensor, config: WeatherConfig, seeds: Sequence[int]) -> torch.Tensor:
    """Fog, rain, motion blur and noise, in this order, each on the images that it falls on.

    What happens to an image depends on its seed alone, not on the other images; noise also on the
    kind of device, whose generator draws it. Torch's own generators are left as they were.

    Args:
        frames: floating ``[B, 3, H, W]`` in 0..1; H and W 16 or more.
        config: how likely each change is.
        seeds: ``B`` of them, see :func:`weather_seed`.

    Returns:
        The same shape and type, in 0..1.

    Raises:
        UsageError: frames and seeds do not match, or frames are of another kind.
        MissingExtraError: rain or motion blur without kornia.
    """
    if frames.ndim != 4 or frames.shape[1] != 3 or not frames.is_floating_point():
        raise UsageError(
            f"weather takes floating frames [B, 3, H, W], not {frames.dtype} {list(frames.shape)}"
        )
    if len(seeds) != len(frames):
        raise UsageError(f"{len(frames)} frames and {len(seeds)} seeds: give one seed per frame")
    if min(frames.shape[2:]) < 16:
        raise UsageError(
            f"weather takes frames of 16 pixels a side or more, not {list(frames.shape[2:])}"
        )
    happens = np.array([np.random.default_rng(seed).random(4) for seed in seeds]).reshape(-1, 4)
    frames = frames.clone()
    for column, (probability, change) in enumerate(
        (
            (config.fog, _fog),
            (config.rain, _rain),
            (config.motion_blur, _motion_blur),
            (config.noise, _noise),
        )
    ):
        rows = np.flatnonzero(happens[:, column] < probability)
        if len(rows):
            # Every change has its own stream: whether one happens does not change the others.
            streams = [np.random.default_rng([seeds[int(row)], column]) for row in rows]
            index = torch.from_numpy(rows).to(frames.device)
            frames[index] = change(frames[index], streams).to(frames.dtype)
    return frames.clamp(0, 1)


def _fog(frames: torch.Tensor, randoms: Sequence[np.random.Generator]) -> torch.Tensor:
    veil, light = _column(frames, [[r.uniform(*VEIL), r.uniform(*AIRLIGHT)] for r in randoms])
    return frames * (1 - veil) + veil * light


def _rain(frames: torch.Tensor, randoms: Sequence[np.random.Generator]) -> torch.Tensor:
    try:
        from kornia.augmentation import RandomRain
    except ImportError as error:
        raise MissingExtraError("kornia", "kornia", "rain over frames") from error
    height, width = frames.shape[2:]
    counts, lengths, slants, starts = [], [], [], []
    for random in randoms:
        counts.append(max(1, round(random.uniform(*DROPS) * height * width)))
        lengths.append(max(1, round(random.uniform(*DROP_LENGTH) * height)))
        slants.append(min(width - 1, round(random.uniform(-SLANT, SLANT) * lengths[-1])))
        starts.append(random.random((counts[-1], 2), dtype=np.float32))
    places = np.zeros((len(starts), max(counts), 2), np.float32)
    for row, start in enumerate(starts):
        places[row, : len(start)] = start
    drawn = {
        "number_of_drops_factor": torch.tensor(counts),
        "drop_height_factor": torch.tensor(lengths),
        "drop_width_factor": torch.tensor(slants),
        "coordinates_factor": torch.from_numpy(places),
        "batch_prob": torch.ones(len(frames)),
        "forward_input_shape": torch.tensor(frames.shape),
    }
    rained: torch.Tensor = RandomRain(p=1.0)(frames, params=drawn)
    return rained


def _motion_blur(frames: torch.Tensor, randoms: Sequence[np.random.Generator]) -> torch.Tensor:
    try:
        from kornia.filters import motion_blur
    except ImportError as error:
        raise MissingExtraError("kornia", "kornia", "motion blur over frames") from error
    size = max(3, 2 * round(STREAK * min(frames.shape[2:]) / 2) + 1)
    angles = torch.tensor([r.uniform(0, 180) for r in randoms], device=frames.device)
    even = torch.zeros_like(angles)  # no end of the streak is heavier
    blurred: torch.Tensor = motion_blur(
        frames.float(), size, angles, even, border_type="replicate", mode="bilinear"
    )
    return blurred


def _noise(frames: torch.Tensor, randoms: Sequence[np.random.Generator]) -> torch.Tensor:
    (deviation,) = _column(frames, [[r.uniform(*NOISE)] for r in randoms])
    normal = []
    for random in randoms:
        generator = torch.Generator(frames.device).manual_seed(int(random.integers(2**63)))
        normal.append(torch.randn(frames.shape[1:], generator=generator, device=frames.device))
    return frames + deviation * torch.stack(normal)


def _column(frames: torch.Tensor, values: list[list[float]]) -> list[torch.Tensor]:
    """``[B, n]`` numbers as n tensors ``[B, 1, 1, 1]`` beside the frames."""
    table = torch.tensor(values, device=frames.device, dtype=frames.dtype)
    return [part[:, None, None, None] for part in table.unbind(dim=1)]
