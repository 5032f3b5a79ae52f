"""What all frozen backbones share: normalisation, freezing, the weight hash, pooling.

A backbone turns views, uint8 ``[M, 3, h, w]``, into a class token and a grid of patch tokens.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Self

import torch
from torch import nn

from workzone.errors import BackboneError, UsageError, nearest
from workzone.types import BackboneOutput

Precision = Literal["float32", "bfloat16"]

POOLINGS = ("cls", "cls+mean", "max", "mean", "mean+max")
"""How a view's tokens become one vector; see :func:`pool`."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


CPU_PIXELS_AT_ONCE = 310_000
"""Of the views that a processor computes at a time: six of 224 px, one of 512. With more, what lies
between two layers is memory fresh from the system at every call, and lite0 takes 1.5 to 1.8 times
as long."""


class Backbone(nn.Module):
    """A frozen feature extractor.

    No parameter requires a gradient, and the module stays in evaluation mode when a parent calls
    ``.train()``: dropout, stochastic depth and DINOv3's random rescaling of its positions would
    else make features random. A gradient graph is kept only if somebody makes a parameter
    trainable again.

    Args:
        model: the wrapped network.
        name: canonical name, part of feature keys.
        width: ``D``, of the class token and of each grid cell.
        multiple: pixels per grid cell; a view's side must be a multiple of it.
        mean: of the normalisation, per channel, 0..1.
        std: of the normalisation, per channel, 0..1.
        default_size: side in pixels at which the published weights are commonly used.
        licence: of the weights.
        has_cls: whether the architecture has a class token.
        channels_last: compute in channels-last memory (convolutional networks are faster so).
        architecture: what neither the name nor the weights tell of it; part of the weight hash.
    """

    source: str | None = None
    """The name of the folder that the weights were read from, where a folder was named."""

    _scale: torch.Tensor
    _shift: torch.Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        width: int,
        multiple: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        default_size: int,
        licence: str,
        has_cls: bool,
        channels_last: bool = False,
        architecture: str = "",
    ) -> None:
        super().__init__()
        self.name = name
        self.width = width
        self.multiple = multiple
        self.mean = mean
        self.std = std
        self.default_size = default_size
        self.licence = licence
        self.has_cls = has_cls
        self._architecture = architecture
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # (x / 255 - mean) / std as one multiplication and one addition
        deviation = torch.tensor(std).view(1, 3, 1, 1)
        self.register_buffer("_scale", 1 / (255 * deviation), persistent=False)
        self.register_buffer(
            "_shift", -torch.tensor(mean).view(1, 3, 1, 1) / deviation, persistent=False
        )
        self._adopt(model)

    def _adopt(self, model: nn.Module) -> None:
        self.model = model.to(memory_format=self._memory_format)
        self.requires_grad_(False)
        self.eval()

    def replace_model(self, model: nn.Module) -> None:
        """Compute with an equivalent, faster form; hash and count stay the published weights'."""
        _ = self.weight_hash, self.parameter_count  # taken now, kept from here on
        self._adopt(model)

    def replace_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Compute with other values of some of the network's tensors.

        The weight hash becomes one of the old hash and these tensors. Those that stay are not read
        again: what was folded on another machine may differ in the last bit.

        Raises:
            BackboneError: the network has no such tensor, or one of another shape or type.
        """
        own = self.model.state_dict()
        for name, value in sorted(weights.items()):
            there = own.get(name)
            if there is None or (there.shape, there.dtype) != (value.shape, value.dtype):
                found = "none" if there is None else f"{there.dtype} {list(there.shape)}"
                raise BackboneError(
                    f"the tensor {name} ({value.dtype} {list(value.shape)}) does not fit backbone "
                    f"{self.name!r}, which has {found} there: name the backbone it was made from"
                )
        before = self.weight_hash
        self.model.load_state_dict(dict(weights), strict=False)
        self.weight_hash = _hash(weights, before)

    @property
    def default_pooling(self) -> str:
        """``cls+mean`` (DINOv3's linear probe) where there is a class token, else ``mean+max``.

        The maximum keeps what is in one cell only, as a distant cone is.
        """
        return "cls+mean" if self.has_cls else "mean+max"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @cached_property
    def weight_hash(self) -> str:
        """BLAKE2b-128 over names, shapes, types and bytes of the state, as 32 hex digits.

        Buffers that are not saved with the weights (tables of frequencies) are left out: they
        follow from the architecture and may differ in the last bit between machines.
        """
        return _hash(self.model.state_dict(), self._architecture)

    @cached_property
    def parameter_count(self) -> int:
        """How many numbers the published weights have, buffers not counted."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever a parent module asks for."""
        return super().train(False)

    def check_size(self, size: int) -> None:
        """Make sure that views of ``size`` pixels a side can be used.

        Raises:
            UsageError: naming the two nearest sizes that work.
        """
        if size < self.multiple or size % self.multiple:
            lower = max(size // self.multiple, 1) * self.multiple
            raise UsageError(
                f"size {size} does not fit backbone {self.name!r}: it must be a multiple of "
                f"{self.multiple}; the nearest are {lower} and {lower + self.multiple}"
            )

    def grid_size(self, size: int) -> tuple[int, int]:
        """Rows and columns of the patch grid of views of ``size`` pixels a side.

        Raises:
            UsageError: the size does not fit.
        """
        self.check_size(size)
        return size // self.multiple, size // self.multiple

    def forward(self, pixels: torch.Tensor, levels: Sequence[int] = ()) -> BackboneOutput:
        """Normalise views and extract their tokens.

        Args:
            pixels: uint8 ``[M, 3, h, w]`` on the backbone's device.
            levels: of which maps are wanted too, see :attr:`level_widths`.

        Returns:
            Class token ``[M, D]`` or None, patch grid ``[M, N, D]`` in row-major order.

        Raises:
            UsageError: not uint8, not of that shape, or a side does not fit (:meth:`check_size`).
            BackboneError: the network has no regular grid, or no such level.
        """
        self.check_levels(levels)
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
            raise UsageError(
                f"a backbone takes uint8 pixels [M, 3, h, w]; got {pixels.dtype} "
                f"{list(pixels.shape)}"
            )
        height, width = pixels.shape[2:]
        grid_size = self.grid_size(height)[0], self.grid_size(width)[1]
        trainable = any(parameter.requires_grad for parameter in self.model.parameters())
        with torch.set_grad_enabled(trainable and torch.is_grad_enabled()):
            ordered = pixels.contiguous(memory_format=self._memory_format)
            normalised = self.normalise(ordered.to(self._scale.dtype))
            cls, grid, maps = self.tokens_and_levels(normalised, levels)
        if grid.shape[1] != grid_size[0] * grid_size[1]:
            raise BackboneError(
                f"backbone {self.name!r} gave {grid.shape[1]} grid cells for {width} x {height} "
                f"px; {grid_size[1]} x {grid_size[0]} were expected, so it has no regular grid; "
                "choose another backbone"
            )
        return BackboneOutput(cls, grid, grid_size, maps)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Views of 0..255, float ``[M, 3, S, S]``, as the network takes them."""
        return pixels * self._scale + self._shift

    def tokens(self, normalised: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Class token and patch tokens of normalised views, float ``[M, 3, S, S]``."""
        raise NotImplementedError

    @property
    def level_widths(self) -> Mapping[int, int]:
        """Channels of the maps that can be had from within the network, by level.

        A level is a stride in pixels of a convolutional network, and the number of a layer, from 1,
        of a transformer. Empty: there are none.
        """
        return {}

    def level_stride(self, level: int) -> int:
        """Pixels per cell, a side, of the map of a level."""
        return self.multiple

    def check_levels(self, levels: Sequence[int]) -> None:
        """Make sure that these levels can be had.

        Raises:
            BackboneError: the network has no such level.
        """
        wrong = [level for level in levels if level not in self.level_widths]
        if wrong:
            known = ", ".join(map(str, self.level_widths)) or "none"
            raise BackboneError(
                f"backbone {self.name!r} has no level {wrong[0]}: masks.levels may be of {known}"
            )

    def tokens_and_levels(
        self, normalised: torch.Tensor, levels: Sequence[int]
    ) -> tuple[torch.Tensor | None, torch.Tensor, dict[int, torch.Tensor]]:
        """As :meth:`tokens`, and maps ``[M, C, h, w]`` of some levels, which there are."""
        return *self.tokens(normalised), {}

    def __call__(self, *args: Any, **kwargs: Any) -> BackboneOutput:
        """See :meth:`forward`."""
        output: BackboneOutput = super().__call__(*args, **kwargs)
        return output


def _hash(tensors: Mapping[str, torch.Tensor], start: str = "") -> str:
    digest = hashlib.blake2b(start.encode(), digest_size=16)
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def run(
    backbone: Backbone,
    pixels: torch.Tensor,
    *,
    precision: Precision = "float32",
    levels: Sequence[int] = (),
) -> BackboneOutput:
    """Extract without gradients, on the backbone's device; the results are float32.

    ``bfloat16`` uses autocast: weights stay float32 and so do normalisations and DINOv3's
    rotary positions, which lose their meaning when a whole model is cast.

    Args:
        backbone: on any device.
        pixels: uint8 ``[M, 3, h, w]``, on any device.
        precision: in which matrix products and convolutions compute.
        levels: of which maps are wanted too.
    """
    if precision not in ("float32", "bfloat16"):
        raise UsageError(
            f"unknown precision {precision!r}; {nearest(precision, ('float32', 'bfloat16'))}"
        )
    device = backbone.device
    at_once = len(pixels)
    if device.type == "cpu":
        at_once = max(1, CPU_PIXELS_AT_ONCE // (pixels.shape[-1] * pixels.shape[-2]))
    with (
        torch.no_grad(),
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        parts = [backbone(part, levels) for part in pixels.to(device).split(max(1, at_once))]
    classes = [part.cls.float() for part in parts if part.cls is not None]
    return BackboneOutput(
        cls=torch.cat(classes) if classes else None,
        grid=torch.cat([part.grid.float() for part in parts]),
        grid_size=parts[0].grid_size,
        levels={level: torch.cat([p.levels[level].float() for p in parts]) for level in levels},
    )


def one_core_each() -> Callable[[], None]:
    """For threads that compute beside each other: what each calls first, to take one core.

    Torch keeps a number of threads for each thread, and takes the last one set, by whichever, for
    those that have not asked yet. That is to stay the number of the thread that calls this.
    """
    usual = torch.get_num_threads()

    def begin() -> None:
        torch.get_num_threads()
        torch.set_num_threads(1)
        other = threading.Thread(target=torch.set_num_threads, args=(usual,))
        other.start()
        other.join()

    return begin


def check_pooling(pooling: str, *, has_cls: bool) -> None:
    """Make sure that a pooling is known and possible.

    Raises:
        UsageError: an unknown name, or the class token of an architecture without one.
    """
    allowed = [name for name in POOLINGS if has_cls or "cls" not in name]
    if pooling not in POOLINGS:
        raise UsageError(f"unknown pooling {pooling!r}; {nearest(pooling, allowed)}")
    if pooling not in allowed:
        raise UsageError(
            f"pooling {pooling!r} needs a class token, which this backbone does not have; "
            f"allowed: {', '.join(allowed)}"
        )


def pool(output: BackboneOutput, pooling: str) -> torch.Tensor:
    """One vector per view.

    ``cls`` is the class token, ``mean`` and ``max`` go over the patch grid, and ``+`` joins two
    of them in that order. ``cls+mean`` is the input of DINOv3's linear probe (arXiv 2508.10104).

    Returns:
        ``[M, D]``, or ``[M, 2 D]`` for a joint pooling.

    Raises:
        UsageError: see :func:`check_pooling`.
    """
    check_pooling(pooling, has_cls=output.cls is not None)
    parts = []
    for part in pooling.split("+"):
        if part == "mean":
            parts.append(output.grid.mean(dim=1))
        elif part == "max":
            parts.append(output.grid.amax(dim=1))
        elif output.cls is not None:
            parts.append(output.cls)
    return torch.cat(parts, dim=1)


def pooled_width(backbone: Backbone, pooling: str) -> int:
    """Width of :func:`pool`'s result: ``D`` or ``2 D``.

    Raises:
        UsageError: see :func:`check_pooling`.
    """
    check_pooling(pooling, has_cls=backbone.has_cls)
    return backbone.width * len(pooling.split("+"))
