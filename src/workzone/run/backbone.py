"""The backbone that a bundle works on, on its device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workzone.backbones.base import Backbone
from workzone.decide.backbone import read_backbone
from workzone.decide.bundle import Bundle
from workzone.engine.weight_only import WEIGHT_PRECISIONS, quantise_weights
from workzone.errors import UsageError


def bundle_backbone(
    bundle: Bundle,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    precision: str | None = None,
) -> Backbone:
    """The backbone of a bundle, with what it has learned if it was trained from pixels.

    Args:
        bundle: whose backbone.
        weights: of the backbone as published, where it is not the embedded one and not to be
            downloaded.
        device: such as ``cpu`` or ``cuda``.
        precision: in one of `WEIGHT_PRECISIONS` its weights are stored so on their way to the
            device.

    Raises:
        BackboneError: the weights cannot be had.
        BundleError: what was learned does not fit these weights.
        UsageError: no such device, or the weights cannot be stored so.
        MissingExtraError: what stores them so is not installed.
    """
    backbone = read_backbone(bundle, weights=weights)
    if precision in WEIGHT_PRECISIONS:
        with _naming(device):
            quantise_weights(backbone, precision, device)
    move(backbone, device)
    return backbone


def move(backbone: Backbone, device: str) -> None:
    """Put a backbone on a device.

    Raises:
        UsageError: torch does not know the device, or this machine does not have it.
    """
    with _naming(device):
        backbone.to(device)


@contextmanager
def _naming(device: str) -> Iterator[None]:
    """Turn torch's errors about a device into one that names it.

    Raises:
        UsageError: instead of them.
    """
    try:
        yield
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"cannot use the device {device!r}: {reason}. `cpu` always works"
        ) from error
