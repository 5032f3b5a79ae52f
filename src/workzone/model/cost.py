"""What a preset costs: parameters, operations and memory, counted on the meta device.

Everything is counted by running the true modules on tensors that have a shape and no contents; no
weights are needed. FLOPs are those of matrix products, convolutions and attention, two for each
multiplication with its addition. Of frames that are seen in their own shape, the image is one of
1280 x 720 px.
"""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from workzone.backbones.base import Backbone, pool
from workzone.backbones.registry import EMBEDDED, load_backbone
from workzone.model.base import AnyDetector
from workzone.model.costs import TRAINING_BATCH, Cost, views_read
from workzone.model.inputs import DetectorInput
from workzone.model.make import make_detector
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.masks.loss import mask_loss
from workzone.model.metadata.batch import no_metadata
from workzone.model.presets import Preset
from workzone.types import OBJECT_CLASSES
from workzone.views import USUAL_FRAME, ViewLayout

META = torch.device("meta")


class PeakMemory(TorchDispatchMode):
    """Count the bytes of storages that are alive, and their peak, while operations run.

    A storage counts from the operation that made it until nothing refers to it; views share theirs.

    Args:
        held: tensors that exist already; they count from the start.
    """

    def __init__(self, held: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self._alive = 0
        self._known: set[int] = set()
        for tensor in held:
            self._count(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count what it made."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage._cdata, storage.nbytes()
        if address in self._known:
            return
        self._known.add(address)
        self._alive += size
        self.peak = max(self.peak, self._alive)
        weakref.finalize(storage, self._release, address, size).atexit = False

    def _release(self, address: int, size: int) -> None:
        self._known.discard(address)
        self._alive -= size


class FusedAttention(TorchFunctionMode):
    """Let attention run as one operation, as torch's fused kernels do on real devices.

    On the meta device torch would spell it out instead, with the scores of all pairs of tokens in
    memory: gigabytes that the fused kernels never hold.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace scaled_dot_product_attention."""
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return _fused_attention(*args, **(kwargs or {}))


def _fused_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """The CPU's fused kernel, which takes a mask of the scores' type."""
    assert not enable_gqa, "where there is a mask, and a pruner makes one, heads are expanded"
    mask = None if attn_mask is None else attn_mask.to(query.dtype)
    output: torch.Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, dropout_p, is_causal, attn_mask=mask, scale=scale
    )[0]
    return output


@dataclass(frozen=True)
class Counted:
    """What some work took."""

    flops: int
    peak: int  # bytes


def counted(work: Callable[[], object], held: Iterable[torch.Tensor]) -> Counted:
    """Do ``work`` on meta tensors and count; ``held`` are tensors that exist before it."""
    with PeakMemory(held) as memory, FlopCounterMode(display=False) as flops, FusedAttention():
        work()
    return Counted(flops.get_total_flops(), memory.peak)


def meta_backbone(name: str) -> Backbone:
    """A backbone of the true class and size without weights, on the meta device."""
    if name in EMBEDDED:  # folding its normalisations takes numbers
        return load_backbone(name, random=True).to(META)
    with META:
        return load_backbone(name, random=True)


def preset_cost(preset: Preset) -> Cost:
    """Count one preset; presets that share a backbone and views share that count."""
    read = views_read(preset)
    seen = _backbone_cost(preset.backbone, preset.layout, read, preset.pooling)
    with META:
        detector = make_detector(preset.detector)
    prediction = _predict(detector, preset, seen)
    numbers = seen.numbers + sum(tensor.numel() for tensor in _state(detector))
    detector_bytes = sum(tensor.nbytes for tensor in _state(detector))
    return Cost(
        frozen_parameters=seen.parameters,
        trainable_parameters=sum(weight.numel() for weight in detector.parameters()),
        flops=seen.flops + prediction.flops,
        backbone_flops=seen.flops,
        weights_float32=4 * numbers,
        weights_bfloat16=2 * numbers,
        # one after the other: the backbone's tensors are gone when the detector runs
        predict_activations=max(seen.activations, prediction.peak - detector_bytes),
        train_step=_train(detector, preset, seen),
    )


@dataclass(frozen=True)
class _BackboneCost:
    parameters: int
    numbers: int  # as held: folding changes their count
    flops: int
    activations: int  # bytes
    grid_size: tuple[int, int]
    grid_cells: int  # with those of halves
    stored_size: tuple[int, int]  # of the same in a store: frames lie in a square
    stored_cells: int
    grid_width: int


@lru_cache(maxsize=32)
def _backbone_cost(name: str, layout: ViewLayout, views: int, pooling: str | None) -> _BackboneCost:
    backbone = meta_backbone(name)
    height, width = layout.shape(*USUAL_FRAME)
    pixels = torch.empty(views, 3, height, width, dtype=torch.uint8, device=META)
    state = _state(backbone)
    work = counted(
        lambda: pool(backbone(pixels), pooling or backbone.default_pooling), [*state, pixels]
    )
    grid_size = backbone.grid_size(height)[0], backbone.grid_size(width)[1]
    stored_size = backbone.grid_size(layout.size)
    cells, stored_cells, flops = math.prod(grid_size), math.prod(stored_size), work.flops
    if layout.halves:
        half = torch.empty(views, 3, height // 2, width // 2, dtype=torch.uint8, device=META)
        flops += counted(lambda: backbone(half), [*state, half]).flops
        cells, stored_cells = cells + cells // 4, stored_cells + stored_cells // 4
    return _BackboneCost(
        parameters=backbone.parameter_count,
        numbers=sum(tensor.numel() for tensor in state),
        flops=flops,
        activations=work.peak - sum(tensor.nbytes for tensor in state),
        grid_size=grid_size,
        grid_cells=cells,
        stored_size=stored_size,
        stored_cells=stored_cells,
        grid_width=backbone.width,
    )


def _state(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def _input(preset: Preset, *, rows: int, views: int) -> DetectorInput:
    return DetectorInput(
        features=torch.empty(rows, views, preset.detector.width, device=META),
        boxes=torch.empty(rows, views, 4, device=META),
    )


def _tensors(given: DetectorInput) -> list[torch.Tensor]:
    known = {} if given.metadata is None else vars(given.metadata)
    return [v for v in [*vars(given).values(), *known.values()] if isinstance(v, torch.Tensor)]


def _predict(detector: AnyDetector, preset: Preset, seen: _BackboneCost) -> Counted:
    """One image, without metadata and masks, as the predictor does it."""
    given = _input(preset, rows=1, views=views_read(preset))
    if preset.detector.needs_all_grids:
        grid = _grid(preset, seen, rows=1, cells=seen.grid_cells)
        given = dataclasses.replace(given, grid=grid, grid_size=seen.grid_size)
    held = [*_state(detector), *_tensors(given)]
    detector.eval()
    with torch.no_grad():
        return counted(lambda: detector.run(given), held)


def _grid(preset: Preset, seen: _BackboneCost, *, rows: int, cells: int) -> torch.Tensor:
    views = (preset.layout.count,) if preset.detector.needs_all_grids else ()
    return torch.empty(rows, *views, cells, seen.grid_width, device=META)


def _levels(masks: MaskHeadConfig, side: int) -> dict[int, torch.Tensor]:
    """Maps of a training batch, of views of ``side`` pixels."""
    shapes = zip(masks.levels, masks.level_widths, masks.level_strides, strict=True)
    return {
        level: torch.empty(TRAINING_BATCH, width, side // stride, side // stride, device=META)
        for level, width, stride in shapes
    }


def _train(detector: AnyDetector, preset: Preset, seen: _BackboneCost) -> int:
    """Bytes of a training step on stored features, with all that the detector can learn from."""
    config, views = preset.detector, preset.layout.count
    given = _input(preset, rows=TRAINING_BATCH, views=views)
    targets = None
    if config.metadata is not None:
        nothing = no_metadata(TRAINING_BATCH, config.metadata).to(META)
        given = dataclasses.replace(given, metadata=nothing)
    if config.needs_grid:
        grid = _grid(preset, seen, rows=TRAINING_BATCH, cells=seen.stored_cells)
        given = dataclasses.replace(given, grid=grid, grid_size=seen.stored_size)
    if config.masks is not None and config.levels:
        levels = _levels(config.masks, preset.layout.size)
        given = dataclasses.replace(given, levels=levels, boxes=None)  # the frame fills its square
    held = [*_state(detector), *_tensors(given), *(given.levels or {}).values()]
    if config.masks is not None:
        shape = (TRAINING_BATCH, len(OBJECT_CLASSES), *config.masks.mask_size(seen.stored_size))
        targets = torch.empty(shape, device=META)
        held.append(targets)
    labels = torch.empty(TRAINING_BATCH, dtype=torch.int64, device=META)
    annotated = torch.empty(TRAINING_BATCH, dtype=torch.bool, device=META)
    optimizer = torch.optim.AdamW(detector.parameters())
    averages = _fill_state(optimizer, detector)
    detector.train()
    memory = PeakMemory([*held, labels, annotated, *averages])
    with memory, FusedAttention():
        output = detector.run(given)
        loss = F.cross_entropy(output.logits, labels) + output.balance_loss
        if targets is not None and output.masks is not None:
            loss = loss + mask_loss(output.masks, targets, row_mask=annotated)
        loss.backward()
        optimizer.step()
    return memory.peak


def _fill_state(optimizer: torch.optim.Optimizer, module: nn.Module) -> list[torch.Tensor]:
    """AdamW's running averages, which its first step makes: all later steps start with them."""
    for weight in module.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    optimizer.zero_grad()
    return [tensor for state in optimizer.state.values() for tensor in state.values()]
