"""OpenVINO (extra ``openvino``): floats or int8, floats in bfloat16 where the processor has it.

Left alone it computes in bfloat16 wherever it can, so the precision is asked for by name and read
back. It takes floats for bytes in silence, so the types of inputs are checked here.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workzone.cores import core_count
from workzone.engine.int8 import INT8, check_openvino
from workzone.engine.program import Array, Arrays, Floats, GraphName
from workzone.engine.sizes import check_sizes
from workzone.errors import MissingExtraError, UsageError

PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32", "int8-bfloat16": "bf16"}
"""What to ask for; where bytes stand in the graph, of the operations that it leaves in floats."""


class OpenVinoEngine:
    """Compiled models on the processor, one per graph."""

    name, device = "openvino", "cpu"
    views_at_once = 1  # as for ONNX Runtime

    def __init__(
        self, files: Mapping[GraphName, Path], *, precision: str = "float32", threads: int = 0
    ) -> None:
        """Compile the graphs.

        Args:
            files: the graphs, ``.xml`` with ``.bin`` beside them, or ``.onnx``; none: to see
                whether it starts.
            precision: float32, bfloat16, or one of `INT8`, which then stands in the graphs.
            threads: to use in all; 0: as many as there are cores.

        Raises:
            MissingExtraError: OpenVINO is not installed.
            UsageError: the processor lacks the precision.
            BundleError: the graphs are not in int8, and should be.
        """
        try:
            import openvino
        except ModuleNotFoundError as error:
            raise MissingExtraError("openvino", "openvino", "engine openvino") from error
        core = _core(openvino)
        if precision not in PRECISIONS:
            raise UsageError(
                f"engine openvino: precision {precision!r}; allowed: {', '.join(PRECISIONS)}"
            )
        if PRECISIONS[precision] == "bf16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise UsageError(
                f"precision {precision}: this processor does not compute in bfloat16 (no "
                "AVX512-BF16, no AMX); use --precision float32"
            )
        self.precision, self.streams = precision, threads or core_count()
        self._core, self._files, self._requests = core, files, threading.local()
        self._models = self._load()
        # As the files have them: compiling can put the name of an inner tensor before an output's.
        read = {name: core.read_model(file) for name, file in files.items()}
        self._inputs = {name: list(map(_slot, model.inputs)) for name, model in read.items()}
        self._outputs = {
            name: [slot.get_any_name() for slot in model.outputs] for name, model in read.items()
        }
        for name, model in self._models.items():
            chosen = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
            if chosen != PRECISIONS[precision]:
                raise UsageError(
                    f"engine openvino: asked for {precision}, the {name} computes in {chosen}; "
                    "use --precision float32"
                )
        if precision in INT8 and files:
            check_openvino(_types(self._models["reader"]), files["reader"])

    def _load(self) -> dict[str, Any]:
        """Compiled models by graph, that as many threads as there are streams can run."""
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[self.precision],
            "INFERENCE_NUM_THREADS": self.streams,
            "NUM_STREAMS": self.streams,
        }
        models = {name: self._core.read_model(file) for name, file in self._files.items()}
        for slot in models["reader"].inputs if "reader" in models else ():
            shape = slot.partial_shape
            if shape[0].is_dynamic:  # a tenth faster for one view than with any number of them
                shape[0] = 1
                models["reader"].reshape({slot.get_any_name(): shape})
        return {
            name: self._core.compile_model(model, "CPU", settings) for name, model in models.items()
        }

    def begin_stream(self) -> None:
        """Nothing: every thread takes one core, also where it is the only one.

        On all cores a single one would take less alone, and far longer beside other work.
        """

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        """The outputs of a graph, by name.

        Raises:
            UsageError: an input of another type or size than the graph's.
        """
        feed = {}
        for name, wanted, sizes in self._inputs[graph]:
            value = inputs[name]
            if value.dtype != wanted:
                raise UsageError(f"graph {graph}: input {name} is {value.dtype}, not {wanted}")
            check_sizes(graph, name, value.shape, sizes)
            feed[name] = np.ascontiguousarray(value)
        if graph == "reader" and len(feed["pixels"]) > 1:
            views = [self._infer(graph, {"pixels": view[None]}) for view in feed["pixels"]]
            return {name: np.concatenate([view[name] for view in views]) for name in views[0]}
        return self._infer(graph, feed)

    def _infer(self, graph: GraphName, feed: Arrays) -> dict[str, Array]:
        model = self._models[graph]
        requests = self._requests.__dict__  # of this thread
        if model not in requests:
            requests[model] = model.create_infer_request()
        outputs = requests[model].infer(feed)
        return {
            name: outputs[slot]
            for name, slot in zip(self._outputs[graph], model.outputs, strict=True)
        }


def _slot(slot: Any) -> tuple[str, npt.DTypeLike, list[int | None]]:
    """Name, type and sizes of an input; None: any."""
    sizes = [size.get_length() if size.is_static else None for size in slot.partial_shape]
    return slot.get_any_name(), slot.get_element_type().to_dtype(), sizes


@functools.cache
def _core(openvino: Any) -> Any:
    """The one of this process, which is never released.

    On processors with AMX each brings a stack for signals to the thread that makes it, and puts the
    one before back when it is released (OpenVINO 2026.4.1). Of two that are released in the order
    they were made in, a stack stays that is gone, and the next signal, as SIGTERM, ends the process
    without a word.
    """
    return openvino.Core()


def matrix_product(matrix: Floats) -> Callable[[], object]:
    """A product of a square matrix with itself in bfloat16 on all cores, ready to be timed.

    Raises:
        ModuleNotFoundError: OpenVINO is not installed.
    """
    import openvino
    from openvino import opset13

    left = opset13.parameter(matrix.shape, np.float32)
    model = openvino.Model([opset13.matmul(left, matrix, False, False)], [left])
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS["bfloat16"],
        "INFERENCE_NUM_THREADS": core_count(),
        "NUM_STREAMS": 1,
    }
    request = _core(openvino).compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([matrix], share_inputs=True, share_outputs=True)


def _types(model: Any) -> list[tuple[str, str]]:
    """Of every operation as it is run, its kind and the type that it computes in."""
    found = []
    for operation in model.get_runtime_model().get_ops():
        info = operation.get_rt_info()
        found.append((str(info["layerType"].value), str(info["runtimePrecision"].value)))
    return found
