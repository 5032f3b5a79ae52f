"""From the modules of a bundle to graphs that other engines run, of any batch size.

Every size in the example inputs is another one: dimensions that are alike by chance would be taken
for one and the same. The judge of whole views gives gradients too; they are traced like any other
arithmetic, so that what argued for road work can be shown without torch.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx

from workzone.backbones.base import Backbone
from workzone.decide.bundle import Bundle
from workzone.engine.graphs import GraphModule
from workzone.engine.program import GraphName
from workzone.engine.torch_engine import graphs_of
from workzone.errors import MissingExtraError
from workzone.model.metadata.batch import no_metadata

OPSET = 20

Shapes = dict[str, dict[int, Any]]

_EXAMPLE_BATCH = 5
_EXAMPLE_VIEWS = 7  # read by the reader at a time
_EXAMPLE_SIDES = (3, 4)  # of its views, in cells
_EXAMPLE_CELLS = (11, 13)  # rows and columns of a dense detector's grid


@dataclass(frozen=True)
class Graph:
    """One graph, traced."""

    program: ExportedProgram
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def trace(bundle: Bundle, backbone: Backbone) -> dict[GraphName, Graph]:
    """Trace the graphs of a bundle; the backbone is on the CPU."""
    traced: dict[GraphName, Graph] = {}
    for name, module in graphs_of(bundle, backbone).items():
        inputs, shapes = _example(name, module, bundle, backbone)
        with quiet(), _out_of_place(module):
            with torch.no_grad():
                outputs = tuple(module(**inputs))
            program = _traced(module, inputs, shapes)
        traced[name] = Graph(program, tuple(inputs), outputs)
    return traced


def check_onnx_export() -> None:
    """Make sure that torch can write ONNX.

    Raises:
        MissingExtraError: what it does so with is not installed.
    """
    for package in ("onnx", "onnxscript"):
        try:
            __import__(package)
        except ModuleNotFoundError as error:
            raise MissingExtraError(package, "train", "export to ONNX") from error


def write_onnx(graph: Graph, path: Path) -> None:
    """Write a graph as one ``.onnx`` file, weights inside.

    Raises:
        MissingExtraError: see `check_onnx_export`.
    """
    check_onnx_export()
    with quiet():
        made = torch.onnx.export(
            graph.program,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            external_data=False,
        )
        assert made is not None
        made.save(path, external_data=False)
    _strip(path)


def _strip(path: Path) -> None:
    """Leave out stack traces and paths of the machine that exported, which no engine reads."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    slots = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (model, graph, *graph.node, *slots):
        part.ClearField("metadata_props")
    onnx.save(model, path)


