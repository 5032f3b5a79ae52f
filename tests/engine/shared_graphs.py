"""An export as it is, but that models which have a graph in common have it traced once.

Tracing and writing a graph takes seconds to half a minute, however tiny the model is. What is
shared has the same modules, weights, constants and example inputs; and every program still has to
pass the gate beside its own model. What torch knows of ONNX's operators, a second's work for each
graph, is looked up once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.export import ExportedProgram
from torch.onnx._internal.exporter._registration import ONNXRegistry

from workzone.engine import export as exporting
from workzone.engine import tracing
from workzone.engine.export import Export
from workzone.engine.graphs import GraphModule
from workzone.engine.tracing import Graph, Shapes

_trace, _write = tracing._traced, tracing.write_onnx
_operators = cache(ONNXRegistry.from_torchlib)
_traced: dict[str, ExportedProgram] = {}
_written: dict[int, tuple[ExportedProgram, bytes]] = {}  # the program, for its id to stay its own


@contextmanager
def graphs_traced_once() -> Iterator[None]:
    """Meanwhile all exports share what they have in common."""
    with (
        patch.object(tracing, "_traced", _traced_once),
        patch.object(exporting, "write_onnx", _written_once),
        patch.object(ONNXRegistry, "from_torchlib", staticmethod(_operators)),
    ):
        yield


def export(*arguments: Any, **options: Any) -> Export:
    """As `workzone.engine.export.export`."""
    with graphs_traced_once():
        return exporting.export(*arguments, **options)


def _traced_once(
    module: GraphModule, inputs: Mapping[str, torch.Tensor], shapes: Shapes
) -> ExportedProgram:
    key = _fingerprint(module, inputs, shapes)
    if key not in _traced:
        _traced[key] = _trace(module, inputs, shapes)
    return _traced[key]


def _written_once(graph: Graph, path: Path) -> None:
    key = id(graph.program)
    if key not in _written:
        _write(graph, path)
        _written[key] = graph.program, path.read_bytes()
    path.write_bytes(_written[key][1])


def _fingerprint(module: GraphModule, inputs: Mapping[str, torch.Tensor], shapes: Shapes) -> str:
    """Of all that a graph is traced from."""
    told = hashlib.sha256(repr((module, shapes)).encode())
    for name, part in module.named_modules():
        constants = {key: value for key, value in vars(part).items() if _is_constant(value)}
        told.update(repr((name, type(part), constants)).encode())
    for name, tensor in (*module.named_parameters(), *module.named_buffers(), *inputs.items()):
        told.update(repr((name, tensor.dtype, tensor.shape)).encode())
        told.update(tensor.detach().contiguous().numpy().tobytes())
    return told.hexdigest()


def _is_constant(value: object) -> bool:
    plain = isinstance(value, str | int | float | tuple | None)
    return plain or is_dataclass(value) or hasattr(value, "to_dict")
