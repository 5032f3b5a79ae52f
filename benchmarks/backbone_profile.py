"""Where the backbone's time goes, by kind of layer: what stands between it and a matrix product.

    python benchmarks/backbone_profile.py -o benchmarks/results/backbone_profile.json

The reader of the model that comes with workzone on a frame of 512 x 896, one thread, as OpenVINO
times its own layers; and what each kind computes and moves, counted. `pointwise` is a convolution
of 1 x 1, `depthwise` one of each channel by itself, `stem` the first. On a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from record import write_record
from torch import nn

from workzone.decide.bundle import read_bundle
from workzone.decide.bundle_json import shipped_bundle, shipped_program
from workzone.run.backbone import bundle_backbone

ROWS, COLUMNS = 512, 896
SIDE = 1536  # of the matrices that are multiplied
BYTES = {"float32": 4, "bfloat16": 2}
HINTS = {"float32": "f32", "bfloat16": "bf16"}


def kind_of(layer: nn.Conv2d) -> str:
    """Of a convolution."""
    if layer.groups > 1:
        return "depthwise"
    return "pointwise" if layer.kernel_size == (1, 1) else "stem"


def counted() -> tuple[Counter[str], Counter[str]]:
    """Operations, and values that go in and out, by kind."""
    operations: Counter[str] = Counter()
    values: Counter[str] = Counter()

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        kind = kind_of(layer)
        operations[kind] += 2 * output.numel() * layer.weight[0].numel()
        values[kind] += inputs[0].numel() + output.numel() + layer.weight.numel()

    backbone = bundle_backbone(read_bundle(shipped_bundle()))
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    with torch.no_grad():
        backbone(torch.zeros(1, 3, ROWS, COLUMNS, dtype=torch.uint8))
    return operations, values


def compiled(core: Any, model: Any, precision: str, **settings: object) -> Any:
    """For one thread."""
    hints = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
    }
    return core.compile_model(model, "CPU", hints | settings)


def layer_times(core: Any, precision: str, rounds: int) -> dict[str, float]:
    """Milliseconds by kind of layer: of each layer the median over the rounds."""
    model = core.read_model(shipped_program() / "reader.onnx")
    (pixels,) = model.inputs
    model.reshape({pixels.get_any_name(): openvino.PartialShape([1, 3, -1, -1])})
    request = compiled(core, model, precision, PERF_COUNT=True).create_infer_request()
    view = np.random.default_rng(0).integers(0, 256, (1, 3, ROWS, COLUMNS), dtype=np.uint8)
    times: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for _ in range(rounds + 2):
        request.infer([view])
        for layer in request.profiling_info:
            times.setdefault(layer.node_name, []).append(1000 * layer.real_time.total_seconds())
            if layer.node_name not in kinds:  # the first convolution that runs is the stem
                kinds[layer.node_name] = _kind(layer, first="stem" not in kinds.values())
    found: Counter[str] = Counter()
    for name, kind in kinds.items():
        found[kind] += float(np.median(times[name][2:]))
    return dict(found)


def _kind(layer: Any, *, first: bool) -> str:
    if layer.node_type == "GroupConvolution":
        return "depthwise"
    if layer.node_type == "Convolution":
        return "pointwise" if "1x1" in layer.exec_type or not first else "stem"
    return "other"


def matrix_rate(core: Any, precision: str) -> float:
    """Operations a second of a matrix product on one thread: the fastest of ten."""
    from openvino import opset13

    matrix = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    left = opset13.parameter(matrix.shape, np.float32)
    model = openvino.Model([opset13.matmul(left, matrix, False, False)], [left])
    request = compiled(core, model, precision, PERF_COUNT=True).create_infer_request()
    seconds = []
    for _ in range(10):
        request.infer([matrix], share_inputs=True, share_outputs=True)
        own = [x for x in request.profiling_info if x.node_type in ("MatMul", "FullyConnected")]
        seconds.append(sum(x.real_time.total_seconds() for x in own))
    return float(2 * SIDE**3 / min(seconds))


def copy_rate() -> float:
    """Bytes a second that one thread reads and writes beyond its caches: the fastest of ten."""
    source = torch.zeros(64_000_000)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        target.copy_(source)
        seconds.append(time.perf_counter() - started)
    return 2 * source.nbytes / min(seconds)


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    operations, values = counted()
    core = openvino.Core()
    results: dict[str, Any] = {
        "operations": dict(operations),
        "values": dict(values),
        "copy, bytes a second": copy_rate(),
    }
    for precision in HINTS:
        rate = matrix_rate(core, precision)
        times = layer_times(core, precision, options.rounds)
        whole = sum(times.values())
        results[precision] = {
            "matrix product, operations a second": rate,
            "milliseconds": round(whole, 1),
            "share of the matrix rate": round(sum(operations.values()) * 1000 / whole / rate, 3),
            "kinds": {
                kind: {
                    "milliseconds": round(spent, 2),
                    "share of time": round(spent / whole, 3),
                    "share of operations": round(operations[kind] / sum(operations.values()), 3),
                    "share of the matrix rate": round(operations[kind] * 1000 / spent / rate, 3),
                    "gigabytes a second": round(BYTES[precision] * values[kind] / spent / 1e6, 1),
                }
                for kind, spent in times.items()
            },
        }
        print(precision, results[precision], flush=True)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