class _Positional(nn.Module):
    """A module that takes tensors in order, and gives them so."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.module, self.names = module.requires_grad_(False), names

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.module(**dict(zip(self.names, values, strict=True)))
        return tuple(outputs.values())


def _traced(
    module: GraphModule, inputs: Mapping[str, torch.Tensor], shapes: Shapes
) -> ExportedProgram:
    values, dynamic = tuple(inputs.values()), tuple(shapes.get(name) for name in inputs)
    graph: nn.Module = _Positional(module, list(inputs))
    if not module.gives_gradients:
        return torch.export.export(graph, values, dynamic_shapes=(dynamic,), strict=False)
    plain = make_fx(
        graph,
        tracing_mode="symbolic",
        _allow_non_fake_inputs=True,
        decomposition_table=_gradients(),
    )(*values)
    return torch.export.export(plain, values, dynamic_shapes=dynamic, strict=False)


def _gradients() -> dict[Any, Any]:
    """Gradients written out, of operations for which ONNX has none."""
    from torch._decomp import get_decompositions

    aten = torch.ops.aten
    table: dict[Any, Any] = get_decompositions(
        [
            aten.silu_backward,
            aten._softmax_backward_data,
            aten.tanh_backward,
            aten.sigmoid_backward,
            aten.threshold_backward,
            aten.native_layer_norm_backward,
            aten._fused_rms_norm_backward,
        ]
    )
    return table


def _example(
    name: GraphName, module: GraphModule, bundle: Bundle, backbone: Backbone
) -> tuple[dict[str, torch.Tensor], Shapes]:
    """Inputs of a graph, and which of their dimensions may change."""
    if name == "reader":
        offered, shapes = _pixels(bundle, backbone)
    elif name == "chooser":
        offered, shapes = _read(bundle, backbone, views=bundle.spec.layout.count, grids=False)
    else:
        offered, shapes = _read(
            bundle, backbone, views=bundle.views_read, grids=bundle.grids_judged == "all"
        )
    return {n: offered[n] for n in module.inputs}, {n: shapes[n] for n in module.inputs}


def _pixels(bundle: Bundle, backbone: Backbone) -> tuple[dict[str, torch.Tensor], Shapes]:
    """What a reader is offered."""
    cell, rows, columns = backbone.multiple, *2 * (bundle.spec.layout.size,)
    shape: dict[int, Any] = {0: Dim("views", max=65536)}
    if bundle.resizable:
        rows, columns = (cell * cells for cells in _EXAMPLE_SIDES)
        shape |= {
            2: cell * Dim("rows", min=1, max=512),
            3: cell * Dim("columns", min=1, max=512),
        }
    pixels = torch.rand(
        _EXAMPLE_VIEWS, 3, rows, columns, generator=torch.Generator().manual_seed(0)
    )
    return {"pixels": (pixels * 255).byte()}, {"pixels": shape}


def _read(
    bundle: Bundle, backbone: Backbone, *, views: int, grids: bool
) -> tuple[dict[str, torch.Tensor], Shapes]:
    """What a chooser or a judge is offered of views that were read.

    Args:
        bundle: the model.
        backbone: that read them.
        views: of each image.
        grids: whether those of all views are offered, not of the first alone.
    """
    batch, generator = _EXAMPLE_BATCH, torch.Generator().manual_seed(0)
    rows, columns = backbone.grid_size(bundle.spec.layout.size)
    if bundle.resizable:
        rows, columns = _EXAMPLE_CELLS
    with_grid = (batch, views) if grids else (batch,)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator)

    offered = {
        "features": random(batch, views, bundle.config.width),
        "boxes": random(batch, views, 4).sort(dim=-1).values,
        "view_ids": torch.arange(views).expand(batch, views).contiguous(),
        "view_mask": torch.ones(batch, views, dtype=torch.bool),
        "grid": random(*with_grid, rows, columns, backbone.width),
    }
    for level in bundle.config.levels:
        by = backbone.multiple // backbone.level_stride(level)
        width = backbone.level_widths[level]
        offered[f"level_{level}"] = random(batch, width, rows * by, columns * by)
    if bundle.metadata is not None:
        nothing = vars(no_metadata(batch, bundle.metadata))
        offered |= {f"metadata_{field}": value for field, value in nothing.items()}
    images = Dim("batch", max=4096)
    shapes: Shapes = {field: {0: images} for field in offered}
    if bundle.resizable:
        down, across = Dim("rows", min=1, max=512), Dim("columns", min=1, max=512)
        shapes["grid"] |= {2: down, 3: across}
        for level in bundle.config.levels:
            by = backbone.multiple // backbone.level_stride(level)
            shapes[f"level_{level}"] |= {2: by * down, 3: by * across}
    return offered, shapes


@contextlib.contextmanager
def _out_of_place(module: nn.Module) -> Iterator[None]:
    """With activations that write elsewhere: the exporter is slow to rewrite those in place."""
    changed = [part for part in module.modules() if getattr(part, "inplace", False) is True]
    for part in changed:
        part.inplace = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for part in changed:
            part.inplace = True  # type: ignore[assignment]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's talk: what matters of it ends in an error, or in the gate."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
