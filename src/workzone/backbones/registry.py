"""From a name to a backbone."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from workzone.backbones import dinov3, lite, names, timm_models
from workzone.backbones.base import Backbone
from workzone.errors import UsageError, nearest

EMBEDDED = {
    name: functools.partial(load, variant)
    for variant in names.VARIANTS
    for name, load in ((variant.name, lite.load_lite), (variant.trunk, lite.load_trunk))
}
"""Those whose weights come with a package."""

BACKBONES = (*EMBEDDED, *names.SIZES)
"""Canonical names; ``timm:<model>`` opens timm's beside them, ``dinov3`` a folder of any size."""

_BY_HUB_ID = {names.hub_id(name): name for name in names.SIZES}


@dataclass(frozen=True, slots=True)
class BackboneInfo:
    """A row of the table of backbones."""

    name: str
    hub_id: str | None  # None: comes with the package
    width: int  # D
    parameters: int
    multiple: int  # pixels
    licence: str


def canonical_name(name: str) -> str:
    """The name that feature keys use; a DINOv3 hub id becomes its short name.

    Raises:
        UsageError: unknown, with the nearest right spelling.
    """
    name = _BY_HUB_ID.get(name, name)
    if name in (*BACKBONES, names.ANY_SIZE) or name.startswith(timm_models.PREFIX):
        return name
    raise UsageError(
        f"unknown backbone {name!r}; {nearest(name, BACKBONES)}, timm:<model> for any of timm's, "
        "or a folder with DINOv3 weights (there is none of that name)"
    )


def _is_path(name: str) -> bool:
    """Whether it names a place on this machine; a folder called as a backbone is the backbone."""
    known = name in ("", *BACKBONES, names.ANY_SIZE, *_BY_HUB_ID)
    return not known and (Path(name).is_absolute() or name.startswith(".") or Path(name).exists())


def load_backbone(
    name: str, *, weights: Path | str | None = None, random: bool = False
) -> Backbone:
    """A frozen backbone on the CPU, ready to extract.

    Args:
        name: one of :data:`BACKBONES`, a DINOv3 hub id, ``timm:<model>``, or the path of a folder
            with DINOv3 weights of any size; with ``weights`` that is ``dinov3``.
        weights: local weights instead of the hub's: for DINOv3 a folder with ``config.json`` and
            safetensors, for timm a safetensors file or a state dict.
        random: random weights of the true architecture, for tests and timing.

    Raises:
        BackboneError: weights that cannot be had or do not fit.
        UsageError: an unknown name, ``weights`` together with ``random`` or with another path, or
            ``weights`` for the embedded backbone.
    """
    if _is_path(name):
        if weights is not None:
            raise UsageError(f"backbone {name!r} is a path: name its weights once, not twice")
        name, weights = names.ANY_SIZE, name
    name = canonical_name(name)
    if weights is not None and random:
        raise UsageError(f"backbone {name!r}: give weights or ask for random ones, not both")
    path = None if weights is None else Path(weights)
    if name.startswith(timm_models.PREFIX):
        return timm_models.load_timm(name, weights=path, random=random)
    if name in (*names.SIZES, names.ANY_SIZE):
        return dinov3.load_dinov3(name, weights=path, random=random)
    if path is not None:
        raise UsageError(
            f"backbone {name!r} carries its own weights; for others of that architecture use "
            f"'{timm_models.PREFIX}tf_efficientnet_{name.removesuffix('-trunk')}' with {path}"
        )
    return EMBEDDED[name](random=random)


def list_backbones() -> list[BackboneInfo]:
    """What is on offer; DINOv3's parameters are counted on the meta device, without weights."""
    rows = []
    for name, load in EMBEDDED.items():
        embedded = load(random=True)  # whether its package is there or not
        rows.append(
            BackboneInfo(
                name=name,
                hub_id=None,
                width=embedded.width,
                parameters=embedded.parameter_count,
                multiple=embedded.multiple,
                licence=embedded.licence,
            )
        )
    for name, size in names.SIZES.items():
        with torch.device("meta"):
            model = dinov3.random_model(name)
        rows.append(
            BackboneInfo(
                name=name,
                hub_id=names.hub_id(name),
                width=size.width,
                parameters=sum(parameter.numel() for parameter in model.parameters()),
                multiple=size.multiple,
                licence=dinov3.LICENCE,
            )
        )
    return rows
