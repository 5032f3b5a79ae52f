"""The reference engine: the modules themselves, in torch."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch.export import ExportedProgram

from workzone.backbones.base import CPU_PIXELS_AT_ONCE, Backbone, one_core_each
from workzone.cores import core_count
from workzone.decide.bundle import Bundle
from workzone.engine.graphs import GraphModule, Reader, judging_graphs
from workzone.engine.program import Array, Arrays, GraphName, Program
from workzone.engine.weight_only import WEIGHT_PRECISIONS, quantise_weights, weight_precision

_NAMES = "names.json"


def graphs_of(bundle: Bundle, backbone: Backbone) -> dict[GraphName, GraphModule]:
    """The graphs of a bundle, in evaluation mode."""
    layout = bundle.spec.layout
    judging = judging_graphs(bundle.detector, grid_size=backbone.grid_size(layout.size))
    pooling = bundle.spec.pooling if "features" in judging["judge"].inputs else None
    reader = Reader(backbone, pooling=pooling, levels=bundle.config.levels)
    graphs: dict[GraphName, GraphModule] = {"reader": reader, **judging}
    return {name: graph.eval() for name, graph in graphs.items()}


def save_graph(
    program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], file: Path
) -> None:
    """Write a traced graph as ``.pt2``, with the names of what goes in and out."""
    names = json.dumps({"inputs": list(inputs), "outputs": list(outputs)})
    torch.export.save(program, file, extra_files={_NAMES: names})


class SavedGraph(GraphModule):
    """A graph that :func:`save_graph` wrote."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        extra = {_NAMES: ""}
        # Its guards refuse frames that are one cell high, which it computes as well as any.
        self.graph = torch.export.load(file, extra_files=extra).module(check_guards=False)
        names = json.loads(extra[_NAMES])
        self.inputs, self.outputs = tuple(names["inputs"]), tuple(names["outputs"])

    def forward(self, **tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        """Outputs by name, from inputs by name."""
        values = self.graph(*(tensors[name] for name in self.inputs))
        return dict(zip(self.outputs, values, strict=True))


class TorchEngine:
    """Runs the graphs on the device of the backbone; the detector stays on the CPU."""

    name = "torch"
    views_at_once = 64  # few enough for memory, enough for a GPU

    def __init__(
        self,
        graphs: Mapping[GraphName, GraphModule],
        *,
        precision: str = "float32",
        device: torch.device | None = None,
    ) -> None:
        """Hold the graphs.

        Args:
            graphs: in evaluation mode.
            precision: in bfloat16 the reader computes under autocast, and nothing else.
            device: of the reader; None: the CPU.
        """
        self.graphs = graphs
        self.precision = weight_precision(graphs["reader"]) or precision
        self._half = precision == "bfloat16"
        self._device = device or torch.device("cpu")
        self.device = self._device.type
        # On a GPU the copies of one run go on beside the arithmetic of another.
        self.streams = core_count() if self.device == "cpu" else 2
        self._take_one_core = one_core_each()
        self._cuda = threading.local()

    def begin_stream(self) -> None:
        """Let the calling thread take one core from here on; on a GPU, a stream of its own."""
        if self.device == "cpu":
            self._take_one_core()
        elif self.device == "cuda":
            self._cuda.stream = torch.cuda.Stream(self._device)

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        """The outputs of a graph, by name; inputs that it does not ask for are left out."""
        module = self.graphs[graph]
        tensors = {n: torch.from_numpy(np.ascontiguousarray(inputs[n])) for n in module.inputs}
        stream = getattr(self._cuda, "stream", None)
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            if graph == "reader":
                outputs = self._read(module, tensors["pixels"])
            else:
                with torch.no_grad():
                    outputs = module(**tensors)
            return {
                name: (value.float() if value.is_floating_point() else value).cpu().numpy()
                for name, value in outputs.items()
            }

    def _read(self, reader: GraphModule, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """As many views at a time as a processor computes best."""
        at_once = len(pixels)
        if self.device == "cpu":
            at_once = max(1, CPU_PIXELS_AT_ONCE // (pixels.shape[-1] * pixels.shape[-2]))
        elif self.device == "cuda":
            pixels = pixels.pin_memory()  # else the copy waits for all that goes on
        with torch.no_grad(), torch.autocast(self.device, torch.bfloat16, enabled=self._half):
            parts = [
                reader(pixels=part.to(self._device, non_blocking=True))
                for part in pixels.split(at_once)
            ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def torch_program(bundle: Bundle, backbone: Backbone, *, precision: str | None = None) -> Program:
    """A bundle as a program of the reference engine.

    Args:
        bundle: the model.
        backbone: that it works on.
        precision: of the backbone; None: the one that its features were made in. In one of
            `WEIGHT_PRECISIONS` the backbone is changed in place, and computes in the one that
            its features were made in.

    Raises:
        MissingExtraError, UsageError: see :func:`quantise_weights`.
    """
    computes = precision or bundle.spec.precision
    if computes in WEIGHT_PRECISIONS:
        quantise_weights(backbone, computes)
        computes = bundle.spec.precision
    engine = TorchEngine(
        graphs_of(bundle, backbone),
        precision=computes,
        device=backbone.device,
    )
    return Program(bundle, engine)
