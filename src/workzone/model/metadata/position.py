"""From coordinates to numbers a network can use: Fourier features, or GeoCLIP's encoder."""

from __future__ import annotations

import importlib
import math
import pickle
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from workzone.errors import BackboneError, MissingExtraError
from workzone.model.metadata.sphere import EARTH_RADIUS, GEOCLIP_WIDTH


def wavelength_count(shortest: float) -> int:
    """How many doublings from ``shortest`` (km) it takes to pass twice the Earth's diameter."""
    return 1 + max(0, math.ceil(math.log2(4 * EARTH_RADIUS / shortest)))


class FourierPosition(nn.Module):
    """Sine and cosine of each coordinate of the unit vector, at wavelengths a factor 2 apart.

    After Tancik et al., "Fourier Features Let Networks Learn High Frequency Functions" (NeurIPS
    2020, arXiv 2006.10739), on the sphere as in Mai et al., "Sphere2Vec" (arXiv 2306.17624). The
    longest wavelength is at least twice the diameter, so that its sine alone tells any two places
    apart; the shortest says how close two places may be and still look different (about a quarter
    of it). Angles are taken in float32 or better, whatever the module's type: bfloat16 could not
    tell two places in one country apart. The scales are powers of 2, exact in every type.
    """

    scales: torch.Tensor

    def __init__(self, *, shortest_wavelength: float, width: int) -> None:
        """Make the layers.

        Args:
            shortest_wavelength: km on the ground, 0.01 or more (float32 holds 0.4 m).
            width: of the result.
        """
        super().__init__()
        count = wavelength_count(shortest_wavelength)
        self.shortest_wavelength = shortest_wavelength  # km
        scales = torch.tensor([2.0**-step for step in range(count)])
        self.register_buffer("scales", scales, persistent=False)
        self.project = nn.Linear(6 * count, width)

    def features(self, position: torch.Tensor) -> torch.Tensor:
        """From unit vectors ``[B, 3]`` to ``[B, 6 * wavelengths]``, all in -1..1."""
        steepest = position * (2 * math.pi * EARTH_RADIUS / self.shortest_wavelength)
        ladder = (steepest[..., None] * self.scales).flatten(1)
        return torch.cat([ladder.sin(), ladder.cos()], dim=-1)

    def forward(self, position: torch.Tensor) -> torch.Tensor:
        """From unit vectors, float32 or float64 ``[B, 3]``, to ``[B, width]``."""
        encoded: torch.Tensor = self.project(self.features(position).to(self.project.weight.dtype))
        return encoded


class GeoClipPosition(nn.Module):
    """A linear layer on GeoCLIP's location vectors, which :func:`geoclip_vectors` makes."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(GEOCLIP_WIDTH, width)

    def forward(self, position: torch.Tensor) -> torch.Tensor:
        """From ``[B, 512]`` to ``[B, width]``."""
        encoded: torch.Tensor = self.project(position.to(self.project.weight.dtype))
        return encoded


@torch.no_grad()
def geoclip_vectors(degrees: Sequence[tuple[float, float]]) -> torch.Tensor:
    """GeoCLIP's location vectors (Vivanco Cepeda et al., NeurIPS 2023, arXiv 2309.16020; MIT).

    The encoder is frozen, so it is run on the data, not in the model: the model stays small, and
    exports without it. GeoCLIP compares directions only; the length is fixed so that an element
    is of order 1.

    Args:
        degrees: latitude and longitude of ``B`` places.

    Returns:
        float32 ``[B, 512]``, of length ``sqrt(512)``.

    Raises:
        MissingExtraError: the package is not installed.
        BackboneError: its weights cannot be read.
    """
    encoder = _geoclip_encoder()
    places = torch.tensor(degrees, dtype=torch.float32).reshape(-1, 2)
    parts = [encoder(part) for part in places.split(1024)]
    vectors = torch.cat(parts) if len(places) else torch.zeros(0, GEOCLIP_WIDTH)
    return nn.functional.normalize(vectors, dim=-1) * math.sqrt(GEOCLIP_WIDTH)


@lru_cache(maxsize=1)
def _geoclip_encoder() -> nn.Module:
    try:
        package = importlib.import_module("geoclip")
    except ImportError as error:
        raise MissingExtraError("geoclip", "geoclip", "position_encoder: geoclip") from error
    path = Path(str(package.__file__)).parent / "model/weights/location_encoder_weights.pth"
    encoder: nn.Module = package.LocationEncoder(from_pretrained=False)
    try:
        encoder.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        first_line = str(error).splitlines()[0]
        raise BackboneError(
            f"GeoCLIP's weights {path} cannot be read: {first_line} Reinstall geoclip."
        ) from error
    return encoder.eval().requires_grad_(False)
